//! What a change does to traffic, and what it leaves alone.

use std::time::Duration;

use lb_userspace::config::model::{AttachMode, Forward, Protocol};
use rstest::rstest;
use xlb_tests::lab::{Family, Lab, Plan};
use xlb_tests::stage::Stage;
use xlb_tests::traffic::{Direction, Failure, Load, Pace, Transfer, Transfers, client};
use xlb_tests::xlb::{Fate, Owners, Setup};
use xlb_tests::{eventually, need_root};

const WITHIN: Duration = Duration::from_secs(10);

fn setup(lab: &Lab, mode: AttachMode, forward: Forward) -> Setup {
    Setup::new(lab, mode)
        .pool(lab, "web", forward, Family::V4, 1..=3)
        .service("web4", Family::V4, Protocol::Tcp, 80, "web")
        .service("web6", Family::V6, Protocol::Tcp, 80, "web")
}

fn stage(mode: AttachMode, forward: Forward) -> Stage {
    need_root();
    Stage::up(Plan { backends: 4, ..Plan::default() }, |lab| setup(lab, mode, forward)).unwrap()
}

fn transfers(stage: &Stage, of_each: usize) -> Transfers {
    let kinds = Family::ALL
        .map(|family| [Direction::Download, Direction::Upload].map(|way| (way, family.target(80))));
    let flows: Vec<_> = kinds.as_flattened().iter().copied().cycle().take(4 * of_each).collect();
    Transfers::start(&stage.lab.client, &flows, &stage.pace).unwrap()
}

/// Waits until every flow has either run on for a good while or ended.
fn run_on(transfers: &Transfers, doomed: impl Fn(usize) -> bool) {
    let start = transfers.now();
    let settled = || {
        transfers.now().iter().zip(&start).enumerate().all(|(index, (now, then))| {
            now.end.is_some() || (!doomed(index) && now.bytes > then.bytes + 8 * Pace::BURST as u64)
        })
    };
    assert!(eventually(WITHIN, settled), "some flows neither ran on nor were cut: {:#?}", transfers.now());
}

fn owners(stage: &Stage) -> Owners {
    stage.daemon.owners(&stage.lab, "web").unwrap()
}

fn is_answered(stage: &Stage, family: Family) {
    let target = family.target(80);
    for answer in client::block_on(&stage.lab.client, move || client::ask(target, 20, 4, WITHIN)).unwrap() {
        answer.unwrap();
    }
}

#[rstest]
#[case::ipip_native(AttachMode::Native, Forward::Ipip)]
#[case::gue_generic(AttachMode::Generic, Forward::Gue)]
fn adding_and_removing_under_load_cuts_exactly_the_moved_slots(
    #[case] mode: AttachMode,
    #[case] forward: Forward,
) {
    let stage = stage(mode, forward);
    let transfers = transfers(&stage, 8);
    let mut tables = vec![owners(&stage)];
    let address = stage.lab.plan().backend_address(4, Family::V4).to_string();
    for command in [&["backend", "remove", "web", "web-2"][..], &["backend", "add", "web", "web-4", &address]]
    {
        let applied = stage.daemon.change(&stage.lab, command).unwrap();
        tables.push(owners(&stage));
        let moved = xlb_tests::xlb::moved(&tables[tables.len() - 2], &tables[tables.len() - 1]);
        assert_eq!(applied.moved.iter().map(|moved| moved.slots as usize).sum::<usize>(), moved);
        let now = transfers.now();
        run_on(&transfers, |index| {
            Fate::of(&now[index], &tables).unwrap().moved_by() == Some(tables.len() - 1)
        });
    }
    let mut cut = [0, 0];
    for end in transfers.finish() {
        let fate = Fate::of(&end, &tables).unwrap();
        assert_eq!(end.by, fate.owners[0], "{end:#?}");
        match fate.moved_by() {
            Some(change) => {
                assert_eq!(end.cut(), Some(&Failure::Reset), "slot {} moved: {fate:?} {end:#?}", fate.slot);
                cut[change - 1] += 1;
            }
            None => assert!(end.complete(), "slot {} did not move: {end:#?}", fate.slot),
        }
    }
    // About a third of 32 flows by the first change: that it is none does not happen by chance.
    assert!(cut[0] > 0, "{cut:?}");
}

#[test]
fn a_backend_of_weight_0_gets_no_new_flows() {
    let stage = stage(AttachMode::Native, Forward::Ipip);
    stage.daemon.change(&stage.lab, &["backend", "set", "web", "web-1", "--weight", "0"]).unwrap();
    assert!(!owners(&stage).contains(&Some("web-1".to_owned())));
    let before = stage.servers[0].accepted();
    for family in Family::ALL {
        is_answered(&stage, family);
    }
    assert_eq!(stage.servers[0].accepted(), before);
}

