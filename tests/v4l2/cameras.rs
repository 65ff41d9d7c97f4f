//! What the guest's kernel has: vivid's cameras, and loopback cameras that carry frames.

use crate::guest::{Guest, H264, MJPEG, YUYV};

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn vivid_has_two_cameras_that_deliver() {
    let guest = Guest::take();
    assert_eq!(guest.ok("cat /sys/class/video4linux/*/name"), "vivid-000-vid-cap\nvivid-001-vid-cap");
    for node in ["/dev/video0", "/dev/video1"] {
        let caps = guest.ok(&format!("v4l2-ctl -d {node} --info"));
        assert!(caps.contains("Driver name      : vivid") && caps.contains("Video Capture"), "{caps}");
        let format = "--set-fmt-video=width=320,height=180,pixelformat=YUYV --set-parm=10";
        let said =
            guest.run(&format!("v4l2-ctl -d {node} {format} --stream-mmap --stream-count=5 --verbose 2>&1"));
        assert_eq!(said.out.matches("bytesused: 115200").count(), 5, "{said:?}");
    }
}

/// Adds a camera, lets FFmpeg feed it and captures from it; FFmpeg must then find so many whole frames of this codec.
#[track_caller]
fn carries(guest: &Guest, number: u32, encoder: &str, fourcc: &str, codec: Option<&str>) {
    let camera = guest.loopback(number, "Carrier");
    let writer = camera.feed(encoder);
    let node = camera.node();
    let format = guest.ok(&format!("v4l2-ctl -d {node} --get-fmt-video"));
    assert!(format.contains(fourcc) && format.contains("320/180"), "{format}");
    let file = "/run/captured";
    // Two groups of pictures of H.264, so that a whole one is among them wherever it begins.
    guest.ok(&format!("timeout 120 v4l2-ctl -d {node} --stream-mmap --stream-count=10 --stream-to={file}"));
    match codec {
        Some(codec) => {
            let what = "stream=codec_name,width,height,nb_read_frames -of csv=p=0";
            let found =
                guest.ok(&format!("ffprobe -v quiet -f {codec} -count_frames -show_entries {what} {file}"));
            let (head, frames) = found.rsplit_once(',').unwrap();
            assert!(head.ends_with(",320,180"), "{found}");
            assert!(frames.parse::<u32>().is_ok_and(|n| n >= 6), "{found}");
        }
        None => assert_eq!(guest.ok(&format!("stat -c %s {file}")), (10 * 320 * 180 * 2).to_string()),
    }
    assert!(writer.runs(), "{}", writer.log());
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn a_loopback_camera_carries_what_ffmpeg_writes() {
    let guest = Guest::take();
    carries(&guest, 20, MJPEG, "'MJPG'", Some("mjpeg"));
    carries(&guest, 21, H264, "'H264'", Some("h264"));
    carries(&guest, 22, YUYV, "'YUYV'", None);
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn a_loopback_camera_comes_and_goes_with_one_event_each() {
    let guest = Guest::take();
    let monitor = guest.service("monitor", "stdbuf -oL udevadm monitor --udev --subsystem-match=video4linux");
    guest.wait("the monitor listens", "journalctl -u monitor | grep 'sends out after rule processing'");
    let camera = guest.loopback(30, "Comes and goes");
    let told = |action: &str| {
        guest.wait(action, &format!("journalctl -u monitor | grep 'UDEV.* {action} .*/video30 '"));
    };
    told("add");
    assert_eq!(guest.ok("cat /sys/class/video4linux/video30/name"), "Comes and goes");
    let writer = camera.feed(YUYV);
    assert!(camera.delete().is_err_and(|e| e.contains("busy")), "it went while somebody had it open");
    drop(writer);
    camera.delete().unwrap();
    told("remove");
    assert_eq!(monitor.log().matches("/video30 ").count(), 2, "{}", monitor.log());
    assert_ne!(guest.run("test -e /dev/video30").status, 0);
}
