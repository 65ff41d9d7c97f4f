//! The closed set of error kinds, each with what a client, a shell and the log make of it.
//!
//! The outward text (message, hint, data) is safe to show to anyone who may call; the inward chain
//! (`source`) goes to the log only. No path, secret, SQL or backtrace belongs in the outward text.

use std::fmt;

use serde_json::{Map, Value};

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as the caller's next step depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The envelope is not JSON-RPC 2.0.
    InvalidRequest,
    /// No such method.
    MethodNotFound,
    /// A parameter is missing, of the wrong type or out of range; `data`: param, rule, hint.
    InvalidParams,
    /// A fault of ours; `data`: request_id.
    Internal,
    /// Not logged in, or the token is bad or expired; `data`: reason.
    AuthFailed,
    /// Logged in, but the role does not allow it; `data`: required_role, have_role.
    PermissionDenied,
    /// Camera, recording, snapshot or stream does not exist; `data`: resource, id.
    NotFound,
    /// Right request at the wrong time; `data`: state, allowed_states.
    InvalidState,
    /// This box, camera or protocol cannot do it; `data`: feature, reason.
    Unsupported,
    /// Too many calls; `data`: retry_after_ms.
    RateLimited,
    /// MediaMTX, FFmpeg, the disk or the database failed; `data`: dependency, detail.
    DependencyFailed,
    /// The operator's configuration cannot be used.
    Config,
}

impl ErrorKind {
    /// Every kind once, for tables and tests.
    pub const ALL: [ErrorKind; 12] = [
        ErrorKind::InvalidRequest,
        ErrorKind::MethodNotFound,
        ErrorKind::InvalidParams,
        ErrorKind::Internal,
        ErrorKind::AuthFailed,
        ErrorKind::PermissionDenied,
        ErrorKind::NotFound,
        ErrorKind::InvalidState,
        ErrorKind::Unsupported,
        ErrorKind::RateLimited,
        ErrorKind::DependencyFailed,
        ErrorKind::Config,
    ];

    /// JSON-RPC error code (contract.md, "Errors"), program exit code (product.md: 1 refused or
    /// failed, 2 wrong usage) and the log level such an error is reported at.
    pub const fn row(self) -> (i32, u8, tracing::Level) {
        use tracing::Level;
        match self {
            ErrorKind::InvalidRequest => (-32600, 2, Level::DEBUG),
            ErrorKind::MethodNotFound => (-32601, 2, Level::DEBUG),
            ErrorKind::InvalidParams => (-32602, 2, Level::DEBUG),
            ErrorKind::Internal => (-32603, 1, Level::ERROR),
            ErrorKind::AuthFailed => (-32001, 1, Level::INFO),
            ErrorKind::PermissionDenied => (-32002, 1, Level::INFO),
            ErrorKind::NotFound => (-32010, 1, Level::DEBUG),
            ErrorKind::InvalidState => (-32020, 1, Level::DEBUG),
            ErrorKind::Unsupported => (-32030, 1, Level::DEBUG),
            ErrorKind::RateLimited => (-32040, 1, Level::INFO),
            ErrorKind::DependencyFailed => (-32050, 1, Level::WARN),
            // Never sent over JSON-RPC: it stops the program before it listens.
            ErrorKind::Config => (-32603, 1, Level::ERROR),
        }
    }

    /// JSON-RPC error code.
    pub const fn rpc_code(self) -> i32 {
        self.row().0
    }

    /// HTTP status of an answer that carries such an error.
    pub const fn http_status(self) -> u16 {
        match self {
            ErrorKind::InvalidRequest | ErrorKind::InvalidParams => 400,
            ErrorKind::AuthFailed => 401,
            ErrorKind::PermissionDenied => 403,
            ErrorKind::NotFound => 404,
            ErrorKind::MethodNotFound => 405,
            ErrorKind::InvalidState => 409,
            ErrorKind::RateLimited => 429,
            ErrorKind::Internal | ErrorKind::Config => 500,
            ErrorKind::Unsupported => 501,
            ErrorKind::DependencyFailed => 503,
        }
    }

    /// Program exit code.
    pub const fn exit_code(self) -> u8 {
        self.row().1
    }
}

/// An error with an outward text and an inward cause.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    data: Map<String, Value>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `message` names what happened and, where there is one, the next step.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), data: Map::new(), source: None }))
    }

    /// A parameter that breaks a rule.
    pub fn param(param: &str, rule: impl Into<String>, hint: impl Into<String>) -> Self {
        let rule = rule.into();
        Self::new(ErrorKind::InvalidParams, format!("Invalid params: {param} {rule}"))
            .with("param", param)
            .with("rule", rule)
            .with("hint", hint.into())
    }

    /// `resource` is "Camera", "Recording", "Snapshot" or "Stream".
    pub fn not_found(resource: &str, id: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NotFound, format!("{resource} not found"))
            .with("resource", resource.to_lowercase())
            .with("id", id.to_string())
    }

    /// The thing is in `state`; the call is possible in `allowed`.
    pub fn state(message: impl fmt::Display, state: &str, allowed: &[&str]) -> Self {
        Self::new(ErrorKind::InvalidState, format!("Invalid state: {message}"))
            .with("state", state)
            .with("allowed_states", allowed.iter().map(|s| Value::from(*s)).collect::<Vec<_>>())
    }

    /// `feature` cannot be had, for `reason`.
    pub fn unsupported(feature: &str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::new(ErrorKind::Unsupported, format!("Unsupported: {reason}"))
            .with("feature", feature)
            .with("reason", reason)
    }

    /// A part we depend on ("mediamtx", "ffmpeg", "storage", "database", "camera") failed.
    pub fn dependency(dependency: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(ErrorKind::DependencyFailed, format!("Dependency failed: {dependency}: {detail}"))
            .with("dependency", dependency)
            .with("detail", detail)
    }

    /// A fault of ours; the text goes to the log, the client learns only that it happened.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Internal, "Internal error").caused_by(source)
    }

    /// Adds a member to `error.data`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.data.insert(key.to_owned(), value.into());
        self
    }

    /// Keeps the inward cause for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The outward text.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The outward `error.data`.
    pub fn data(&self) -> &Map<String, Value> {
        &self.0.data
    }

    /// Message and every cause, for the log.
    pub fn chain(&self) -> String {
        let mut text = self.0.message.clone();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.chain())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|s| s as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outward_text_never_holds_the_cause() {
        let e = Error::internal(std::io::Error::other("/data/secret"));
        assert_eq!(e.to_string(), "Internal error");
        assert!(e.chain().contains("/data/secret"));
    }

    #[test]
    fn every_kind_fails_a_shell_and_has_a_code() {
        for kind in ErrorKind::ALL {
            assert!(kind.rpc_code() < 0, "{kind:?}");
            assert_ne!(kind.exit_code(), 0, "{kind:?}");
            assert!((400..600).contains(&kind.http_status()), "{kind:?}");
        }
    }
}