#[rstest]
#[case::native(AttachMode::Native)]
#[case::generic(AttachMode::Generic)]
fn a_killed_daemon_and_its_successor_fail_no_request(#[case] mode: AttachMode) {
    let mut stage = stage(mode, Forward::Ipip);
    // A history, so that what is adopted differs from what would be made from nothing.
    let config = std::fs::read_to_string(stage.daemon.config()).unwrap();
    stage.daemon.write_config(&config.replace(".101\" }", ".101\", weight = 2 }")).unwrap();
    stage.daemon.cli(&stage.lab, &["reload"]).unwrap().unwrap();
    let (table, before) = (owners(&stage), stage.daemon.view(&stage.lab).unwrap());
    assert!(before.generation > 1, "{before:#?}");
    let transfers = transfers(&stage, 2);
    let lost_syns = stage.lab.client.tcp_counter("TCPSynRetrans").unwrap();
    let load = Load::start(&stage.lab.client, &Family::ALL.map(|family| family.target(80)), 8).unwrap();
    assert!(load.wait_for(100, WITHIN));
    let mut counted = transmitted(&stage);
    for _ in 0..2 {
        stage.daemon.process().kill().unwrap();
        assert!(load.wait_for(200, WITHIN), "traffic stops without a daemon");
        stage.replace_dead_daemon().unwrap();
        assert!(load.wait_for(200, WITHIN), "traffic stops after a restart");
        let now = transmitted(&stage);
        assert!(now > counted + 400, "counters went from {counted} to {now}");
        counted = now;
    }
    let (tally, ends) = (load.stop(), transfers.finish());
    assert!(tally.failures.is_empty(), "{} of {} failed: {tally:?}", tally.failures.len(), tally.answered());
    assert!(ends.iter().all(Transfer::complete), "{ends:#?}");
    // A request survives a gap by asking again: there must have been none.
    let lost_syns = stage.lab.client.tcp_counter("TCPSynRetrans").unwrap() - lost_syns;
    assert_eq!(lost_syns, 0, "of {} connections", tally.answered());
    let after = stage.daemon.view(&stage.lab).unwrap();
    assert_eq!(owners(&stage), table);
    assert_eq!((after.generation, after.pools), (before.generation, before.pools));
}

fn transmitted(stage: &Stage) -> u64 {
    stage.daemon.reason(&stage.lab, "transmitted").unwrap()
}

#[test]
fn sighup_with_a_broken_file_changes_nothing_and_says_so() {
    let stage = stage(AttachMode::Native, Forward::Ipip);
    let (table, before) = (owners(&stage), stage.daemon.view(&stage.lab).unwrap());
    let good = std::fs::read_to_string(stage.daemon.config()).unwrap();
    let load = Load::start(&stage.lab.client, &[Family::V4.target(80)], 4).unwrap();
    stage.daemon.write_config(&good.replace("forward = \"ipip\"", "forwardd = \"ipip\"")).unwrap();
    stage.daemon.hang_up().unwrap();
    let warned =
        || stage.daemon.view(&stage.lab).is_ok_and(|view| view.warnings.len() > before.warnings.len());
    assert!(eventually(WITHIN, warned), "no warning: {}", stage.daemon.log());
    assert!(stage.daemon.log().contains("forwardd"), "{}", stage.daemon.log());
    let refused = stage.daemon.cli(&stage.lab, &["reload"]).unwrap().unwrap_err();
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.message.contains("forwardd") && refused.message.contains("forward"), "{refused}");
    let after = stage.daemon.view(&stage.lab).unwrap();
    assert_eq!(
        (after.generation, &after.pools, &after.services),
        (before.generation, &before.pools, &before.services)
    );
    assert_eq!(owners(&stage), table);
    assert!(load.wait_for(100, WITHIN));
    let tally = load.stop();
    assert!(tally.failures.is_empty(), "{tally:?}");

    // The same way with a good file works, and takes the warning back.
    let address = stage.lab.plan().backend_address(4, Family::V4);
    let more = good.replace(
        "backends = [",
        &format!("backends = [\n  {{ name = \"web-4\", address = \"{address}\" }},"),
    );
    stage.daemon.write_config(&more).unwrap();
    stage.daemon.hang_up().unwrap();
    assert!(
        eventually(WITHIN, || owners(&stage).contains(&Some("web-4".to_owned()))),
        "{}",
        stage.daemon.log()
    );
    let view = stage.daemon.view(&stage.lab).unwrap();
    assert!(view.warnings.len() <= before.warnings.len(), "{:#?}", view.warnings);
    is_answered(&stage, Family::V6);
}

#[test]
fn stopping_leaves_traffic_flowing_and_detach_removes_everything() {
    use nix::sys::signal::Signal;
    let mut stage = stage(AttachMode::Native, Forward::Ipip);
    stage.daemon.process().signal(Signal::SIGTERM).unwrap();
    let status = stage.daemon.process().wait(WITHIN).unwrap();
    assert!(status.success(), "{status}: {}", stage.daemon.log());
    for family in Family::ALL {
        is_answered(&stage, family);
    }
    assert!(stage.balancer_has_xdp("lb0") && !stage.balancer_pins().is_empty());
    let config = stage.daemon.config().display().to_string();
    stage.daemon.cli(&stage.lab, &["detach", "--all", "--config", &config]).unwrap().unwrap();
    assert!(!stage.balancer_has_xdp("lb0"));
    assert_eq!(stage.balancer_pins(), Vec::<String>::new());
    let target = Family::V4.target(80);
    client::block_on(&stage.lab.client, move || client::who(target, Duration::from_millis(500)))
        .unwrap()
        .unwrap_err();
}
