//! The firmware image itself, booted in QEMU as it is: U-Boot, the verified root, RAUC, systemd.
//!
//! Needs root and what `images/build qemu-arm64` makes: `scripts/test image`. Each test has a disk of its own.
#![allow(dead_code, reason = "the harness offers what the next tests need")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests stop at what they did not expect")]
#![allow(clippy::disallowed_methods, reason = "tests start programs from outside of the daemon")]

#[path = "../common/mod.rs"]
mod common;

mod agent;
mod bad_versions;
mod boot_state;
mod bundles;
mod button;
mod cable;
mod damage;
mod disk;
mod first_boot;
mod flashed;
mod in_force;
mod journey;
mod laptop;
mod machine;
mod network;
mod other_disk;
mod other_slot;
mod panic;
mod power_cuts;
mod qmp;
mod raspberry;
mod refusals;
