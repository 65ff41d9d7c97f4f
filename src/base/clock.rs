//! The one place that asks for the time.
//!
//! Timers, time-outs and expiries run on [`Mono`] (CLOCK_MONOTONIC, which FFmpeg and V4L2 stamp
//! frames with too); [`Clock::wall`] is for names and for what a person reads.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};

/// A point on CLOCK_MONOTONIC: nanoseconds since some moment before the box started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub u64);

impl Mono {
    /// Now.
    pub fn now() -> Self {
        let t = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has CLOCK_MONOTONIC");
        // Both are non-negative on this clock.
        Self(t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64)
    }

    /// Time since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How long from now until this point; zero when it has passed.
    pub fn from_now(self) -> Duration {
        self.since(Mono::now())
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;

    fn add(self, d: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Mono {
    type Output = Mono;

    fn sub(self, d: Duration) -> Mono {
        Mono(self.0.saturating_sub(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for Mono {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000_000, self.0 / 1000 % 1_000_000)
    }
}

/// How far the wall clock can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Nobody knows; it may be anything.
    #[default]
    Unknown,
    /// It is not before the last time that the box knew, and has run on from there.
    Kept,
    /// Somebody set it since the box started.
    Set,
    /// A time server keeps it.
    Ntp,
}

impl Trust {
    const ALL: [Trust; 4] = [Trust::Unknown, Trust::Kept, Trust::Set, Trust::Ntp];

    /// A word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Trust::Unknown => "unknown",
            Trust::Kept => "kept",
            Trust::Set => "set",
            Trust::Ntp => "ntp",
        }
    }

    /// Reads the word; `Unknown` where it is none.
    pub fn parse(word: &str) -> Trust {
        Trust::ALL.into_iter().find(|trust| trust.word() == word).unwrap_or_default()
    }
}

/// The wall clock. Clones share one offset, which is zero except in tests of clock steps, and what is known of the
/// clock's worth.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_us: Arc<AtomicI64>,
    trust: Arc<AtomicU8>,
}

impl Clock {
    /// The machine's clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wall-clock time, UTC.
    #[expect(clippy::disallowed_methods, reason = "this is the clock room")]
    pub fn wall(&self) -> Timestamp {
        from_unix_us(Timestamp::now().as_microsecond() + self.offset_us.load(Ordering::Relaxed))
    }

    /// Wall-clock time in microseconds since 1970 UTC.
    pub fn wall_us(&self) -> i64 {
        self.wall().as_microsecond()
    }

    /// How far it can be trusted, as it was judged last.
    pub fn trust(&self) -> Trust {
        Trust::ALL.get(usize::from(self.trust.load(Ordering::Relaxed))).copied().unwrap_or_default()
    }

    /// Notes how far it can be trusted.
    pub fn judge(&self, trust: Trust) {
        self.trust.store(trust as u8, Ordering::Relaxed);
    }

    /// Moves this program's idea of the wall clock, as a step of the machine's clock would.
    pub fn step_wall(&self, microseconds: i64) {
        self.offset_us.fetch_add(microseconds, Ordering::Relaxed);
    }
}

/// A timestamp from microseconds since 1970 UTC; beyond the calendar's end it is the end.
pub fn from_unix_us(us: i64) -> Timestamp {
    Timestamp::from_microsecond(us).unwrap_or(if us < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// ISO 8601 UTC with milliseconds, the form every reply uses: `2025-01-15T14:30:00.000Z`.
pub fn iso8601(us: i64) -> String {
    format!("{:.3}", from_unix_us(us))
}

/// The form that names carry, UTC: `2025-01-15_14-30-00`.
pub fn name_stamp(us: i64) -> String {
    from_unix_us(us).strftime("%Y-%m-%d_%H-%M-%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_utc() {
        let us = 1_736_951_400_123_456;
        assert_eq!(iso8601(us), "2025-01-15T14:30:00.123Z");
        assert_eq!(name_stamp(us), "2025-01-15_14-30-00");
    }

    #[test]
    fn clones_share_what_is_known_of_the_clock() {
        let clock = Clock::new();
        let other = clock.clone();
        assert_eq!(other.trust(), Trust::Unknown);
        for trust in Trust::ALL {
            clock.judge(trust);
            assert_eq!((other.trust(), Trust::parse(trust.word())), (trust, trust));
        }
        assert_eq!(Trust::parse("sundial"), Trust::Unknown);
    }

    #[test]
    fn clones_share_a_step() {
        let clock = Clock::new();
        let other = clock.clone();
        let before = other.wall_us();
        clock.step_wall(3_600_000_000);
        assert!(other.wall_us() - before >= 3_600_000_000);
    }
}
