use std::fs;

use proptest::prelude::*;

use super::*;
use crate::base::CameraId;
use crate::recording::card_reader;
use crate::recording::folder::Places;
use crate::recording::mend::{difference, mend};
use crate::recording::mp4::build;
use crate::store::SegmentRow;

const BEGAN: i64 = 1_700_000_000_000_000;
const SECOND: i64 = 1_000_000;

/// A recording of `n` segments of one second each, without a pause.
fn facts(n: u32, wanted: bool) -> Facts {
    let mut facts = card_reader::unknown(CameraId(0), &"camera0_a".parse().unwrap());
    facts.row.wanted = wanted;
    facts.row.start_us = BEGAN;
    for number in 1..=n {
        facts.put_segment(SegmentRow {
            number,
            file: format!("{number}.mp4"),
            stream: [1; 16],
            stream_number: u64::from(number),
            start_us: BEGAN + i64::from(number - 1) * SECOND,
            duration_us: 1_000_000,
            size: 100,
            closed: true,
            lost: false,
            trimmed: false,
        });
    }
    facts
}

fn take(facts: &mut Facts, numbers: &[u32]) -> RecordingChange {
    facts.edit(&Edit::TakeOut(numbers.iter().copied().collect()))
}

fn marked(facts: &Facts) -> Vec<u32> {
    facts.marked().into_iter().map(|m| m.0).collect()
}

#[test]
fn the_film_begins_later_and_one_gap_says_what_is_gone() {
    let mut facts = facts(6, false);
    let gap = |number: u32, at: i64| GapRow {
        number,
        start_us: BEGAN + at,
        duration_us: 1,
        cause: "camera_silent".into(),
    };
    facts.gaps = vec![gap(2, SECOND), gap(3, 2 * SECOND - 5), gap(3, 2 * SECOND + 5)];
    take(&mut facts, &[1, 2]);
    assert_eq!(marked(&facts), [1, 2]);
    assert_eq!((facts.row.start_us, facts.row.size, facts.row.duration_ms), (BEGAN + 2 * SECOND, 400, 4000));
    let retention = |number, seconds: u64| GapRow {
        number,
        start_us: BEGAN,
        duration_us: seconds * 1_000_000,
        cause: RETENTION.into(),
    };
    assert_eq!(facts.gaps, [retention(3, 2), gap(3, 2 * SECOND + 5)]);
    facts.edit(&Edit::Forget([1, 2].into()));
    // The next time the same gap grows.
    let change = take(&mut facts, &[3]);
    assert_eq!(facts.gaps, [retention(4, 3)]);
    assert_eq!(change.removed_gaps, [BEGAN, BEGAN + 2 * SECOND + 5]);
    assert_eq!(change.gaps, facts.gaps);
}

#[test]
fn what_grows_what_is_newest_of_a_running_one_and_what_is_protected_stays() {
    let mut running = facts(3, true);
    take(&mut running, &[1, 2, 3]);
    assert_eq!(marked(&running), [1, 2]);
    let mut growing = facts(3, true);
    growing.segments[1].closed = false;
    take(&mut growing, &[1, 2, 3]);
    assert_eq!(marked(&growing), [1]);
    let mut ended = facts(3, false);
    take(&mut ended, &[1, 2, 3]);
    assert_eq!(marked(&ended), [1, 2, 3]);
    let mut protected = facts(3, false);
    protected.edit(&Edit::Protect(true));
    take(&mut protected, &[1, 2, 3]);
    assert!(marked(&protected).is_empty());
}

proptest! {
    /// Whatever is asked for and however often: nothing goes from the middle, and the index told of the
    /// changes says what the card says.
    #[test]
    fn only_the_beginning_goes(asked in proptest::collection::vec(
        proptest::collection::btree_set(1u32..8, 0..8), 1..5
    )) {
        let mut facts = facts(7, true);
        for numbers in asked {
            let before = facts.clone();
            let change = facts.edit(&Edit::TakeOut(numbers));
            let left: Vec<u32> = facts.segments.iter().filter(|s| !s.trimmed).map(|s| s.number).collect();
            prop_assert_eq!(left.last(), Some(&7));
            prop_assert!(left.windows(2).all(|w| w[1] == w[0] + 1));
            prop_assert_eq!(facts.row.start_us, BEGAN + i64::from(left[0] - 1) * SECOND);
            prop_assert_eq!(facts.row.size, left.len() as u64 * 100);
            // What `difference` finds between both states is what the change says.
            let told = difference(&before, &facts).unwrap_or_default();
            prop_assert_eq!(told.segments, change.segments);
            prop_assert!(facts.gaps.len() <= 1);
        }
    }
}

/// What a start makes of each state that a crash can leave, in the order in which they come.
#[test]
fn a_start_after_a_crash_at_any_point_finishes_what_was_begun() {
    for step in 0..4 {
        let data = tempfile::tempdir().unwrap();
        let places = Places::new(data.path());
        let before = {
            let mut facts = card_reader::unknown(CameraId(0), &"camera0_a".parse().unwrap());
            facts.row.start_us = BEGAN;
            facts
        };
        let dir = places.recording(CameraId(0), &before.row.name);
        folder::make(&dir).unwrap();
        for number in 1..=4u32 {
            let mut file = build::segment(2, 0, BEGAN + i64::from(number) * 2 * SECOND);
            build::close(&mut file, 1000);
            fs::write(dir.join(format!("{number}.mp4")), file).unwrap();
        }
        let whole = mend(&places, &before, 7).unwrap().facts;
        whole.write(&dir).unwrap();
        fs::write(dir.join(folder::THUMBNAIL), "jpeg").unwrap();
        // As `Recordings::trim` does it, up to this step.
        let mut index = whole.clone();
        if step >= 1 {
            take(&mut index, &[1, 2]);
        }
        if step >= 2 {
            index.write(&dir).unwrap();
        }
        if step >= 3 {
            fs::remove_file(dir.join("1.mp4")).unwrap();
        }
        let mended = mend(&places, &index, 8).unwrap().facts;
        let left: Vec<u32> = mended.segments.iter().map(|s| s.number).collect();
        if step == 0 {
            assert_eq!(mended, whole);
            continue;
        }
        assert_eq!(left, [3, 4], "step {step}");
        assert_eq!(folder::segment_files(&dir).unwrap(), ["3.mp4", "4.mp4"], "step {step}");
        assert!(!dir.join(folder::THUMBNAIL).exists());
        assert_eq!(mended.row.start_us, BEGAN + 6 * SECOND);
        assert!(mended.notes.is_empty() && mended.segments.iter().all(|s| !s.lost), "{mended:?}");
        // A second start finds nothing to do.
        assert_eq!(mend(&places, &mended, 9).unwrap().facts, mended);
        assert_eq!(difference(&index, &mended).unwrap().removed, [1, 2]);
    }
}
