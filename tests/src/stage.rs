//! The lab with everything in it that runs: servers, agents, the daemon.

use anyhow::{Context, Result};
use lb_userspace::dataplane::{Guard, attach_pass};

use crate::lab::{Family, LOCAL4, LOCAL6, Lab, Links, Namespace, Nics, Plan};
use crate::traffic::{Pace, Server, Serving};
use crate::xlb::{Agent, Daemon, Setup};

/// Ports on which every server speaks HTTP, and echoes UDP: one per kind of pool.
pub const PORTS: std::ops::Range<u16> = 8000..8008;

/// A lab at work. Fields end in the order in which they stand.
pub struct Stage {
    /// The daemon on the balancer.
    pub daemon: Daemon,
    /// Agents of the backends.
    pub agents: Vec<Agent>,
    /// Servers of the backends, and the one on the balancer itself, `local`, last.
    pub servers: Vec<Server>,
    /// How fast long transfers go.
    pub pace: Pace,
    _passes: Vec<Guard>,
    /// The network.
    pub lab: Lab,
}

impl Stage {
    /// Builds a lab, starts servers and agents, and the daemon on the configuration that `setup` makes.
    pub fn up(plan: Plan, setup: impl FnOnce(&Lab) -> Setup) -> Result<Self> {
        let lab = Lab::new(plan)?;
        let passes = let_transmit(&lab)?;
        let pace = Pace::default();
        let servers = serve(&lab, &pace)?;
        let agents = Agent::start_all(&lab, &lab.plan().balancer_nets())?;
        let daemon = Daemon::start(&lab, &setup(&lab).text())?;
        Ok(Self { daemon, agents, servers, pace, _passes: passes, lab })
    }

    /// Starts another daemon on the same configuration after the first has ended.
    pub fn replace_dead_daemon(&mut self) -> Result<()> {
        self.daemon = Daemon::spawn(&self.lab, self.daemon.config().clone())?;
        self.daemon.wait_until_ready(&self.lab)?;
        Ok(())
    }

    /// Whether an XDP program is on an interface of the balancer.
    pub fn balancer_has_xdp(&self, interface: &'static str) -> bool {
        self.lab.balancer.run(move || Links::open()?.has_xdp(interface)).unwrap_or(false)
    }

    /// Everything that is pinned on the balancer.
    pub fn balancer_pins(&self) -> Vec<String> {
        self.lab.balancer.run(|| {
            let mut pins = Vec::new();
            let mut folders = vec![std::path::PathBuf::from("/sys/fs/bpf")];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                    // The kernel's own iterators, where it preloads them.
                    if entry.path().extension().is_some_and(|extension| extension == "debug") {
                        continue;
                    }
                    pins.push(entry.path().display().to_string());
                    if entry.path().is_dir() {
                        folders.push(entry.path());
                    }
                }
            }
            pins
        })
    }
}

/// A veth delivers what XDP transmits only when its far end runs a program too.
pub fn let_transmit(lab: &Lab) -> Result<Vec<Guard>> {
    let ports: &[&str] = match lab.plan().nics {
        Nics::One => &["to-lb0"],
        Nics::Two => &["to-lb0", "to-lb1"],
    };
    ports.iter().map(|&port| let_pass(&lab.router, port)).collect()
}

fn let_pass(namespace: &Namespace, interface: &'static str) -> Result<Guard> {
    namespace.run(move || {
        let guard = attach_pass(interface).with_context(|| format!("cannot attach to {interface}"))?;
        // Kernels differ in whether a veth turns GRO on by itself when it gets a program.
        crate::lab::turn_offloads_off(interface)?;
        Ok(guard)
    })
}

/// Servers on all backends and one, called `local`, on the balancer.
pub fn serve(lab: &Lab, pace: &Pace) -> Result<Vec<Server>> {
    let http: Vec<u16> = [80].into_iter().chain(PORTS).collect();
    let server = |namespace: &Namespace, name: &str, addresses: [std::net::IpAddr; 2]| {
        let ports = [53].into_iter().chain(PORTS);
        let echo = ports.flat_map(|port| addresses.map(|address| (address, port))).collect();
        Server::start(
            namespace,
            Serving { name: name.to_owned(), http: http.clone(), echo, pace: pace.clone() },
        )
    };
    let services = Family::ALL.map(Family::service);
    let backends = lab.backends.iter().map(|backend| server(backend, backend.name(), services));
    let local = std::iter::once_with(|| server(&lab.balancer, "local", [LOCAL4.into(), LOCAL6.into()]));
    backends.chain(local).collect()
}
