//! The program: subcommands, composition of the rooms, signals, orderly start and stop.
//!
//! Everything is made here once and handed down; no room reaches for a global. Starting goes from
//! the disk upwards (data directory, database, recordings, MediaMTX, cameras, listeners); stopping
//! goes the other way, 10 s in all.

mod as_owner;
mod claim_code;
mod cli;
mod compose;
mod damage;
mod data_dir;
mod disk_care;
mod endpoints;
mod key;
mod on_box;
mod plugged;
mod provision;
mod secret;
mod secure;
mod signals;
mod token;
mod updating;

pub use cli::main;
