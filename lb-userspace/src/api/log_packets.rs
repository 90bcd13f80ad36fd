//! `POST /v1/log-packets`: the log variant of the program runs for exactly as long as somebody reads its lines.
//!
//! The stream is fed by a task of its own and not by the response body, because taking the variant out again must
//! happen however the reader goes away, and a body that is dropped cannot wait for anything.

use std::convert::Infallible;

use axum::body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedMutexGuard, broadcast, mpsc};

use super::body::{LogEvent, LogPackets};
use super::log_line::named;
use super::problem::Problem;
use super::route::{Api, Body};
use crate::control::command::{self, Command};

/// Events that wait for a slow reader before lines are counted as lost.
const QUEUE: usize = 64;

/// Handles the request.
pub(super) async fn stream(
    State(api): State<Api>,
    Body(LogPackets { service, rate, count }): Body<LogPackets>,
) -> Result<Response, Problem> {
    if rate == 0 || count == Some(0) {
        return Err(Problem::bad_request("rate and count are at least 1"));
    }
    let Ok(guard) = api.log_reader.clone().try_lock_owned() else {
        return Err(Problem::conflict(
            "somebody else is logging packets: there is one log variant at a time",
        ));
    };
    let lines = api.lines.subscribe();
    api.handle.ask(Command::LogPackets(Some(command::LogPackets { service, rate }))).await?;
    let (events, mut queue) = mpsc::channel(QUEUE);
    tokio::spawn(pump(api, lines, events, count.unwrap_or(u64::MAX), guard));
    let chunks = stream::poll_fn(move |cx| {
        queue.poll_recv(cx).map(|event| event.map(|e| Ok::<_, Infallible>(chunk(&e))))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body::Body::from_stream(chunks)).into_response())
}

/// Moves lines to the reader until either side has enough, then swaps the normal variant in. The stream ends only
/// after that, so whoever sees its end knows that the fast program is back.
async fn pump(
    api: Api,
    mut lines: broadcast::Receiver<String>,
    events: mpsc::Sender<LogEvent>,
    mut left: u64,
    guard: OwnedMutexGuard<()>,
) {
    while left > 0 {
        let event = tokio::select! {
            line = lines.recv() => match line {
                Ok(line) => LogEvent::Line(named(&line, &api.handle.view())),
                Err(RecvError::Lagged(lost)) => LogEvent::Lost(lost),
                Err(RecvError::Closed) => break,
            },
            () = events.closed() => break,
            () = api.stop.cancelled() => break,
        };
        if matches!(event, LogEvent::Line(_)) {
            left -= 1;
        }
        if events.send(event).await.is_err() {
            break;
        }
    }
    if let Err(error) = api.handle.ask(Command::LogPackets(None)).await {
        tracing::error!(%error, "the log variant of the program could not be swapped out");
    }
    drop(guard);
}

fn chunk(event: &LogEvent) -> Vec<u8> {
    // A string or a number: serialization has nothing to fail on.
    let mut line = serde_json::to_vec(event).unwrap_or_default();
    line.push(b'\n');
    line
}
