//! Errors in words for the person at the laptop, and those of a box turned into ours.

use serde_json::{Map, Value, json};

use super::host::Host;
use crate::base::{Error, ErrorKind};

/// Message and next step, as printed.
pub fn describe(error: &Error) -> String {
    let mut text = error.message().to_owned();
    let data = error.data();
    let word = |key: &str| data.get(key).and_then(Value::as_str).filter(|w| !w.is_empty());
    for key in ["detail", "details", "reason"] {
        if let Some(more) = word(key).filter(|w| !text.contains(w)) {
            text.push_str(&format!(" ({more})"));
        }
    }
    if let (Some(need), Some(have)) = (word("required_role"), word("have_role")) {
        text.push_str(&format!(": this needs the role {need}, the token has {have}"));
    }
    if let Some(wait) = data.get("retry_after_ms").and_then(Value::as_u64) {
        text.push_str(&format!("; try again in {:.1} s", wait as f64 / 1000.0));
    }
    let next = ["suggestion", "hint"].iter().find_map(|k| word(k)).filter(|w| !text.contains(w));
    match next {
        Some(step) => format!("{text}\n  → {step}"),
        None => text,
    }
}

/// As `{"error": …}` in the API's own form.
pub fn as_json(error: &Error) -> Value {
    json!({ "error": {
        "code": error.kind().rpc_code(), "message": error.message(), "data": error.data(),
    }})
}

/// The inward cause of what a box answered with: the command line was right, and the box said no.
#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the box answered so")
    }
}

impl std::error::Error for Refused {}

/// The program's exit code: 2 only where the command line itself is wrong, 1 for all that a box refuses or
/// that fails, its word for wrong parameters too.
pub fn exit_code(error: &Error) -> u8 {
    let refused = std::error::Error::source(error).is_some_and(|cause| cause.is::<Refused>());
    if refused { 1 } else { error.kind().exit_code() }
}

/// An error reply of a box.
pub fn from_reply(code: i64, message: &str, data: Map<String, Value>) -> Error {
    let kind = ErrorKind::ALL.into_iter().find(|k| i64::from(k.rpc_code()) == code);
    let mut error = match kind {
        Some(kind) => Error::new(kind, message),
        None => Error::new(ErrorKind::DependencyFailed, format!("{message} (error {code})")),
    };
    for (key, value) in data {
        error = error.with(&key, value);
    }
    error.caused_by(Refused)
}

/// Nothing answers at that address.
pub fn unreachable(host: &Host, cause: &std::io::Error) -> Error {
    use std::io::ErrorKind as Io;
    let (what, next) = match cause.kind() {
        Io::ConnectionRefused => ("nothing listens there", "is the box running, and is this its port?"),
        Io::TimedOut | Io::WouldBlock => ("no answer", "is the box switched on and on this network?"),
        _ => ("it cannot be reached", "check the name and the network, or use the box's IP address"),
    };
    Error::new(ErrorKind::DependencyFailed, format!("No box at {host}: {what}"))
        .with("detail", cause.to_string())
        .with("suggestion", next)
}

/// A box is claimed over TLS, or on the box itself.
pub fn no_tls_to_claim(host: &Host) -> Error {
    Error::new(
        ErrorKind::AuthFailed,
        format!("A box is claimed over TLS only, and {host} is asked for without"),
    )
    .with("reason", "no_tls")
    .with("suggestion", "leave http:// away, or run `fieldcam ctl claim` on the box itself")
}

/// The connection ended while we waited.
pub fn cut_off(host: &Host, cause: &str) -> Error {
    Error::new(ErrorKind::DependencyFailed, format!("The connection to {host} ended: {cause}"))
        .with("suggestion", "try again; if it keeps happening, look at the box's log")
}

/// The box answered a request of the web kind with a refusal.
pub fn http_status(host: &Host, status: u16) -> Error {
    let (kind, what, next) = match status {
        401 => (ErrorKind::AuthFailed, "the log-in is not valid", "get a new token with `fieldcam token`"),
        403 => (
            ErrorKind::PermissionDenied,
            "it refuses this client",
            "connect without a proxy, or allow its origin",
        ),
        404 => {
            (ErrorKind::NotFound, "there is no such thing", "is this a Fieldcam box, and is the name right?")
        }
        421 => (
            ErrorKind::Unsupported,
            "it does not know itself by this name",
            "use the box's IP address, or its own name ending in .local",
        ),
        429 | 503 => (ErrorKind::RateLimited, "it is busy", "try again in a moment"),
        _ => (ErrorKind::DependencyFailed, "that was unexpected", "is this a Fieldcam box?"),
    };
    Error::new(kind, format!("{host} answered {status}: {what}")).with("suggestion", next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_both_roles_and_the_next_step() {
        let data = json!({"required_role": "admin", "have_role": "viewer", "hint": "ask for another token"});
        let error = from_reply(-32002, "Permission denied", data.as_object().unwrap().clone());
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        let text = describe(&error);
        assert!(text.contains("needs the role admin, the token has viewer"), "{text}");
        assert!(text.ends_with("→ ask for another token"), "{text}");
    }

    #[test]
    fn every_code_of_the_contract_keeps_its_kind() {
        for kind in ErrorKind::ALL.into_iter().filter(|k| *k != ErrorKind::Config) {
            assert_eq!(from_reply(kind.rpc_code().into(), "x", Map::new()).kind(), kind);
        }
        assert_eq!(from_reply(-1, "x", Map::new()).message(), "x (error -1)");
    }

    #[test]
    fn what_a_box_refuses_is_no_wrong_usage() {
        for kind in ErrorKind::ALL {
            let refused = from_reply(kind.rpc_code().into(), "x", Map::new()).with("suggestion", "y");
            assert_eq!(exit_code(&refused), 1, "{kind:?}");
        }
        assert_eq!(exit_code(&from_reply(-1, "x", Map::new())), 1);
        assert_eq!(exit_code(&Error::param("host", "cannot be given to `find`", "x")), 2);
        assert_eq!(exit_code(&Error::new(ErrorKind::AuthFailed, "x")), 1);
        assert_eq!(exit_code(&Error::internal(std::io::Error::other("x"))), 1);
    }
}
