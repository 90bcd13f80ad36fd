//! Every forward mode carries TCP and UDP over IPv4 and IPv6, native and generic, on one NIC and on two.

use std::time::Duration;

use lb_userspace::config::model::{AttachMode, Forward, Protocol};
use rstest::rstest;
use xlb_tests::lab::{Family, Lab, Nics, Placement, Plan};
use xlb_tests::need_root;
use xlb_tests::stage::{PORTS, Stage};
use xlb_tests::traffic::{Direction, Failure, Served, Transfer, Transfers, client};
use xlb_tests::xlb::{Setup, slot, word};

const WITHIN: Duration = Duration::from_secs(6);
const REQUESTS: usize = 12;

/// A forward mode and the family of the backends' addresses: with tunnels, of the outer header.
type Case = (Forward, Family);

/// Whether packets of a family can be served this way: only tunnels cross families.
fn carries((forward, outer): Case, family: Family) -> bool {
    match forward {
        Forward::Ipip | Forward::Gue => true,
        Forward::L2 | Forward::Local => outer == family,
    }
}

fn name((forward, outer): Case) -> String {
    match outer {
        Family::V4 => format!("{}-4", word(forward)),
        Family::V6 => format!("{}-6", word(forward)),
    }
}

fn families(case: Case) -> impl Iterator<Item = Family> {
    Family::ALL.into_iter().filter(move |&family| carries(case, family))
}

/// A pool per case, and on the case's port a service for each family and protocol.
fn setup(lab: &Lab, mode: AttachMode, cases: &[Case]) -> Setup {
    let mut setup = Setup::new(lab, mode);
    for (&case, port) in cases.iter().zip(PORTS) {
        let (pool, (forward, outer)) = (name(case), case);
        setup = match forward {
            Forward::Ipip | Forward::Gue | Forward::L2 => setup.pool(lab, &pool, forward, outer, 1..=3),
            Forward::Local => setup.local_pool(lab, &pool, outer),
        };
        for family in families(case) {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                setup = setup.service(&format!("{pool}-{protocol}-{family}"), family, protocol, port, &pool);
            }
        }
    }
    setup
}

/// Requests and datagrams reach the owners of their slots. What does not come through at all is seen by the first.
fn reaches_its_backends(stage: &Stage, case: Case, port: u16) {
    let owners = stage.daemon.owners(&stage.lab, &name(case)).unwrap();
    for family in families(case) {
        let target = target(case, family, port);
        for count in [1, REQUESTS] {
            let requests =
                client::block_on(&stage.lab.client, move || client::ask(target, count, 4, WITHIN)).unwrap();
            for answer in requests {
                check(case, family, Protocol::Tcp, answer, &owners);
            }
        }
        for length in 0..REQUESTS {
            let payload = vec![7; 100 * length];
            let exchange = move || async move { client::echo(target, &payload, WITHIN).await };
            let answer = client::block_on(&stage.lab.client, exchange).unwrap();
            check(case, family, Protocol::Udp, answer, &owners);
        }
    }
}

fn check(
    case: Case,
    family: Family,
    protocol: Protocol,
    answer: Result<Served, Failure>,
    owners: &[Option<String>],
) {
    let served =
        answer.unwrap_or_else(|failure| panic!("{} {protocol} over {family}: {failure}", name(case)));
    let owner = &owners[slot(protocol, served.local, served.remote)];
    assert_eq!(owner.as_ref(), Some(&served.by), "{} {protocol} over {family}: {served:?}", name(case));
}

/// Megabytes pass in both directions, in segments as long as the client's link takes them.
fn carries_full_segments(stage: &Stage, cases: &[Case]) {
    let mut flows = Vec::new();
    for (&case, port) in cases.iter().zip(PORTS) {
        for family in families(case) {
            flows.extend(
                [Direction::Download, Direction::Upload].map(|way| (way, target(case, family, port))),
            );
        }
    }
    let ends =
        Transfers::start_sized(&stage.lab.client, &flows, &stage.pace, 2 * 1024 * 1024).unwrap().finish();
    assert!(ends.iter().all(Transfer::complete), "{ends:#?}");
    let short = |segment: Option<u32>| segment.is_none_or(|segment| segment < 1428);
    assert!(!ends.iter().any(|end| short(end.segment)), "{ends:#?}");
}

fn target((forward, _): Case, family: Family, port: u16) -> std::net::SocketAddr {
    let address = match forward {
        Forward::Ipip | Forward::Gue | Forward::L2 => family.service(),
        Forward::Local => family.local_service(),
    };
    (address, port).into()
}

fn run(plan: Plan, mode: AttachMode, cases: &[Case]) {
    need_root();
    let stage = Stage::up(plan, |lab| setup(lab, mode, cases)).unwrap();
    for (&case, port) in cases.iter().zip(PORTS) {
        reaches_its_backends(&stage, case, port);
    }
    carries_full_segments(&stage, cases);
    for drop in ["no_backend", "too_big", "malformed", "bad_table", "no_headroom"] {
        assert_eq!(stage.daemon.reason(&stage.lab, drop).unwrap(), 0, "{drop}");
    }
}

#[rstest]
#[case::one_nic_native(Nics::One, AttachMode::Native)]
#[case::one_nic_generic(Nics::One, AttachMode::Generic)]
#[case::two_nics_native(Nics::Two, AttachMode::Native)]
#[case::two_nics_generic(Nics::Two, AttachMode::Generic)]
fn tunnels_to_routed_backends_and_local(#[case] nics: Nics, #[case] mode: AttachMode) {
    let cases = [
        (Forward::Ipip, Family::V4),
        (Forward::Ipip, Family::V6),
        (Forward::Gue, Family::V4),
        (Forward::Gue, Family::V6),
        (Forward::Local, Family::V4),
        (Forward::Local, Family::V6),
    ];
    run(Plan { nics, placement: Placement::Routed, ..Plan::default() }, mode, &cases);
}

#[rstest]
#[case::one_nic_native(Nics::One, AttachMode::Native)]
#[case::one_nic_generic(Nics::One, AttachMode::Generic)]
#[case::two_nics_native(Nics::Two, AttachMode::Native)]
#[case::two_nics_generic(Nics::Two, AttachMode::Generic)]
fn l2_and_tunnels_to_backends_on_link(#[case] nics: Nics, #[case] mode: AttachMode) {
    let cases = [
        (Forward::L2, Family::V4),
        (Forward::L2, Family::V6),
        (Forward::Ipip, Family::V4),
        (Forward::Gue, Family::V6),
    ];
    run(Plan { nics, placement: Placement::OnLink, ..Plan::default() }, mode, &cases);
}
