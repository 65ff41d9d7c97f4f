//! The `recording` room against the real MediaMTX, FFmpeg and SQLite.
//!
//! Needs the pinned MediaMTX (`FIELDCAM_TEST_MEDIAMTX`, or below `target/`) and FFmpeg in `PATH`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests stop at what they did not expect, and tell figures"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fieldcam::base::{CameraId, Clock, ErrorKind, Mono};
use fieldcam::mediamtx::{Gate, Listens, MediaMtx, MediaMtxOptions, PathSource, PathSpec};
use fieldcam::notice::{Fact, Notices};
use fieldcam::recording::{
    CameraFacts, Format, GapCause, Intent, RecordingDetails, Recordings, RecordingsOptions, StartRecording,
    Started,
};
use fieldcam::store::Store;
use fieldcam::supervise::{Child, ChildSpec, Phases, Spawner, Stdio};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;

const CAM: CameraId = CameraId(0);

struct Nobody;

impl Gate for Nobody {
    fn read(&self, _user: &str, _password: &str, _path: &str, _protocol: &str) -> Option<Mono> {
        None
    }
}

fn binary() -> PathBuf {
    std::env::var_os("FIELDCAM_TEST_MEDIAMTX").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mediamtx/v1.20.1/amd64/mediamtx"),
        PathBuf::from,
    )
}

/// Everything of a box that records, without cameras of its own.
struct Rig {
    mtx: MediaMtx,
    recordings: Recordings,
    notices: Notices,
    clock: Clock,
    phases: Phases,
    spawner: Spawner,
}

impl Rig {
    async fn start(data: &Path) -> (Self, Vec<Intent>) {
        Self::start_with(data, Duration::from_secs(900)).await
    }

    async fn start_with(data: &Path, segment_duration: Duration) -> (Self, Vec<Intent>) {
        let (notices, clock) = (Notices::new(), Clock::new());
        let recordings = Recordings::open(RecordingsOptions {
            data_dir: data.to_owned(),
            store: Store::open(&data.join("fieldcam.db")).unwrap(),
            notices: notices.clone(),
            clock: clock.clone(),
            sync_interval: Duration::from_millis(500),
            warn_percent: 70.0,
            refuse_percent: 99.0,
        })
        .unwrap();
        let intents = recordings.recover().await.unwrap();
        let record = intents.iter().find(|i| i.camera == CAM).map(|i| i.dir.clone());
        let mut phases = Phases::default();
        let (media, recording) = (phases.add("mediamtx"), phases.add("recording"));
        let spawner = Spawner::start().unwrap();
        let free = "127.0.0.1:0".parse().unwrap();
        let options = MediaMtxOptions {
            binary: binary(),
            listens: Listens { rtsp: free, hls: free, webrtc: free, webrtc_udp: free, api: free },
            run_dir: data.join("run"),
            segment_duration,
            exe: "/bin/true".into(),
            paths: vec![PathSpec { name: CAM.to_string(), source: PathSource::Publisher, record }],
        };
        let mtx = MediaMtx::start(options, &media, &spawner, Arc::new(Nobody)).await.unwrap();
        recordings.run(&recording, mtx.clone()).unwrap();
        (Self { mtx, recordings, notices, clock, phases, spawner }, intents)
    }

    async fn end(self) {
        let left = self.phases.shutdown(Duration::from_secs(10)).await;
        assert!(left.is_empty(), "{left:?}");
    }

    /// A camera that is on the air when this returns.
    async fn camera(&self, size: &str) -> Child {
        let mut args = "-hide_banner -loglevel error -re -f lavfi -i".to_owned();
        args.push_str(&format!(" testsrc2=size={size}:rate=30 -c:v libx264 -preset ultrafast"));
        args.push_str(
            " -tune zerolatency -g 30 -pix_fmt yuv420p -b:v 1M -rtsp_transport tcp -pkt_size 1400 -f rtsp",
        );
        let url = self.mtx.publish_url(&CAM.to_string());
        let spec = ChildSpec::new("camera", "ffmpeg").args(args.split(' ')).args([url.expose()]);
        let child = self.spawner.spawn(spec).await.unwrap();
        until("the camera is on the air", async || {
            self.mtx.fetch_path("camera0").await.ok().flatten().is_some_and(|p| p.ready)
        })
        .await;
        child
    }

