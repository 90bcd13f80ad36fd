//! Starting, changing, reloading, adopting; the network coming and going.

use super::lab::{Bench, Network, WEB, config, ip, name};
use crate::config::model::AttachMode;
use crate::control::command::{Command, Error, LogPackets};
use crate::control::{Room, desired};
use crate::dataplane::Step;
use crate::dataplane::memory::Memory;
use lb_common::abi::{BackendId, global, mode};

fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

#[test]
fn a_start_fills_the_kernel_and_attaches() {
    let mut bench = Bench::new(WEB);
    let view = bench.room.view(&bench.network);
    assert_eq!((view.generation, view.warnings.as_slice()), (1, &[][..]));
    assert!(view.interfaces[0].attached);
    assert_eq!(view.pools[0].backends.iter().map(|b| b.slots).sum::<u32>(), 65_536);
    assert_eq!(view.pools[0].backends[0].next_hop.as_ref().unwrap().mac, "02:00:00:00:00:01");
    let state = bench.memory.state();
    assert_eq!(state.image.variant.features, global::IPV4 | global::IPIP | global::OUTER4);
    assert_eq!(state.image.services4.len(), 2, "the port and the marker");
}

#[test]
fn a_restart_with_the_same_file_writes_nothing() {
    let bench = Bench::new(WEB);
    let (before, writes, attached) = {
        let state = bench.memory.state();
        (state.image.clone(), state.log.len(), state.attach_calls)
    };
    let bench = bench.restart(WEB);
    let state = bench.memory.state();
    assert_eq!(state.image, before);
    assert_eq!((state.log.len(), state.attach_calls), (writes, attached));
}

#[test]
fn a_restart_finishes_what_a_crash_left_half_done() {
    let target = with(
        WEB,
        "[services.http]",
        "[services.more]\naddress = \"192.0.2.11\"\nprotocol = \"udp\"\nport = \"any\"\npool = \"web\"\n[services.http]",
    );
    let whole = Bench::new(WEB).restart(&target).memory.state().image.clone();
    for crash_after in 0.. {
        let bench = Bench::new(WEB);
        let steps: Vec<Step> = {
            let next = Bench::new(WEB).restart(&target);
            let all = next.memory.state().log.clone();
            all[bench.memory.state().log.len()..].to_vec()
        };
        for step in steps.iter().take(crash_after) {
            bench.memory.state().image.apply(step);
        }
        let bench = bench.restart(&target);
        // Of a crash right before the last step, the number of the generation, nothing can be told.
        bench.memory.state().image.generation = whole.generation;
        assert_eq!(bench.memory.state().image, whole, "after {crash_after} steps");
        if crash_after > steps.len() {
            return;
        }
    }
}

#[test]
fn adding_and_removing_moves_only_what_it_must() {
    let mut bench = Bench::new(WEB);
    let added = bench.add("d", "10.0.0.4").unwrap();
    assert_eq!(added.generation, 2);
    assert_eq!(added.changes.len(), 1, "{:?}", added.changes);
    assert_eq!(added.moved[0].slots, 16_384);
    assert!(added.moved[0].moves.iter().all(|m| m.to == Some(name("d")) && m.from.is_some()));
    assert!(bench.backend("d").runtime && !bench.backend("a").runtime);

    let removed = bench.remove("a").unwrap();
    assert_eq!(removed.moved[0].slots, 16_384);
    assert!(removed.moved[0].moves.iter().all(|m| m.from == Some(name("a"))));

    let weighed = bench.ask(Command::SetBackend { pool: name("web"), name: name("b"), weight: 0 }).unwrap();
    assert!(weighed.moved[0].moves.iter().all(|m| m.from == Some(name("b"))));
    assert_eq!(bench.backend("b").slots, 0);
}

#[test]
fn a_reload_replaces_what_was_done_at_run_time() {
    let mut bench = Bench::new(WEB);
    bench.add("d", "10.0.0.4").unwrap();
    bench.reload(WEB).unwrap();
    let view = bench.room.view(&bench.network);
    assert_eq!(view.pools[0].backends.len(), 3);
    assert!(view.pools[0].backends.iter().all(|b| !b.runtime));
    let unchanged = bench.reload(WEB).unwrap();
    assert_eq!((unchanged.generation, unchanged.changes.len(), unchanged.moved.len()), (3, 0, 0));
}

#[test]
fn what_is_not_there_is_named() {
    let mut bench = Bench::new(WEB);
    assert!(matches!(bench.remove("x"), Err(Error::NoBackend { .. })));
    let nowhere = Command::RemoveBackend { pool: name("nowhere"), name: name("a") };
    assert!(matches!(bench.ask(nowhere), Err(Error::NoPool(_))));
    assert!(matches!(bench.add("e", "10.0.0.1"), Err(Error::Refused(_))), "the address is taken");
    assert!(matches!(bench.add("a", "10.0.0.9"), Err(Error::Refused(_))), "the name is taken");
    let log = LogPackets { service: Some(name("x")), rate: 1 };
    assert!(matches!(bench.ask(Command::LogPackets(Some(log))), Err(Error::NoService(_))));
    assert_eq!(bench.memory.state().image.generation, 1);
}

