//! The API over a real Unix socket, in front of a fake actor.

use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::body::{AddBackend, Attach, LogEvent, LogPackets, SetBackend};
use super::client::{self, Client};
use super::fixture::{self, Seen, name};
use super::reload::Reload;
use super::{Api, Problem, Socket, router, socket};
use crate::config::Config;
use crate::config::model::AttachMode;

/// A served API that goes away with the value.
struct Served {
    client: Client,
    seen: Seen,
    lines: broadcast::Sender<String>,
    stop: CancellationToken,
    _directory: tempfile::TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn serve(config_file: Option<&str>) -> Served {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("run/xlb.sock");
    let (handle, seen) = fixture::actor(config_file.map(PathBuf::from));
    let lines = broadcast::channel(16).0;
    let stop = CancellationToken::new();
    let reload = Reload::new(handle.clone(), read_nothing);
    let api = Api::new(handle, reload, lines.clone(), stop.clone());
    let (socket, listener) = Socket::bind(&path).expect("a socket");
    let stopped = stop.clone();
    tokio::spawn(async move {
        let _socket = socket;
        axum::serve(listener, router(api)).with_graceful_shutdown(stopped.cancelled_owned()).await
    });
    Served { client: Client::new(&path), seen, lines, stop, _directory: directory }
}

fn read_nothing(path: &Path) -> Result<Config, String> {
    Err(format!("{}:1:1: unknown key `pol`, did you mean `pool`?", path.display()))
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, client::Error>) -> Problem {
    match outcome {
        Err(client::Error::Refused(problem)) => problem,
        other => panic!("not a refusal: {other:?}"),
    }
}

fn seen(served: &Served) -> Vec<String> {
    served.seen.lock().expect("nobody panics with the lock").clone()
}

/// Waits until the actor has seen `count` commands.
async fn until_seen(served: &Served, count: usize) -> Vec<String> {
    let found = async {
        while seen(served).len() < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.expect("the command within ten seconds");
    seen(served)
}

#[tokio::test]
async fn views_arrive_as_they_are() {
    let served = serve(None);
    let view = fixture::view();
    assert_eq!(served.client.status().await.expect("status"), view);
    assert_eq!(served.client.stats().await.expect("stats"), fixture::stats());
    assert_eq!(served.client.pools().await.expect("pools"), view.pools);
    assert_eq!(served.client.pool(&name("web")).await.expect("pool"), view.pools[1]);
    assert_eq!(served.client.services().await.expect("services"), view.services);
    assert_eq!(served.client.service(&name("dns")).await.expect("service"), view.services[0]);
    assert_eq!(served.client.interfaces().await.expect("interfaces"), view.interfaces);
    let owners = served.client.table(&name("web")).await.expect("table");
    assert_eq!(owners.slots.len(), lb_common::abi::SLOTS);
    assert_eq!(owners.slots[..3], [Some(0), Some(1), None]);
}

#[tokio::test]
async fn changes_reach_the_actor_and_its_answer_comes_back() {
    let served = serve(None);
    let add = AddBackend {
        name: name("web-4"),
        address: "10.0.0.5".parse().expect("an address"),
        port: None,
        weight: 3,
    };
    let applied = served.client.add_backend(&name("web"), &add).await.expect("added");
    assert_eq!(applied, fixture::applied());
    served.client.set_backend(&name("web"), &name("web-1"), &SetBackend { weight: 0 }).await.expect("set");
    served.client.remove_backend(&name("web"), &name("web-1")).await.expect("removed");
    served.client.attach("br%0:1", AttachMode::Generic).await.expect("attached");
    served.client.detach("eth0").await.expect("detached");
    assert_eq!(
        seen(&served),
        [
            r#"AddBackend { pool: Name("web"), name: Name("web-4"), address: 10.0.0.5, port: None, weight: 3 }"#,
            r#"SetBackend { pool: Name("web"), name: Name("web-1"), weight: 0 }"#,
            r#"RemoveBackend { pool: Name("web"), name: Name("web-1") }"#,
            r#"Attach { interface: "br%0:1", mode: Generic }"#,
            r#"Detach { interface: "eth0" }"#,
        ]
    );
}

#[tokio::test]
async fn refusals_are_problem_documents() {
    let served = serve(None);
    let absent = refused(served.client.pool(&name("wbe")).await);
    assert_eq!((absent.status, absent.kind.as_str()), (404, "urn:xlb:not-found"));
    assert_eq!(absent.detail, "no pool `wbe`: `xlb pool list` shows them");
    assert_eq!(refused(served.client.table(&name("wbe")).await).status, 404);
    assert_eq!(refused(served.client.service(&name("wbe")).await).status, 404);
    assert_eq!(refused(served.client.remove_backend(&name("web"), &name("nobody")).await).status, 404);
    assert_eq!(refused(served.client.attach("nope", AttachMode::Native).await).status, 404);
    let again = AddBackend { name: name("web-1"), address: [10, 0, 0, 5].into(), port: None, weight: 1 };
    let twice = refused(served.client.add_backend(&name("web"), &again).await);
    assert_eq!((twice.status, twice.kind.as_str()), (409, "urn:xlb:refused"));
}

#[tokio::test]
async fn what_the_client_would_not_send_is_refused_with_a_problem_too() {
    let served = serve(None);
    for (request, status, detail) in [
        ("GET /v2/status HTTP/1.1", 404, "no such path: /v2/status"),
        ("PUT /v1/status HTTP/1.1", 405, "/v1/status does not take PUT"),
        ("GET /v1/pools/a%20b HTTP/1.1", 400, "`a b` is not a name"),
        ("GET /v1/pools/%ff HTTP/1.1", 400, "Invalid UTF-8"),
        ("PATCH /v1/pools/web/backends/b HTTP/1.1\r\nContent-Type: application/json", 400, "Failed to parse"),
        ("POST /v1/log-packets HTTP/1.1", 415, "Content-Type"),
    ] {
        let answer = raw(&served, request).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains("application/problem+json"), "{request}: {answer}");
        let problem: Problem = serde_json::from_str(body).expect("a problem");
        assert_eq!(problem.status, status, "{request}: {problem:?}");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
        assert!(problem.detail.contains(detail), "{request}: {problem:?}");
    }
}

async fn raw(served: &Served, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut stream = tokio::net::UnixStream::connect(served.client.socket()).await.expect("a connection");
    let text = format!("{request}\r\nHost: xlb\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test]
async fn unknown_fields_are_refused() {
    serde_json::from_str::<AddBackend>(r#"{"name":"a","address":"::1","wieght":2}"#).expect_err("a typo");
    let plain: AddBackend = serde_json::from_str(r#"{"name":"a","address":"::1"}"#).expect("defaults");
    assert_eq!((plain.weight, plain.port), (1, None));
    assert_eq!(serde_json::from_str::<Attach>("{}").expect("defaults").mode, AttachMode::Native);
}

#[tokio::test]
async fn a_reload_that_does_not_validate_is_reported_and_noted() {
    let served = serve(Some("/etc/xlb/xlb.toml"));
    let problem = refused(served.client.reload().await);
    assert_eq!((problem.status, problem.kind.as_str()), (422, "urn:xlb:invalid-config"));
    assert_eq!(problem.detail, "/etc/xlb/xlb.toml:1:1: unknown key `pol`, did you mean `pool`?");
    let seen = seen(&served);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen[0].starts_with("RefusedReload("), "{seen:?}");
}

#[tokio::test]
async fn a_reload_without_a_file_is_refused() {
    let served = serve(None);
    let problem = refused(served.client.reload().await);
    assert_eq!(problem.status, 409);
    assert!(problem.detail.contains("xlb run -c FILE"), "{problem:?}");
}

fn log_request(count: Option<u64>) -> LogPackets {
    LogPackets { service: Some(name("web")), rate: 10, count }
}

#[tokio::test]
async fn packet_decisions_stream_and_the_variant_goes_out_after_the_last() {
    let served = serve(None);
    let client = served.client.clone();
    let reader = tokio::spawn(async move {
        let mut events = Vec::new();
        let outcome = client
            .log_packets(&log_request(Some(2)), |event| {
                events.push(event);
                ControlFlow::Continue(())
            })
            .await;
        outcome.map(|()| events)
    });
    let commands = until_seen(&served, 1).await;
    assert_eq!(commands, [r#"LogPackets(Some(LogPackets { service: Some(Name("web")), rate: 10 }))"#]);
    let busy = refused(served.client.log_packets(&log_request(None), |_| ControlFlow::Break(())).await);
    assert_eq!(busy.status, 409, "one reader at a time");
    for line in ["one", "two", "three"] {
        served.lines.send(line.to_owned()).expect("a reader");
    }
    let events = reader.await.expect("no panic").expect("a whole stream");
    assert_eq!(events, [LogEvent::Line("one".to_owned()), LogEvent::Line("two".to_owned())]);
    assert_eq!(seen(&served)[1..], ["LogPackets(None)"], "swapped out before the stream ended");
}

#[tokio::test]
async fn a_reader_that_goes_away_takes_the_variant_out() {
    let served = serve(None);
    let client = served.client.clone();
    let reader =
        tokio::spawn(
            async move { client.log_packets(&log_request(None), |_| ControlFlow::Continue(())).await },
        );
    until_seen(&served, 1).await;
    reader.abort();
    assert_eq!(until_seen(&served, 2).await[1..], ["LogPackets(None)"]);
}

#[tokio::test]
async fn a_stop_ends_the_stream() {
    let served = serve(None);
    let client = served.client.clone();
    let reader =
        tokio::spawn(
            async move { client.log_packets(&log_request(None), |_| ControlFlow::Continue(())).await },
        );
    until_seen(&served, 1).await;
    served.stop.cancel();
    reader.await.expect("no panic").expect("an orderly end");
    assert_eq!(seen(&served)[1..], ["LogPackets(None)"]);
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let client = Client::new("/nonexistent/xlb.sock");
    let error = client.status().await.expect_err("nobody");
    assert!(matches!(error, client::Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("xlb run -c"), "{error}");
}

#[tokio::test]
async fn the_socket_is_for_owner_and_group_and_goes_away() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("run/xlb.sock");
    let (socket, _listener) = Socket::bind(&path).expect("a socket");
    let mode = |path: &Path| std::fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o660);
    assert_eq!(mode(path.parent().expect("a directory")), 0o755);
    assert_eq!(socket.path(), path);
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_live_daemons_socket_is_refused_by_its_pid_and_a_dead_ones_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("xlb.sock");
    let (first, listener) = Socket::bind(&path).expect("a socket");
    let error = Socket::bind(&path).expect_err("taken");
    let this = i32::try_from(std::process::id()).expect("a pid");
    assert!(matches!(error, socket::Error::Taken { pid: Some(pid), .. } if pid == this), "{error:?}");
    assert!(error.to_string().starts_with(&format!("another xlb daemon (pid {this}) serves ")), "{error}");
    drop((first, listener));

    // Without our lock, but somebody listens.
    let foreign = std::os::unix::net::UnixListener::bind(&path).expect("a foreign listener");
    Socket::bind(&path).expect_err("somebody listens");
    // A crash leaves the file behind.
    drop(foreign);
    assert!(path.exists());
    let (socket, _listener) = Socket::bind(&path).expect("a stale socket is replaced");
    drop(socket);

    std::fs::write(&path, "precious").expect("written");
    assert!(matches!(Socket::bind(&path), Err(socket::Error::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&path).expect("still there"), "precious");
}
