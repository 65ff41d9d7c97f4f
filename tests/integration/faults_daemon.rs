//! The daemon dies, the disk refuses, the camera is silent, the clock jumps: recordings go on.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::common::footage::{Footage, now_ms};
use crate::common::recording::Recording;
use crate::common::rtsp_camera::{H264, RtspCamera};
use crate::common::{STALL, Setup, TestBox, ffmpeg, footage, turn, wait_for, wait_within};

fn small() -> Setup {
    Setup::new().cameras(1).env("CAMERAS__RESOLUTION", "320x180").env("CAMERAS__FPS", "15")
}

/// Kills the daemon (and waits until nothing of it is left) and starts it again; answers with the
/// times of both.
#[track_caller]
fn crash(testbox: &mut TestBox) -> (u64, u64) {
    let died = now_ms();
    testbox.kill();
    let begun = now_ms();
    testbox.start_again();
    println!("started again, ready after {:?}", testbox.ready_after());
    (died, begun)
}

#[test]
fn a_recording_until_stopped_goes_on_after_a_crash_of_the_daemon() {
    let _turn = turn::take();
    let mut testbox = small().start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(3);
    let (died, begun) = crash(&mut testbox);
    let mut recording = Recording::again(&testbox, "camera0", &recording.name);
    recording.wait_more(3);
    let film = recording.stop();
    let hole = film.hole(died);
    let resumed = (hole.to_ms - begun) as f64 / 1000.0;
    println!("lost {:.2} s; recorded again {resumed:.2} s after the start", hole.lost);
    assert!(hole.lost <= 2.0 + STALL, "{hole:?}");
    assert!(resumed <= 4.0 + 2.0 * STALL, "{resumed} s from start to the first recorded frame");
    println!("  listed as {:?}", recording.gap_of(&hole));
}

#[test]
fn a_timed_recording_goes_on_after_a_crash_and_ends_on_time() {
    let _turn = turn::take();
    let mut testbox = small().start();
    let mut recording = Recording::start(&testbox, "camera0", 12);
    recording.wait_seconds(3);
    let (died, _) = crash(&mut testbox);
    let mut recording = Recording::again(&testbox, "camera0", &recording.name);
    let info = wait_for("it ends", || {
        let info = recording.info();
        info["reason"].is_string().then_some(info)
    });
    println!("{info}");
    assert!(recording.has_ended());
    let film = Footage::read(&recording.folder);
    let pictures = film.pictures();
    let length = (pictures.last().unwrap().time_ms - pictures[0].time_ms) as f64 / 1000.0;
    let hole = film.hole(died);
    println!("ran {length:.2} s of 12; lost {:.2} s", hole.lost);
    // A timer that started anew would end 3 s late and more.
    assert!((length - 12.0).abs() <= 1.0 + STALL, "{length} s");
    assert!(hole.lost <= 2.0 + STALL, "{hole:?}");
}

#[test]
fn a_timed_recording_whose_end_was_missed_is_closed_at_start() {
    let _turn = turn::take();
    let mut testbox = small().start();
    let mut recording = Recording::start(&testbox, "camera0", 4);
    recording.wait_seconds(2);
    let until = now_ms() + 4000;
    testbox.kill();
    wait_for("its end passes", || (now_ms() > until).then_some(()));
    testbox.start_again();
    let mut recording = Recording::again(&testbox, "camera0", &recording.name);
    let info = recording.info();
    assert_eq!(info["reason"], "ended_while_down", "{info}");
    assert!(recording.has_ended());
    Footage::read(&recording.folder);
}

#[test]
fn after_three_starts_in_five_minutes_the_recording_is_left_closed_with_an_alert() {
    let _turn = turn::take();
    let mut testbox = small().start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(2);
    let mut crashes = 0;
    let info = loop {
        crash(&mut testbox);
        crashes += 1;
        recording = Recording::again(&testbox, "camera0", &recording.name);
        let info = recording.info();
        if info["reason"].is_string() {
            break info;
        }
        assert!(crashes < 4, "it still goes on after {crashes} crashes: {info}");
        recording.wait_more(2);
    };
    println!("closed after {crashes} crashes: {info}");
    assert!(crashes >= 2, "a single crash must not end it");
    assert_eq!(info["reason"], "restart_loop", "{info}");
    assert!(recording.has_ended(), "it goes on");
    assert!(testbox.log().contains("restart_loop"), "no alert");
    Footage::read(&recording.folder);
}

/// Makes a folder and its files immutable; undone on drop.
struct Immutable(PathBuf);

impl Immutable {
    fn set(folder: &Path) -> Result<Immutable, String> {
        let out = ffmpeg::run("chattr", &["-R", "+i", &folder.to_string_lossy()]);
        let words = String::from_utf8_lossy(&out.stderr).trim().to_owned();
        let guard = Immutable(folder.to_owned());
        if out.status.success() { Ok(guard) } else { Err(format!("chattr +i: {words}")) }
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        ffmpeg::run("chattr", &["-R", "-i", &self.0.to_string_lossy()]);
    }
}

/// The trouble lasts this long.
const TROUBLE: Duration = Duration::from_secs(8);

