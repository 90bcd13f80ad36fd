//! A daemon without a control room: fixed views, and an actor that answers every command with something telling.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use lb_common::abi::SLOTS;
use tokio::sync::{mpsc, watch};

use crate::config::model::{Algorithm, AttachMode, Forward, Name, Protocol};
use crate::control::command::{Answer, Command, Error, Handle, Request};
use crate::control::view::{
    Applied, BackendCount, BackendView, InterfaceView, Move, Moved, NamedCount, NextHopView, PoolView,
    ReasonCount, ServiceView, Stats, View,
};
use lb_common::{Reason, Verdict};

/// A name.
pub(crate) fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// A view with one of everything, things that are wrong included.
pub(crate) fn view() -> View {
    View {
        version: "0.1.0".to_owned(),
        pid: 4242,
        generation: 7,
        config_file: Some("/etc/xlb/xlb.toml".to_owned()),
        interfaces: vec![
            InterfaceView {
                name: "eth0".to_owned(),
                mode: AttachMode::Native,
                attached: true,
                ifindex: Some(2),
                program_id: Some(117),
                problem: None,
            },
            InterfaceView {
                name: "eth1".to_owned(),
                mode: AttachMode::Generic,
                attached: false,
                ifindex: None,
                program_id: None,
                problem: Some("interface eth1 does not exist".to_owned()),
            },
        ],
        pools: vec![
            pool("dns", Forward::L2, vec![backend("ns-1", "2001:db8::53", 65_536)]),
            pool("web", Forward::Ipip, web()),
        ],
        services: vec![service("dns", "2001:db8::/64", "53"), service("web", "192.0.2.10", "443")],
        warnings: vec![
            "the last reload was refused: error: no\n\n  = help: yes\n".to_owned(),
            "no neighbour answers for 10.0.0.3 on eth0: its last MAC stays in use".to_owned(),
        ],
    }
}

fn web() -> Vec<BackendView> {
    let lost = BackendView {
        next_hop: None,
        id: None,
        problem: Some("no route to 10.9.0.4: add one, or bring its interface up".to_owned()),
        ..backend("web-3", "10.9.0.4", 0)
    };
    let mut gateway = backend("web-2", "10.0.0.3", 43_691);
    gateway.weight = 2;
    gateway.port = Some(443);
    gateway.runtime = true;
    if let Some(hop) = &mut gateway.next_hop {
        hop.vlans = vec![100, 20];
        hop.gateway = Some("10.0.0.1".parse().expect("an address"));
    }
    vec![backend("web-1", "10.0.0.2", 21_845), gateway, lost]
}

fn pool(pool: &str, forward: Forward, backends: Vec<BackendView>) -> PoolView {
    PoolView {
        name: name(pool),
        algorithm: Algorithm::Maglev,
        forward,
        stable: true,
        table: 3,
        digest: "00c0ffee00c0ffee".to_owned(),
        backends,
    }
}

fn backend(backend: &str, address: &str, slots: u32) -> BackendView {
    BackendView {
        name: name(backend),
        address: address.parse().expect("an address"),
        port: None,
        weight: 1,
        id: Some(5),
        slots,
        next_hop: Some(NextHopView {
            interface: "eth0".to_owned(),
            ifindex: 2,
            mac: "02:00:00:00:00:01".to_owned(),
            vlans: Vec::new(),
            gateway: None,
            mtu: 1_500,
        }),
        problem: None,
        runtime: false,
    }
}

fn service(service: &str, address: &str, ports: &str) -> ServiceView {
    ServiceView {
        name: name(service),
        id: 1,
        address: address.to_owned(),
        protocol: Protocol::Tcp,
        ports: ports.to_owned(),
        pool: name(service),
        hash: "five-tuple".to_owned(),
    }
}

