//! Which times footage may be judged by.
//!
//! Boxes have no clock of their own at first: until the network sets it, it says 1970, the build's day or
//! what an empty battery left. So nothing is too old because of such a time. A segment whose time cannot
//! be trusted is judged by the next one of its camera that can: it is older than that.

use std::time::Duration;

use super::plan::{Piece, Reel};
use crate::base::Mono;
use crate::store::{Outline, SegmentRow};

/// No age is judged for this long after the wall clock was set: what it says may be corrected again.
pub(super) const PAUSE: Duration = Duration::from_secs(600);
/// A clock that differs by this much was set; NTP slews by 0.5 ms a second at most.
const STEP_US: i64 = 500_000;
/// A start may lie this far in the future: clocks of recorder and box are read at different moments.
const AHEAD_US: i64 = 5_000_000;

/// Whether the wall clock runs with the monotonic one, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Steady {
    /// Wall minus monotonic clock, microseconds.
    offset_us: i64,
    seen: Mono,
    quiet_until: Mono,
}

impl Steady {
    /// After a start; `note` is what the last run of the program left, if it was of this `boot`. Without
    /// one the clock may have been set at any moment, unless there is nothing yet that it could judge.
    pub(super) fn begin(now: Mono, wall_us: i64, boot: &str, note: Option<&str>, fresh: bool) -> Self {
        let unknown = if fresh { now } else { now + PAUSE };
        let new = Self { offset_us: offset(now, wall_us), seen: now, quiet_until: unknown };
        let Some(mut known) = note.and_then(|n| Self::parse(n, boot)).filter(|k| k.seen <= now) else {
            return new;
        };
        known.look(now, wall_us);
        known
    }

    /// The clocks say this now; answers by how much the wall clock was set.
    pub(super) fn look(&mut self, now: Mono, wall_us: i64) -> Option<i64> {
        let offset = offset(now, wall_us);
        let by = offset.saturating_sub(self.offset_us);
        let slew = i64::try_from(now.since(self.seen).as_millis()).unwrap_or(i64::MAX);
        (self.offset_us, self.seen) = (offset, now);
        if by.saturating_abs() <= STEP_US.saturating_add(slew) {
            return None;
        }
        self.quiet_until = now + PAUSE;
        Some(by)
    }

    /// How long no age may be judged any more.
    pub(super) fn pause(&self, now: Mono) -> Option<Duration> {
        (self.quiet_until > now).then(|| self.quiet_until.since(now))
    }

    /// For the next run.
    pub(super) fn note(&self, boot: &str) -> String {
        format!("{boot} {} {} {}", self.offset_us, self.seen.0, self.quiet_until.0)
    }

    fn parse(note: &str, boot: &str) -> Option<Self> {
        let mut words = note.split(' ');
        if words.next() != Some(boot) {
            return None;
        }
        let offset_us = words.next()?.parse().ok()?;
        let mut mono = || words.next()?.parse().ok().map(Mono);
        Some(Self { offset_us, seen: mono()?, quiet_until: mono()? })
    }
}

fn offset(now: Mono, wall_us: i64) -> i64 {
    wall_us.saturating_sub(i64::try_from(now.0 / 1000).unwrap_or(i64::MAX))
}

/// The times that are possible.
#[derive(Clone, Copy, Debug)]
pub(super) struct Possible {
    /// No footage of this box is older, microseconds since 1970 UTC.
    pub from_us: i64,
    /// Now.
    pub until_us: i64,
}

impl Possible {
    fn is(&self, start_us: i64, stepped_us: Option<i64>) -> bool {
        start_us >= self.from_us
            && start_us <= self.until_us.saturating_add(AHEAD_US)
            && stepped_us.is_none_or(|at| start_us >= at)
    }
}

/// What each recording's start is judged by, and what comes after it; `i64::MAX` where nothing that can
/// be trusted does. In the order of `all`, which is that of their making.
pub(super) fn judged(all: &[Outline], possible: Possible) -> Vec<(i64, i64)> {
    let mut next = std::collections::BTreeMap::new();
    let mut judged: Vec<_> = all
        .iter()
        .rev()
        .map(|o| {
            let after = *next.get(&o.camera).unwrap_or(&i64::MAX);
            let start = if possible.is(o.start_us, o.stepped_us) { o.start_us } else { after };
            next.insert(o.camera, start);
            (start, after)
        })
        .collect();
    judged.reverse();
    judged
}

