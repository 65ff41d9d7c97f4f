//! The box on a kernel that has cameras: Debian's, with vivid and v4l2loopback, in QEMU.
//!
//! Needs root and what `scripts/guest --kernel` makes: `scripts/test v4l2`. One guest serves all tests, one after
//! another; a test takes it with [`guest::Guest::take`].
#![allow(dead_code, reason = "the harness offers what the next tests need")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests stop at what they did not expect")]
#![allow(clippy::disallowed_methods, reason = "tests start programs from outside of the daemon")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/counting.rs"]
mod counting;

mod agent;
mod burnt_in;
mod cameras;
mod compressed;
mod controls;
mod daemon;
mod devices;
mod faults;
mod files;
mod guest;
mod lent;
mod live;
mod machine;
mod plugs;
mod steady;
mod storm;
mod synthetic;
mod usb;
mod usbip;
mod uvc;
