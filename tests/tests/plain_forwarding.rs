//! The lab itself, without xlb: what these tests show to work is not what fails when xlb does.

use std::time::{Duration, Instant};

use lb_userspace::dataplane::ethtool::{self, State};
use xlb_tests::lab::{Family, Lab, Links, Nics, Placement, Plan};
use xlb_tests::stage::let_transmit;
use xlb_tests::traffic::{Direction, Failure, Pace, Server, Serving, Transfers, client, ping};
use xlb_tests::{eventually, need_root};

const WITHIN: Duration = Duration::from_secs(5);

fn serve(lab: &Lab, number: u8, pace: &Pace) -> Server {
    let backend = &lab.backends[usize::from(number) - 1];
    let echo = Family::ALL.map(|family| (family.service(), 53)).to_vec();
    Server::start(
        backend,
        Serving { name: backend.name().to_owned(), http: vec![80], echo, pace: pace.clone() },
    )
    .unwrap()
}

#[test]
fn every_layout_carries_requests_and_full_transfers() {
    need_root();
    for nics in [Nics::One, Nics::Two] {
        for placement in [Placement::Routed, Placement::OnLink] {
            let begin = Instant::now();
            let lab = Lab::new(Plan { nics, placement, ..Plan::default() }).unwrap();
            println!("{nics:?} {placement:?} built in {:?}", begin.elapsed());
            let pace = Pace::default();
            let _server = serve(&lab, 2, &pace);
            lab.bypass_balancer(2).unwrap();
            for family in Family::ALL {
                let target = family.target(80);
                let served =
                    client::block_on(&lab.client, move || client::who(target, WITHIN)).unwrap().unwrap();
                assert_eq!(served.by, "web-2");
                let echo = family.target(53);
                let payload = vec![7; 1400];
                let served = client::block_on(&lab.client, move || async move {
                    client::echo(echo, &payload, WITHIN).await
                })
                .unwrap()
                .unwrap();
                assert_eq!(served.by, "web-2");
                let balancer = lab.plan().balancer_address(family);
                assert!(
                    ping(&lab.client, balancer, &[7; 1200], WITHIN).unwrap(),
                    "{balancer} does not reply"
                );
                pace.hold();
                let flows = [(Direction::Download, target), (Direction::Upload, target)];
                let ends = Transfers::start(&lab.client, &flows, &pace).unwrap().finish();
                assert!(
                    ends.iter().all(|end| end.complete() && end.by.as_deref() == Some("web-2")),
                    "{ends:#?}"
                );
            }
            println!("{nics:?} {placement:?} done after {:?}", begin.elapsed());
        }
    }
}

#[test]
fn a_flow_that_meets_another_backend_is_cut_by_a_reset() {
    need_root();
    let lab = Lab::new(Plan::default()).unwrap();
    let pace = Pace::default();
    let _servers = [serve(&lab, 1, &pace), serve(&lab, 2, &pace)];
    lab.bypass_balancer(1).unwrap();
    let flows = Family::ALL
        .map(|family| [Direction::Download, Direction::Upload].map(|way| (way, family.target(80))));
    let transfers = Transfers::start(&lab.client, flows.as_flattened(), &pace).unwrap();
    assert!(transfers.now().iter().all(|transfer| transfer.cut().is_none()));
    lab.bypass_balancer(2).unwrap();
    let all_cut = || transfers.now().iter().all(|transfer| transfer.cut() == Some(&Failure::Reset));
    assert!(eventually(WITHIN, all_cut), "{:#?}", transfers.now());
}

#[test]
fn offloads_are_off_and_stay_off_under_a_program() {
    need_root();
    let lab = Lab::new(Plan::default()).unwrap();
    let _passes = let_transmit(&lab).unwrap();
    for namespace in lab.namespaces() {
        let interfaces = namespace.run(|| Links::open()?.names()).unwrap();
        for interface in interfaces.into_iter().filter(|name| name != "lo") {
            let (name, place) = (interface.clone(), namespace.name().to_owned());
            let offloads = namespace.run(move || ethtool::offloads(&name)).unwrap();
            assert_eq!(
                (offloads.gro, offloads.tx_checksum),
                (State::Off, State::Off),
                "{interface} in {place}"
            );
        }
    }
}