#[test]
fn a_folder_that_refuses_writing_for_8_s_is_an_error_and_the_recording_goes_on() {
    let _turn = turn::take();
    let testbox = small().start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(3);
    let at = now_ms();
    let immutable = match Immutable::set(&recording.folder) {
        Ok(guard) => guard,
        Err(why) => return eprintln!("left out: {why}"),
    };
    testbox.wait_log("recording.error");
    wait_for("8 s pass", || (now_ms() >= at + TROUBLE.as_millis() as u64).then_some(()));
    drop(immutable);
    let over = now_ms();
    recording.wait_more(4);
    let film = recording.stop();
    let hole = film.hole(at);
    println!(
        "lost {:.2} s; recorded again {:.2} s after the trouble",
        hole.lost,
        (hole.to_ms - over) as f64 / 1e3
    );
    assert!(hole.lost <= 2.0 + STALL, "{hole:?}");
    println!("  listed as {:?}", recording.gap_of(&hole));
}

#[test]
fn a_camera_silent_for_8_s_is_an_error_and_the_recording_goes_on() {
    let _turn = turn::take();
    let camera = RtspCamera::start(H264);
    let testbox = Setup::new().cameras(0).toml(&camera.section("")).start();
    let mut client = testbox.login("operator");
    wait_for("the camera is connected", || {
        let list = client.ok("get_camera_list", serde_json::Value::Null);
        (list["connected"] == 1).then_some(())
    });
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(3);
    let at = now_ms();
    camera.freeze_publisher(true);
    testbox.wait_log("recording.error");
    let row = wait_for("the camera shows that it is silent", || {
        let row = client.ok("get_camera_status", serde_json::json!({ "device": "camera0" }));
        (row["status"] == "ERROR").then_some(row)
    });
    assert!(row["problem"].as_str().is_some_and(|p| p.contains("no picture")), "{row}");
    wait_for("8 s pass", || (now_ms() >= at + TROUBLE.as_millis() as u64).then_some(()));
    camera.freeze_publisher(false);
    let over = now_ms();
    recording.wait_more(4);
    let film = recording.stop();
    let hole = film.hole(at);
    println!(
        "lost {:.2} s; recorded again {:.2} s after the silence",
        hole.lost,
        (hole.to_ms - over) as f64 / 1e3
    );
    assert!(hole.lost <= 2.0 + STALL, "{hole:?}");
    let gap = recording.gap_of(&hole);
    println!("  listed as {gap:?}");
    assert_eq!(gap.cause, "camera_silent");
}

/// A library that moves the wall clock of the program it is preloaded into (`tests/fakes/clock.c`);
/// `Err` says why there is none.
pub fn fake_clock(folder: &Path) -> Result<PathBuf, String> {
    compiled("clock.c", folder)
}

/// A library to preload, made in `folder` from its source in `tests/fakes`; `Err` says why there is none.
pub fn compiled(source: &str, folder: &Path) -> Result<PathBuf, String> {
    let library = folder.join(source).with_extension("so");
    let source = format!("{}/tests/fakes/{source}", env!("CARGO_MANIFEST_DIR"));
    let out = Command::new("cc")
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .args([library.as_os_str(), source.as_ref()])
        .output()
        .map_err(|e| format!("cc: {e}"))?;
    if out.status.success() { Ok(library) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
}

#[track_caller]
fn step(by: i64) {
    let _turn = turn::take();
    let dir = tempfile::tempdir().unwrap();
    let library = match fake_clock(dir.path()) {
        Ok(library) => library,
        Err(why) => return eprintln!("left out: moving the clock needs a C compiler: {why}"),
    };
    let offset = dir.path().join("offset");
    std::fs::write(&offset, 0i64.to_ne_bytes()).unwrap();
    let testbox = small()
        .plain_env("LD_PRELOAD", &library.to_string_lossy())
        .plain_env("FAKE_CLOCK", &offset.to_string_lossy())
        .start();
    let mut recording = Recording::start(&testbox, "camera0", 14);
    recording.wait_seconds(4);
    let before = footage::files(&recording.folder).len();
    // In place: the program has this very file mapped.
    let file = std::fs::OpenOptions::new().write(true).open(&offset).unwrap();
    file.write_all_at(&(by * 1_000_000_000).to_ne_bytes(), 0).unwrap();
    wait_for("the recorder is opened again", || {
        (footage::files(&recording.folder).len() > before).then_some(())
    });
    let info = wait_within(Duration::from_secs(60), "it ends", || {
        let info = recording.info();
        info["reason"].is_string().then_some(info)
    });
    println!("{info}");
    let card = std::fs::read_to_string(recording.folder.join("recording.json")).unwrap();
    let card: serde_json::Value = serde_json::from_str(&card).unwrap();
    assert!(card["notes"].to_string().contains("clock_step"), "the step is not noted: {card}");
    let pictures = Footage::read(&recording.folder).pictures();
    let length = (pictures.last().unwrap().time_ms - pictures[0].time_ms) as f64 / 1000.0;
    println!("clock stepped by {by} s: ran {length:.2} s of 14");
    assert!((length - 14.0).abs() <= 1.5 + STALL, "the timer followed the wall clock: {length} s");
}

#[test]
fn a_clock_that_steps_forward_is_noted_and_timers_do_not_follow() {
    step(3600);
}

#[test]
fn a_clock_that_steps_back_is_noted_and_timers_do_not_follow() {
    step(-3600);
}