#[test]
fn another_seed_is_refused_while_running() {
    let mut bench = Bench::new(WEB);
    let other = format!("seed = 7\n{WEB}");
    let error = bench.reload(&other).unwrap_err().to_string();
    assert!(error.contains("seed") && error.contains("xlb detach --all"), "{error}");
    let Bench { memory, network, .. } = bench;
    assert!(Room::start(Box::new(memory.clone()), Some(config(&other)), None, &network).is_err());
    assert_eq!(memory.state().image.generation, 1);
}

#[test]
fn a_refused_reload_is_shown_until_one_succeeds() {
    let mut bench = Bench::new(WEB);
    bench.ask(Command::RefusedReload("line 3: no".into())).unwrap();
    assert_eq!(bench.warnings(), ["the last reload was refused: line 3: no"]);
    bench.reload(WEB).unwrap();
    assert!(bench.warnings().is_empty());
}

#[test]
fn a_daemon_without_a_configuration_leaves_everything_alone() {
    let bench = Bench::new(WEB);
    let Bench { memory, network, .. } = bench;
    let before = memory.state().image.clone();
    let mut room = Room::start(Box::new(memory.clone()), None, None, &network).unwrap();
    room.follow(&network);
    assert!(matches!(
        room.handle(Command::RemoveBackend { pool: name("web"), name: name("a") }, &network),
        Err(Error::Refused(_))
    ));
    assert_eq!(memory.state().image, before);
    assert!(memory.state().attached.contains_key("eth0"));
    room.handle(Command::Reload(Box::new(config(WEB))), &network).unwrap();
    assert_eq!(memory.state().image, before);
}

#[test]
fn a_lost_next_hop_stays_in_use_and_is_told() {
    let mut bench = Bench::new(WEB);
    let before = bench.memory.state().image.clone();
    bench.network.lose("10.0.0.2");
    bench.follow();
    assert_eq!(bench.memory.state().image, before);
    assert!(
        bench.warnings()[0].contains("backend `b` of pool `web`: lost its next hop"),
        "{:?}",
        bench.warnings()
    );
    assert!(bench.backend("b").slots > 0);
    // Also over a restart, and when the pool changes meanwhile.
    let mut bench = bench.restart(&with(WEB, "\"ipip\"", "\"gue\""));
    assert!(bench.backend("b").slots > 0);
    assert_eq!(bench.memory.state().image.backends[&BackendId::new(2).unwrap()].mode, mode::GUE4);
    bench.network.ways.clear();
    bench.follow();
    assert!(bench.warnings().is_empty());
}

#[test]
fn a_backend_that_never_had_a_next_hop_gets_no_slots_and_says_why() {
    let mut network = Network::new();
    network.lose("10.0.0.2");
    let memory = Memory::default();
    memory.state().interfaces.clone_from(&network.interfaces);
    let mut bench = Bench::on(memory, network, WEB).unwrap();
    let b = bench.backend("b");
    assert_eq!((b.slots, b.next_hop), (0, None));
    assert!(b.problem.unwrap().contains("no neighbour answers"));
    assert!(bench.warnings()[0].contains("has no slots"), "{:?}", bench.warnings());
    bench.network.ways.clear();
    bench.follow();
    assert_eq!(bench.backend("b").slots, 21_845);
    assert_eq!(bench.memory.state().image.generation, 2);
}

#[test]
fn a_new_neighbour_rewrites_one_entry() {
    let mut bench = Bench::new(WEB);
    let writes = bench.memory.state().log.len();
    bench.network.find("10.0.0.3", |hop| hop.destination_mac = [2, 9, 9, 9, 9, 9]);
    bench.follow();
    let state = bench.memory.state();
    assert!(
        matches!(&state.log[writes..], [Step::Backend(_, Some(egress)), Step::Generation(2)]
            if egress.destination_mac == [2, 9, 9, 9, 9, 9]),
        "{:?}",
        &state.log[writes..]
    );
}

#[test]
fn l2_needs_the_backend_on_link() {
    let mut bench = Bench::new(&with(WEB, "\"ipip\"", "\"l2\""));
    assert!(bench.backend("a").slots > 0);
    bench.network.find("10.0.0.1", |hop| hop.gateway = Some(ip("10.0.0.99")));
    bench.follow();
    let a = bench.backend("a");
    assert_eq!(a.slots, 0);
    assert!(a.problem.unwrap().contains("behind the gateway 10.0.0.99"));
}

