//! Why a request without a log-in of its own is refused, in the same words at every door.

use super::refused;
use crate::base::{Error, ErrorKind};

/// The `reason` of a signed query that was good and is too old now.
pub(super) const LINK_EXPIRED: &str = "link_expired";
const LINK_REFUSED: &str = "link_refused";

/// Nothing says who asks; `links` is where a link comes from.
pub fn no_login(links: &str) -> Error {
    refused("not_authenticated", &format!("send `Authorization: Bearer TOKEN`, or use {links}"))
}

/// Without TLS, from another machine, on a box that has it.
pub fn tls_needed() -> Error {
    let suggestion = "connect to wss:// instead of ws://, or set server.allow_plain = true on the box";
    refused("tls_required", suggestion).with("details", "this box takes log-ins over TLS only")
}

/// A link that opens nothing.
pub fn link_refused(links: &str) -> Error {
    Error::new(ErrorKind::AuthFailed, "this link is not valid, or not any more")
        .with("reason", LINK_REFUSED)
        .with("suggestion", format!("ask for {links} again; a link works for 15 minutes"))
}

/// Whether that is why: whoever has a link is known well enough to be refused rather than asked.
pub fn is_link_refused(e: &Error) -> bool {
    has_reason(e, LINK_REFUSED)
}

/// Whether the link was ours and is too old: only an authentic one is told so.
pub fn is_link_late(e: &Error) -> bool {
    has_reason(e, LINK_EXPIRED)
}

pub(super) fn has_reason(e: &Error, reason: &str) -> bool {
    e.data().get("reason").is_some_and(|r| r == reason)
}
