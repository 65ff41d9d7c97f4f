//! Cameras that lie about their rate or lose frames: what is recorded plays at the true speed.

use crate::common::recording::Recording;
use crate::common::{Setup, ffmpeg, squares, turn};

const SECONDS: u64 = 20;

#[track_caller]
fn keeps_time(knob: &str, rate: f64) {
    let _turn = turn::take();
    let camera = format!(
        "[[camera]]\nsource = \"test:testsrc2?{knob}\"\nresolution = \"320x180\"\nfps = 30\nkeep_warm = true\n"
    );
    let testbox = Setup::new().cameras(0).toml(&camera).start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(SECONDS + 1);
    let film = recording.stop();
    let pictures = film.pictures();
    assert_eq!(film.segments.len(), 1, "{film:?}");

    let seconds = squares::assert_times_agree(&pictures, 0.1);
    let shown = pictures.last().unwrap().pts - pictures[0].pts;
    let says = ffmpeg::duration(&film.segments[0].file);
    let measured = (pictures.len() - 1) as f64 / seconds;
    println!("{knob}: captured {seconds:.3} s, plays {shown:.3} s, file says {says:.3} s, {measured:.2} fps");
    assert!(seconds >= SECONDS as f64, "only {seconds} s");
    // The file's length counts the last picture's own time too.
    assert!((says - shown - 1.0 / rate).abs() <= 0.1, "the file says {says} s");
    assert!((measured - rate).abs() < rate * 0.1, "{measured} frames a second");
}

#[test]
fn a_source_that_says_30_fps_and_gives_12_is_recorded_at_true_speed() {
    keeps_time("deliver=12", 12.0);
}

#[test]
fn a_source_that_loses_every_third_frame_is_recorded_at_true_speed() {
    keeps_time("lose=3", 20.0);
}
