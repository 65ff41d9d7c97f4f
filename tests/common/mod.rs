//! The support of the integration tests: a real box in its own folder, clients, and readers of video.
//!
//! Promises: a test waits for conditions ([`wait_for`]), never for time; whatever a test starts is
//! gone when it ends, and a child that outlives its daemon fails the test. Costs about a second a box.
#![allow(dead_code, reason = "each test program uses its own part of this")]
#![allow(unused_imports, reason = "each test program uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests stop at what they did not expect")]
#![allow(clippy::disallowed_methods, reason = "tests start programs from outside of the daemon")]

use std::time::{Duration, Instant};

pub mod boxes;
pub mod bystander;
pub mod bytes;
pub mod chromium;
pub mod document;
pub mod ffmpeg;
pub mod footage;
pub mod frames;
pub mod http;
pub mod loopdisk;
pub mod mediaserver;
pub mod process;
pub mod rauc;
pub mod recording;
pub mod rpc;
pub mod rtsp_camera;
pub mod said;
pub mod secrets;
pub mod setup;
pub mod spawn;
pub mod squares;
pub mod testbox;
pub mod tls;
pub mod token;
pub mod turn;

pub use rpc::{Client, RpcError};
pub use setup::Setup;
pub use testbox::TestBox;

/// As long as anything may take on a busy machine before it counts as stuck.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Seconds for which a busy machine may stand still in the middle of a test (0.2 to 1 s were seen):
/// what is timed by a clock may be so much later, once.
pub const STALL: f64 = 1.0;

/// Asks again and again until there is an answer; fails the test after [`PATIENCE`].
#[track_caller]
pub fn wait_for<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, what, ask)
}

/// As [`wait_for`], with a limit of its own.
#[track_caller]
pub fn wait_within<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain: {what}");
        // Not a guess at how long something takes: only how often we look.
        std::thread::sleep(Duration::from_millis(10));
    }
}
