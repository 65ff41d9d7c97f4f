use proptest::prelude::*;

use super::*;

fn reel(n: u32, running: bool, pieces: &[(i64, u64)]) -> Reel {
    let last = pieces.len().saturating_sub(1);
    let piece = |(i, &(start_us, size)): (usize, &(i64, u64))| Piece {
        number: i as u32 + 1,
        start_us,
        end_us: start_us + 10,
        size,
        closed: !running || i < last,
    };
    Reel {
        name: format!("camera{}_r{n}", n % 3).parse().unwrap(),
        camera: CameraId(n % 3),
        protected: false,
        running,
        leased: false,
        start_us: pieces.first().map_or(0, |p| p.0),
        pieces: pieces.iter().enumerate().map(piece).collect(),
    }
}

fn total(bytes: u64) -> Need {
    Need { total: bytes, ..Need::default() }
}

fn numbers(cuts: &[Cut]) -> Vec<(&str, Vec<u32>, bool)> {
    cuts.iter().map(|c| (c.name.as_str(), c.numbers.iter().copied().collect(), c.whole)).collect()
}

#[test]
fn the_oldest_goes_first_whichever_recording_it_is_in() {
    let reels = [reel(0, true, &[(0, 5), (100, 5), (200, 5)]), reel(1, false, &[(50, 5), (150, 5)])];
    let (cuts, left) = plan(&reels, &total(11), i64::MAX);
    assert_eq!(numbers(&cuts), [("camera0_r0", vec![1, 2], false), ("camera1_r1", vec![1], false)]);
    assert_eq!(left.total, 0);
    let (cuts, left) = plan(&reels, &total(100), i64::MAX);
    assert_eq!(numbers(&cuts), [("camera0_r0", vec![1, 2], false), ("camera1_r1", vec![1, 2], true)]);
    assert_eq!(left.total, 80);
    // What is not looked at may be older than that.
    assert_eq!(numbers(&plan(&reels, &total(11), 99).0).len(), 2);
    assert_eq!(plan(&reels, &total(11), 99).1.total, 1);
}

#[test]
fn what_has_no_time_goes_last_but_goes() {
    let reels = [reel(0, false, &[(i64::MAX - 10, 5)]), reel(1, false, &[(1, 5)])];
    assert_eq!(numbers(&plan(&reels, &total(6), i64::MAX).0).len(), 2);
    let mut timeless = reels[0].clone();
    timeless.pieces[0].start_us = i64::MAX;
    assert_eq!(plan(&[timeless], &total(6), i64::MAX).1.total, 1);
}

#[test]
fn age_takes_what_ended_before_and_what_never_had_a_picture() {
    let reels = [reel(0, true, &[(0, 5), (10, 5), (20, 5)]), reel(1, false, &[]), reel(2, false, &[(15, 1)])];
    let need = Need { before_us: Some(20), ..Need::default() };
    let (cuts, _) = plan(&reels, &need, i64::MAX);
    assert_eq!(numbers(&cuts), [("camera1_r1", vec![], true), ("camera0_r0", vec![1], false)]);
}

#[test]
fn a_camera_over_its_share_pays_alone() {
    let reels = [reel(0, false, &[(0, 5)]), reel(1, false, &[(1, 5), (2, 5)]), reel(2, false, &[(3, 5)])];
    let need = Need { cameras: [(CameraId(1), 3)].into(), ..Need::default() };
    assert_eq!(numbers(&plan(&reels, &need, i64::MAX).0), [("camera1_r1", vec![1], false)]);
}

#[test]
fn only_the_floor_takes_what_is_read() {
    let mut reels = [reel(0, false, &[(0, 5), (1, 5)]), reel(1, false, &[(2, 5)])];
    reels[0].leased = true;
    let (cuts, _) = plan(&reels, &total(1), i64::MAX);
    assert_eq!(numbers(&cuts), [("camera1_r1", vec![1], true)]);
    let aged = Need { before_us: Some(100), ..Need::default() };
    assert_eq!(plan(&reels, &aged, i64::MAX).0, cuts);
    let (cuts, _) = plan(&reels, &Need { floor: 6, ..Need::default() }, i64::MAX);
    assert_eq!(numbers(&cuts), [("camera0_r0", vec![1, 2], true)]);
    assert!(cuts[0].anyway);
}

