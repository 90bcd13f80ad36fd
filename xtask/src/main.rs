//! The one entry point of developers and newcomers: `cargo xtask setup | build | test | lint | demo`.
//!
//! Everything it fetches goes under the project's `target/`, is announced with its size before it is fetched, and is
//! fetched once.

mod bpf;
mod checks;
mod demo;
mod setup;
mod shell;
mod toolchain;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Setup, build, test, lint and demo of xlb.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fetch what is missing to build the BPF half: a rustc with a BPF `core`, and bpf-linker
    Setup {
        /// Only say what is there and what would be fetched
        #[arg(long)]
        dry_run: bool,
    },
    /// Build the BPF object and the `xlb` binary
    Build {
        /// Build `xlb` for production, in target/release, instead of for development, in target/debug
        #[arg(long)]
        release: bool,
    },
    /// Run every test there is: host unit and property tests, packet tables, namespaces end to end
    Test {
        /// Passed on to `cargo test`, e.g. a test's name
        filter: Vec<String>,
    },
    /// Check formatting, clippy and, where cargo-deny is installed, bans, licences and sources
    Lint,
    /// Make a lab of network namespaces, balance real connections in it, and say what happened
    Demo {
        /// Keep the lab up afterwards, with the commands to enter it
        #[arg(long)]
        hold: bool,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Setup { dry_run: true } => {
            setup::report();
            Ok(())
        }
        Task::Setup { dry_run: false } => setup::setup().map(|_| ()),
        Task::Build { release } => checks::build(if release { Profile::Release } else { Profile::Dev }),
        Task::Test { filter } => checks::test(&filter),
        Task::Lint => checks::lint(),
        Task::Demo { hold } => demo::demo(hold),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Which profile the host half is built with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Profile {
    /// For tests and the demo: builds fast.
    Dev,
    /// For production.
    Release,
}
