//! Answers as text.

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::base::{Error, ErrorKind};

/// Appends the answer to the request with `id`: the result that `write` appends, or an error.
pub(super) fn answer(
    out: &mut Vec<u8>,
    id: &str,
    method: &str,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>,
) -> Option<ErrorKind> {
    let start = out.len();
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(br#","result":"#);
    match write(out) {
        Ok(()) => {
            out.push(b'}');
            None
        }
        Err(e) => {
            out.truncate(start);
            error(out, id, method, &e);
            Some(e.kind())
        }
    }
}

/// Appends an error's answer and logs it at its kind's level; a fault of ours is logged with the id
/// that the client is given.
pub(super) fn error(out: &mut Vec<u8>, id: &str, method: &str, e: &Error) {
    let mut data = e.data().clone();
    let code = e.kind().rpc_code();
    if code == ErrorKind::Internal.rpc_code() {
        let request_id = Uuid::new_v4().to_string();
        tracing::error!(request_id, method, "{}", e.chain());
        data.insert("request_id".into(), request_id.into());
    } else if e.kind() == ErrorKind::DependencyFailed {
        tracing::warn!(method, "{}", e.chain());
    } else {
        tracing::debug!(method, "{}", e.chain());
    }
    complete(&mut data, e);
    let message = if e.kind() == ErrorKind::Config { "Internal error" } else { e.message() };
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(br#","error":"#);
    json(out, &serde_json::json!({"code": code, "message": message, "data": data}))
        .expect("a value made of strings and numbers has a text");
    out.push(b'}');
}

/// Every error carries a reason, details and a suggestion (contract.md).
fn complete(data: &mut Map<String, Value>, e: &Error) {
    let text = |data: &Map<String, Value>, keys: &[&str], default: &str| {
        keys.iter().find_map(|k| data.get(*k).cloned()).unwrap_or_else(|| default.into())
    };
    let (word, next) = words(e.kind());
    if !data.contains_key("reason") {
        let reason = text(data, &["rule"], word);
        data.insert("reason".into(), reason);
    }
    if !data.contains_key("details") {
        let details = text(data, &["detail"], if e.kind() == ErrorKind::Config { word } else { e.message() });
        data.insert("details".into(), details);
    }
    if !data.contains_key("suggestion") {
        let suggestion = text(data, &["hint"], next);
        data.insert("suggestion".into(), suggestion);
    }
    if matches!(e.kind(), ErrorKind::InvalidRequest | ErrorKind::MethodNotFound | ErrorKind::InvalidParams)
        && !data.contains_key("hint")
    {
        data.insert("hint".into(), next.into());
    }
}

/// A reason for programs and a next step, where the error has none of its own.
const fn words(kind: ErrorKind) -> (&'static str, &'static str) {
    match kind {
        ErrorKind::InvalidRequest => ("invalid_request", "send one JSON-RPC 2.0 object per message"),
        ErrorKind::MethodNotFound => ("method_not_found", "see the API document for the methods"),
        ErrorKind::InvalidParams => ("invalid_params", "see the API document for the parameters"),
        ErrorKind::Internal | ErrorKind::Config => {
            ("internal_error", "report the request_id to whoever runs the box; its log has the cause")
        }
        ErrorKind::AuthFailed => ("authentication_failed", "call authenticate with a valid token"),
        ErrorKind::PermissionDenied => ("permission_denied", "log in with a role that may do this"),
        ErrorKind::NotFound => ("not_found", "ask for the list and use a name from it"),
        ErrorKind::InvalidState => ("invalid_state", "wait, or bring it into one of allowed_states first"),
        ErrorKind::Unsupported => ("unsupported", "use another way to do this"),
        ErrorKind::RateLimited => ("rate_limited", "wait for retry_after_ms"),
        ErrorKind::DependencyFailed => ("dependency_failed", "try again; get_status says what is wrong"),
    }
}

/// Appends `value` as JSON.
pub(super) fn json(out: &mut Vec<u8>, value: &impl Serialize) -> Result<(), Error> {
    serde_json::to_writer(out, value).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(e: Error) -> Value {
        let mut out = b"before".to_vec();
        let kind = answer(&mut out, "\"x\"", "ping", |out| {
            out.extend_from_slice(b"half a resu");
            Err(e)
        });
        assert!(kind.is_some());
        assert!(out.starts_with(b"before"));
        serde_json::from_slice(&out[6..]).unwrap()
    }

    #[test]
    fn a_result_is_wrapped() {
        let mut out = Vec::new();
        answer(&mut out, "9007199254740993", "ping", |out| json(out, &"pong"));
        assert_eq!(out, br#"{"jsonrpc":"2.0","id":9007199254740993,"result":"pong"}"#);
    }

    #[test]
    fn every_error_has_reason_details_and_suggestion() {
        for kind in ErrorKind::ALL {
            let reply = answered(Error::new(kind, "text").caused_by(std::io::Error::other("/secret")));
            assert_eq!(reply["id"], "x");
            assert_eq!(reply["error"]["code"], kind.rpc_code());
            for key in ["reason", "details", "suggestion"] {
                assert!(reply["error"]["data"][key].is_string(), "{kind:?} {key}");
            }
            assert!(!reply.to_string().contains("/secret"));
        }
    }

    #[test]
    fn what_the_error_says_itself_stays() {
        let reply = answered(Error::param("device", "is required", "use camera0"));
        let data = &reply["error"]["data"];
        assert_eq!(data["param"], "device");
        assert_eq!(data["reason"], "is required");
        assert_eq!(data["suggestion"], "use camera0");
        let reply = answered(Error::internal("boom"));
        assert!(reply["error"]["data"]["request_id"].is_string());
        let reply = answered(Error::new(ErrorKind::Config, "a path /etc"));
        assert_eq!(reply["error"]["message"], "Internal error");
        assert!(!reply.to_string().contains("/etc"));
    }
}
