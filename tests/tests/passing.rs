//! What is none of the balancer's business reaches the host as if xlb were not there.

use std::time::Duration;

use lb_userspace::config::model::{AttachMode, Forward, Protocol};
use rstest::rstest;
use xlb_tests::lab::{Family, Plan};
use xlb_tests::need_root;
use xlb_tests::stage::Stage;
use xlb_tests::traffic::{Direction, Transfer, Transfers, client, ping};
use xlb_tests::xlb::Setup;

const WITHIN: Duration = Duration::from_secs(5);

#[rstest]
#[case::native(AttachMode::Native)]
#[case::generic(AttachMode::Generic)]
fn traffic_to_the_balancer_itself_passes(#[case] mode: AttachMode) {
    need_root();
    let stage = Stage::up(Plan::default(), |lab| {
        Setup::new(lab, mode)
            .pool(lab, "web", Forward::Ipip, Family::V4, 1..=3)
            .service("web4", Family::V4, Protocol::Tcp, 80, "web")
            .service("web6", Family::V6, Protocol::Tcp, 80, "web")
    })
    .unwrap();
    let mut flows = Vec::new();
    for family in Family::ALL {
        // The balancer has a server of its own on every address and port, the services' ports among them.
        let own = (stage.lab.plan().balancer_address(family), 80).into();
        let served = client::block_on(&stage.lab.client, move || client::who(own, WITHIN)).unwrap().unwrap();
        assert_eq!(served.by, "local");
        let reply = ping(&stage.lab.client, own.ip(), &[7; 1000], WITHIN).unwrap();
        assert!(reply, "no reply to a ping of {}", own.ip());
        // A port of the service address that is no service: nobody may answer for it, and nothing is forwarded.
        let other = family.target(81);
        client::block_on(&stage.lab.client, move || client::who(other, Duration::from_millis(500)))
            .unwrap()
            .unwrap_err();
        flows.extend([(Direction::Download, own), (Direction::Upload, own)]);
    }
    let ends = Transfers::start(&stage.lab.client, &flows, &stage.pace).unwrap().finish();
    assert!(ends.iter().all(Transfer::complete), "{ends:#?}");
    let stats = stage.daemon.stats(&stage.lab).unwrap();
    assert!(stats.services.iter().all(|service| service.packets == 0), "{:#?}", stats.services);
    assert!(
        stats.reasons.iter().all(|count| count.verdict == "pass" || count.packets == 0),
        "{:#?}",
        stats.reasons
    );
    for reason in ["not_service", "icmp"] {
        assert!(stage.daemon.reason(&stage.lab, reason).unwrap() > 0, "{reason}");
    }
}
