//! Routes and their handlers. A handler parses, asks the control room, and answers; it decides nothing.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, broadcast};
use tokio_util::sync::CancellationToken;

use super::body::{AddBackend, Attach, Owners, SetBackend};
use super::log_packets;
use super::problem::Problem;
use super::reload::Reload;
use crate::config::model::Name;
use crate::control::command::{self, Answer, Command, Handle};
use crate::control::view::{Applied, InterfaceView, PoolView, ServiceView, Stats, View};

/// What the handlers work with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    /// The control room.
    pub handle: Handle,
    /// Lines that the log variant of the program writes.
    pub lines: broadcast::Sender<String>,
    /// Reads the configuration file again.
    pub reload: Reload,
    /// Ends the answers that stream, so that the server can stop.
    pub stop: CancellationToken,
    /// Held while somebody reads packet decisions: there is one log variant.
    pub(super) log_reader: Arc<Mutex<()>>,
}

impl Api {
    /// An API in front of the actor behind `handle`.
    pub fn new(
        handle: Handle,
        reload: Reload,
        lines: broadcast::Sender<String>,
        stop: CancellationToken,
    ) -> Self {
        Self { handle, lines, reload, stop, log_reader: Arc::default() }
    }
}

/// Every route.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/stats", get(stats))
        .route("/v1/services", get(services))
        .route("/v1/services/{service}", get(service))
        .route("/v1/pools", get(pools))
        .route("/v1/pools/{pool}", get(pool))
        .route("/v1/pools/{pool}/table", get(table))
        .route("/v1/pools/{pool}/backends", post(add_backend))
        .route("/v1/pools/{pool}/backends/{backend}", patch(set_backend).merge(delete(remove_backend)))
        .route("/v1/interfaces", get(interfaces))
        .route("/v1/interfaces/{interface}", post(attach).merge(delete(detach)))
        .route("/v1/reload", post(reload_file))
        .route("/v1/log-packets", post(log_packets::stream))
        .fallback(async |request: Request| {
            Problem::not_found(format!("no such path: {}", request.uri().path()))
        })
        .method_not_allowed_fallback(async |request: Request| Problem {
            status: 405,
            ..Problem::bad_request(format!("{} does not take {}", request.uri().path(), request.method()))
        })
        .with_state(api)
}

/// A JSON body, with a problem document where it is none.
#[derive(Debug)]
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let parsed: Result<Json<T>, JsonRejection> = Json::from_request(request, state).await;
        Ok(Self(parsed?.0))
    }
}

/// The variable segments of a path, with a problem document where they do not parse.
struct Segments<T>(T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(segments) = Path::from_request_parts(parts, state).await?;
        Ok(Self(segments))
    }
}

type Reply<T> = Result<Json<T>, Problem>;

async fn status(State(api): State<Api>) -> Json<View> {
    Json(View::clone(&api.handle.view()))
}

async fn stats(State(api): State<Api>) -> Reply<Stats> {
    match api.handle.ask(Command::Stats).await? {
        Answer::Stats(stats) => Ok(Json(stats)),
        answer @ (Answer::Applied(_) | Answer::Table { .. }) => Err(unexpected(&answer)),
    }
}

async fn services(State(api): State<Api>) -> Json<Vec<ServiceView>> {
    Json(api.handle.view().services.clone())
}

async fn service(State(api): State<Api>, Segments(service): Segments<Name>) -> Reply<ServiceView> {
    let view = api.handle.view();
    let found = view.services.iter().find(|s| s.name == service);
    found.cloned().map(Json).ok_or_else(|| command::Error::NoService(service.clone()).into())
}

async fn pools(State(api): State<Api>) -> Json<Vec<PoolView>> {
    Json(api.handle.view().pools.clone())
}

async fn pool(State(api): State<Api>, Segments(pool): Segments<Name>) -> Reply<PoolView> {
    let view = api.handle.view();
    let found = view.pools.iter().find(|p| p.name == pool);
    found.cloned().map(Json).ok_or_else(|| command::Error::NoPool(pool.clone()).into())
}

async fn table(State(api): State<Api>, Segments(pool): Segments<Name>) -> Reply<Owners> {
    match api.handle.ask(Command::Table { pool: pool.clone() }).await? {
        Answer::Table { backends, slots } => Ok(Json(Owners { pool, backends, slots })),
        answer @ (Answer::Applied(_) | Answer::Stats(_)) => Err(unexpected(&answer)),
    }
}

async fn add_backend(
    State(api): State<Api>,
    Segments(pool): Segments<Name>,
    Body(AddBackend { name: backend, address, port, weight }): Body<AddBackend>,
) -> Reply<Applied> {
    change(&api, Command::AddBackend { pool, name: backend, address, port, weight }).await
}

async fn set_backend(
    State(api): State<Api>,
    Segments((pool, backend)): Segments<(Name, Name)>,
    Body(SetBackend { weight }): Body<SetBackend>,
) -> Reply<Applied> {
    change(&api, Command::SetBackend { pool, name: backend, weight }).await
}

async fn remove_backend(
    State(api): State<Api>,
    Segments((pool, backend)): Segments<(Name, Name)>,
) -> Reply<Applied> {
    change(&api, Command::RemoveBackend { pool, name: backend }).await
}

async fn interfaces(State(api): State<Api>) -> Json<Vec<InterfaceView>> {
    Json(api.handle.view().interfaces.clone())
}

async fn attach(
    State(api): State<Api>,
    Segments(interface): Segments<String>,
    Body(Attach { mode }): Body<Attach>,
) -> Reply<Applied> {
    change(&api, Command::Attach { interface, mode }).await
}

async fn detach(State(api): State<Api>, Segments(interface): Segments<String>) -> Reply<Applied> {
    change(&api, Command::Detach { interface }).await
}

async fn reload_file(State(api): State<Api>) -> Reply<Applied> {
    Ok(Json(api.reload.run().await?))
}

async fn change(api: &Api, command: Command) -> Reply<Applied> {
    applied(api.handle.ask(command).await?).map(Json)
}

/// What a change answers.
pub(super) fn applied(answer: Answer) -> Result<Applied, Problem> {
    match answer {
        Answer::Applied(applied) => Ok(applied),
        answer @ (Answer::Stats(_) | Answer::Table { .. }) => Err(unexpected(&answer)),
    }
}

fn unexpected(answer: &Answer) -> Problem {
    let what = match answer {
        Answer::Applied(_) => "a change",
        Answer::Stats(_) => "counters",
        Answer::Table { .. } => "a table",
    };
    Problem::internal(format!("the control room answered with {what}, which was not asked for"))
}
