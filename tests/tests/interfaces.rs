//! Interfaces, next hops and other people's programs: what changes under xlb's feet.

use std::time::Duration;

use lb_userspace::config::model::{AttachMode, Forward, Protocol};
use lb_userspace::dataplane::attach_pass;
use lb_userspace::dataplane::ethtool::{self, Feature, State};
use nix::sys::signal::Signal;
use xlb_tests::lab::{Family, Lab, Plan};
use xlb_tests::stage::{Stage, let_transmit, serve};
use xlb_tests::traffic::{Load, Pace, client};
use xlb_tests::xlb::{Agent, Daemon, Process, Setup, attached, run};
use xlb_tests::{eventually, need_root};

const WITHIN: Duration = Duration::from_secs(30);

fn setup(lab: &Lab, mode: AttachMode) -> Setup {
    Setup::new(lab, mode)
        .pool(lab, "web", Forward::Ipip, Family::V4, 1..=2)
        .pool(lab, "web6", Forward::Ipip, Family::V6, 1..=2)
        .service("web4", Family::V4, Protocol::Tcp, 80, "web")
        .service("web6", Family::V6, Protocol::Tcp, 80, "web6")
}

fn plan() -> Plan {
    Plan { backends: 2, ..Plan::default() }
}

fn answers(lab: &Lab, family: Family) -> bool {
    let target = family.target(80);
    let answers =
        client::block_on(&lab.client, move || client::ask(target, 8, 8, Duration::from_secs(1))).unwrap();
    answers.iter().all(Result::is_ok)
}

#[test]
fn a_nic_that_is_made_again_is_attached_again() {
    need_root();
    let mut stage = Stage::up(plan(), |lab| setup(lab, AttachMode::Native)).unwrap();
    assert!(answers(&stage.lab, Family::V4));
    stage.lab.unplug().unwrap();
    let gone =
        || stage.daemon.view(&stage.lab).is_ok_and(|view| view.interfaces.iter().all(|one| !one.attached));
    assert!(eventually(WITHIN, gone), "{:#?}", stage.daemon.view(&stage.lab));
    stage.lab.plug().unwrap();
    let _passes = let_transmit(&stage.lab).unwrap();
    stage.daemon.wait_until_ready(&stage.lab).unwrap();
    for family in Family::ALL {
        assert!(eventually(WITHIN, || answers(&stage.lab, family)), "{family}: {}", stage.daemon.log());
    }
}

#[test]
fn a_new_mac_address_of_the_router_is_followed() {
    need_root();
    let stage = Stage::up(plan(), |lab| setup(lab, AttachMode::Native)).unwrap();
    for family in Family::ALL {
        assert!(answers(&stage.lab, family));
    }
    stage.lab.replace_router([0x02, 0x58, 0xaa, 0xbb, 0xcc, 0xdd]).unwrap();
    let followed = || {
        let backends =
            stage.daemon.view(&stage.lab).unwrap().pools.into_iter().flat_map(|pool| pool.backends);
        backends.into_iter().all(|backend| backend.next_hop.is_some_and(|hop| hop.mac == "02:58:aa:bb:cc:dd"))
    };
    assert!(eventually(WITHIN, followed), "{:#?}", stage.daemon.view(&stage.lab));
    for family in Family::ALL {
        assert!(eventually(WITHIN, || answers(&stage.lab, family)), "{family}");
    }
}

#[test]
fn a_foreign_program_is_refused_by_name_and_left_alone() {
    need_root();
    let lab = Lab::new(plan()).unwrap();
    let foreign = lab.balancer.run(|| attach_pass("lb0")).unwrap();
    let file = lab.folder().join("xlb.toml");
    std::fs::write(&file, setup(&lab, AttachMode::Native).text()).unwrap();
    let mut daemon = Daemon::spawn(&lab, file).unwrap();
    let told = || {
        let problem = daemon.view(&lab).ok().and_then(|view| view.interfaces.first()?.problem.clone());
        problem.is_some_and(|problem| problem.contains("pass") && problem.contains("id "))
    };
    assert!(eventually(WITHIN, told), "{:#?}\n{}", daemon.view(&lab), daemon.log());
    let refused = daemon.cli(&lab, &["attach", "lb0"]).unwrap().unwrap_err();
    assert!(refused.message.contains("lb0") && refused.message.contains("pass"), "{refused}");
    assert_eq!(refused.code, Some(1));

    // Once it is gone, the interface is free.
    drop(foreign);
    daemon.cli(&lab, &["attach", "lb0"]).unwrap().unwrap();
    assert!(daemon.view(&lab).unwrap().interfaces.iter().all(|interface| interface.attached));
    assert!(daemon.process().ended().unwrap().is_none());
}

