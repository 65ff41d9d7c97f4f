//! V4L2 cameras as a client of the box sees them.

use serde_json::{Value, json};

use crate::common::{Client, ffmpeg, wait_within};
use crate::daemon::Daemon;
use crate::guest::Guest;
use crate::machine::PATIENCE;

/// Small and slow: the processor is emulated.
pub const CONFIG: &str = "[cameras]\nresolution = \"320x180\"\nfps = 5\n";

/// The list, once so many cameras are connected.
#[track_caller]
pub fn connected(client: &mut Client, count: u64) -> Vec<Value> {
    wait_within(PATIENCE, &format!("{count} cameras are connected"), || {
        let list = client.ok("get_camera_list", json!({}));
        (list["connected"] == count).then(|| list["cameras"].as_array().unwrap().clone())
    })
}

/// So many decoded pictures of a camera's stream, 320x180 in RGB.
#[track_caller]
pub fn pictures(daemon: &Daemon<'_>, client: &mut Client, camera: &str, count: usize) -> Vec<Vec<u8>> {
    let stream = client.ok("get_stream_url", json!({ "device": camera }));
    let url = daemon.outside(stream["stream_url"].as_str().unwrap());
    let frames = count.to_string();
    let args =
        ["-v", "error", "-rtsp_transport", "tcp", "-timeout", "60000000", "-i", &url, "-frames:v", &frames];
    let args =
        [&args[..], &["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]].concat();
    // The encoder starts when somebody asks, which can take longer here than one reader waits.
    wait_within(PATIENCE, &format!("{camera} is read"), || {
        let out = ffmpeg::run("ffmpeg", &args);
        let all: Vec<_> = out.stdout.chunks_exact(320 * 180 * 3).map(<[u8]>::to_vec).collect();
        if all.len() < count {
            eprintln!("{camera}: {} pictures\n{}", all.len(), String::from_utf8_lossy(&out.stderr));
        }
        (all.len() >= count).then_some(all)
    })
}

/// Starts a recording of camera0, once so many cameras are connected, and waits until it grows.
#[track_caller]
pub fn record(client: &mut Client, cameras: u64) -> String {
    connected(client, cameras);
    let started = client.ok("start_recording", json!({ "device": "camera0" }));
    grows(client, "camera0");
    started["filename"].as_str().unwrap().to_owned()
}

/// Waits until ten more pictures of a camera have been encoded.
#[track_caller]
pub fn grows(client: &mut Client, camera: &str) {
    let mut sent = || {
        let status = client.ok("get_stream_status", json!({ "device": camera }));
        status["metrics"]["frames_sent"].as_u64().unwrap()
    };
    let mut last = sent();
    let mut more = 0;
    wait_within(PATIENCE, &format!("footage of {camera} is added"), || {
        let now = sent();
        // The encoder may have been started anew.
        more += now.checked_sub(last).unwrap_or(now);
        last = now;
        (more >= 10).then_some(())
    });
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn cameras_that_are_plugged_in_are_live_without_a_setting() {
    let guest = Guest::take();
    let daemon = guest.fieldcam(CONFIG);
    let mut client = daemon.login("operator");
    let list = connected(&mut client, 2);
    assert_eq!(list.len(), 2, "a synthetic camera beside real ones: {list:?}");
    assert!(list.iter().all(|c| c["resolution"] == "320x180" && c["fps"] == 5), "{list:?}");
    for camera in ["camera0", "camera1"] {
        let can = client.ok("get_camera_capabilities", json!({ "device": camera }));
        assert_eq!(can["validation_status"], "CONFIRMED", "{can}");
        let all = pictures(&daemon, &mut client, camera, 10);
        // vivid counts up in its picture: no two are alike.
        let alike = all.windows(2).filter(|w| w[0] == w[1]).count();
        assert_eq!(alike, 0, "{alike} of {} pictures twice", all.len());
        let still = client.ok("take_snapshot", json!({ "device": camera }));
        let file = tempfile::NamedTempFile::new().unwrap();
        let name = still["filename"].as_str().unwrap();
        daemon.fetch(&format!("/data/fieldcam/snapshots/{name}"), file.path());
        assert_eq!(ffmpeg::jpeg_size(file.path()), (320, 180));
    }
    let mut admin = daemon.login("admin");
    let metrics = admin.ok("get_metrics", json!({}));
    let drivers: Vec<_> = metrics["camera_metrics"]["cameras"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, camera)| camera["capabilities"]["driver_name"].clone())
        .collect();
    assert_eq!(drivers, ["vivid", "vivid"], "{metrics}");
    daemon.stop();
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn a_camera_that_is_pulled_out_comes_back_as_itself_and_its_recording_goes_on() {
    let guest = Guest::take();
    let daemon = guest.fieldcam(CONFIG);
    let mut client = daemon.login("operator");
    let name = record(&mut client, 2);
    let vivid = |verb: &str| guest.ok(&format!("echo vivid.0 >/sys/bus/platform/drivers/vivid/{verb}"));
    let missing = || daemon.log().matches("nothing was recorded for 5 s").count();
    let missed = missing();
    vivid("unbind");
    connected(&mut client, 0);
    // Long enough for a gap, however late the pictures come that were on their way.
    wait_within(PATIENCE, "the recording misses it", || (missing() > missed).then_some(()));
    vivid("bind");
    let list = connected(&mut client, 2);
    assert_eq!(list.len(), 2, "a camera is listed twice: {list:?}");
    grows(&mut client, "camera0");
    assert_eq!(client.ok("stop_recording", json!({ "device": "camera0" }))["filename"], *name);
    // One recording, with what came before and what came after.
    let list = client.ok("list_recordings", json!({}));
    let files: Vec<_> = list["files"].as_array().unwrap().iter().map(|f| &f["filename"]).collect();
    assert_eq!(files, [&name], "{list}");
    assert!(daemon.log().contains("gaps=1"), "the gap is not noted");
    daemon.stop();
}
