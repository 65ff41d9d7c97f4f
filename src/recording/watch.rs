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
    /// Recording is switched off until the disk is back, and why.
    paused: Option<GapCause>,
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
            paused: None,
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
        if self.closing {
            return Mono(u64::MAX);
        }
        let stall_at = if self.paused.is_some() { Mono(u64::MAX) } else { self.stall_at };
        self.end().map_or(stall_at, |end| end.min(stall_at))
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
            if self.paused.is_none() {
                actions.push(Action::Reopen);
            }
        }
        if now >= self.stall_at && self.paused.is_none() {
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

    /// The recorder was switched off: nothing grows, and that is no news. A timed recording's end stays.
    pub(super) fn pause(&mut self, cause: GapCause) {
        self.paused = Some(cause);
    }

    /// It is switched on again; what the files hold by now may be less than what was seen.
    pub(super) fn go_on(&mut self, now: Mono, end_us: Option<i64>) {
        if let Some(cause) = self.paused.take() {
            self.blame(cause);
        }
        if self.began {
            self.end_us = end_us;
        }
        self.stalls = 0;
        self.stall_at = now + STALL;
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
        // Of the second: found by whoever reads the files.
        GapCause::Unknown | GapCause::FileDamaged => 0,
        GapCause::RecorderReopened => 1,
        GapCause::EncoderExited => 2,
        GapCause::ClockStep => 3,
        GapCause::CameraSilent => 4,
        GapCause::CameraDisconnected => 5,
        GapCause::CameraRefused => 6,
        GapCause::MediamtxExited => 7,
        GapCause::Storage => 8,
        GapCause::DiskFull | GapCause::DiskReadOnly | GapCause::DiskGone | GapCause::IoError => 9,
        GapCause::DaemonDown => 10,
    }
}

fn offset(now: Mono, wall_us: i64) -> i64 {
    wall_us.saturating_sub((now.0 / 1000) as i64)
}

#[cfg(test)]
mod tests;
