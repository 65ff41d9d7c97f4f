//! The `mediamtx` room against the real program and the real FFmpeg.
//!
//! Needs the pinned MediaMTX (`FIELDCAM_TEST_MEDIAMTX`, or below `target/`) and FFmpeg in `PATH`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests stop at what they did not expect, and tell figures"
)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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

fn binary() -> PathBuf {
    std::env::var_os("FIELDCAM_TEST_MEDIAMTX").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mediamtx/v1.20.1/amd64/mediamtx"),
        PathBuf::from,
    )
}

struct Room {
    mtx: MediaMtx,
    gate: Arc<Ann>,
    dir: tempfile::TempDir,
    phases: Phases,
    _spawner: Spawner,
}

fn options(dir: &Path) -> MediaMtxOptions {
    let free = "127.0.0.1:0".parse().unwrap();
    // Our own program under a name that would need quoting.
    let hook = dir.join("hook $X \"quoted\" 'it'");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fieldcam"), &hook).unwrap();
    MediaMtxOptions {
        binary: binary(),
        listens: Listens { rtsp: free, hls: free, webrtc: free, webrtc_udp: free, api: free },
        run_dir: dir.join("run"),
        segment_duration: Duration::from_secs(900),
        exe: hook,
        paths: Vec::new(),
    }
}

async fn try_room(
    change: impl FnOnce(&mut MediaMtxOptions),
) -> (Result<MediaMtx, fieldcam::base::Error>, Room2) {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    change(&mut options);
    let mut phases = Phases::default();
    let group: Group = phases.add("mediamtx");
    let spawner = Spawner::start().unwrap();
    let gate = Arc::new(Ann::default());
    let started = MediaMtx::start(options, &group, &spawner, gate.clone()).await;
    (started, Room2 { gate, dir, phases, spawner })
}

struct Room2 {
    gate: Arc<Ann>,
    dir: tempfile::TempDir,
    phases: Phases,
    spawner: Spawner,
}

