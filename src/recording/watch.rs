//! What to do about one running recording, decided without I/O.
//!
//! The shell says what it sees ([`Event`]); the answer is what to do ([`Action`]). All timers run on
//! the monotonic clock; the wall clock only names moments.

use std::time::Duration;

use super::cause::{EndReason, GapCause};
use crate::base::Mono;

/// A wanted recording without new bytes for this long is an error.
pub(super) const STALL: Duration = Duration::from_secs(5);
/// Longest pause between two attempts to get a stalled recorder going.
const STALL_MAX: Duration = Duration::from_secs(60);
/// The wall clock moved this far against the monotonic one between two looks: it was set, not slewed
/// (NTP slews at most 0.5 ms a second).
const STEP_US: i64 = 500_000;
/// Shortest missing time worth an entry.
const GAP_US: u64 = 200_000;
/// Spread of arrival times that is no gap.
const JITTER_US: u64 = 100_000;
/// A frame that stands this long inside a segment is a camera that was silent.
const SILENCE_US: u64 = 500_000;

/// What the shell sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// Time has passed; the wall clock says this.
    Tick {
        wall_us: i64,
    },
    /// The header of a new segment.
    Segment {
        start_us: i64,
        stsd: &'a [u8],
    },
    /// Whole fragments were added: recorded up to `end_us`, one frame every `frame_us`.
    Grew {
        end_us: i64,
        frame_us: u64,
    },
    /// A frame inside a segment stands for this long.
    LongFrame {
        start_us: i64,
        duration_us: u64,
    },
    Fault(GapCause),
}

/// What the shell is to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The first frame is recorded: the recording starts here.
    Began { start_us: i64 },
    /// The wall clock was set by this much.
    ClockStep { by_us: i64 },
    /// Tell that nothing is written.
    Alert { silent: Duration },
    /// Close and open the recorder.
    Reopen,
    /// The new segment belongs into a recording of its own.
    Continue,
    /// Enter a gap.
    Gap { start_us: i64, duration_us: u64, cause: GapCause },
    /// End the recording.
    Close(EndReason),
}

/// One running recording.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    limit: Option<Duration>,
    /// The first frame is recorded.
    began: bool,
    /// End of a timed recording that has begun.
    end_at: Option<Mono>,
    /// Its first frame, as long as the wall clock was not set since.
    start_us: Option<i64>,
    /// Wall minus monotonic clock, microseconds.
    offset_us: i64,
    stalls: u32,
    stall_at: Mono,
    /// Since when nothing has grown.
    grew: Mono,
    cause: Option<GapCause>,
    /// By how much the wall clock was set since the last segment began.
    stepped_us: i64,
    end_us: Option<i64>,
    frame_us: u64,
    stsd: Option<Vec<u8>>,
    closing: bool,
}

/// What is known when a recording goes on after a start of the daemon.
pub(super) struct Resumed {
    /// A frame was recorded.
    pub began: bool,
    /// What is left of a timed recording that has begun.
    pub left: Option<Duration>,
    /// Up to where it is recorded.
    pub end_us: Option<i64>,
    pub frame_us: u64,
    pub stsd: Option<Vec<u8>>,
}

impl Watch {
    pub(super) fn new(now: Mono, wall_us: i64, limit: Option<Duration>) -> Self {
        Self {
            limit,
            began: false,
            end_at: None,
            start_us: None,
            offset_us: offset(now, wall_us),
            stalls: 0,
            stall_at: now + STALL,
            grew: now,
            cause: None,
            stepped_us: 0,
            end_us: None,
            frame_us: 33_333,
            stsd: None,
            closing: false,
        }
    }

    pub(super) fn resume(now: Mono, wall_us: i64, limit: Option<Duration>, known: Resumed) -> Self {
        Self {
            began: known.began,
            end_at: known.left.map(|left| now + left),
            cause: Some(GapCause::DaemonDown),
            end_us: known.end_us,
            frame_us: known.frame_us,
            stsd: known.stsd,
            ..Self::new(now, wall_us, limit)
        }
    }

    /// When [`Event::Tick`] is due at the latest.
    pub(super) fn deadline(&self) -> Mono {
        self.end().map_or(self.stall_at, |end| end.min(self.stall_at))
    }

    /// The recorder drops a session's last frame, so it stays open for one more.
    fn end(&self) -> Option<Mono> {
        Some(self.end_at? + Duration::from_micros(self.frame_us.min(100_000)))
    }

    /// The wall clock's idea of a timed recording's end.
    pub(super) fn until_us(&self) -> Option<i64> {
        Some(((self.end_at?.0 / 1000) as i64).saturating_add(self.offset_us))
    }

    pub(super) fn step(&mut self, now: Mono, event: Event<'_>) -> Vec<Action> {
        if self.closing {
            return Vec::new();
        }
        match event {
            Event::Tick { wall_us } => self.tick(now, wall_us),
            Event::Segment { start_us, stsd } => self.segment(now, start_us, stsd),
            Event::Grew { end_us, frame_us } => {
                self.grew(now);
                self.end_us = Some(end_us);
                if frame_us > 0 {
                    self.frame_us = frame_us;
                }
                self.recorded_ahead(now, end_us);
                Vec::new()
            }
            Event::LongFrame { start_us, duration_us } => self.long_frame(start_us, duration_us),
            Event::Fault(cause) => {
                self.blame(cause);
                Vec::new()
            }
        }
    }

