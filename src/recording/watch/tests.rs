use super::*;
use proptest::prelude::*;

const WALL: i64 = 1_700_000_000_000_000;
const START: Mono = Mono(1_000_000_000_000);

fn at(ms: u64) -> Mono {
    START + Duration::from_millis(ms)
}

fn wall(ms: u64) -> i64 {
    WALL + ms as i64 * 1000
}

fn tick(w: &mut Watch, ms: u64) -> Vec<Action> {
    w.step(at(ms), Event::Tick { wall_us: wall(ms) })
}

fn segment(w: &mut Watch, seen: u64, start: u64) -> Vec<Action> {
    w.step(at(seen), Event::Segment { start_us: wall(start), stsd: b"a" })
}

#[test]
fn frames_that_waited_for_the_encoder_count_as_recorded() {
    let mut w = running(Some(3000));
    // Seen at once, half a second ahead of the clock.
    grow(&mut w, 1000, 1500);
    assert_eq!(w.deadline().since(START).as_millis(), 2833);
}

fn grow(w: &mut Watch, seen: u64, end: u64) {
    let actions = w.step(at(seen), Event::Grew { end_us: wall(end), frame_us: 33_333 });
    assert!(actions.is_empty());
}

fn running(limit: Option<u64>) -> Watch {
    let mut w = Watch::new(START, WALL, limit.map(Duration::from_millis));
    assert_eq!(segment(&mut w, 900, 300), [Action::Began { start_us: wall(300) }]);
    grow(&mut w, 900, 800);
    w
}

#[test]
fn the_timer_counts_from_the_first_recorded_frame() {
    let mut w = running(Some(3000));
    assert_eq!(w.until_us(), Some(wall(3300)));
    for ms in [1500, 2500, 3330] {
        grow(&mut w, ms, ms - 100);
        assert_eq!(tick(&mut w, ms), []);
    }
    assert_eq!(w.deadline().since(START).as_millis(), 3333);
    assert_eq!(tick(&mut w, 3340), [Action::Close(EndReason::DurationReached)]);
    assert_eq!(tick(&mut w, 9340), []);
}

#[test]
fn a_step_of_the_wall_clock_is_noted_and_moves_no_timer() {
    let mut w = running(Some(3000));
    let by_us = -3_600_000_000;
    let actions = w.step(at(1000), Event::Tick { wall_us: wall(1000) + by_us });
    assert_eq!(actions, [Action::ClockStep { by_us }, Action::Reopen]);
    assert_eq!(w.until_us(), Some(wall(3300) + by_us));
    assert_eq!(w.deadline().since(START).as_millis(), 3333);
    // The next file is stamped by the new clock; the time really missing is 0.4 s.
    let actions = w.step(at(1700), Event::Segment { start_us: wall(1200) + by_us, stsd: b"a" });
    let cause = GapCause::ClockStep;
    assert_eq!(actions, [Action::Gap { start_us: wall(800), duration_us: 400_000, cause }]);
}

#[test]
fn a_step_that_mediamtx_absorbs_makes_no_false_gap() {
    let mut w = running(None);
    let by_us = 3_000_000;
    let actions = w.step(at(1000), Event::Tick { wall_us: wall(1000) + by_us });
    assert_eq!(actions, [Action::ClockStep { by_us }, Action::Reopen]);
    let actions = w.step(at(1300), Event::Segment { start_us: wall(850), stsd: b"a" });
    assert_eq!(actions, []);
}

#[test]
fn a_slewed_clock_is_not_a_step() {
    let mut w = running(None);
    for n in 1..100u64 {
        let ms = 900 + n * 500;
        grow(&mut w, ms, ms);
        let wall_us = wall(ms) + n as i64 * 400_000;
        assert_eq!(w.step(at(ms), Event::Tick { wall_us }), []);
    }
}

#[test]
fn a_stall_is_told_and_the_recorder_reopened_with_growing_pauses() {
    let mut w = running(None);
    let mut told = Vec::new();
    for ms in (1000..200_000).step_by(100) {
        if let [Action::Alert { .. }, Action::Reopen] = tick(&mut w, ms)[..] {
            told.push(ms - 900);
        }
    }
    assert_eq!(told, [5000, 15_000, 35_000, 75_000, 135_000, 195_000]);
    grow(&mut w, 200_000, 200_000);
    assert_eq!(tick(&mut w, 204_900), []);
    let silent = Duration::from_secs(5);
    assert_eq!(tick(&mut w, 205_000), [Action::Alert { silent }, Action::Reopen]);
}

#[test]
fn a_gap_has_the_cause_nearest_to_the_root() {
    let mut w = running(None);
    w.step(at(1000), Event::Fault(GapCause::CameraDisconnected));
    w.step(at(1001), Event::Fault(GapCause::EncoderExited));
    let gap =
        Action::Gap { start_us: wall(800), duration_us: 1_200_000, cause: GapCause::CameraDisconnected };
    assert_eq!(segment(&mut w, 2500, 2000), [gap]);
    grow(&mut w, 2500, 2500);
    let gap = Action::Gap { start_us: wall(2500), duration_us: 500_000, cause: GapCause::Unknown };
    assert_eq!(segment(&mut w, 3500, 3000), [gap]);
}

