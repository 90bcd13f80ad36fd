//! Errors as they travel: problem documents (RFC 9457).

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::control::command;
use crate::dataplane;

/// Media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// `urn:xlb:` and the kind of problem: for programs to compare with.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This very problem: what it is about and the way out. May span lines.
    pub detail: String,
}

impl Problem {
    /// A problem of kind `urn:xlb:{kind}`.
    pub fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:xlb:{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
        }
    }

    /// The request itself makes no sense.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "The request is wrong", detail)
    }

    /// Something that the request names is not there.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such object", detail)
    }

    /// The request contradicts what is there.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "refused", "The change is refused", detail)
    }

    /// The configuration file does not validate; `detail` is the whole report.
    pub fn invalid_config(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-config",
            "The configuration does not validate; nothing was changed",
            detail,
        )
    }

    /// The daemon is not at fault and neither is the request: the kernel said no.
    pub fn kernel(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "kernel", "The kernel did not take the change", detail)
    }

    /// A fault of xlb's own.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "A fault in xlb, please report it", detail)
    }
}

impl From<command::Error> for Problem {
    fn from(error: command::Error) -> Self {
        let detail = error.to_string();
        match error {
            command::Error::NoPool(_)
            | command::Error::NoBackend { .. }
            | command::Error::NoService(_)
            | command::Error::Kernel(dataplane::Error::NoInterface(_)) => Self::not_found(detail),
            command::Error::Refused(_)
            | command::Error::Kernel(
                dataplane::Error::Occupied { .. }
                | dataplane::Error::NoNative { .. }
                | dataplane::Error::AbiMismatch { .. }
                | dataplane::Error::Shape { .. }
                | dataplane::Error::Missing { .. }
                | dataplane::Error::Elsewhere { .. }
                | dataplane::Error::NoBpffs { .. }
                | dataplane::Error::Busy { .. },
            ) => Self::conflict(detail),
            command::Error::Kernel(dataplane::Error::Kernel { .. } | dataplane::Error::Load { .. }) => {
                Self::kernel(detail)
            }
            command::Error::Gone => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "The daemon is stopping", detail)
            }
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self { status: rejection.status().as_u16(), ..Self::bad_request(rejection.body_text()) }
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], Json(self)).into_response()
    }
}