    fn tick(&mut self, now: Mono, wall_us: i64) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.end().is_some_and(|end| now >= end) {
            self.closing = true;
            return vec![Action::Close(EndReason::DurationReached)];
        }
        let offset = offset(now, wall_us);
        let by_us = offset.saturating_sub(self.offset_us);
        self.offset_us = offset;
        if by_us.saturating_abs() > STEP_US {
            self.stepped_us = self.stepped_us.saturating_add(by_us);
            self.start_us = None;
            self.blame(GapCause::ClockStep);
            actions.push(Action::ClockStep { by_us });
            actions.push(Action::Reopen);
        }
        if now >= self.stall_at {
            self.stalls = self.stalls.saturating_add(1);
            let pause = STALL.saturating_mul(1 << self.stalls.min(6)).min(STALL_MAX);
            self.stall_at = now + pause;
            actions.push(Action::Alert { silent: now.since(self.grew) });
            if !actions.contains(&Action::Reopen) {
                actions.push(Action::Reopen);
            }
        }
        actions
    }

    fn grew(&mut self, now: Mono) {
        self.grew = now;
        self.stalls = 0;
        self.stall_at = now + STALL;
    }

    fn segment(&mut self, now: Mono, start_us: i64, stsd: &[u8]) -> Vec<Action> {
        let mut actions = Vec::new();
        let quiet = now.since(self.grew);
        self.grew(now);
        if !self.began {
            // The file appears with its first part, half a second after the frame it starts with.
            let age = ((now.0 / 1000) as i64).saturating_add(self.offset_us).saturating_sub(start_us);
            let age = Duration::from_micros(age.clamp(0, 10_000_000).unsigned_abs());
            self.began = true;
            self.start_us = Some(start_us);
            self.end_at = self.limit.map(|limit| now - age + limit);
            actions.push(Action::Began { start_us });
        }
        match &self.stsd {
            Some(known) if known != stsd => actions.push(Action::Continue),
            _ => {}
        }
        self.stsd = Some(stsd.to_owned());
        if let Some(end_us) = self.end_us {
            let missing = self.missing(quiet, start_us.saturating_sub(end_us));
            // The last frame of a session is always dropped.
            let frames = self.frame_us + self.frame_us / 2;
            let normal = match self.cause {
                // Something did happen: a shorter one is no spread of arrival times.
                Some(_) => frames + JITTER_US / 5,
                None => GAP_US.max(frames + JITTER_US),
            };
            if missing > normal as i64 {
                actions.push(Action::Gap {
                    start_us: end_us,
                    duration_us: missing.unsigned_abs(),
                    cause: self.cause.unwrap_or(GapCause::Unknown),
                });
            }
        }
        self.cause = None;
        self.stepped_us = 0;
        self.end_us = Some(start_us);
        actions
    }

    /// MediaMTX stamps the first frame when it arrives, and frames that waited for the encoder to
    /// start arrive all at once: the file is then ahead of the clock, and full that much sooner.
    fn recorded_ahead(&mut self, written: Mono, end_us: i64) {
        if let (Some(limit), Some(end_at), Some(start_us)) = (self.limit, self.end_at, self.start_us) {
            let recorded = Duration::from_micros(end_us.saturating_sub(start_us).max(0).unsigned_abs());
            self.end_at = Some(end_at.min(written + limit.saturating_sub(recorded)));
        }
    }

    /// MediaMTX takes over a step of the wall clock only beyond its tolerance of 5 s, and then
    /// sometimes later: of both readings the one that fits the monotonic clock is right.
    fn missing(&self, quiet: Duration, by_wall_us: i64) -> i64 {
        let without = by_wall_us.saturating_sub(self.stepped_us);
        if self.stepped_us == 0 {
            return by_wall_us;
        }
        let seen = i64::try_from(quiet.as_micros()).unwrap_or(i64::MAX);
        let far = |reading: i64| reading.saturating_sub(seen).saturating_abs();
        if far(without) < far(by_wall_us) { without } else { by_wall_us }
    }

    fn long_frame(&mut self, start_us: i64, duration_us: u64) -> Vec<Action> {
        let normal = self.frame_us;
        if duration_us < SILENCE_US.max(normal.saturating_mul(3)) {
            return Vec::new();
        }
        vec![Action::Gap {
            start_us: start_us.saturating_add(normal as i64),
            duration_us: duration_us - normal,
            cause: self.cause.take().unwrap_or(GapCause::CameraSilent),
        }]
    }

    /// Why the next gap is. One fault brings others (MediaMTX's end ends the encoder's session), so
    /// of several the one nearest to the root stays.
    pub(super) fn blame(&mut self, cause: GapCause) {
        if self.cause.is_none_or(|known| rank(cause) >= rank(known)) {
            self.cause = Some(cause);
        }
    }
}

fn rank(cause: GapCause) -> u8 {
    match cause {
        GapCause::Unknown => 0,
        GapCause::RecorderReopened => 1,
        GapCause::EncoderExited => 2,
        GapCause::ClockStep => 3,
        GapCause::CameraSilent => 4,
        GapCause::CameraDisconnected => 5,
        GapCause::MediamtxExited => 6,
        GapCause::Storage => 7,
        GapCause::DaemonDown => 8,
    }
}

fn offset(now: Mono, wall_us: i64) -> i64 {
    wall_us.saturating_sub((now.0 / 1000) as i64)
}

#[cfg(test)]
mod tests {
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
        let gap = Action::Gap {
            start_us: wall(1000) + 33_333,
            duration_us: 7_966_667,
            cause: GapCause::CameraSilent,
        };
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
        let gap =
            Action::Gap { start_us: WALL - 2_000_000, duration_us: 2_300_000, cause: GapCause::DaemonDown };
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
}
