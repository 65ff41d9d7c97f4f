//! The `recording` room against the real MediaMTX, FFmpeg and SQLite.
//!
//! Needs the pinned MediaMTX (`FIELDCAM_TEST_MEDIAMTX`, or below `target/`) and FFmpeg in `PATH`.

mod disk;
mod faults;
mod whole;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::{mediaserver, process, turn};
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

/// Everything of a box that records, without cameras of its own.
struct Rig {
    mtx: MediaMtx,
    recordings: Recordings,
    notices: Notices,
    clock: Clock,
    phases: Phases,
    spawner: Spawner,
    _turn: turn::Turn,
}

impl Rig {
    async fn start(data: &Path) -> (Self, Vec<Intent>) {
        Self::start_with(data, Duration::from_secs(900)).await
    }

    async fn start_with(data: &Path, segment_duration: Duration) -> (Self, Vec<Intent>) {
        let turn = turn::take();
        let (notices, clock) = (Notices::new(), Clock::new());
        let recordings = Recordings::open(RecordingsOptions {
            data_dir: data.to_owned(),
            store: Store::open(&data.join("fieldcam.db")).unwrap(),
            notices: notices.clone(),
            clock: clock.clone(),
            sync_interval: Duration::from_millis(500),
            segment_duration,
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
            binary: mediaserver::binary(),
            listens: Listens {
                rtsp: free,
                rtsps: None,
                hls: free,
                webrtc: free,
                webrtc_udp: free,
                api: free,
            },
            webrtc_hosts: Vec::new(),
            run_dir: data.join("run"),
            segment_duration,
            exe: "/bin/true".into(),
            tls: None,
            paths: vec![PathSpec { name: CAM.to_string(), source: PathSource::Publisher, record }],
        };
        let mtx = MediaMtx::start(options, &media, &spawner, Arc::new(Nobody)).await.unwrap();
        recordings.run(&recording, mtx.clone()).unwrap();
        recordings.checking().wait_for(|c| c.total == 0).await.unwrap();
        (Self { mtx, recordings, notices, clock, phases, spawner, _turn: turn }, intents)
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