#[test]
fn a_dropped_last_frame_is_no_gap_at_any_rate() {
    let mut w = running(None);
    assert_eq!(segment(&mut w, 1500, 834), []);
    let mut w = running(None);
    w.step(at(900), Event::Grew { end_us: wall(800), frame_us: 1_000_000 });
    assert_eq!(segment(&mut w, 2500, 1800), []);
}

#[test]
fn another_sample_description_goes_into_the_next_recording() {
    let mut w = running(None);
    w.step(at(1000), Event::Fault(GapCause::CameraDisconnected));
    let actions = w.step(at(4000), Event::Segment { start_us: wall(3000), stsd: b"b" });
    assert_eq!(actions[0], Action::Continue);
    assert!(matches!(actions[1], Action::Gap { cause: GapCause::CameraDisconnected, .. }));
    // From here on the new one is the known one.
    assert_eq!(w.step(at(4100), Event::Segment { start_us: wall(3001), stsd: b"b" }), []);
}

#[test]
fn a_camera_silent_inside_a_session_is_a_gap() {
    let mut w = running(None);
    let long =
        |w: &mut Watch, us| w.step(at(9000), Event::LongFrame { start_us: wall(1000), duration_us: us });
    assert_eq!(long(&mut w, 100_000), []);
    let gap =
        Action::Gap { start_us: wall(1000) + 33_333, duration_us: 7_966_667, cause: GapCause::CameraSilent };
    assert_eq!(long(&mut w, 8_000_000), [gap]);
}

#[test]
fn what_was_missing_while_the_daemon_was_down_is_told() {
    let known = Resumed {
        began: true,
        left: Some(Duration::from_secs(50)),
        end_us: Some(wall(0) - 2_000_000),
        frame_us: 33_333,
        stsd: Some(b"a".to_vec()),
    };
    let mut w = Watch::resume(START, WALL, Some(Duration::from_secs(60)), known);
    let gap = Action::Gap { start_us: WALL - 2_000_000, duration_us: 2_300_000, cause: GapCause::DaemonDown };
    assert_eq!(segment(&mut w, 800, 300), [gap]);
    assert_eq!(w.until_us(), Some(wall(50_000)));
}

fn any_event() -> impl Strategy<Value = (u8, u32, i32)> {
    (0u8..6, 0u32..20_000, any::<i32>())
}

proptest! {
    #[test]
    fn no_sequence_of_events_leaves_it_without_a_deadline_or_past_its_end(
        events in proptest::collection::vec(any_event(), 0..60),
        limit in proptest::option::of(1u64..30_000),
    ) {
        let mut w = Watch::new(START, WALL, limit.map(Duration::from_millis));
        let mut ms = 0u64;
        let mut closed = false;
        let mut began = 0;
        for (kind, pass, value) in events {
            ms += u64::from(pass);
            let wall_us = wall(ms) + i64::from(value);
            let actions = match kind {
                0 => w.step(at(ms), Event::Tick { wall_us }),
                1 => w.step(at(ms), Event::Segment { start_us: wall_us, stsd: &[value as u8 & 1] }),
                2 => w.step(at(ms), Event::Grew { end_us: wall_us, frame_us: u64::from(pass) }),
                3 => w.step(at(ms), Event::LongFrame { start_us: wall_us, duration_us: u64::from(pass) * 1000 }),
                4 => w.step(at(ms), Event::Fault(GapCause::Storage)),
                _ => tick(&mut w, ms),
            };
            prop_assert!(!closed || actions.is_empty());
            began += actions.iter().filter(|a| matches!(a, Action::Began { .. })).count();
            closed |= actions.iter().any(|a| matches!(a, Action::Close(_)));
        }
        prop_assert!(began <= 1);
        // Whatever happened: a tick at its deadline always does something.
        if !closed {
            let due = w.deadline();
            let wall_us = WALL;
            let actions = w.step(due, Event::Tick { wall_us });
            prop_assert!(!actions.is_empty());
        }
    }
}

#[test]
fn a_pause_is_silent_keeps_the_end_and_leaves_a_gap_with_its_cause() {
    let mut w = running(Some(60_000));
    w.pause(GapCause::DiskGone);
    // The last segment is still seen, and other things go wrong meanwhile.
    grow(&mut w, 1200, 1100);
    w.step(at(2000), Event::Fault(GapCause::MediamtxExited));
    assert_eq!(tick(&mut w, 30_000), []);
    assert_eq!(w.deadline().since(START).as_millis(), 60_333);
    w.go_on(at(40_000), Some(wall(1000)));
    let gap = Action::Gap { start_us: wall(1000), duration_us: 39_500_000, cause: GapCause::DiskGone };
    assert_eq!(segment(&mut w, 41_000, 40_500), [gap]);
    // Nothing comes after that: now it is news again.
    assert!(tick(&mut w, 46_100).contains(&Action::Reopen));
    w.pause(GapCause::DiskGone);
    assert_eq!(tick(&mut w, 61_000), [Action::Close(EndReason::DurationReached)]);
    assert!(w.deadline() > at(1_000_000_000));
}