async fn room() -> Room {
    let (mtx, rest) = try_room(|_| {}).await;
    Room { mtx: mtx.unwrap(), gate: rest.gate, dir: rest.dir, phases: rest.phases, _spawner: rest.spawner }
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

#[tokio::test(flavor = "multi_thread")]
async fn publishes_and_reads_with_the_right_credentials_only() {
    let room = room().await;
    room.publisher_path("camera0").await;
    let url = room.mtx.publish_url("camera0");
    let publisher = publish(&url);
    let state = room.state("camera0", "ready", |s| s.ready && s.inbound_bytes > 0).await;
    assert_eq!(state.source_kind.as_deref(), Some("rtspSession"));
    assert_eq!(state.tracks[0].codec, "H264");
    assert_eq!((state.tracks[0].width, state.tracks[0].height), (Some(320), Some(240)));
    wait_until("the list shows it", || room.mtx.paths().get("camera0").is_some_and(|s| s.ready)).await;

    assert!(read_a_frame(&room.viewer_url("ann:right", "camera0")).await);
    assert!(read_a_frame(room.mtx.reader_url("camera0").expose()).await);
    for login in ["ann:wrong", "bob:right", "fieldcam-reader:right", "x:"] {
        assert!(!read_a_frame(&room.viewer_url(login, "camera0")).await, "{login}");
    }
    let bare = format!("rtsp://{}/camera0", room.mtx.endpoints().rtsp);
    assert!(!read_a_frame(&bare).await);
    assert!(!read_a_frame(&room.viewer_url("ann:right", "camera9")).await, "no such path");

    // The same credential again, also after its publisher has gone.
    let mut again = publish(&url);
    assert!(!again.0.wait().await.unwrap().success());
    drop(publisher);
    room.state("camera0", "idle", |s| !s.ready).await;
    let mut again = publish(&url);
    assert!(!again.0.wait().await.unwrap().success());
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_hot_into_two_folders_without_dropping_the_reader() {
    let room = room().await;
    room.publisher_path("camera0").await;
    let _publisher = publish(&room.mtx.publish_url("camera0"));
    room.state("camera0", "ready", |s| s.ready).await;
    let viewer = room.viewer_url("ann:right", "camera0");
    let mut reader = ffmpeg(&["-rtsp_transport", "tcp", "-i", &viewer, "-f", "null", "-"]);
    room.state("camera0", "read", |s| s.readers == 1 && s.outbound_bytes > 0).await;

    for name in ["one", "two"] {
        let folder = room.recording("camera0", name);
        room.mtx.set_record("camera0", Some(folder.clone())).await.unwrap();
        wait_until("the file grows", || files(&folder).iter().any(|(_, size)| *size > 20_000)).await;
        assert_eq!(files(&folder).len(), 1);
        room.mtx.reopen_record("camera0").await.unwrap();
        wait_until("a second file grows", || files(&folder).iter().filter(|f| f.1 > 20_000).count() == 2)
            .await;
    }
    room.mtx.set_record("camera0", None).await.unwrap();
    let mut last = files(&room.recording("camera0", "two"));
    for still in 0.. {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let now = files(&room.recording("camera0", "two"));
        if now == last {
            break;
        }
        assert!(still < 20, "recording goes on: {now:?}");
        last = now;
    }
    assert!(reader.0.try_wait().unwrap().is_none(), "the reader was dropped");
    let state = room.state("camera0", "read", |s| s.readers == 1).await;
    assert!(state.ready);

    for bad in ["/etc/camera1/x", "relative/camera0/x", "/tmp/%Y/camera0/x"] {
        assert!(room.mtx.set_record("camera0", Some(bad.into())).await.is_err(), "{bad}");
    }
    assert!(room.mtx.set_record("camera5", None).await.is_err());
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comes_back_from_kill_with_paths_and_recording() {
    comes_back(Signal::SIGKILL, Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comes_back_from_a_standstill_with_paths_and_recording() {
    comes_back(Signal::SIGSTOP, Duration::from_secs(12)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comes_back_from_a_clean_exit_nobody_asked_for() {
    comes_back(Signal::SIGTERM, Duration::from_secs(10)).await;
}

async fn comes_back(signal: Signal, bound: Duration) {
    let room = room().await;
    room.publisher_path("camera0").await;
    let folder = room.recording("camera0", "one");
    room.mtx.set_record("camera0", Some(folder.clone())).await.unwrap();
    let pull = PathSpec {
        name: "camera1".into(),
        source: PathSource::Pull { url: Secret::new("rtsp://u:p%23%22@127.0.0.1:9/x?a=1&b=2") },
        record: None,
    };
    room.mtx.put_path(pull).await.unwrap();
    room.publisher_path("gone").await;
    room.mtx.remove_path("gone").await.unwrap();

    let mut server = room.mtx.server();
    let before = server.borrow_and_update().clone();
    let pid = Pid::from_raw(i32::try_from(before.pid.unwrap()).unwrap());
    kill(pid, signal).unwrap();
    let killed = Instant::now();
    // A change that meets a MediaMTX that does not answer is kept, and holds nothing up.
    let folder = room.recording("camera0", "two");
    let change = room.mtx.set_record("camera0", Some(folder.clone()));
    let back = server.wait_for(|s| s.running && s.generation > before.generation);
    let both = async { tokio::join!(change, async { back.await.unwrap().clone() }) };
    let (changed, after) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    changed.unwrap();
    let took = killed.elapsed();
    println!("{signal}: back after {took:?}");
    assert!(took < bound, "{took:?}");
    assert_ne!(after.pid, before.pid);

    assert!(room.mtx.fetch_path("camera0").await.unwrap().is_some());
    assert!(room.mtx.fetch_path("camera1").await.unwrap().is_some());
    assert!(room.mtx.fetch_path("gone").await.unwrap().is_none());
    let file = generated(&room);
    assert_eq!(file["paths"]["camera0"]["record"], serde_json::json!(true));
    assert_eq!(file["paths"].as_object().unwrap().len(), 2);

    let _publisher = publish(&room.mtx.publish_url("camera0"));
    wait_until("it records again by itself", || files(&folder).iter().any(|(_, size)| *size > 0)).await;
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_made_while_it_is_down_are_there_when_it_is_back() {
    let room = room().await;
    room.publisher_path("old").await;
    let mut server = room.mtx.server();
    let before = server.borrow_and_update().clone();
    kill(Pid::from_raw(i32::try_from(before.pid.unwrap()).unwrap()), Signal::SIGKILL).unwrap();
    // No waiting: some of these meet a dead MediaMTX, some one that starts.
    for n in 0..40 {
        room.publisher_path(&format!("camera{n}")).await;
        room.mtx
            .set_record(&format!("camera{n}"), Some(room.recording(&format!("camera{n}"), "r")))
            .await
            .unwrap();
    }
    room.mtx.remove_path("old").await.unwrap();
    server.wait_for(|s| s.running && s.generation > before.generation).await.unwrap();
    for n in 0..40 {
        room.state(&format!("camera{n}"), "there", |_| true).await;
    }
    for _ in 0..600 {
        if room.mtx.fetch_path("old").await.unwrap().is_none() {
            room.end().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the removed path is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_on_an_idle_path_wakes_it_and_gets_its_picture() {
    let room = room().await;
    room.publisher_path("camera0").await;
    let mut wakes = room.mtx.take_wakes().unwrap();
    assert!(room.mtx.take_wakes().is_none());
    for round in 0..2 {
        let viewer = room.viewer_url("ann:right", "camera0");
        let mut reader = frame_reader(&viewer);
        let asked = Instant::now();
        let woken = tokio::time::timeout(Duration::from_secs(30), wakes.recv()).await.unwrap();
        println!("round {round}: woken {:?} after the reader's start", asked.elapsed());
        assert_eq!(woken.as_deref(), Some("camera0"));
        if round == 0 {
            // The hook's datagram follows the one of the reader's log-in.
            let hook = tokio::time::timeout(Duration::from_secs(30), wakes.recv()).await.unwrap();
            println!("hook: {:?}", asked.elapsed());
            assert_eq!(hook.as_deref(), Some("camera0"));
        }
        let publisher = publish(&room.mtx.publish_url("camera0"));
        assert!(reader.saw_it().await, "the reader saw a picture");
        // Gone within the ten seconds in which MediaMTX would not run its hook again.
        drop(publisher);
        room.state("camera0", "idle", |s| !s.ready).await;
        while wakes.try_recv().is_ok() {}
    }
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_viewer_is_cut_off_and_others_are_not() {
    let room = room().await;
    room.publisher_path("camera0").await;
    let _publisher = publish(&room.mtx.publish_url("camera0"));
    room.state("camera0", "ready", |s| s.ready).await;
    let viewer = room.viewer_url("ann:right", "camera0");
    let mut ann = ffmpeg(&["-rtsp_transport", "tcp", "-i", &viewer, "-f", "null", "-"]);
    let own = room.mtx.reader_url("camera0");
    let mut ours = ffmpeg(&["-rtsp_transport", "tcp", "-i", own.expose(), "-f", "null", "-"]);
    room.state("camera0", "read twice", |s| s.readers == 2).await;
    room.gate.revoked.store(true, Ordering::Relaxed);
    tokio::time::timeout(Duration::from_secs(30), ann.0.wait()).await.expect("ann is cut off").unwrap();
    assert!(!read_a_frame(&viewer).await, "and does not get in again");
    assert!(ours.0.try_wait().unwrap().is_none());
    room.state("camera0", "read once", |s| s.readers == 1 && s.ready).await;
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_whose_login_ends_is_cut_off() {
    let room = room().await;
    room.publisher_path("camera0").await;
    let _publisher = publish(&room.mtx.publish_url("camera0"));
    room.state("camera0", "ready", |s| s.ready).await;
    let viewer = room.viewer_url("brief:right", "camera0");
    let mut brief = ffmpeg(&["-rtsp_transport", "tcp", "-i", &viewer, "-f", "null", "-"]);
    tokio::time::timeout(Duration::from_secs(30), brief.0.wait()).await.expect("cut off").unwrap();
    room.state("camera0", "read by nobody", |s| s.readers == 0 && s.ready).await;
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hls_and_webrtc_ask_the_gate_too() {
    let room = room().await;
    room.publisher_path("camera0").await;
    let _publisher = publish(&room.mtx.publish_url("camera0"));
    room.state("camera0", "ready", |s| s.ready).await;
    let ends = room.mtx.endpoints();
    let (right, wrong) = ("YW5uOnJpZ2h0", "YW5uOndyb25n");
    for (host, target, login, statuses) in [
        (ends.hls, "GET /camera0/index.m3u8?cookieCheck=1", right, &["200", "302"][..]),
        (ends.hls, "GET /camera0/index.m3u8?cookieCheck=1", wrong, &["401"]),
        // An empty offer is refused only after the log-in was taken.
        (ends.webrtc, "POST /camera0/whep", right, &["400", "500"]),
        (ends.webrtc, "POST /camera0/whep", wrong, &["401"]),
        (ends.webrtc, "POST /camera0/whip", right, &["401"]),
    ] {
        let text = format!(
            "{target} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nContent-Type: application/sdp\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        let answer = raw(&host.to_string(), text).await;
        assert!(statuses.iter().any(|s| answer.contains(s)), "{target} {login}: {answer}");
    }
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the change must go on beside the test")]
async fn recording_switched_while_a_publisher_arrives_does_not_turn_it_away() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let room = room().await;
    room.publisher_path("camera0").await;
    let url = room.mtx.publish_url("camera0");
    let mut stream = tokio::net::TcpStream::connect(room.mtx.endpoints().rtsp).await.unwrap();
    let mut session = String::new();
    let mut switch = None;
    let sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:streamid=0\r\n";
    for (n, method, suffix, header, body) in [
        (1, "ANNOUNCE", "", "Content-Type: application/sdp\r\n", sdp),
        (2, "SETUP", "/streamid=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record\r\n", ""),
        (3, "RECORD", "", "Range: npt=0.000-\r\n", ""),
    ] {
        let text = format!(
            "{method} {}{suffix} RTSP/1.0\r\nCSeq: {n}\r\n{header}{session}Content-Length: {}\r\n\r\n{body}",
            url.expose(),
            body.len()
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(answer.starts_with("RTSP/1.0 200"), "{method}: {answer}");
        if let Some(line) = answer.lines().find(|l| l.starts_with("Session:")) {
            session = format!("{}\r\n", line.split(';').next().unwrap());
        }
        if switch.is_none() {
            let (mtx, folder) = (room.mtx.clone(), room.recording("camera0", "one"));
            switch = Some(tokio::spawn(async move { mtx.set_record("camera0", Some(folder)).await }));
            // Time enough for a change to be carried out.
            for _ in 0..5 {
                room.mtx.fetch_path("camera0").await.unwrap();
            }
        }
    }
    switch.unwrap().await.unwrap().unwrap();
    room.state("camera0", "published", |s| s.ready).await;
    assert_eq!(generated(&room)["paths"].as_object().unwrap().len(), 0, "the file is as it was at the start");
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_the_file_cannot_hold_keeps_none_of_the_others_away() {
    let dir = tempfile::tempdir().unwrap();
    let picky = dir.path().join("mediamtx");
    let script = format!(
        "#!/bin/sh\ngrep -q poison \"$1\" && {{ echo 'ERR: poison'; exit 1; }}\nexec '{}' \"$@\"\n",
        binary().display()
    );
    std::fs::write(&picky, script).unwrap();
    std::fs::set_permissions(&picky, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (mtx, rest) = try_room(|o| o.binary = picky).await;
    let mtx = mtx.unwrap();
    for name in ["camera0", "poison"] {
        let spec = PathSpec { name: name.into(), source: PathSource::Publisher, record: None };
        mtx.put_path(spec).await.unwrap();
    }
    let mut server = mtx.server();
    let before = server.borrow_and_update().clone();
    kill(Pid::from_raw(i32::try_from(before.pid.unwrap()).unwrap()), Signal::SIGKILL).unwrap();
    let why = server.wait_for(|s| s.problem.as_ref().is_some_and(|p| p.contains("at its start"))).await;
    println!("{:?}", why.unwrap().problem);
    server.wait_for(|s| s.running && s.generation > before.generation).await.unwrap();
    assert!(mtx.fetch_path("camera0").await.unwrap().is_some());
    assert!(rest.phases.shutdown(Duration::from_secs(10)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn strings_arrive_at_mediamtx_as_they_were() {
    let url = "rtsp://us'er:p%22a#b:%20c@127.0.0.1:9/a,b;[c]?x=~!*()&y=yes";
    let folder = "/tmp/a \"b' #c: - {d} [e] & *f !g |h > i, ü ☃ \\ $HOME ~/camera0/r1";
    let spec = PathSpec {
        name: "camera0".into(),
        source: PathSource::Pull { url: Secret::new(url.replace('#', "%23")) },
        record: Some(folder.into()),
    };
    let (mtx, rest) = try_room(|o| o.paths = vec![spec.clone()]).await;
    let mtx = mtx.unwrap();
    assert!(mtx.fetch_path("camera0").await.unwrap().is_some(), "the file was understood");
    // The same again over the API would close and open the path if it differed.
    let before = mtx.fetch_path("camera0").await.unwrap();
    mtx.put_path(spec).await.unwrap();
    assert_eq!(mtx.fetch_path("camera0").await.unwrap(), before);
    assert!(rest.phases.shutdown(Duration::from_secs(10)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_a_missing_program_and_another_version_are_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    let began = Instant::now();
    let (e, _rest) = try_room(|o| o.listens.rtsp = port).await;
    println!("told of the taken port after {:?}", began.elapsed());
    let e = e.err().unwrap();
    assert!(e.message().contains("mediamtx.rtsp_listen"), "{e}");
    assert!(e.message().contains(&port.port().to_string()), "{e}");

    let (e, _rest) = try_room(|o| o.binary = "/nowhere/mediamtx".into()).await;
    let e = e.err().unwrap();
    assert!(e.message().contains("mediamtx was not found"), "{e}");
    assert!(e.message().contains("get-mediamtx") && !e.message().contains("/nowhere"), "{e}");

    let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes/mediamtx-of-another-version");
    let (e, _rest) = try_room(|o| o.binary = fake).await;
    let e = e.err().unwrap();
    assert!(e.message().contains("v1.19.2") && e.message().contains("v1.20.1"), "{e}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_gets_past_the_api_or_the_listener() {
    let room = room().await;
    let file = generated(&room);
    assert_eq!(
        room.dir.path().join("run").metadata().unwrap().permissions(),
        std::os::unix::fs::PermissionsExt::from_mode(0o40700)
    );
    let callback = file["authHTTPAddress"].as_str().unwrap().to_owned();
    let (host, _) = callback.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let question = r#"{"action":"api","user":"fieldcam-api","password":"x","ip":"127.0.0.1"}"#;
    for (target, host, body, status) in [
        ("POST /".to_owned(), host, question, "404"),
        (format!("POST {}", &callback[callback.rfind('/').unwrap()..]), host, question, "401"),
        (format!("POST {}", &callback[callback.rfind('/').unwrap()..]), host, "nonsense", "400"),
        ("GET /v3/info".to_owned(), &room.mtx.endpoints().api.to_string(), "", "401"),
    ] {
        let text = format!(
            "{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = raw(host, text).await;
        assert!(answer.contains(status), "{target}: {answer}");
    }
    room.end().await;
}

async fn raw(host: &str, text: String) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

/// Every line of our log, of all tests of this program.
#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_reaches_the_log() {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let room = room().await;
    room.publisher_path("camera0").await;
    let pull = PathSpec {
        name: "camera1".into(),
        source: PathSource::Pull { url: Secret::new("rtsp://admin:hunter2hunter2@127.0.0.1:9/x") },
        record: None,
    };
    let mut failures = room.mtx.source_failures();
    room.mtx.put_path(pull).await.unwrap();
    let (path, why) = failures.recv().await.unwrap();
    assert_eq!(path, "camera1");
    assert!(why.contains("refused"), "{why}");
    let ticket = room.mtx.publish_url("camera0");
    let _publisher = publish(&ticket);
    room.state("camera0", "ready", |s| s.ready).await;
    let mut again = publish(&ticket);
    assert!(!again.0.wait().await.unwrap().success());
    assert!(read_a_frame(room.mtx.reader_url("camera0").expose()).await);
    assert!(!read_a_frame(&room.viewer_url("ann:topsecret", "camera0")).await);
    let pid = room.mtx.server().borrow().pid.unwrap();
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGABRT).unwrap();
    let mut server = room.mtx.server();
    server.wait_for(|s| s.running && s.pid != Some(pid)).await.unwrap();

    let file = generated(&room);
    let callback = file["authHTTPAddress"].as_str().unwrap().to_owned();
    let reader = room.mtx.reader_url("camera0");
    let text = String::from_utf8_lossy(&lines.0.lock().unwrap()).into_owned();
    assert!(text.contains("camera1"), "MediaMTX's lines are in our log");
    for secret in [
        &callback[callback.rfind('/').unwrap() + 1..],
        ticket.expose().rsplit('=').next().unwrap(),
        reader.expose().split(['@', ':']).nth(2).unwrap(),
        "hunter2hunter2",
        "topsecret",
    ] {
        assert!(secret.len() > 8);
        let found = text.lines().find(|l| l.contains(secret));
        assert_eq!(found, None);
    }
    room.end().await;
}

/// Prints figures; asserts nothing.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn figures() {
    let started = Instant::now();
    let room = room().await;
    println!("start to every path there: {:?}", started.elapsed());
    let measure = |what: &'static str, mut times: Vec<Duration>| {
        times.sort();
        println!(
            "{what}: p50 {:?} max {:?} of {}",
            times[times.len() / 2],
            times[times.len() - 1],
            times.len()
        );
    };
    let mut times = Vec::new();
    for n in 0..50 {
        let t = Instant::now();
        room.publisher_path(&format!("camera{n}")).await;
        times.push(t.elapsed());
    }
    measure("put_path", times);
    let _publisher = publish(&room.mtx.publish_url("camera0"));
    room.state("camera0", "ready", |s| s.ready).await;
    let mut times = Vec::new();
    for n in 0..50 {
        let folder = (n % 2 == 0).then(|| room.recording("camera0", "r"));
        let t = Instant::now();
        room.mtx.set_record("camera0", folder).await.unwrap();
        times.push(t.elapsed());
    }
    measure("set_record", times);
    let mut times = Vec::new();
    for _ in 0..200 {
        let t = Instant::now();
        room.mtx.fetch_path("camera0").await.unwrap();
        times.push(t.elapsed());
    }
    measure("fetch_path", times);
    let mut server = room.mtx.server();
    let mut times = Vec::new();
    for _ in 0..3 {
        let before = server.borrow_and_update().clone();
        kill(Pid::from_raw(i32::try_from(before.pid.unwrap()).unwrap()), Signal::SIGKILL).unwrap();
        let t = Instant::now();
        server.wait_for(|s| s.running && s.generation > before.generation).await.unwrap();
        times.push(t.elapsed());
    }
    measure("back after kill -9", times);
    drop(_publisher);
    let pid = server.borrow().pid.unwrap();
    let cpu = |pid: u32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = (cpu(pid), cpu(std::process::id()));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let idle = (cpu(pid) - before.0, cpu(std::process::id()) - before.1);
    println!("idle with 50 paths: MediaMTX {} ms, we {} ms of CPU a second", idle.0, idle.1);
    room.end().await;
}