/// A recording as the planner sees it; `start_us` and `after_us` are [`judged`].
pub(super) fn reel(
    outline: &Outline,
    (start_us, after_us): (i64, i64),
    segments: &[SegmentRow],
    leased: bool,
    possible: Possible,
) -> Reel {
    let mut pieces = Vec::with_capacity(segments.len());
    let mut after = after_us;
    let mut is_last = true;
    for s in segments.iter().rev().filter(|s| !s.trimmed) {
        let own = possible.is(s.start_us, outline.stepped_us);
        let end = s.start_us.saturating_add_unsigned(s.duration_us);
        // Beyond its last segment a recording may begin again before that (the clock was set back).
        let (start, end) = match (own, is_last) {
            (true, true) => (s.start_us, end),
            (true, false) => (s.start_us.min(after), end.min(after)),
            (false, _) => (after, after),
        };
        let size = if s.lost { 0 } else { s.size };
        pieces.push(Piece { number: s.number, start_us: start, end_us: end, size, closed: s.closed });
        (after, is_last) = (start, false);
    }
    pieces.reverse();
    Reel {
        name: outline.name.clone(),
        camera: outline.camera,
        protected: outline.protected,
        running: outline.wanted,
        leased,
        start_us,
        pieces,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::CameraId;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    #[test]
    fn a_step_pauses_for_ten_minutes_also_over_a_restart_and_slewing_does_not() {
        let mut steady = Steady::begin(at(100), 1_000_000_000, "b", None, true);
        assert_eq!(steady.pause(at(100)), None);
        assert_eq!(steady.look(at(101), 1_001_000_000), None);
        // A year of slewing at NTP's most.
        assert_eq!(steady.look(at(1101), 2_001_500_000), None);
        assert_eq!(steady.look(at(1102), 3_602_500_000), Some(1_600_000_000));
        assert_eq!(steady.pause(at(1102)), Some(PAUSE));
        let note = steady.note("b");
        let again = Steady::begin(at(1162), 3_662_500_000, "b", Some(&note), false);
        assert_eq!(again.pause(at(1162)), Some(PAUSE - MINUTE));
        assert_eq!(again.pause(at(1702)), None);
        // Set while the program was down, and a start of the box.
        let set = Steady::begin(at(3000), 9_000_000_000, "b", Some(&note), false);
        assert_eq!(set.pause(at(3000)), Some(PAUSE));
        let booted = Steady::begin(at(50), 9_000_000_000, "c", Some(&note), false);
        assert_eq!(booted.pause(at(50)), Some(PAUSE));
    }

    fn outline(id: i64, camera: u32, start_us: i64, stepped_us: Option<i64>) -> Outline {
        let name = format!("camera{camera}_r{id}").parse().unwrap();
        let camera = CameraId(camera);
        Outline { id, name, camera, start_us, size: 0, wanted: false, protected: false, stepped_us }
    }

    const POSSIBLE: Possible = Possible { from_us: 1_000, until_us: 100_000_000 };

    #[test]
    fn what_has_no_time_is_judged_by_the_next_of_its_camera() {
        let all = [
            outline(1, 0, 5, None),
            outline(2, 1, 6, None),
            outline(3, 0, 2_000, None),
            // The clock was in the future.
            outline(4, 0, 900_000_000, None),
            // It was set while this one ran, and says when its later segments began.
            outline(5, 0, 3_000, Some(50_000)),
            outline(6, 0, 60_000, None),
        ];
        let judged: Vec<i64> = judged(&all, POSSIBLE).into_iter().map(|j| j.0).collect();
        assert_eq!(judged, [2_000, i64::MAX, 2_000, 60_000, 60_000, 60_000]);
    }

    fn segment(number: u32, start_us: i64) -> SegmentRow {
        SegmentRow {
            number,
            file: String::new(),
            stream: [0; 16],
            stream_number: 0,
            start_us,
            duration_us: 10,
            size: 7,
            closed: true,
            lost: false,
            trimmed: false,
        }
    }

    #[test]
    fn segments_from_before_a_step_are_judged_by_those_after_it() {
        let outline = outline(1, 0, 2_000, Some(50_000));
        let segments = [segment(1, 2_000), segment(2, 2_010), segment(3, 50_005), segment(4, 50_015)];
        let reel = reel(&outline, (2_000, i64::MAX), &segments, false, POSSIBLE);
        let starts: Vec<i64> = reel.pieces.iter().map(|p| p.start_us).collect();
        assert_eq!(starts, [50_005, 50_005, 50_005, 50_015]);
        assert_eq!(reel.pieces[3].end_us, 50_025);
    }

    proptest! {
        /// Whatever the clock did: no segment is judged later than the one after it, and none that has
        /// no time and nothing after it is ever too old.
        #[test]
        fn times_never_go_back(starts in proptest::collection::vec(0i64..200_000_000, 0..8)) {
            let segments: Vec<_> = (1..).zip(&starts).map(|(n, s)| segment(n, *s)).collect();
            let reel = reel(&outline(1, 0, 1_000, None), (1_000, i64::MAX), &segments, false, POSSIBLE);
            prop_assert!(reel.pieces.windows(2).all(|w| w[0].start_us <= w[1].start_us));
            prop_assert!(reel.pieces.windows(2).all(|w| w[0].end_us <= w[1].end_us));
            if let (Some(last), Some(piece)) = (starts.last(), reel.pieces.last()) {
                prop_assert_eq!(piece.end_us == i64::MAX, !POSSIBLE.is(*last, None));
            }
        }

        #[test]
        fn any_note_is_survived(note in "\\PC{0,40}") {
            Steady::begin(at(5), 0, "b", Some(&note), false);
            Steady::begin(at(5), 0, "b", Some(&format!("b {note}")), false);
        }
    }
}
