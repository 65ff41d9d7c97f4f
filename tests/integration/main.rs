//! The whole box and its rooms with the real MediaMTX, FFmpeg and SQLite: one program for all of it,
//! because each further one links the whole crate again.
//!
//! `cargo test --test integration reload::` runs one module. Needs FFmpeg in `PATH` and the pinned
//! MediaMTX (`FIELDCAM_TEST_MEDIAMTX`, or below `target/`: `scripts/get-mediamtx`). Tests share this
//! process with all others: what is counted in it (descriptors, children, ports) is counted by name.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests stop at what they did not expect, and print what they measured"
)]

#[path = "../common/mod.rs"]
mod common;

mod harness;

// Rooms.
mod encoder_fallback;
mod encoder_live;
mod h264_camera;
mod mediamtx_room;
mod recording_room;
mod snapshot_live;

// The API.
mod api_addresses;
mod api_audit;
mod api_bad_frames;
mod api_bad_requests;
mod api_bad_tokens;
mod api_contract;
mod api_keys;
mod api_limits;
mod api_secret;
mod api_stop;
mod claim;
mod conformance;
mod film;
mod find;
mod journey;
mod metrics;
mod notifications;
mod tls;
mod watch;

// Pictures and live video.
mod external_streams;
mod file_camera;
mod frame_timing;
mod frames_latest;
mod frames_network;
mod frames_stream;
mod live_hls;
mod live_whep;
mod network_camera;

// Operation and faults.
mod damage_database;
mod damage_files;
mod diag;
mod disk_faults;
mod disk_unmounted;
mod faults_children;
mod faults_daemon;
mod journald;
mod many_segments;
mod power_cut;
mod power_cuts;
mod provision;
mod reload;
mod retention;
mod set_time;
mod startup_errors;
mod update;
