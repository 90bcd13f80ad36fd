//! What `xlb` takes, word by word.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;

use super::output::Output;
use super::value::{ForwardArg, ModeArg, log_filter, prefix};
use crate::api::DEFAULT_SOCKET;
use crate::api::body::DEFAULT_RATE;
use crate::config::model::{AttachMode, Name};

/// Layer-4 load balancer in XDP
#[derive(Debug, Parser)]
#[command(name = "xlb", version, infer_subcommands = true, arg_required_else_help = true)]
#[command(after_help = "Words may be cut to a unique prefix: `xlb b l` is `xlb backend list`.\n\
    Exit codes: 0 done, 1 refused, 2 usage, 3 daemon unreachable.")]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Print JSON, in the shapes of the API
    #[arg(short, long, global = true)]
    json: bool,
    /// Print JSON indented
    #[arg(short, long, global = true)]
    pretty: bool,
    /// The daemon's socket [default: /run/xlb/xlb.sock; `run -c FILE`: what the file says]
    #[arg(long, global = true, value_name = "PATH", env = "XLB_SOCKET", hide_env_values = true)]
    pub socket: Option<PathBuf>,
}

impl Global {
    /// How to print.
    pub fn output(&self) -> Output {
        match (self.json, self.pretty) {
            (_, true) => Output::Pretty,
            (true, false) => Output::Json,
            (false, false) => Output::Text,
        }
    }

    /// Where to ask.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| DEFAULT_SOCKET.into())
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon, from a file or from the command line alone
    Run(Run),
    /// Validate a configuration file
    Check(Check),
    /// Show what the daemon is doing and what is wrong
    Status,
    /// Virtual addresses that clients talk to
    #[command(infer_subcommands = true)]
    Service {
        /// What to do.
        #[command(subcommand)]
        verb: ServiceVerb,
    },
    /// Backends that serve services
    #[command(infer_subcommands = true)]
    Pool {
        /// What to do.
        #[command(subcommand)]
        verb: PoolVerb,
    },
    /// Servers of a pool
    #[command(infer_subcommands = true)]
    Backend {
        /// What to do.
        #[command(subcommand)]
        verb: BackendVerb,
    },
    /// Interfaces that the balancer is attached to
    #[command(infer_subcommands = true)]
    Interface {
        /// What to do.
        #[command(subcommand)]
        verb: InterfaceVerb,
    },
    /// Attach the balancer to an interface
    Attach(Attach),
    /// Take the balancer off an interface, also when no daemon runs
    Detach(Detach),
    /// Show counters of services, backends and reasons
    Stats,
    /// Show why packets were dropped, and why others were left alone
    Drops(Drops),
    /// Have the daemon read its configuration file again
    Reload,
    /// Log what is decided for each packet, for as long as this runs
    LogPackets(LogPackets),
    /// The XDP program on a backend that takes packets out of their tunnel
    #[command(infer_subcommands = true)]
    Agent {
        /// What to do.
        #[command(subcommand)]
        verb: AgentVerb,
    },
}

/// `xlb run`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Run {
    /// The configuration file
    #[arg(
        short,
        long,
        value_name = "FILE",
        conflicts_with = "one_shot",
        required_unless_present = "interface"
    )]
    pub config: Option<PathBuf>,
    /// Everything that a file would say, for one service.
    #[command(flatten)]
    pub one_shot: OneShot,
    /// What to log to stderr: error, warn, info, debug, trace, or tracing's filter syntax
    #[arg(long, value_name = "LEVEL", env = "XLB_LOG", hide_env_values = true, default_value = "info", value_parser = log_filter)]
    pub log: String,
}

/// A configuration without a file.
#[derive(Debug, Args)]
#[group(id = "one_shot", multiple = true)]
pub struct OneShot {
    /// Without a file: an interface to attach to (repeatable)
    #[arg(long, value_name = "IF", requires_all = ["service", "backend", "forward"])]
    pub interface: Vec<String>,
    /// Without a file: a service as ADDRESS:PORT/PROTOCOL (repeatable), an IPv6 address in brackets
    #[arg(long, value_name = "SERVICE", requires = "interface")]
    pub service: Vec<String>,
    /// Without a file: a backend as ADDRESS or ADDRESS*WEIGHT (repeatable)
    #[arg(long, value_name = "BACKEND", requires = "interface")]
    pub backend: Vec<String>,
    /// Without a file: how packets reach the backends
    #[arg(long, value_name = "MODE", requires = "interface")]
    pub forward: Option<ForwardArg>,
    /// Without a file: where in the kernel the program runs [default: native]
    #[arg(long, value_name = "MODE", requires = "interface")]
    mode: Option<ModeArg>,
    /// Without a file: short for --mode generic
    #[arg(long, requires = "interface", conflicts_with = "mode")]
    generic: bool,
    /// Without a file: a secret that all balancers of the same services share
    #[arg(long, value_name = "TEXT", requires = "interface")]
    pub seed: Option<String>,
    /// Without a file: a directory on a bpffs for what outlives the daemon
    #[arg(long, value_name = "DIR", requires = "interface")]
    pub pin_dir: Option<PathBuf>,
}

