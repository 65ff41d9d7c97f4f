//! Errors as answers: the text, what to do, and the API's own code.

use hyper::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};

use super::answer::{self, Body};
use crate::auth::is_link_refused;
use crate::base::{Error, ErrorKind};

/// The parameter that an error about the body's type names.
pub(super) const CONTENT_TYPE: &str = "Content-Type";

/// The media server is started again within milliseconds, mostly.
const RETRY_AFTER_S: &str = "1";

pub(super) fn answer(e: &Error) -> Response<Body> {
    let status = status(e);
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!("{}", e.chain());
    } else {
        tracing::debug!("{}", e.chain());
    }
    let text = |key: &str| e.data().get(key).and_then(|v| v.as_str());
    let hint = text("suggestion").or_else(|| text("hint")).unwrap_or("try again");
    let mut data = e.data().clone();
    data.remove("suggestion");
    let body = serde_json::json!({
        "error": e.message(), "hint": hint, "code": e.kind().rpc_code(), "data": data,
    });
    let mut response = answer::whole(status, "application/json", format!("{body}\n"));
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"fieldcam\""));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
    }
    response
}

fn status(e: &Error) -> StatusCode {
    match e.kind() {
        ErrorKind::AuthFailed if is_link_refused(e) => StatusCode::FORBIDDEN,
        ErrorKind::InvalidParams if e.data().get("param").is_some_and(|p| p == CONTENT_TYPE) => {
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        }
        kind => StatusCode::from_u16(kind.http_status()).expect("a status of three digits"),
    }
}