#[test]
fn a_way_by_another_interface_redirects() {
    let mut bench = Bench::new(WEB);
    bench.network.find("10.0.0.3", |hop| hop.ifindex = 3);
    bench.follow();
    let state = bench.memory.state();
    assert_eq!(state.image.variant.features & global::REDIRECT, global::REDIRECT);
    assert_eq!(state.image.devices.iter().copied().collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn interfaces_come_and_go_with_the_configuration() {
    let mut bench = Bench::new(WEB);
    let two = with(WEB, "[interfaces.eth0]", "[interfaces.eth0]\n[interfaces.eth1]\nmode = \"generic\"");
    bench.reload(&two).unwrap();
    assert_eq!(bench.memory.state().attached["eth1"].mode, AttachMode::Generic);
    assert_eq!(bench.memory.state().image.variant.features & global::REDIRECT, global::REDIRECT);
    bench.ask(Command::Detach { interface: "eth0".into() }).unwrap();
    assert_eq!(bench.memory.state().attached.keys().collect::<Vec<_>>(), ["eth1"]);
    bench.reload(WEB).unwrap();
    assert_eq!(bench.memory.state().attached.keys().collect::<Vec<_>>(), ["eth0"]);
    assert_eq!(bench.memory.state().image.variant.features & global::REDIRECT, 0);
    assert!(matches!(bench.ask(Command::Detach { interface: "eth1".into() }), Err(Error::Refused(_))));
}

#[test]
fn an_occupied_interface_refuses_the_whole_change() {
    let mut bench = Bench::new(WEB);
    let before = bench.memory.state().image.clone();
    bench.memory.state().occupied.insert("eth1".into());
    let two = with(WEB, "[interfaces.eth0]", "[interfaces.eth0]\n[interfaces.eth1]");
    let error = bench.reload(&two).unwrap_err().to_string();
    assert!(error.contains("somebody_else"), "{error}");
    let attach = |interface: &str| Command::Attach { interface: interface.into(), mode: AttachMode::Native };
    assert!(bench.ask(attach("eth1")).is_err());
    assert!(bench.ask(attach("eth9")).is_err());
    assert_eq!(bench.memory.state().image, before);
    bench.memory.state().occupied.clear();
    bench.ask(attach("eth1")).unwrap();
    assert!(bench.room.view(&bench.network).interfaces[1].attached);
}

#[test]
fn a_start_on_an_occupied_interface_says_so_and_serves_the_rest() {
    let network = Network::new();
    let memory = Memory::default();
    memory.state().interfaces.clone_from(&network.interfaces);
    memory.state().occupied.insert("eth0".into());
    let mut bench = Bench::on(memory, network, WEB).unwrap();
    assert!(bench.warnings()[0].contains("somebody_else"));
    bench.memory.state().occupied.clear();
    bench.ask(Command::Attach { interface: "eth0".into(), mode: AttachMode::Native }).unwrap();
    assert!(bench.warnings().is_empty());
}

#[test]
fn a_nic_that_is_made_anew_is_attached_anew() {
    let mut bench = Bench::new(WEB);
    bench.network.interfaces.remove("eth0");
    for backend in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
        bench.network.lose(backend);
    }
    bench.memory.state().interfaces.clone_from(&bench.network.interfaces);
    bench.follow();
    assert!(bench.memory.state().image.devices.is_empty(), "a devmap cannot hold what is not there");
    assert!(bench.warnings().contains(&"interface eth0 does not exist".to_owned()));

    bench.network = Network::new();
    bench.network.interfaces.insert("eth0".into(), 12);
    bench.memory.state().interfaces.clone_from(&bench.network.interfaces);
    bench.follow();
    let state = bench.memory.state();
    assert_eq!(state.attached["eth0"].ifindex, 12);
    assert!(state.image.backends.values().all(|egress| egress.ifindex == 12));
    assert_eq!(state.image.devices.iter().copied().collect::<Vec<_>>(), [12]);
}

#[test]
fn logging_swaps_the_variant_in_and_out() {
    let mut bench = Bench::new(WEB);
    let log = LogPackets { service: Some(name("http")), rate: 10 };
    bench.ask(Command::LogPackets(Some(log))).unwrap();
    let id = *bench.memory.state().image.service_records.keys().next().unwrap();
    assert_eq!(bench.memory.state().image.variant.log.unwrap().service, Some(id));
    bench.ask(Command::LogPackets(None)).unwrap();
    assert_eq!(bench.memory.state().image.variant.log, None);
}

#[test]
fn the_number_of_a_removed_backend_rests_and_waits_for_it() {
    let mut bench = Bench::new(WEB);
    let id = |n: u32| BackendId::new(n).unwrap();
    bench.remove("b").unwrap();
    assert_eq!(bench.memory.state().image.backend_records[&id(2)].state, 2);
    assert!(!bench.memory.state().image.backends.contains_key(&id(2)));
    bench.add("d", "10.0.0.4").unwrap();
    assert_eq!(bench.backend("d").id, Some(4));
    bench.add("b2", "10.0.0.2").unwrap();
    assert_eq!(bench.backend("b2").id, Some(2), "the same server, whatever it is called now");
    assert_eq!(desired::text(&bench.memory.state().image.backend_records[&id(2)].name), Some(name("b2")));
}