/// Counters, most of them zero.
pub(crate) fn stats() -> Stats {
    let verdict = |reason: Reason| match reason.verdict() {
        Verdict::Pass => "pass",
        Verdict::Drop => "drop",
        Verdict::Transmit => "transmit",
        Verdict::Redirect => "redirect",
    };
    let packets = |reason: Reason| match reason {
        Reason::Transmitted => 1_234_567,
        Reason::NotService => 4_321,
        Reason::TooBig => 12,
        Reason::NoBackend => 3,
        _ => 0,
    };
    Stats {
        services: vec![
            NamedCount { name: name("dns"), packets: 0, bytes: 0 },
            NamedCount { name: name("web"), packets: 1_234_582, bytes: 987_654_321 },
        ],
        backends: vec![
            BackendCount { pool: name("dns"), backend: name("ns-1"), packets: 0, bytes: 0 },
            BackendCount { pool: name("web"), backend: name("web-1"), packets: 411_523, bytes: 329_218_107 },
            BackendCount { pool: name("web"), backend: name("web-2"), packets: 823_044, bytes: 658_435_214 },
        ],
        reasons: Reason::ALL
            .iter()
            .map(|&reason| ReasonCount {
                reason: reason.name().to_owned(),
                verdict: verdict(reason).to_owned(),
                description: reason.describe().trim().to_owned(),
                packets: packets(reason),
                bytes: packets(reason) * 60,
            })
            .collect(),
    }
}

/// What adding a third backend to two equal ones does.
pub(crate) fn applied() -> Applied {
    let moved =
        |from: Option<&str>, to: Option<&str>, slots| Move { from: from.map(name), to: to.map(name), slots };
    Applied {
        generation: 8,
        changes: vec!["pool web: backend web-4 (10.0.0.5) added with weight 1".to_owned()],
        moved: vec![Moved {
            pool: name("web"),
            slots: 21_845,
            moves: vec![
                moved(Some("web-1"), Some("web-4"), 10_923),
                moved(Some("web-2"), Some("web-4"), 10_921),
                moved(None, Some("web-4"), 1),
            ],
        }],
    }
}

/// Commands that reached a fake actor, as their `Debug` text.
pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

/// A handle to an actor that knows one pool (`web`) and answers from the fixed values above.
pub(crate) fn actor(config_file: Option<PathBuf>) -> (Handle, Seen) {
    let (requests, mut inbox) = mpsc::channel::<Request>(8);
    let (snapshots, view) = watch::channel(Arc::new(view()));
    let seen = Seen::default();
    let log = seen.clone();
    tokio::spawn(async move {
        while let Some(Request { command, answer: reply }) = inbox.recv().await {
            log.lock().expect("nobody panics with the lock").push(format!("{command:?}"));
            // The caller may have gone.
            let _ = reply.send(answer(command));
        }
        drop(snapshots);
    });
    (Handle::new(requests, view, config_file), seen)
}

fn answer(command: Command) -> Result<Answer, Error> {
    match command {
        Command::AddBackend { pool, .. }
        | Command::SetBackend { pool, .. }
        | Command::RemoveBackend { pool, .. }
        | Command::Table { pool }
            if pool.as_str() != "web" =>
        {
            Err(Error::NoPool(pool))
        }
        Command::SetBackend { pool, name: backend, .. } | Command::RemoveBackend { pool, name: backend }
            if backend.as_str() == "nobody" =>
        {
            Err(Error::NoBackend { pool, backend })
        }
        Command::AddBackend { name, .. } if name.as_str() == "web-1" => {
            Err(Error::Refused("pool `web` already has a backend `web-1`: choose another name".to_owned()))
        }
        Command::Attach { interface, .. } if interface == "nope" => {
            Err(crate::dataplane::Error::NoInterface(interface).into())
        }
        Command::Stats => Ok(Answer::Stats(stats())),
        Command::Table { .. } => Ok(Answer::Table {
            backends: vec![name("web-1"), name("web-2"), name("web-3")],
            slots: (0..SLOTS).map(|slot| [Some(0), Some(1), None][slot % 3]).collect(),
        }),
        Command::Reload(_)
        | Command::RefusedReload(_)
        | Command::AddBackend { .. }
        | Command::SetBackend { .. }
        | Command::RemoveBackend { .. }
        | Command::Attach { .. }
        | Command::Detach { .. }
        | Command::LogPackets(_) => Ok(Answer::Applied(applied())),
    }
}