fn reels() -> impl Strategy<Value = Vec<Reel>> {
    let one =
        (any::<[bool; 3]>(), 0i64..200, proptest::collection::vec((0i64..40, 0u64..50, any::<bool>()), 0..6));
    proptest::collection::vec(one, 0..8).prop_map(|all| {
        let make = |(n, ([running, protected, leased], start, pieces)): (usize, ([bool; 3], i64, Vec<_>))| {
            let mut at = start;
            let mut made = reel(n as u32, running, &[]);
            for (i, (step, size, closed)) in pieces.into_iter().enumerate() {
                made.pieces.push(Piece {
                    number: i as u32 + 1,
                    start_us: at,
                    end_us: at + step,
                    size,
                    closed: closed || !running,
                });
                at += step;
            }
            Reel { protected, leased, start_us: start, ..made }
        };
        all.into_iter().enumerate().map(make).collect()
    })
}

fn need() -> impl Strategy<Value = Need> {
    let cameras = proptest::collection::btree_map((0u32..3).prop_map(CameraId), 0u64..120, 0..3);
    (proptest::option::of(0i64..300), 0u64..200, cameras, 0u64..200)
        .prop_map(|(before_us, total, cameras, floor)| Need { before_us, total, cameras, floor })
}

proptest! {
    #[test]
    fn never_what_grows_or_is_protected_never_from_the_middle_never_more_than_needed(
        reels in reels(), need in need(), horizon in prop_oneof![Just(i64::MAX), 0i64..300],
    ) {
        let (cuts, left) = plan(&reels, &need, horizon);
        let find = |name: &RecordingName| reels.iter().find(|r| r.name == *name).unwrap();
        let mut freed = need.clone();
        for cut in &cuts {
            let reel = find(&cut.name);
            prop_assert!(!reel.protected);
            prop_assert_eq!(cut.anyway, reel.leased);
            let gone = &reel.pieces[..cut.numbers.len()];
            prop_assert!(gone.iter().all(|p| p.closed && cut.numbers.contains(&p.number)));
            prop_assert_eq!(cut.whole, gone.len() == reel.pieces.len());
            prop_assert!(!reel.running || gone.len() < reel.pieces.len());
            prop_assert_eq!(cut.bytes, gone.iter().map(|p| p.size).sum::<u64>());
            freed.freed(cut.camera, cut.bytes);
            // Without the last of it something would still be missing, or it is too old.
            if let Some(last) = gone.last() {
                let aged = need.before_us.is_some_and(|before| last.end_us < before) && !reel.leased;
                prop_assert!(aged || need.wants_bytes() && last.start_us <= horizon);
                if reel.leased {
                    prop_assert!(need.floor > 0);
                }
            }
        }
        prop_assert_eq!(&left, &freed);
        let taken = |r: &Reel| cuts.iter().find(|c| c.name == r.name).map_or(0, |c| c.numbers.len());
        let free = |r: &&Reel| !r.protected;
        // Oldest first: what stays and could have gone is no older than anything that went for bytes.
        let stays = |r: &Reel| {
            let most = r.pieces.len().saturating_sub(usize::from(r.running));
            r.pieces[..most].get(taken(r)).filter(|p| p.closed).copied()
        };
        for kept in reels.iter().filter(free).filter(|r| !r.leased) {
            let Some(next) = stays(kept) else { continue };
            if let Some(before) = need.before_us {
                prop_assert!(next.end_us >= before);
            }
            if need.cameras.is_empty() {
                for other in reels.iter().filter(|r| taken(r) > 0) {
                    let last = other.pieces[taken(other) - 1];
                    let aged = need.before_us.is_some_and(|before| last.end_us < before);
                    prop_assert!(aged || last.start_us <= next.start_us);
                }
            }
            // And where it could have gone nothing is missing any more.
            if next.start_us <= horizon {
                prop_assert_eq!((left.total, left.floor), (0, 0));
            }
        }
        // Not more than needed: each byte pass ends with the piece that satisfies it.
        if need.before_us.is_none() && need.cameras.is_empty() {
            let all: u64 = cuts.iter().map(|c| c.bytes).sum();
            let largest = reels.iter().flat_map(|r| &r.pieces).map(|p| p.size).max().unwrap_or(0);
            prop_assert!(all == 0 || all < need.total.max(need.floor) + largest);
        }
    }
}
