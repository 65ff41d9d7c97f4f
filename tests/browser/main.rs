//! What a real browser makes of the box. Needs Chromium: `scripts/test browser`.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests stop at what they did not expect")]

#[path = "../common/mod.rs"]
mod common;

mod film;
mod live;