    async fn record(&self, duration: Option<Duration>) -> Started {
        let camera =
            CameraFacts { id: CAM, identity: "test:rig".into(), name: "Rig".into(), width: 0, height: 0 };
        self.recordings.start(StartRecording { camera, duration, format: Format::Mp4 }).await.unwrap()
    }

    /// Until so much is recorded and on the disk.
    async fn recorded(&self, ms: u64) {
        until(&format!("{ms} ms are recorded"), async || {
            self.recordings.active(CAM).is_some_and(|a| a.duration_ms >= ms)
        })
        .await;
    }

    async fn details(&self, started: &Started) -> RecordingDetails {
        self.recordings.details(&started.name).await.unwrap()
    }

    /// Frames that decode in all segments; every segment has to decode without a complaint.
    async fn frames(&self, details: &RecordingDetails) -> u64 {
        let mut frames = 0;
        for segment in &details.segments {
            assert_eq!(std::fs::metadata(&segment.path).unwrap().len(), segment.size, "{segment:?}");
            let args =
                "-v error -count_frames -select_streams v:0 -show_entries stream=nb_read_frames -of csv=p=0";
            let mut spec = ChildSpec::new("ffprobe", "ffprobe").args(args.split(' ')).args([&segment.path]);
            (spec.stdout, spec.stderr) = (Stdio::Pipe, Stdio::Pipe);
            let mut child = self.spawner.spawn(spec).await.unwrap();
            let (mut out, mut words) = (String::new(), String::new());
            child.stdout.take().unwrap().read_to_string(&mut out).await.unwrap();
            child.stderr.take().unwrap().read_to_string(&mut words).await.unwrap();
            child.wait().await;
            assert_eq!(words, "", "{segment:?}");
            frames += out.trim().trim_end_matches(',').parse::<u64>().unwrap();
        }
        frames
    }
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "it never came to be that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn gone(child: &Child) {
    kill(Pid::from_raw(child.pid() as i32), Signal::SIGKILL).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_that_dies_costs_a_gap_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let (rig, intents) = Rig::start(data.path()).await;
    assert!(intents.is_empty());
    let mut camera = rig.camera("640x360").await;
    let started = rig.record(None).await;
    let twice = rig.recordings.start(StartRecording {
        camera: CameraFacts { id: CAM, identity: String::new(), name: String::new(), width: 0, height: 0 },
        duration: None,
        format: Format::Mp4,
    });
    assert_eq!(twice.await.unwrap_err().kind(), ErrorKind::InvalidState);
    let refused = rig.recordings.delete(&started.name).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidState);
    rig.recorded(3000).await;
    gone(&camera);
    camera.wait().await;
    rig.recordings.fault(CAM, GapCause::EncoderExited);
    let _camera = rig.camera("640x360").await;
    rig.recorded(5000).await;
    let asked = Instant::now();
    let finished = rig.recordings.stop(CAM).await.unwrap();
    println!("stop of a live recording: {:?}", asked.elapsed());
    let details = rig.details(&started).await;
    println!("{finished:?}\n{details:#?}");
    assert_eq!(details.segments.len(), 2);
    assert!(details.segments.iter().all(|s| s.closed));
    assert_eq!(details.gaps.len(), 1);
    let gap = &details.gaps[0];
    assert_eq!((gap.cause.as_str(), gap.segment), ("encoder_exited", 2));
    // What is recorded and what is missing is the whole time.
    let whole = (finished.end_us - finished.start_us) / 1000;
    let parts = (finished.duration_ms + gap.duration_ms) as i64;
    assert!((whole - parts).abs() < 50, "{whole} ms are {parts} ms");
    let frames = rig.frames(&details).await;
    let expected = finished.duration_ms * 30 / 1000;
    assert!(frames.abs_diff(expected) <= 3, "{frames} frames in {} ms", finished.duration_ms);
    let json = details.segments[0].path.with_file_name("recording.json");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(json["ended"], "stopped");
    assert_eq!(json["camera"]["identity"], "test:rig");
    assert_eq!(json["gaps"][0]["cause"], "encoder_exited");
    assert_eq!(rig.recordings.stop(CAM).await.unwrap_err().kind(), ErrorKind::InvalidState);
    rig.recordings.delete(&started.name).await.unwrap();
    assert!(!details.segments[0].path.exists());
    assert_eq!(rig.recordings.list(50, 0).await.unwrap().1, 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timed_recording_has_its_length_from_the_first_frame() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let mut heard = rig.notices.subscribe();
    // Recording first, the camera later: the timer must wait for it.
    let started = rig.record(Some(Duration::from_secs(4))).await;
    let _camera = rig.camera("640x360").await;
    until("it ended by itself", async || rig.recordings.active(CAM).is_none()).await;
    let details = rig.details(&started).await;
    let length = details.info.duration_ms;
    println!("4 s asked, {length} ms recorded");
    assert!((3800..=4200).contains(&length), "{length} ms");
    assert_eq!(details.info.ended.as_deref(), Some("duration_reached"));
    assert!(details.gaps.is_empty(), "{:?}", details.gaps);
    assert!(details.info.start_us > started.start_us);
    assert_eq!((details.info.width, details.info.codec.as_deref()), (640, Some("h264")));
    let mut facts = Vec::new();
    while let Ok(fact) = heard.try_recv() {
        facts.push(fact);
    }
    assert!(facts.iter().any(|f| matches!(f, Fact::RecordingStopped { reason: "duration_reached", .. })));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mediamtx_that_dies_comes_back_recording() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let mut camera = rig.camera("640x360").await;
    let started = rig.record(None).await;
    rig.recorded(2000).await;
    let mut server = rig.mtx.server();
    let pid = server.borrow_and_update().pid.unwrap();
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
    rig.recordings.fault(CAM, GapCause::MediamtxExited);
    camera.wait().await;
    rig.recordings.fault(CAM, GapCause::EncoderExited);
    until("MediaMTX is back", async || {
        let state = rig.mtx.server().borrow().clone();
        state.running && state.pid != Some(pid)
    })
    .await;
    let _camera = rig.camera("640x360").await;
    rig.recorded(4500).await;
    let finished = rig.recordings.stop(CAM).await.unwrap();
    let details = rig.details(&started).await;
    println!("{details:#?}");
    assert_eq!(details.segments.len(), 2);
    assert_eq!(details.gaps.len(), 1);
    assert_eq!(details.gaps[0].cause, "mediamtx_exited");
    let frames = rig.frames(&details).await;
    assert!(frames.abs_diff(finished.duration_ms * 30 / 1000) <= 3);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_goes_on_after_a_restart_of_the_daemon() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let camera = rig.camera("640x360").await;
    let started = rig.record(None).await;
    rig.recorded(2000).await;
    drop(camera);
    rig.end().await;
    // As a power cut leaves it: the last file torn, its duration unknown, a file without a byte.
    let folder = data.path().join("recordings/camera0").join(started.name.as_str());
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    names.retain(|n| n.extension().is_some_and(|e| e == "mp4"));
    let len = std::fs::metadata(&names[0]).unwrap().len();
    std::fs::File::options().write(true).open(&names[0]).unwrap().set_len(len - 100).unwrap();
    std::fs::write(folder.join("2099-01-01_00-00-00-000000.mp4"), "").unwrap();
    let db = rusqlite::Connection::open(data.path().join("fieldcam.db")).unwrap();
    db.execute("UPDATE segments SET closed = 0", []).unwrap();
    drop(db);
    let (rig, intents) = Rig::start(data.path()).await;
    assert_eq!(intents.len(), 1);
    assert_eq!((&intents[0].name, &intents[0].dir), (&started.name, &folder));
    assert!(rig.recordings.wanted().borrow().contains(&CAM));
    let before = rig.recordings.active(CAM).unwrap().duration_ms;
    assert!(before >= 1400, "{before}");
    let _camera = rig.camera("640x360").await;
    rig.recorded(before + 1500).await;
    let finished = rig.recordings.stop(CAM).await.unwrap();
    assert_eq!(finished.name, started.name);
    let details = rig.details(&started).await;
    println!("{details:#?}");
    assert_eq!(details.segments.len(), 2);
    assert_eq!(details.gaps[0].cause, "daemon_down");
    assert!(details.notes.iter().any(|n| n.2.contains("cut off")), "{:?}", details.notes);
    assert_eq!(std::fs::read_dir(data.path().join("quarantine")).unwrap().count(), 2);
    rig.frames(&details).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_returns_with_another_size_continues_in_the_next_recording() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let camera = rig.camera("640x360").await;
    let started = rig.record(None).await;
    rig.recorded(1500).await;
    drop(camera);
    rig.recordings.fault(CAM, GapCause::CameraDisconnected);
    let _camera = rig.camera("320x240").await;
    until("the next recording runs", async || {
        rig.recordings.active(CAM).is_some_and(|a| a.name != started.name && a.duration_ms > 2500)
    })
    .await;
    let finished = rig.recordings.stop(CAM).await.unwrap();
    let (first, next) = (rig.details(&started).await, rig.recordings.details(&finished.name).await.unwrap());
    println!("{first:#?}\n{next:#?}");
    assert_eq!(first.info.ended.as_deref(), Some("parameters_changed"));
    assert_eq!(next.info.continues.as_ref(), Some(&started.name));
    assert_eq!((first.info.width, next.info.width), (640, 320));
    assert_eq!(next.gaps[0].cause, "camera_disconnected");
    rig.frames(&first).await;
    rig.frames(&next).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_the_clock_is_noted_and_the_timer_keeps_its_time() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let _camera = rig.camera("640x360").await;
    let started = rig.record(Some(Duration::from_secs(6))).await;
    rig.recorded(2000).await;
    rig.clock.step_wall(-86_400_000_000);
    until("it ended by itself", async || rig.recordings.active(CAM).is_none()).await;
    let details = rig.details(&started).await;
    println!("{details:#?}");
    assert_eq!(details.notes.len(), 1);
    assert_eq!(details.notes[0].1, "clock_step");
    let gaps: u64 = details.gaps.iter().map(|g| g.duration_ms).sum();
    let whole = details.info.duration_ms + gaps;
    assert!((5700..=6300).contains(&whole), "{whole} ms");
    assert_eq!(details.segments.len(), 2);
    rig.frames(&details).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_follow_each_other_without_a_gap() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start_with(data.path(), Duration::from_secs(2)).await;
    let _camera = rig.camera("320x240").await;
    let started = rig.record(None).await;
    rig.recorded(7000).await;
    rig.recordings.stop(CAM).await.unwrap();
    let details = rig.details(&started).await;
    assert!(details.segments.len() >= 3, "{details:#?}");
    assert!(details.gaps.is_empty(), "{:?}", details.gaps);
    let numbers: Vec<_> = details.segments.iter().map(|s| s.number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>());
    rig.frames(&details).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_recording_is_told_and_goes_on_when_the_camera_returns() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let mut heard = rig.notices.subscribe();
    let camera = rig.camera("320x240").await;
    let started = rig.record(None).await;
    rig.recorded(1000).await;
    kill(Pid::from_raw(camera.pid() as i32), Signal::SIGSTOP).unwrap();
    rig.recordings.fault(CAM, GapCause::CameraSilent);
    let told = async {
        loop {
            if let Fact::RecordingError { message, .. } = heard.recv().await.unwrap() {
                return message;
            }
        }
    };
    let message = tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();
    assert!(message.contains("nothing was recorded for 5 s"), "{message}");
    kill(Pid::from_raw(camera.pid() as i32), Signal::SIGCONT).unwrap();
    rig.recorded(3000).await;
    rig.recordings.stop(CAM).await.unwrap();
    let details = rig.details(&started).await;
    println!("{details:#?}");
    assert!(details.gaps.iter().any(|g| g.cause == "camera_silent"), "{:?}", details.gaps);
    rig.frames(&details).await;
    rig.end().await;
}

