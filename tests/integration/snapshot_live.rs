//! Snapshots of a network camera: real MediaMTX, real H.264 and H.265, our reader and decoder.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::common::mediaserver::Server;
use fieldcam::base::{CameraId, Clock, Mono, Secret};
use fieldcam::notice::Notices;
use fieldcam::snapshot::{Codec, Decoder, Keyframes, Snapshots};
use fieldcam::store::Store;
use fieldcam::supervise::{Group, Phases, Spawner};

const SOON: Duration = Duration::from_secs(60);

struct Camera(Child);

impl Camera {
    /// Publishes a picture with the encoder's keyframes one second apart, and sound.
    fn publish(url: &str, encoder: &[&str]) -> Camera {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-re", "-f", "lavfi"]);
        command.args(["-i", "testsrc2=size=1920x1080:rate=15", "-f", "lavfi", "-i", "sine"]);
        command.args(["-c:a", "aac", "-g", "15", "-pix_fmt", "yuv420p"]).args(encoder);
        Camera(command.args(["-f", "rtsp", "-rtsp_transport", "tcp", url]).spawn().unwrap())
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn group() -> (Phases, Group) {
    let mut phases = Phases::default();
    let group = phases.add("cameras");
    (phases, group)
}

async fn a_still_of(codec: Codec, encoder: &[&str]) {
    let (_phases, group) = group();
    let server = Server::start(&["live"]);
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("t.db")).unwrap();
    let snapshots =
        Snapshots::open(dir.path().join("snapshots"), store, Notices::new(), Clock::new()).unwrap();
    let decoder = Decoder::new("ffmpeg".into(), Spawner::start().unwrap(), group.clone());
    decoder.warm(codec).await.unwrap();
    // The reader is there first: it keeps trying.
    let keyframes = Keyframes::start("camera3", Secret::new(server.url("live")), &group);
    assert!(keyframes.latest().is_none());
    let camera = Camera::publish(&server.url("live"), encoder);
    let keyframe = keyframes.wait(SOON).await.expect("a keyframe");
    assert_eq!(keyframe.codec, codec);
    let mut times = Vec::new();
    for n in 0..5 {
        let keyframe = keyframes.latest().unwrap();
        let asked = Instant::now();
        let info = snapshots.take_from_keyframe(CameraId(3), None, &keyframe, &decoder).await.unwrap();
        println!("{codec:?} {n}: {:?}, {info:?}", asked.elapsed());
        times.push(asked.elapsed());
        assert!(info.frame_age_ms < 30_000);
        let file = snapshots.path_of(&info.name).await.unwrap();
        assert_eq!(crate::common::ffmpeg::jpeg_size(&file), (1920, 1080));
    }
    times.sort();
    assert!(times[2] < Duration::from_secs(2), "{times:?}");
    // A camera that is gone has no live picture, and has one again when it is back.
    drop(camera);
    let deadline = Instant::now() + SOON;
    while keyframes.latest().is_some() {
        assert!(Instant::now() < deadline, "still a picture");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let back = Mono::now();
    let _camera = Camera::publish(&server.url("live"), encoder);
    assert!(keyframes.wait(SOON).await.expect("a keyframe").arrived > back);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_still_of_an_h264_camera() {
    a_still_of(Codec::H264, &["-c:v", "libx264", "-preset", "ultrafast"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_still_of_an_h265_camera() {
    let quiet = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=15"];
    a_still_of(Codec::H265, &quiet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_an_error_and_the_decoder_stays_of_use() {
    let (_phases, group) = group();
    let decoder = Decoder::new("ffmpeg".into(), Spawner::start().unwrap(), group.clone());
    for garbage in [&b""[..], b"garbage", &[0; 100_000], &[0, 0, 0, 1, 0x65, 0xff, 0xff]] {
        let error = decoder.decode(Codec::H264, garbage).await.unwrap_err();
        assert!(error.message().contains("could not be decoded"), "{error}");
    }
}
