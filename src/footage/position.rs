//! Where in the film something of real time is.

use crate::recording::{Gap, SegmentFile};

/// Where a gap is in the film that closes it, microseconds from the start. A gap inside a segment is
/// where the picture stands still: its session did not end, and it plays as long as it was.
pub fn position_of_gap(segments: &[SegmentFile], gap: &Gap) -> u64 {
    let before =
        segments.iter().filter(|s| s.number < gap.segment && !s.lost).map(|s| s.duration_us).sum::<u64>();
    let inside = segments.iter().find(|s| s.number == gap.segment && !s.lost).map_or(0, |s| {
        let into = gap.start_us.saturating_sub(s.start_us).max(0).unsigned_abs();
        into.min(s.duration_us)
    });
    before.saturating_add(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_stand_between_segments_or_inside_one() {
        let segment = |number: u32, start_us: i64| SegmentFile {
            path: "x".into(),
            file: "x".into(),
            stream: ([0; 16], 0),
            number,
            start_us,
            duration_us: 2_000_000,
            size: 1,
            closed: true,
            lost: false,
        };
        let segments = [segment(1, 0), segment(2, 5_000_000)];
        let gap = |start_us: i64, segment: u32| Gap { start_us, duration_ms: 1, cause: "x".into(), segment };
        assert_eq!(position_of_gap(&segments, &gap(2_000_000, 2)), 2_000_000);
        assert_eq!(position_of_gap(&segments, &gap(5_700_000, 2)), 2_700_000);
        assert_eq!(position_of_gap(&segments, &gap(i64::MIN, 9)), 4_000_000);
    }
}
