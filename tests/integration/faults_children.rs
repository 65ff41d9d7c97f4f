//! Children that die or hang: each comes back by itself, and the recording that ran goes on.

use std::time::{Duration, Instant};

use crate::common::footage::now_ms;
use crate::common::process::Process;
use crate::common::recording::Recording;
use crate::common::{Client, STALL, Setup, TestBox, footage, turn, wait_for, wait_within};
use nix::sys::signal::Signal::{self, SIGKILL, SIGSTOP, SIGTERM};
use serde_json::json;

/// Seconds that may be lost of what was captured before a fault.
const LOST: f64 = 2.0;
/// Seconds without capture after a fault: three and a keyframe interval.
const GAP: f64 = 4.0;

fn small() -> Setup {
    Setup::new().cameras(1).env("CAMERAS__RESOLUTION", "320x180").env("CAMERAS__FPS", "15")
}

/// The children that may fail.
#[derive(Clone, Copy, Debug)]
enum Victim {
    MediaMtx,
    Encoder,
    Source,
}

const ALL: [Victim; 3] = [Victim::MediaMtx, Victim::Encoder, Victim::Source];

impl Victim {
    fn find(self, testbox: &TestBox, client: &mut Client) -> Option<Process> {
        // One more FFmpeg is kept loaded for the next start: the box tells which one publishes.
        let status = client.ok("get_stream_status", json!({ "device": "camera0" }));
        let publishing = status["ffmpeg_process"]["pid"].as_u64().unwrap_or(0) as u32;
        let is = |p: &Process| match self {
            Victim::MediaMtx => p.name == "mediamtx",
            Victim::Encoder => p.pid == publishing,
            Victim::Source => p.name == "ffmpeg" && p.command.contains("mpjpeg"),
        };
        testbox.children().into_iter().find(|p| is(p))
    }

    #[track_caller]
    fn wait(self, testbox: &TestBox, client: &mut Client) -> Process {
        wait_for(&format!("{self:?} runs"), || self.find(testbox, client))
    }
}

#[track_caller]
fn fault(victim: Victim, signal: Signal) {
    let _turn = turn::take();
    let testbox = small().start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(3);

    let before = victim.wait(&testbox, &mut recording.client);
    let at = now_ms();
    before.signal(signal);
    let after = wait_for("another one runs", || {
        victim.find(&testbox, &mut recording.client).filter(|p| p.pid != before.pid)
    });
    wait_for("the first one is gone", || (!before.alive()).then_some(()));
    recording.wait_more(4);
    assert!(after.alive(), "{after:?} has ended again");

    let film = recording.stop();
    let hole = film.hole(at);
    println!(
        "{victim:?} {signal}: lost {:.2} s, gap {:.2} s, {} segments",
        hole.lost,
        hole.gap,
        film.segments.len()
    );
    assert!(hole.lost <= LOST + STALL, "{hole:?}");
    assert!(hole.gap <= GAP + STALL, "{hole:?}");
    let others: Vec<_> =
        film.jumps(STALL + 0.5).into_iter().filter(|j| *j != (hole.from_ms, hole.to_ms)).collect();
    assert!(others.is_empty(), "other holes: {others:?}");
    if hole.to_ms - hole.from_ms > 1000 {
        println!("  listed as {:?}", recording.gap_of(&hole));
    }
}

#[test]
fn a_killed_mediamtx_comes_back_and_the_recording_goes_on() {
    fault(Victim::MediaMtx, SIGKILL);
}

#[test]
fn a_frozen_mediamtx_is_replaced_and_the_recording_goes_on() {
    fault(Victim::MediaMtx, SIGSTOP);
}

#[test]
fn a_killed_encoder_comes_back_and_the_recording_goes_on() {
    fault(Victim::Encoder, SIGKILL);
}

#[test]
fn a_frozen_encoder_is_replaced_and_the_recording_goes_on() {
    fault(Victim::Encoder, SIGSTOP);
}

#[test]
fn a_killed_test_source_comes_back_and_the_recording_goes_on() {
    fault(Victim::Source, SIGKILL);
}

#[test]
fn a_frozen_test_source_is_replaced_and_the_recording_goes_on() {
    fault(Victim::Source, SIGSTOP);
}

#[test]
fn an_encoder_comes_back_even_when_the_one_kept_for_it_has_died() {
    let _turn = turn::take();
    let testbox = small().start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(2);
    let publishing = Victim::Encoder.wait(&testbox, &mut recording.client);
    let encoders = |p: &Process| p.name == "ffmpeg" && !p.command.contains("mpjpeg");
    let both = wait_within(Duration::from_secs(30), "one is loaded and waits", || {
        let both: Vec<_> = testbox.children().into_iter().filter(encoders).collect();
        (both.len() == 2).then_some(both)
    });
    let at = now_ms();
    // The spare one first.
    both.iter().filter(|p| p.pid != publishing.pid).for_each(|p| p.signal(SIGKILL));
    publishing.signal(SIGKILL);
    recording.wait_more(4);
    let hole = recording.stop().hole(at);
    println!("{} encoders killed: lost {:.2} s, gap {:.2} s", both.len(), hole.lost, hole.gap);
    assert!(hole.lost <= LOST + STALL && hole.gap <= GAP + STALL, "{hole:?}");
}

#[test]
fn no_child_dies_in_30_idle_seconds() {
    let _turn = turn::take();
    let testbox = small().env("CAMERAS__KEEP_WARM", "true").start();
    let mut client = testbox.login("viewer");
    for victim in ALL {
        victim.wait(&testbox, &mut client);
    }
    let family = testbox.children();
    println!("{} children", family.len());
    let until = Instant::now() + Duration::from_secs(30);
    wait_within(Duration::from_secs(60), "30 s pass", || {
        for child in &family {
            assert!(child.alive(), "{child:?} has ended\n{}", testbox.log());
        }
        (Instant::now() >= until).then_some(())
    });
}

#[test]
fn nothing_outlives_a_killed_daemon_not_even_a_frozen_child() {
    let _turn = turn::take();
    let mut testbox = small().start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(1);
    let family = ALL.map(|victim| victim.wait(&testbox, &mut recording.client));
    family.iter().for_each(|child| child.signal(SIGSTOP));
    // Waits until its children are gone, and fails when they stay.
    testbox.kill();
}

#[test]
fn a_first_signal_stops_cleanly_within_10_s_and_the_recording_plays() {
    let _turn = turn::take();
    let mut testbox = small().start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(3);
    let last = now_ms();
    let begun = Instant::now();
    let status = testbox.stop();
    println!("stopped in {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(status.success(), "{status}");
    let film = footage::Footage::read(&recording.folder);
    let end = film.pictures().last().unwrap().time_ms;
    assert!(end + 2000 > last, "{} ms before the signal were not kept", last - end);
}

#[test]
fn a_second_signal_ends_at_once() {
    let _turn = turn::take();
    let mut testbox = small().start();
    // A MediaMTX that does not answer keeps the first signal busy.
    testbox.child("mediamtx").signal(SIGSTOP);
    testbox.signal(SIGTERM);
    // Two that arrive before the first is read count as one.
    testbox.wait_log("stopping; a second signal stops at once");
    let begun = Instant::now();
    testbox.stop();
    println!("ended {:?} after the second signal", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
