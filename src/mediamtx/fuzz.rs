//! What MediaMTX says and asks, as a fuzzer makes it.

use serde_json::Value;

use super::doors::Ask;
use super::{reply, wake, words};
use crate::base::Secret;

/// A line of its log, an answer of its API, a question of it, a datagram of the hook.
///
/// Panics when a password of ours stays in a line.
pub fn said(data: &[u8]) {
    let _ = wake::name_in(data);
    let _ = serde_json::from_slice::<Ask>(data);
    if let Ok(v) = serde_json::from_slice::<Value>(data) {
        let _ = (reply::info(&v), reply::path_state(&v), reply::paths(&v), reply::names(&v));
        let _ = (reply::sessions(&v), reply::page_count(&v));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines() {
        let line = words::parse(line);
        let said = words::redact(&line.message, &Secret::new("correct-horse-battery"));
        assert!(!said.contains("correct-horse-battery"), "{said}");
        let _ = (words::source_failure(&line), words::tells_of_change(&line.message));
    }
}