async fn run(spawner: &Spawner, program: &str, args: &[&str]) {
    let exit = spawner.spawn(ChildSpec::new(program, program).args(args)).await.unwrap().wait().await;
    assert_eq!(exit.to_string(), "exit code 0", "{program} {args:?} (this test needs root)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_takes_nothing_for_a_while_costs_that_while_only() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let mut heard = rig.notices.subscribe();
    let _camera = rig.camera("320x240").await;
    let started = rig.record(None).await;
    rig.recorded(1500).await;
    let folder = data.path().join("recordings/camera0").join(started.name.as_str());
    let folder = folder.to_str().unwrap();
    run(&rig.spawner, "chattr", &["-R", "+i", folder]).await;
    let told = async {
        loop {
            if let Fact::RecordingError { message, .. } = heard.recv().await.unwrap() {
                return message;
            }
        }
    };
    let message = tokio::time::timeout(Duration::from_secs(30), told).await;
    run(&rig.spawner, "chattr", &["-R", "-i", folder]).await;
    assert!(message.unwrap().contains("cannot be written"));
    let before = rig.recordings.active(CAM).unwrap().duration_ms;
    rig.recorded(before + 2000).await;
    rig.recordings.stop(CAM).await.unwrap();
    let details = rig.details(&started).await;
    println!("{details:#?}");
    assert_eq!(details.gaps.len(), 1);
    assert_eq!(details.gaps[0].cause, "storage");
    assert!(details.segments.iter().all(|s| s.closed));
    rig.frames(&details).await;
    rig.end().await;
}

/// Whether this process has the file open.
fn is_open_here(file: &Path) -> bool {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok()).any(|target| target == file)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_database_is_made_again_from_the_files() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let _camera = rig.camera("320x240").await;
    let started = rig.record(None).await;
    rig.recorded(1000).await;
    rig.recordings.stop(CAM).await.unwrap();
    let before = rig.details(&started).await;
    rig.end().await;
    // The database's thread closes it a moment after its last handle is gone.
    let database = data.path().join("fieldcam.db");
    until("nobody holds the database", async || !is_open_here(&database)).await;
    for file in ["fieldcam.db", "fieldcam.db-wal", "fieldcam.db-shm"] {
        let _ = std::fs::remove_file(data.path().join(file));
    }
    let (rig, intents) = Rig::start(data.path()).await;
    assert!(intents.is_empty());
    assert_eq!(rig.details(&started).await, before);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_ends_the_recording_before_it_is_full() {
    let mount = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let at = mount.path().to_str().unwrap();
    run(&spawner, "mount", &["-t", "tmpfs", "-o", "size=120m", "tmpfs", at]).await;
    let (rig, _) = Rig::start(mount.path()).await;
    let _camera = rig.camera("320x240").await;
    let started = rig.record(None).await;
    rig.recorded(1000).await;
    std::fs::write(mount.path().join("other"), vec![1; 112 << 20]).unwrap();
    until("the guard has ended it", async || rig.recordings.active(CAM).is_none()).await;
    let details = rig.details(&started).await;
    assert_eq!(details.info.ended.as_deref(), Some("storage_full"));
    rig.frames(&details).await;
    let camera = CameraFacts { id: CAM, identity: "x".into(), name: "x".into(), width: 0, height: 0 };
    let request = StartRecording { camera, duration: None, format: Format::Mp4 };
    let refused = rig.recordings.start(request).await.unwrap_err();
    println!("{refused:?} {:?}", refused.data());
    assert_eq!(refused.data()["dependency"], "storage");
    assert!(!mount.path().join("reserve").exists());
    std::fs::remove_file(mount.path().join("other")).unwrap();
    until("there is room again", async || !rig.recordings.storage().refusing).await;
    rig.record(None).await;
    rig.recorded(500).await;
    rig.recordings.stop(CAM).await.unwrap();
    rig.end().await;
    run(&spawner, "umount", &["-l", at]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_and_stopping_on_a_live_camera_is_quick() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let _camera = rig.camera("640x360").await;
    let (mut starts, mut stops) = (Vec::new(), Vec::new());
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let at = Instant::now();
        let started = rig.record(None).await;
        starts.push(at.elapsed());
        assert!(names.insert(started.name.clone()));
        rig.recorded(400).await;
        let at = Instant::now();
        rig.recordings.stop(CAM).await.unwrap();
        stops.push(at.elapsed());
    }
    starts.sort();
    stops.sort();
    println!("start p50 {:?} max {:?}; stop p50 {:?} max {:?}", starts[5], starts[9], stops[5], stops[9]);
    assert!(starts[5] < Duration::from_millis(500) && stops[5] < Duration::from_millis(500));
    // One of a moment holds what came in that moment, or nothing; it never fails.
    rig.record(None).await;
    let finished = rig.recordings.stop(CAM).await.unwrap();
    assert!(finished.duration_ms < 2000);
    rig.end().await;
}
