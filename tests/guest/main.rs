//! The box under a systemd of its own: the unit file of the images, with its whole sandbox.
//!
//! Needs root and a Debian system with systemd and FFmpeg as on the image: `scripts/test guest`.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests stop at what they did not expect")]
#![allow(clippy::disallowed_methods, reason = "tests start programs from outside of the daemon")]

#[path = "../common/mod.rs"]
mod common;

mod first_boot;
mod machine;
mod network;
mod unit;
