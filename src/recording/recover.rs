//! Which of the recordings that were wanted when the daemon went down go on.

use std::time::Duration;

use super::cause::EndReason;
use crate::store::RecordingRow;

/// What becomes of a recording that was wanted when the daemon went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on; a timed one that had begun for this much longer.
    GoOn(Option<Duration>),
    End(EndReason),
}

/// A wall clock this far behind what is already recorded is wrong.
const BEHIND_US: i64 = 2_000_000;

/// Decides from the row and the end of what is recorded.
pub(super) fn fate(row: &RecordingRow, end_us: Option<i64>, now_us: i64, too_many_starts: bool) -> Fate {
    if too_many_starts {
        return Fate::End(EndReason::RestartLoop);
    }
    let (Some(limit_ms), Some(end_us)) = (row.limit_ms, end_us) else { return Fate::GoOn(None) };
    let limit_us = i64::try_from(limit_ms).unwrap_or(i64::MAX).saturating_mul(1000);
    let recorded = end_us.saturating_sub(row.start_us).max(0);
    let by_files = limit_us.saturating_sub(recorded);
    let until = row.until_us.unwrap_or(row.start_us.saturating_add(limit_us));
    // A clock that is behind cannot say how long the box was off; the files say what is missing.
    let behind = now_us < end_us.saturating_sub(BEHIND_US);
    let left = if behind { by_files } else { until.saturating_sub(now_us) };
    // A clock that is a little behind must not make it longer than was asked.
    match left.min(limit_us) {
        left if left <= 0 => Fate::End(EndReason::EndedWhileDown),
        left => Fate::GoOn(Some(Duration::from_micros(left.unsigned_abs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CameraId;

    const START: i64 = 1_700_000_000_000_000;

    fn row(limit_ms: Option<u64>) -> RecordingRow {
        RecordingRow {
            id: 1,
            name: "camera0_r".parse().unwrap(),
            camera: CameraId(0),
            identity: "test:a".into(),
            camera_name: "A".into(),
            format: "mp4".into(),
            requested_us: START,
            start_us: START,
            limit_ms,
            until_us: limit_ms.map(|l| START + l as i64 * 1000),
            wanted: true,
            end_us: None,
            duration_ms: 0,
            size: 0,
            codec: None,
            width: 0,
            height: 0,
            stsd: None,
            ended: None,
            continues: None,
            protected: false,
        }
    }

    #[test]
    fn fates() {
        let s = 1_000_000;
        let left = |n| Fate::GoOn(Some(Duration::from_secs(n)));
        let over = Fate::End(EndReason::EndedWhileDown);
        let cases = [
            // limit, recorded up to, now, too many starts, fate
            (None, Some(5), 100, false, Fate::GoOn(None)),
            (None, Some(5), 100, true, Fate::End(EndReason::RestartLoop)),
            (Some(60), None, 100, false, Fate::GoOn(None)),
            (Some(60), Some(5), 10, false, left(50)),
            (Some(60), Some(5), 60, false, over),
            (Some(60), Some(5), 100_000, false, over),
            // The clock starts at its factory date: what is recorded counts.
            (Some(60), Some(20), -1_000_000, false, left(40)),
            (Some(60), Some(60), -1_000_000, false, over),
        ];
        for (limit, recorded, now, many, fate_is) in cases {
            let row = row(limit.map(|l: u64| l * 1000));
            let got = fate(&row, recorded.map(|r: i64| START + r * s), START + now * s, many);
            assert_eq!(got, fate_is, "{limit:?} {recorded:?} {now}");
        }
    }
}