#[test]
fn generic_mode_turns_gro_off_and_gives_it_back() {
    need_root();
    let gro = |lab: &Lab| lab.balancer.run(|| ethtool::offloads("lb0").map(|offloads| offloads.gro)).unwrap();
    let lab = Lab::new(plan()).unwrap();
    lab.balancer.run(|| ethtool::set("lb0", Feature::Gro, State::On)).unwrap();
    let _passes = let_transmit(&lab).unwrap();
    let daemon = Daemon::start(&lab, &setup(&lab, AttachMode::Generic).text()).unwrap();
    assert_eq!(gro(&lab), State::Off);
    assert!(daemon.log().to_lowercase().contains("gro"), "it does not say so: {}", daemon.log());
    daemon.cli(&lab, &["detach", "lb0"]).unwrap().unwrap();
    assert_eq!(gro(&lab), State::On);
    assert!(daemon.view(&lab).unwrap().interfaces.iter().all(|interface| !interface.attached));
}

#[test]
fn detaching_and_attaching_again_by_hand_works() {
    need_root();
    let stage = Stage::up(plan(), |lab| setup(lab, AttachMode::Native)).unwrap();
    stage.daemon.cli(&stage.lab, &["detach", "lb0"]).unwrap().unwrap();
    assert!(!stage.balancer_has_xdp("lb0"));
    stage.daemon.cli(&stage.lab, &["attach", "lb0"]).unwrap().unwrap();
    assert!(stage.balancer_has_xdp("lb0"));
    let load = Load::start(&stage.lab.client, &Family::ALL.map(|family| family.target(80)), 4).unwrap();
    assert!(load.wait_for(50, WITHIN));
    let tally = load.stop();
    assert!(tally.failures.is_empty(), "{tally:?}");
}

#[test]
fn one_shot_without_a_file_forwards() {
    need_root();
    let lab = Lab::new(plan()).unwrap();
    let _passes = let_transmit(&lab).unwrap();
    let _agents = Agent::start_all(&lab, &lab.plan().balancer_nets()).unwrap();
    let _servers = serve(&lab, &Pace::default()).unwrap();
    let [first, second] = [1, 2].map(|number| lab.plan().backend_address(number, Family::V4));
    let arguments =
        ["run", "--interface", "lb0", "--service", "192.0.2.10:80/tcp", "--backend"].map(str::to_owned);
    let more = [
        first.to_string(),
        "--backend".to_owned(),
        format!("{second}*4"),
        "--forward".to_owned(),
        "ipip".to_owned(),
        "--socket".to_owned(),
        lab.folder().join("xlb.sock").display().to_string(),
    ];
    let arguments = [&arguments[..], &more].concat();
    let daemon = Process::start(&lab.balancer, &lab.folder().join("one-shot.log"), &arguments).unwrap();
    assert!(eventually(WITHIN, || answers(&lab, Family::V4)), "{}", daemon.log());
}

#[test]
fn an_agent_takes_nothing_from_strangers() {
    need_root();
    let mut stage = Stage::up(plan(), |lab| setup(lab, AttachMode::Native)).unwrap();
    assert!(answers(&stage.lab, Family::V4));
    for mut agent in std::mem::take(&mut stage.agents) {
        agent.process().signal(Signal::SIGTERM).unwrap();
        agent.process().wait(WITHIN).unwrap();
    }
    for backend in &stage.lab.backends {
        run(backend, &["agent", "detach"].map(str::to_owned)).unwrap();
        assert!(eventually(WITHIN, || !attached(backend)), "the agent's program stays on {}", backend.name());
    }
    stage.agents = Agent::start_all(&stage.lab, &["10.99.0.0/16".parse().unwrap()]).unwrap();
    assert!(!answers(&stage.lab, Family::V4));
}
