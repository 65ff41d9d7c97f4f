//! The `mediamtx` room against the real program and the real FFmpeg.
//!
//! Needs the pinned MediaMTX (`FIELDCAM_TEST_MEDIAMTX`, or below `target/`) and FFmpeg in `PATH`.

mod access;
mod faults;
mod streams;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::turn::{self, Turn};
use crate::common::{mediaserver, process};
use fieldcam::base::{Mono, Secret};
use fieldcam::mediamtx::{Gate, Listens, MediaMtx, MediaMtxOptions, PathSource, PathSpec, PathState};
use fieldcam::supervise::{Group, Phases, Spawner};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Lets `ann` in until she is revoked, and `brief` for two seconds.
#[derive(Default)]
struct Ann {
    revoked: AtomicBool,
}

impl Gate for Ann {
    fn read(&self, user: &str, password: &str, _path: &str, _protocol: &str) -> Option<Mono> {
        let known = password == "right" && self.still_valid(user);
        let left = Duration::from_secs(if user == "ann" { 3600 } else { 2 });
        known.then(|| Mono::now() + left)
    }

    fn still_valid(&self, user: &str) -> bool {
        user == "brief" || user == "ann" && !self.revoked.load(Ordering::Relaxed)
    }
}

struct Room {
    mtx: MediaMtx,
    gate: Arc<Ann>,
    dir: tempfile::TempDir,
    phases: Phases,
    _spawner: Spawner,
    _turn: Turn,
}

fn options(dir: &Path) -> MediaMtxOptions {
    let free = "127.0.0.1:0".parse().unwrap();
    // Our own program under a name that would need quoting.
    let hook = dir.join("hook $X \"quoted\" 'it'");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fieldcam"), &hook).unwrap();
    MediaMtxOptions {
        binary: mediaserver::binary(),
        listens: Listens { rtsp: free, rtsps: None, hls: free, webrtc: free, webrtc_udp: free, api: free },
        webrtc_hosts: Vec::new(),
        run_dir: dir.join("run"),
        segment_duration: Duration::from_secs(900),
        exe: hook,
        tls: None,
        paths: Vec::new(),
    }
}

async fn try_room(
    change: impl FnOnce(&mut MediaMtxOptions),
) -> (Result<MediaMtx, fieldcam::base::Error>, Room2) {
    let turn = turn::take();
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    change(&mut options);
    let mut phases = Phases::default();
    let group: Group = phases.add("mediamtx");
    let spawner = Spawner::start().unwrap();
    let gate = Arc::new(Ann::default());
    let started = MediaMtx::start(options, &group, &spawner, gate.clone()).await;
    (started, Room2 { gate, dir, phases, spawner, turn })
}

struct Room2 {
    gate: Arc<Ann>,
    dir: tempfile::TempDir,
    phases: Phases,
    spawner: Spawner,
    turn: Turn,
}

async fn room() -> Room {
    let (mtx, rest) = try_room(|_| {}).await;
    let Room2 { gate, dir, phases, spawner, turn } = rest;
    Room { mtx: mtx.unwrap(), gate, dir, phases, _spawner: spawner, _turn: turn }
}

impl Room {
    async fn end(self) {
        let left = self.phases.shutdown(Duration::from_secs(10)).await;
        assert!(left.is_empty(), "{left:?}");
    }

    async fn publisher_path(&self, name: &str) {
        let spec = PathSpec { name: name.into(), source: PathSource::Publisher, record: None };
        self.mtx.put_path(spec).await.unwrap();
    }

    fn viewer_url(&self, login: &str, path: &str) -> String {
        format!("rtsp://{login}@{}/{path}", self.mtx.endpoints().rtsp)
    }

    async fn state(&self, name: &str, what: &str, wanted: impl Fn(&PathState) -> bool) -> PathState {
        let mut seen = None;
        for _ in 0..600 {
            seen = self.mtx.fetch_path(name).await.ok().flatten();
            if let Some(state) = seen.clone().filter(|s| wanted(s)) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{name} never came to be {what}: {seen:?}");
    }

    fn recording(&self, path: &str, name: &str) -> PathBuf {
        self.dir.path().join("recordings").join(path).join(name)
    }
}

/// FFmpeg, ended with the test.
struct Ffmpeg(tokio::process::Child);

#[expect(clippy::disallowed_methods, reason = "a test plays the part of other programs")]
fn ffmpeg(args: &[&str]) -> Ffmpeg {
    let child = tokio::process::Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    Ffmpeg(child)
}

fn publish(url: &Secret) -> Ffmpeg {
    ffmpeg(&[
        "-re",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x240:rate=30",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-pix_fmt",
        "yuv420p",
        "-g",
        "30",
        "-f",
        "rtsp",
        "-rtsp_transport",
        "tcp",
        "-pkt_size",
        "1400",
        url.expose(),
    ])
}

/// Reads one frame and ends.
fn frame_reader(url: &str) -> Ffmpeg {
    ffmpeg(&["-rtsp_transport", "tcp", "-i", url, "-frames:v", "1", "-f", "null", "-"])
}

impl Ffmpeg {
    async fn saw_it(&mut self) -> bool {
        let ended = tokio::time::timeout(Duration::from_secs(30), self.0.wait()).await;
        ended.expect("FFmpeg ends").unwrap().success()
    }
}

async fn read_a_frame(url: &str) -> bool {
    frame_reader(url).saw_it().await
}

async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..600 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> =
        entries.flatten().map(|e| (e.path(), e.metadata().map_or(0, |m| m.len()))).collect();
    files.sort();
    files
}

fn generated(room: &Room) -> serde_json::Value {
    let text = std::fs::read(room.dir.path().join("run/mediamtx.yml")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

async fn raw(host: &str, text: String) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}
