//! The two namespaces, and a watcher at work in one of them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use lb_userspace::net::network::NeighbourState;
use lb_userspace::net::{Error, Network, NextHop, Resolve, Settings, Unreachable, Watcher};
use tokio_util::sync::CancellationToken;
use xlb_tests::lab::Namespace;
use xlb_tests::{eventually, need_root};

/// Long enough for a machine that is busy with other things; nothing waits this long when all is well.
pub const SOON: Duration = Duration::from_secs(20);

pub const MAC_HERE: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const MAC_THERE: [u8; 6] = [2, 0, 0, 0, 0, 2];

pub struct World {
    pub here: Namespace,
    pub there: Namespace,
}

impl World {
    pub fn new() -> Self {
        need_root();
        let world = Self { here: Namespace::new("here").unwrap(), there: Namespace::new("there").unwrap() };
        ip(&world.here, "link set lo up");
        for number in [0, 1] {
            let [there, _] = world.there.paths();
            ip(
                &world.here,
                &format!(
                    "link add v{number} address 02:00:00:00:0{number}:01 type veth peer name p{number} \
                     address 02:00:00:00:0{number}:02 netns {}",
                    there.display()
                ),
            );
            for (namespace, name, last) in [(&world.here, 'v', 1), (&world.there, 'p', 2)] {
                // Addresses are usable at once, without duplicate address detection.
                ip(namespace, &format!("address add 10.0.{number}.{last}/24 dev {name}{number}"));
                ip(namespace, &format!("address add 2001:db8:{number}::{last}/64 dev {name}{number} nodad"));
                ip(namespace, &format!("link set {name}{number} up"));
            }
        }
        world
    }

    pub fn follow(&self) -> Following {
        self.follow_with(Settings::default())
    }

    pub fn follow_with(&self, settings: Settings) -> Following {
        let (ready, started) = mpsc::channel();
        let stop = CancellationToken::new();
        let until = stop.clone();
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (watcher, following) = Watcher::start(settings, until).await?;
                ready.send((watcher, tokio::runtime::Handle::current())).unwrap();
                following.await
            })
        };
        let thread = self.here.spawn("watcher", work).unwrap();
        let (watcher, runtime) = started.recv().expect("the watcher starts");
        Following { watcher, runtime, stop, thread: Some(thread) }
    }

    /// The network as somebody who just came sees it.
    pub fn fresh(&self) -> Arc<Network> {
        self.follow().now()
    }
}

/// A watcher at work on a thread of its own.
pub struct Following {
    pub watcher: Watcher,
    pub runtime: tokio::runtime::Handle,
    stop: CancellationToken,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Following {
    pub fn now(&self) -> Arc<Network> {
        self.watcher.network().borrow().clone()
    }

    pub fn resolve(&self, address: &str) -> Result<NextHop, Unreachable> {
        self.now().resolve(parse(address))
    }

    pub fn keep(&self, backends: &[&str]) {
        self.watcher.keep(backends.iter().map(|backend| parse(backend)).collect());
    }

    /// Waits until resolving `address` gives what `good` accepts.
    pub fn until(&self, address: &str, good: impl Fn(&Result<NextHop, Unreachable>) -> bool) {
        let found = eventually(SOON, || good(&self.resolve(address)));
        assert!(found, "{address} stays {:?}", self.resolve(address));
    }

    pub fn until_reached(&self, address: &str) -> NextHop {
        let mut next = self.resolve(address);
        eventually(SOON, || {
            next = self.resolve(address);
            next.is_ok()
        });
        next.unwrap()
    }

    pub fn until_by(&self, address: &str, interface: &str) {
        self.until(address, |next| next.as_ref().is_ok_and(|next| next.interface == interface));
    }

    pub fn until_no_route(&self, address: &str) {
        self.until(address, |next| *next == Err(Unreachable::NoRoute(parse(address))));
    }

    pub fn until_silent(&self, address: &str) {
        self.until(address, |next| matches!(next, Err(Unreachable::NoNeighbour { .. })));
    }

    pub fn finish(mut self) -> Result<(), Error> {
        self.stop.cancel();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

pub fn parse(address: &str) -> IpAddr {
    address.parse().unwrap()
}

/// Runs `ip` with `arguments` in a namespace.
pub fn ip(namespace: &Namespace, arguments: &str) -> String {
    let words: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
    let output = namespace.run(move || Command::new("ip").args(words).output().unwrap());
    assert!(
        output.status.success(),
        "ip {arguments} in {}: {}",
        namespace.name(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs many commands of `ip` at once.
pub fn ip_batch(namespace: &Namespace, lines: Vec<String>) {
    let output = namespace.run(move || {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, (lines.join("\n") + "\n").as_bytes()).unwrap();
        Command::new("ip").arg("-batch").arg(file.path()).output().unwrap()
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub fn entries(namespace: &Namespace) -> String {
    ip(namespace, "-details neighbour show")
}

/// Waits until the snapshot that was kept current equals one read from nothing.
pub fn assert_same(world: &World, following: &Following) {
    let difference = || {
        let (kept, fresh) = (lines(&following.now()), lines(&world.fresh()));
        kept.symmetric_difference(&fresh).cloned().collect::<Vec<_>>()
    };
    assert!(eventually(SOON, || difference().is_empty()), "{:#?}", difference());
}

/// A snapshot as lines to compare, less what comes and goes by itself: group addresses and answers of neighbours.
pub fn lines(network: &Network) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    lines.extend(network.links().map(|link| format!("{link:?}")));
    lines.extend(network.addresses().iter().map(|address| format!("{address:?}")));
    lines.extend(network.all_routes().map(|route| format!("{route:?}")));
    let fixed = network.neighbours().filter(|((_, address), neighbour)| {
        neighbour.state == NeighbourState::Fixed && !address.is_multicast()
    });
    lines.extend(fixed.map(|entry| format!("{entry:?}")));
    lines
}
