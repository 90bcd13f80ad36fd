//! The actor around the room: requests, snapshots, the network.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::lab::{Network, WEB, config, ip, name};
use crate::control::command::{Answer, Command, Error};
use crate::control::view::View;
use crate::control::{Handle, Start, spawn};
use crate::dataplane::memory::Memory;

struct Stage {
    handle: Handle,
    task: tokio::task::JoinHandle<Result<(), Error>>,
    network: watch::Sender<Arc<Network>>,
    memory: Memory,
    kept: Arc<Mutex<BTreeSet<std::net::IpAddr>>>,
}

async fn stage() -> Stage {
    let memory = Memory::default();
    memory.state().interfaces = Network::new().interfaces;
    let (network, watched) = watch::channel(Arc::new(Network::new()));
    let kept = Arc::new(Mutex::new(BTreeSet::new()));
    let keep = {
        let kept = kept.clone();
        move |addresses| *kept.lock().unwrap() = addresses
    };
    let start = Start {
        config: Some(config(WEB)),
        config_file: Some("test.toml".into()),
        dataplane: Box::new(memory.clone()),
        patience: Duration::ZERO,
    };
    let (handle, task) = spawn(start, watched, keep).await.unwrap();
    Stage { handle, task, network, memory, kept }
}

async fn until(handle: &Handle, what: impl Fn(&View) -> bool) {
    let mut views = handle.views();
    let wait = views.wait_for(|view| what(view));
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("in time").expect("alive");
}

fn add(backend: &str, address: &str) -> Command {
    Command::AddBackend {
        pool: name("web"),
        name: name(backend),
        address: ip(address),
        port: None,
        weight: 1,
    }
}

#[tokio::test]
async fn commands_are_answered_in_order_and_seen() {
    let stage = stage().await;
    let (one, two) =
        tokio::join!(stage.handle.ask(add("d", "10.0.0.4")), stage.handle.ask(add("e", "10.0.0.5")));
    assert!(matches!((one, two), (Ok(Answer::Applied(one)), Ok(Answer::Applied(two)))
        if (one.generation, two.generation) == (2, 3)));
    let view = stage.handle.view();
    assert_eq!((view.generation, view.pools[0].backends.len()), (3, 5));
    assert_eq!(stage.kept.lock().unwrap().len(), 5);
    let Answer::Table { backends, slots } =
        stage.handle.ask(Command::Table { pool: name("web") }).await.unwrap()
    else {
        panic!("no table")
    };
    assert_eq!((backends.len(), slots.len()), (5, 65_536));
    assert!(slots.iter().all(Option::is_some));
}

#[tokio::test]
async fn a_change_of_the_network_is_followed_by_itself() {
    let stage = stage().await;
    stage.network.send_modify(|network| Arc::make_mut(network).lose("10.0.0.1"));
    until(&stage.handle, |view| !view.warnings.is_empty()).await;
    stage.network.send_modify(|network| {
        Arc::make_mut(network).find("10.0.0.1", |hop| hop.destination_mac = [2, 5, 5, 5, 5, 5]);
    });
    until(&stage.handle, |view| view.generation == 2).await;
    assert!(stage.handle.view().warnings.is_empty());
    assert!(stage.memory.state().image.backends.values().any(|e| e.destination_mac == [2, 5, 5, 5, 5, 5]));
}

#[tokio::test]
async fn the_end_of_the_network_is_not_the_end_of_the_room() {
    let stage = stage().await;
    drop(stage.network);
    assert!(stage.handle.ask(add("d", "10.0.0.4")).await.is_ok());
}

#[tokio::test]
async fn the_actor_ends_with_its_last_handle() {
    let stage = stage().await;
    drop(stage.handle);
    let end = tokio::time::timeout(Duration::from_secs(30), stage.task).await.expect("in time");
    assert!(matches!(end, Ok(Ok(()))));
    assert!(stage.memory.state().attached.contains_key("eth0"), "forwarding goes on");
}

#[tokio::test]
async fn the_first_tables_wait_for_next_hops() {
    let memory = Memory::default();
    memory.state().interfaces = Network::new().interfaces;
    let mut unresolved = Network::new();
    unresolved.lose("10.0.0.2");
    let (network, watched) = watch::channel(Arc::new(unresolved));
    let start = Start {
        config: Some(config(WEB)),
        config_file: None,
        dataplane: Box::new(memory.clone()),
        patience: Duration::from_secs(30),
    };
    let resolve = move |_| drop(network.send(Arc::new(Network::new())));
    let (handle, _task) = spawn(start, watched, resolve).await.unwrap();
    assert!(handle.view().pools[0].backends.iter().all(|backend| backend.slots > 0));
    assert_eq!(handle.view().generation, 1);
}
