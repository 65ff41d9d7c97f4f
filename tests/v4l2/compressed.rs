//! Cameras that compress: their JPEG is a still as it is, and their H.264 is passed on without an encoder.

use serde_json::{Value, json};

use crate::common::{Client, ffmpeg};
use crate::daemon::Daemon;
use crate::guest::{Guest, H264, MJPEG};
use crate::live::{CONFIG, connected, pictures, record};

fn status(client: &mut Client) -> Value {
    client.ok("get_stream_status", json!({ "device": "camera0" }))
}

/// Watches the camera, takes a still of it and records it; the stream's status while it is watched.
#[track_caller]
fn lives(guest: &Guest, daemon: &Daemon<'_>, client: &mut Client) -> Value {
    let all = pictures(daemon, client, "camera0", 10);
    assert!(all.windows(2).all(|w| w[0] != w[1]), "a picture comes twice");
    let name = record(client, 1);
    let said = status(client);
    let still = client.ok("take_snapshot", json!({ "device": "camera0" }));
    let file = tempfile::NamedTempFile::new().unwrap();
    daemon.fetch(&format!("/data/fieldcam/snapshots/{}", still["filename"].as_str().unwrap()), file.path());
    assert_eq!(ffmpeg::jpeg_size(file.path()), (320, 180));
    client.ok("stop_recording", json!({ "device": "camera0" }));
    let film = format!("/data/fieldcam/recordings/camera0/{name}");
    let count =
        "-v error -select_streams v -count_frames -show_entries stream=codec_name,nb_read_frames -of csv=p=0";
    let found = guest.ok(&format!("ffprobe {count} $(ls {film}/*.mp4 | head -n1)"));
    let (codec, frames) = found.split_once(',').unwrap();
    assert_eq!(codec, "h264");
    assert!(frames.trim_matches(',').parse::<u32>().is_ok_and(|n| n >= 5), "{found}");
    said
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn h264_of_a_camera_is_passed_on_without_an_encoder() {
    let guest = Guest::take();
    let _without = guest.without_vivid();
    let camera = guest.loopback(20, "Compresses");
    let writer = camera.feed(H264);
    let daemon = guest.fieldcam(CONFIG);
    let mut client = daemon.login("operator");
    connected(&mut client, 1);
    let can = client.ok("get_camera_capabilities", json!({ "device": "camera0" }));
    assert_eq!(can["formats"], json!(["H264"]), "{can}");
    let said = lives(&guest, &daemon, &mut client);
    assert_eq!(said["encoder"]["name"], "copy", "{said}");
    // No encoder is at work on it in the box: the only one is the camera itself.
    let works =
        guest.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'c:v [a-z0-9]*' | sort | uniq -c").out;
    assert!(works.contains("1 c:v libx264"), "{works}");
    assert!(writer.runs(), "{}", writer.log());
    daemon.stop();
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn jpeg_of_a_camera_is_encoded_and_is_a_still_as_it_is() {
    let guest = Guest::take();
    let _without = guest.without_vivid();
    let camera = guest.loopback(21, "Photographs");
    let writer = camera.feed(MJPEG);
    let daemon = guest.fieldcam(CONFIG);
    let mut client = daemon.login("operator");
    connected(&mut client, 1);
    let can = client.ok("get_camera_capabilities", json!({ "device": "camera0" }));
    assert_eq!(can["formats"], json!(["MJPG"]), "{can}");
    let said = lives(&guest, &daemon, &mut client);
    assert_eq!(said["encoder"]["name"], "libx264", "{said}");
    assert!(writer.runs(), "{}", writer.log());
    daemon.stop();
}