impl OneShot {
    /// Where in the kernel the program runs.
    pub fn mode(&self) -> AttachMode {
        match (self.generic, self.mode) {
            (true, _) => AttachMode::Generic,
            (false, mode) => mode.map_or_else(AttachMode::default, AttachMode::from),
        }
    }
}

/// `xlb check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration file
    pub file: PathBuf,
    /// Print the whole configuration, defaults filled in
    #[arg(long)]
    pub print: bool,
    /// The file is for another machine: do not ask which interfaces exist here
    #[arg(long)]
    pub elsewhere: bool,
}

/// `xlb service`.
#[derive(Debug, Subcommand)]
pub enum ServiceVerb {
    /// List services
    List,
    /// Show one service
    Show {
        /// The service
        service: Name,
    },
}

/// `xlb pool`.
#[derive(Debug, Subcommand)]
pub enum PoolVerb {
    /// List pools
    List,
    /// Show a pool's backends, their share of the slots and their next hops
    Show {
        /// The pool
        pool: Name,
    },
    /// Show which backend owns each slot of a pool's table
    Table {
        /// The pool
        pool: Name,
    },
}

/// `xlb backend`.
#[derive(Debug, Subcommand)]
pub enum BackendVerb {
    /// List backends
    List {
        /// Only this pool's
        pool: Option<Name>,
    },
    /// Add a backend to a pool
    Add {
        /// The pool
        pool: Name,
        /// The new backend's name
        name: Name,
        /// Its address
        address: IpAddr,
        /// Its port, where that is part of its identity
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
        port: Option<u16>,
        /// Its share of new flows relative to the pool's other backends
        #[arg(long, default_value_t = 1)]
        weight: u16,
    },
    /// Change a backend
    Set {
        /// The pool
        pool: Name,
        /// The backend
        name: Name,
        /// Its share of new flows; 0 takes none
        #[arg(long)]
        weight: u16,
    },
    /// Remove a backend from a pool
    Remove {
        /// The pool
        pool: Name,
        /// The backend
        name: Name,
    },
}

/// `xlb interface`.
#[derive(Debug, Subcommand)]
pub enum InterfaceVerb {
    /// List interfaces
    List,
}

/// `xlb attach`.
#[derive(Debug, Args)]
pub struct Attach {
    /// The interface
    pub interface: String,
    /// Where in the kernel the program runs
    #[arg(long, default_value = "native")]
    pub mode: ModeArg,
}

/// `xlb detach`.
#[derive(Debug, Args)]
pub struct Detach {
    /// The interface
    #[arg(required_unless_present = "all")]
    pub interface: Option<String>,
    /// Take the balancer off every interface and remove everything pinned; only when no daemon runs
    #[arg(long, conflicts_with = "interface")]
    pub all: bool,
    /// Without a daemon: the configuration file that says where things are pinned
    #[arg(short, long, value_name = "FILE", conflicts_with = "pin_dir")]
    pub config: Option<PathBuf>,
    /// Without a daemon: where things are pinned
    #[arg(long, value_name = "DIR")]
    pub pin_dir: Option<PathBuf>,
}

/// `xlb drops`.
#[derive(Debug, Args)]
pub struct Drops {
    /// Also reasons that never happened
    #[arg(long)]
    pub all: bool,
}

/// `xlb log-packets`.
#[derive(Debug, Args)]
pub struct LogPackets {
    /// Only this service's packets
    #[arg(long, value_name = "NAME")]
    pub service: Option<Name>,
    /// Most lines per second and CPU
    #[arg(long, value_name = "N", default_value_t = DEFAULT_RATE, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
    /// End after so many lines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
}

/// `xlb agent`.
#[derive(Debug, Subcommand)]
pub enum AgentVerb {
    /// Run the agent on an interface until stopped
    Run(AgentRun),
    /// Show the agent's counters
    Stats(AgentPins),
    /// Take the agent off and remove everything pinned
    Detach(AgentPins),
}

/// `xlb agent run`.
#[derive(Debug, Args)]
pub struct AgentRun {
    /// An interface that tunnelled packets arrive on (repeatable)
    #[arg(long, value_name = "IF", required = true)]
    pub interface: Vec<String>,
    /// Prefixes that balancers send from
    #[arg(long, value_name = "PREFIX", required = true, num_args = 1.., value_parser = prefix)]
    pub balancer: Vec<IpNet>,
    /// The UDP port that GUE arrives on
    #[arg(long, value_name = "P", default_value_t = 6080, value_parser = clap::value_parser!(u16).range(1..))]
    pub gue_port: u16,
    /// Where in the kernel the program runs
    #[arg(long, default_value = "native")]
    pub mode: ModeArg,
    /// What to log to stderr: error, warn, info, debug, trace, or tracing's filter syntax
    #[arg(long, value_name = "LEVEL", env = "XLB_LOG", hide_env_values = true, default_value = "info", value_parser = log_filter)]
    pub log: String,
    /// Which agent.
    #[command(flatten)]
    pub pins: AgentPins,
}

/// Which agent.
#[derive(Debug, Args)]
pub struct AgentPins {
    /// A directory on a bpffs for what outlives the process
    #[arg(long, value_name = "DIR", default_value = "/sys/fs/bpf/xlb-agent")]
    pub pin_dir: PathBuf,
}
