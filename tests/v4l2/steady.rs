//! What goes on for a while: nothing is lost between the driver and whoever watches.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;

use crate::burnt_in::{Digits, PICTURE, Shown};
use crate::common::frames::MjpegClient;
use crate::common::{Client, ffmpeg, http, wait_within};
use crate::daemon::Daemon;
use crate::guest::Guest;
use crate::live::{connected, pictures};
use crate::machine::PATIENCE;

/// Small and slow: the processor is emulated. Polling is no attack here.
const CONFIG: &str =
    "[cameras]\nresolution = \"320x180\"\nfps = 5\n[auth]\nrate_limit_per_minute = 1000000\n";

/// So many pictures of a stream, as they are decoded.
fn watched(url: &str, count: usize) -> Result<Vec<u8>, String> {
    let frames = count.to_string();
    let from =
        ["-v", "error", "-rtsp_transport", "tcp", "-timeout", "60000000", "-i", url, "-frames:v", &frames];
    let out = ffmpeg::run(
        "ffmpeg",
        &[&from[..], &["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"]].concat(),
    );
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    if out.stdout.len() == count * PICTURE { Ok(out.stdout) } else { Err(words) }
}

/// What came from a camera since the box started, good and not.
#[derive(Clone, Copy, Debug)]
struct Captured {
    good: u64,
    bad: [u64; 3],
}

impl Captured {
    #[track_caller]
    fn of(client: &mut Client, camera: &str) -> Captured {
        let capture = &client.ok("get_stream_status", json!({ "device": camera }))["capture"];
        let count = |kind: &str| capture[kind].as_u64().unwrap_or_else(|| panic!("no {kind}: {capture}"));
        Captured { good: count("frames"), bad: ["lost", "corrupt", "late"].map(count) }
    }

    /// How many good frames came since then; the test fails if any was lost, damaged or late.
    #[track_caller]
    fn since(self, before: Captured) -> u64 {
        assert_eq!(self.bad, before.bad, "lost, corrupt and late ones: {self:?} after {before:?}");
        self.good - before.good
    }
}

/// A camera needs no processor to make its pictures: vivid's threads, there while it streams, go before others.
fn cameras_come_first(guest: &Guest) {
    let threads = "grep -lE '^vivid-00[01]-vid-c' /proc/[0-9]*/comm | cut -d/ -f3";
    guest.ok(&format!("renice -n -10 -p $({threads})"));
}

/// Ends the others when the test ends, however it does.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn url(daemon: &Daemon<'_>, client: &mut Client, camera: &str) -> String {
    let stream = client.ok("get_stream_url", json!({ "device": camera }));
    daemon.outside(stream["stream_url"].as_str().unwrap())
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn two_cameras_are_live_for_a_minute_without_a_gap() {
    let guest = Guest::take();
    let digits = Digits::learn(&guest, &guest.vivid());
    let daemon = guest.fieldcam(CONFIG);
    let mut client = daemon.login("operator");
    connected(&mut client, 2);
    let cameras = ["camera0", "camera1"];
    let urls = cameras.map(|camera| {
        // The encoder starts when somebody asks.
        pictures(&daemon, &mut client, camera, 1);
        url(&daemon, &mut client, camera)
    });
    cameras_come_first(&guest);
    let before = cameras.map(|camera| Captured::of(&mut client, camera));
    // A minute of five a second, and two frames for the driver's rounding.
    let count = 5 * 60 + 3;
    let readers = urls.map(|url| thread::spawn(move || watched(&url, count)));
    for ((camera, reader), before) in cameras.into_iter().zip(readers).zip(before) {
        let raw = reader.join().unwrap().unwrap_or_else(|words| panic!("{camera}: {words}"));
        let seen: Vec<Option<Shown>> =
            raw.chunks_exact(PICTURE).map(|picture| digits.read(picture)).collect();
        let gap = seen.windows(2).position(|pair| {
            pair[0].zip(pair[1]).is_none_or(|(before, after)| after.counter != before.counter + 1)
        });
        let captured = Captured::of(&mut client, camera);
        assert_eq!(gap, None, "{camera}, of which {captured:?} came: {seen:?}");
        let (first, last) = (seen[0].unwrap(), seen[count - 1].unwrap());
        assert!(last.time - first.time >= 60_000, "{camera}: from {first:?} to {last:?}");
        let good = captured.since(before);
        eprintln!("{camera}: {good} good frames, {count} pictures from {first:?} to {last:?}");
    }
    daemon.stop();
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn five_consumers_take_nothing_from_each_other() {
    let guest = Guest::take();
    let daemon = guest.fieldcam(CONFIG);
    let mut client = daemon.login("operator");
    connected(&mut client, 2);
    let token = daemon.token("viewer");
    let bearer = format!("Bearer {token}");
    let auth = [("Authorization", bearer.as_str())];
    pictures(&daemon, &mut client, "camera0", 1);
    let rtsp = url(&daemon, &mut client, "camera0");
    client.ok("start_recording", json!({ "device": "camera0" }));
    let (frame, stream) =
        (daemon.http("/cameras/camera0/frame.jpg"), daemon.http("/cameras/camera0/stream.mjpeg"));
    cameras_come_first(&guest);
    let before = Captured::of(&mut client, "camera0");
    let over = AtomicBool::new(false);
    let wanted = 100;
    let on = || !over.load(Ordering::SeqCst);
    let (watched, polled, followed, stills) = thread::scope(|scope| {
        let watcher = scope.spawn(|| watched(&rtsp, wanted));
        let poller = scope.spawn(|| {
            let mut numbers = vec![0];
            while on() {
                let last = numbers[numbers.len() - 1];
                let answer = http::get(&format!("{frame}?newer_than={last}"), &auth);
                assert_eq!(answer.status, 200, "{}", answer.text());
                numbers.push(answer.header("x-frame-number").unwrap().parse::<u64>().unwrap());
            }
            numbers.len() - 1
        });
        let follower = scope.spawn(|| {
            let mut parts = MjpegClient::open(&stream, &auth);
            let mut count = 0;
            while on() && parts.part().is_some() {
                count += 1;
            }
            count
        });
        let end = Over(&over);
        let mut stills = 0;
        wait_within(PATIENCE, "so many frames are good", || {
            client.ok("take_snapshot", json!({ "device": "camera0" }));
            stills += 1;
            let good = Captured::of(&mut client, "camera0").since(before);
            (good >= wanted as u64 && watcher.is_finished()).then_some(())
        });
        drop(end);
        (watcher.join().unwrap(), poller.join().unwrap(), follower.join().unwrap(), stills)
    });
    watched.unwrap();
    let stopped = client.ok("stop_recording", json!({ "device": "camera0" }));
    assert!(
        polled > 1 && followed > 1 && stills > 1,
        "{polled} polled, {followed} followed, {stills} stills"
    );
    let film = stopped["filename"].as_str().unwrap();
    let list = client.ok("list_recordings", json!({}));
    assert_eq!(list["files"][0]["filename"], film, "{list}");
    let good = Captured::of(&mut client, "camera0").since(before);
    eprintln!("{good} frames good, {polled} polled, {followed} followed, {stills} stills");
    daemon.stop();
}
