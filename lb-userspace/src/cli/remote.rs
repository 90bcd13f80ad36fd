//! Commands that ask the daemon.

use std::ops::ControlFlow;

use super::Failure;
use super::grammar::{Attach, BackendVerb, Detach, Drops, InterfaceVerb, LogPackets, PoolVerb, ServiceVerb};
use super::output::{Output, Reader};
use super::text::count::Which;
use super::text::object::BackendRow;
use super::{local, text};
use crate::api::body::{self, AddBackend, LogEvent, SetBackend};
use crate::api::client::{self, Client};
use crate::config::model::Name;

/// `xlb status`.
pub async fn status(client: &Client, output: Output) -> Result<Reader, Failure> {
    output.print(&client.status().await?, text::status::status)
}

/// `xlb service`.
pub async fn service(verb: ServiceVerb, client: &Client, output: Output) -> Result<Reader, Failure> {
    match verb {
        ServiceVerb::List => output.print(&client.services().await?[..], text::object::services),
        ServiceVerb::Show { service } => {
            output.print(&client.service(&service).await?, text::object::service)
        }
    }
}

/// `xlb pool`.
pub async fn pool(verb: PoolVerb, client: &Client, output: Output) -> Result<Reader, Failure> {
    match verb {
        PoolVerb::List => output.print(&client.pools().await?[..], text::object::pools),
        PoolVerb::Show { pool } => output.print(&client.pool(&pool).await?, text::object::pool),
        PoolVerb::Table { pool } => output.print(&client.table(&pool).await?, text::object::table),
    }
}

/// `xlb backend`.
pub async fn backend(verb: BackendVerb, client: &Client, output: Output) -> Result<Reader, Failure> {
    let applied = match verb {
        BackendVerb::List { pool } => {
            let pools = match pool {
                Some(pool) => vec![client.pool(&pool).await?],
                None => client.pools().await?,
            };
            return output.print(&BackendRow::all(pools)[..], text::object::backends);
        }
        BackendVerb::Add { pool, name, address, port, weight } => {
            let backend = AddBackend { name, address, port, weight };
            let applied = client.add_backend(&pool, &backend).await?;
            let problem = problem(&pool, &backend.name, client).await;
            return output.print(&applied, |applied| text::change::applied(applied) + &problem);
        }
        BackendVerb::Set { pool, name, weight } => {
            client.set_backend(&pool, &name, &SetBackend { weight }).await?
        }
        BackendVerb::Remove { pool, name } => client.remove_backend(&pool, &name).await?,
    };
    output.print(&applied, text::change::applied)
}

/// A line about what keeps a backend from getting slots, for somebody who has just added it. Empty if nothing does.
async fn problem(pool: &Name, backend: &Name, client: &Client) -> String {
    let Ok(pool) = client.pool(pool).await else { return String::new() };
    let found = pool.backends.iter().find(|found| found.name == *backend);
    let problem = found.and_then(|found| found.problem.as_deref());
    problem.map(|problem| format!("{backend}: {problem}\n")).unwrap_or_default()
}

/// `xlb interface`.
pub async fn interface(verb: InterfaceVerb, client: &Client, output: Output) -> Result<Reader, Failure> {
    match verb {
        InterfaceVerb::List => output.print(&client.interfaces().await?[..], text::status::interfaces),
    }
}

/// `xlb attach`.
pub async fn attach(attach: Attach, client: &Client, output: Output) -> Result<Reader, Failure> {
    output.print(&client.attach(&attach.interface, attach.mode.into()).await?, text::change::interfaces)
}

/// `xlb detach`: through the daemon where one runs, because it would attach again what it was told to keep attached;
/// on the spot where none does.
pub async fn detach(detach: Detach, client: &Client, output: Output) -> Result<Reader, Failure> {
    let running = match client.status().await {
        Ok(view) => view,
        Err(client::Error::Unreachable { .. }) => return local::detach(&detach, output),
        Err(other) => return Err(other.into()),
    };
    match &detach.interface {
        Some(interface) => output.print(&client.detach(interface).await?, text::change::interfaces),
        None => Err(Failure::Refused(anyhow::anyhow!(
            "an xlb daemon is running (pid {}): stop it first (`systemctl stop xlb`), traffic keeps flowing until \
             `xlb detach --all` is run again; or take it off one interface with `xlb detach IF`",
            running.pid
        ))),
    }
}

/// `xlb stats`.
pub async fn stats(client: &Client, output: Output) -> Result<Reader, Failure> {
    output.print(&client.stats().await?, text::count::stats)
}

/// `xlb drops`.
pub async fn drops(drops: Drops, client: &Client, output: Output) -> Result<Reader, Failure> {
    let which = if drops.all { Which::All } else { Which::Happened };
    output.print(&text::count::Drops::of(&client.stats().await?, which), text::count::drops)
}

/// `xlb reload`.
pub async fn reload(client: &Client, output: Output) -> Result<Reader, Failure> {
    output.print(&client.reload().await?, text::change::applied)
}

/// `xlb log-packets`: until the count is reached, Ctrl-C, or nobody reads on.
pub async fn log_packets(log: LogPackets, client: &Client, output: Output) -> Result<Reader, Failure> {
    let request = body::LogPackets { service: log.service, rate: log.rate, count: log.count };
    let mut broken = None;
    let each = |event: LogEvent| match output.print(&event, event_text) {
        Ok(Reader::Listening) => ControlFlow::Continue(()),
        outcome @ (Ok(Reader::Gone) | Err(_)) => {
            broken = Some(outcome);
            ControlFlow::Break(())
        }
    };
    tokio::select! {
        outcome = client.log_packets(&request, each) => outcome?,
        // The connection closes with the process, and the daemon swaps the normal program in.
        _ = tokio::signal::ctrl_c() => {}
    }
    broken.unwrap_or(Ok(Reader::Listening))
}

/// How an event of `xlb log-packets` prints.
pub fn event_text(event: &LogEvent) -> String {
    match event {
        LogEvent::Line(line) => line.trim_end().to_owned() + "\n",
        LogEvent::Lost(lost) => format!("({lost} lines lost: this reader is too slow)\n"),
    }
}
