//! The tests' own instruments are right: what they would report is what is there.

use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::rtsp_camera::{H264, PASSWORD, RtspCamera};
use crate::common::squares::{self, Squares};
use crate::common::{ffmpeg, footage, loopdisk, secrets, wait_for};

const WIDTH: usize = 320;
const HEIGHT: usize = 180;

/// One gray picture as the writer of the squares makes it.
fn picture(frame: u32, time_ms: u64) -> Vec<u8> {
    let cell = WIDTH / 40;
    let row0: Vec<bool> = [true, false]
        .into_iter()
        .chain((0..32).rev().map(|b| frame >> b & 1 == 1))
        .chain([true, false, true, false, true, false])
        .collect();
    let row1: Vec<bool> = (0..40).rev().map(|b| time_ms >> b & 1 == 1).collect();
    let mut pixels = vec![128u8; WIDTH * HEIGHT];
    for y in 0..2 * cell {
        let row = if y < cell { &row0 } else { &row1 };
        for x in 0..WIDTH {
            pixels[y * WIDTH + x] = if row[x / cell] { 235 } else { 16 };
        }
    }
    pixels
}

/// A video of these frames at 25 fps, encoded as a camera box does.
fn video(file: &std::path::Path, frames: &[u32]) {
    let size = format!("{WIDTH}x{HEIGHT}");
    let mut encoder = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-video_size", &size, "-framerate", "25"])
        .args(["-i", "-", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"])
        .arg(file)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = encoder.stdin.take().unwrap();
    for frame in frames {
        pipe.write_all(&picture(*frame, 1_000_000 + u64::from(*frame) * 40)).unwrap();
    }
    drop(pipe);
    assert!(encoder.wait().unwrap().success());
}

#[test]
fn squares_survive_an_encoder_and_holes_are_seen() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole.mp4");
    video(&whole, &(7..57).collect::<Vec<_>>());
    ffmpeg::decode_all(&whole).unwrap();
    let run = squares::read(&whole.to_string_lossy(), 0);
    assert_eq!(run.len(), 50);
    assert_eq!((run[0].frame, run[0].time_ms), (7, 1_000_280));
    let seconds = squares::assert_gapless(&run, 0.01);
    assert!((seconds - 49.0 * 0.04).abs() < 0.001, "{seconds}");

    let torn = dir.path().join("torn.mp4");
    video(&torn, &(0..20).chain(30..40).collect::<Vec<_>>());
    let run = squares::read(&torn.to_string_lossy(), 0);
    let holes = squares::holes(&run);
    assert_eq!(holes.len(), 1);
    assert_eq!((holes[0].after.frame, holes[0].before.frame), (19, 30));
    assert!((holes[0].seconds() - 0.44).abs() < 0.001);
    assert!(std::panic::catch_unwind(|| squares::assert_times_agree(&run, 0.1)).is_err());
}

#[test]
fn a_picture_without_squares_is_refused() {
    assert!(squares::decode(&vec![128; WIDTH * 16], WIDTH).is_err());
    assert!(squares::decode(&vec![255; WIDTH * 16], WIDTH).is_err());
    assert_eq!(squares::decode(&picture(u32::MAX, (1 << 40) - 1), WIDTH), Ok((u32::MAX, (1 << 40) - 1)));
}

#[test]
fn only_what_was_synced_survives_a_power_cut() {
    if let Err(why) = loopdisk::available() {
        eprintln!("left out: {why}");
        return;
    }
    let disk = loopdisk::Disk::create(64).unwrap();
    let mut synced = std::fs::File::create(disk.path().join("synced")).unwrap();
    synced.write_all(&[7; 100_000]).unwrap();
    synced.sync_all().unwrap();
    std::fs::File::open(disk.path()).unwrap().sync_all().unwrap();
    std::fs::write(disk.path().join("unsynced"), [7; 100_000]).unwrap();

    let copy = disk.path().parent().unwrap().join("copy.img");
    disk.cut(&copy).unwrap();
    let after = loopdisk::Disk::after_cut(&copy).unwrap();
    assert_eq!(std::fs::read(after.path().join("synced")).unwrap().len(), 100_000);
    assert_eq!(std::fs::read(after.path().join("unsynced")).unwrap_or_default().len(), 0);
}

#[test]
fn samples_are_compared_whole() {
    let at = |frame, pts| Squares { frame, time_ms: u64::from(frame) * 40, pts };
    let run = [at(0, 0.0), at(1, 0.04), at(2, 0.5)];
    assert!(squares::holes(&run).is_empty());
    assert!(std::panic::catch_unwind(|| squares::assert_gapless(&run, 0.1)).is_err());
}

#[test]
fn a_wrong_speed_is_seen_and_a_moment_of_a_busy_machine_is_not() {
    let film = |speed: f64| -> Vec<Squares> {
        let at = |n: u32| Squares { frame: n, time_ms: u64::from(n) * 50, pts: f64::from(n) * 0.05 * speed };
        (0..400).map(at).collect()
    };
    squares::assert_gapless(&film(1.004), 0.1);
    for speed in [0.994, 1.006, 0.4] {
        assert!(std::panic::catch_unwind(|| squares::assert_gapless(&film(speed), 0.1)).is_err(), "{speed}");
    }
    let mut held_up = film(1.0);
    for (n, s) in held_up[396..].iter_mut().enumerate() {
        s.pts += 0.3 + n as f64 * 0.001;
    }
    squares::assert_gapless(&held_up, 0.1);
    held_up[200].pts = held_up[201].pts - 0.001;
    squares::assert_gapless(&held_up, 0.1);
    for s in &mut held_up[100..200] {
        s.pts -= 1.5;
    }
    assert!(std::panic::catch_unwind(|| squares::assert_gapless(&held_up, 0.1)).is_err());
}

#[test]
fn the_network_camera_sends_squares_refuses_strangers_and_can_be_cut_off() {
    let mut camera = RtspCamera::start(H264);
    let run = squares::read(&camera.url(PASSWORD), 20);
    assert!(squares::holes(&run).is_empty(), "{run:?}");
    assert!(footage::now_ms() - run.last().unwrap().time_ms < 10_000);

    assert!(ffmpeg::try_probe(&camera.url("wrong")).is_err());
    wait_for("the refusal is counted", || (camera.failed_logins().len() == 1).then_some(()));

    camera.kill_server();
    assert!(ffmpeg::try_probe(&camera.url(PASSWORD)).is_err());
    camera.start_server();
    camera.start_publisher();
    match camera.cut_network() {
        Ok(cut) => {
            let address = camera.address();
            let knock = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).is_ok();
            assert!(!knock());
            drop(cut);
            assert!(knock());
        }
        Err(why) => eprintln!("left out: {why}"),
    }
}

#[test]
fn secrets_are_found_in_a_log_and_nothing_else_is() {
    for (line, what) in [
        ("token eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoiYSJ9.abc", "a token"),
        ("by fk_0a1b2c3d4e_00112233445566778899", "an API key"),
        ("GET /files/recordings/x.mp4?exp=9&login=AQ&sig=AbCdEfGh-_12", "a signed link"),
        ("pulls rtsp://user:hidden@192.0.2.1/x", "a password in an address"),
    ] {
        assert_eq!(secrets::found(line), Some(what), "{line}");
    }
    for line in
        ["rtsp://user:***@192.0.2.1:554/x", "key fk_0a1b2c3d4e", "sig=***", "eyJ", "http://[::1]:80/a@b:c"]
    {
        assert_eq!(secrets::found(line), None, "{line}");
    }
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir(data.path().join("secrets")).unwrap();
    let secret = "0123456789abcdef0123456789abcdef";
    std::fs::write(data.path().join("secrets/jwt.former"), format!("17 {secret}\n")).unwrap();
    let says =
        |line: &str| std::panic::catch_unwind(|| secrets::assert_none(line, data.path(), &[])).is_err();
    assert!(says(&format!("a\nkey {secret}!")) && !says("a\n17"));
}
