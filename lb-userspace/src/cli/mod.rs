//! Command line: what `xlb` takes and what it prints.
//!
//! The object comes first (`xlb backend add web ...`) and every word may be cut to a unique prefix. A command is
//! parsed ([`grammar`]), sent to the daemon ([`remote`]) or done on the spot ([`local`]), and its answer printed as
//! text ([`text`]) or as the API's own JSON ([`output`]).

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::api::client;

pub mod agent;
pub mod check;
pub mod columns;
pub mod grammar;
pub mod local;
pub mod output;
pub mod remote;
pub mod text;
pub mod value;

#[cfg(test)]
mod tests;

use grammar::{Cli, Command};
use output::{Output, Reader};

/// What the process tells its caller: 0 done, 1 refused, 2 usage (clap's own), 3 daemon unreachable.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command was understood and refused, or failed.
    #[error("{}", whole(.0))]
    Refused(#[from] anyhow::Error),
    /// The command was refused, and has said why.
    #[error("refused")]
    Told,
    /// The daemon answered with an error, or not at all.
    #[error(transparent)]
    Daemon(#[from] client::Error),
}

impl Failure {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Told | Self::Daemon(client::Error::Refused(_)) => 1,
            Self::Daemon(
                client::Error::Unreachable { .. } | client::Error::Forbidden(_) | client::Error::Cut { .. },
            ) => 3,
        }
    }
}

/// An error and its causes in one line. Errors of the rooms say their cause themselves; it is not said twice.
pub fn whole(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        _ if said.contains(&cause) => said,
        _ => format!("{said}: {cause}"),
    })
}

/// Runs the command line in `arguments`, the program's name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to do when even the usage cannot be printed.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = cli.global.output();
    match dispatch(cli, output) {
        Ok(Reader::Listening | Reader::Gone) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn dispatch(cli: Cli, output: Output) -> Result<Reader, Failure> {
    let socket = cli.global.socket();
    match cli.command {
        Command::Run(run) => local::run(run, cli.global.socket),
        Command::Check(check) => check::check(&check, output),
        Command::Agent { verb } => agent::agent(verb, output),
        Command::Detach(detach) => block_on(remote::detach(detach, &client(socket), output)),
        Command::Status => block_on(remote::status(&client(socket), output)),
        Command::Service { verb } => block_on(remote::service(verb, &client(socket), output)),
        Command::Pool { verb } => block_on(remote::pool(verb, &client(socket), output)),
        Command::Backend { verb } => block_on(remote::backend(verb, &client(socket), output)),
        Command::Interface { verb } => block_on(remote::interface(verb, &client(socket), output)),
        Command::Attach(attach) => block_on(remote::attach(attach, &client(socket), output)),
        Command::Stats => block_on(remote::stats(&client(socket), output)),
        Command::Drops(drops) => block_on(remote::drops(drops, &client(socket), output)),
        Command::Reload => block_on(remote::reload(&client(socket), output)),
        Command::LogPackets(log) => block_on(remote::log_packets(log, &client(socket), output)),
    }
}

fn client(socket: std::path::PathBuf) -> client::Client {
    client::Client::new(socket)
}

fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| anyhow::Error::new(e).context("cannot start the runtime"))?.block_on(command)
}
