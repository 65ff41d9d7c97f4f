//! MediaMTX: its generated file, its process, its paths, its questions about who may publish or read.
//!
//! Owns the child process, the file it starts from, the loopback listener it asks for permission,
//! the socket its only hook (`fieldcam wake`) writes to, and the *desired state*: what each path
//! should be. Promises: whatever ends MediaMTX, it comes back with every path as desired, because
//! the file is written from the desired state before each start and the API is only used to change
//! a running one; no secret of ours reaches the log; the listener answers from memory and never waits.
//!
//! Costs: one probe a second, two path lists a second (each also asks our listener: about 2 ms of
//! wall time), three keep-alive connections on loopback, no thread.

mod api;
mod arrivals;
mod callback;
mod certificate;
mod doors;
mod file;
mod follow;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod handle;
mod launch;
mod limits;
mod path;
mod place;
mod ports;
mod pulse;
mod reconcile;
mod reply;
mod server;
mod start;
mod wake;
mod words;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::base::Mono;
use crate::tls::Tls;

pub use handle::MediaMtx;
pub use path::{PathSource, PathSpec};
pub use reply::{PathState, Track};
pub use wake::{WAKE_SOCKET, wake};

/// The one version the generated file is written for; MediaMTX refuses keys it does not know.
pub const PINNED_VERSION: &str = "v1.20.1";

/// Who may read a stream. Asked from inside MediaMTX's only path goroutine, which stands still
/// meanwhile: answers come from memory, without I/O and without waiting.
pub trait Gate: Send + Sync {
    /// When this login ends, if it may read `path`; `None` refuses. `protocol` is MediaMTX's word:
    /// `rtsp`, `hls` or `webrtc`. What reads beyond that moment is ended.
    fn read(&self, user: &str, password: &str, path: &str, protocol: &str) -> Option<Mono>;

    /// Told of each login that [`Gate::read`] refused: where it came from, and MediaMTX's word for the
    /// protocol. As quick as that.
    fn refused(&self, from: Option<IpAddr>, protocol: &str) {
        let _ = (from, protocol);
    }

    /// Whether a login that was let in has not been revoked meanwhile. Asked once a second for each
    /// user with a login that has not ended.
    fn still_valid(&self, user: &str) -> bool {
        let _ = user;
        true
    }
}

/// Where MediaMTX listens. Port 0 means: a free one, chosen once and kept for the daemon's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listens {
    /// RTSP over TCP.
    pub rtsp: SocketAddr,
    /// RTSP over TLS, where that is on.
    pub rtsps: Option<SocketAddr>,
    /// HLS, behind our own port.
    pub hls: SocketAddr,
    /// WebRTC signalling (WHEP), behind our own port.
    pub webrtc: SocketAddr,
    /// WebRTC media: over UDP, and over TCP with the same number for networks without UDP.
    pub webrtc_udp: SocketAddr,
    /// The control API.
    pub api: SocketAddr,
}

/// What [`MediaMtx::start`] needs.
#[derive(Clone, Debug)]
pub struct MediaMtxOptions {
    /// The MediaMTX program.
    pub binary: PathBuf,
    /// Where it listens.
    pub listens: Listens,
    /// Names and addresses under which WebRTC viewers reach this box besides those of its network
    /// cards, such as that of a router in front of it.
    pub webrtc_hosts: Vec<String>,
    /// Private directory for the generated file and the wake socket; made 0700.
    pub run_dir: PathBuf,
    /// Length of a recording's segment; at most a day.
    pub segment_duration: Duration,
    /// Our own program, for the `wake` hook.
    pub exe: PathBuf,
    /// The certificate of RTSP over TLS; without one that is off.
    pub tls: Option<Tls>,
    /// Paths that the first file already holds, such as those of recordings that go on.
    pub paths: Vec<PathSpec>,
}

/// Where MediaMTX is reached, with the ports that 0 became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// RTSP.
    pub rtsp: SocketAddr,
    /// RTSP over TLS, where that is on.
    pub rtsps: Option<SocketAddr>,
    /// HLS.
    pub hls: SocketAddr,
    /// WebRTC signalling.
    pub webrtc: SocketAddr,
    /// Control API.
    pub api: SocketAddr,
}

/// The state of the MediaMTX process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerState {
    /// It answers and has every desired path.
    pub running: bool,
    /// Counts starts; a change means that every session is gone.
    pub generation: u64,
    /// Its process id while there is one.
    pub pid: Option<u32>,
    /// What it says it is.
    pub version: Option<String>,
    /// Why it does not run, in words for a client.
    pub problem: Option<String>,
}
