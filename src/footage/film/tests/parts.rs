//! Parts of a film, by position and by the clock on the wall.

use proptest::prelude::*;

use super::*;
use crate::base::ErrorKind;
use crate::footage::cut::Point;

#[test]
fn a_part_starts_with_the_keyframe_before_it_and_plays_from_zero() {
    let shelf = three();
    let second = |n: f64| Some(Point::Position((n * 1e6) as u64));
    for (from, to, fragments, first) in [
        (second(0.7), second(1.2), 2, 1),
        (second(1.9), second(2.1), 2, 3),
        (None, second(0.0), 1, 0),
        (second(5.9), None, 1, 11),
        // In the gap: on with what follows it.
        (Some(Point::Moment(START + 5_000_000)), None, 5, 7),
        (Some(Point::Moment(START + 3_600_000)), Some(Point::Moment(START + 10_600_000)), 1, 7),
        (Some(Point::Moment(0)), Some(Point::Moment(START + 100_000_000)), 12, 0),
    ] {
        let film = shelf.film(Cut { from, to });
        let (shown, references, _) = walk(&whole(&film));
        assert_eq!(shown.len(), fragments, "{from:?} {to:?}");
        for (n, s) in shown.iter().enumerate() {
            assert_eq!((s.sequence, s.base), (n as u64 + 1, n as u64 * 45_000), "{from:?} {to:?}");
        }
        assert_eq!(references.iter().map(|r| r.ticks).sum::<u64>(), fragments as u64 * 45_000);
        let (position, _) = film.plan.cut.unwrap();
        assert_eq!(position, first * 500_000);
    }
}

#[test]
fn a_time_without_footage_is_refused_with_the_times_that_have_some() {
    let parts = three().parts;
    for (from, to) in [
        (Some(Point::Moment(START + 60_000_000)), None),
        (None, Some(Point::Moment(START - 1))),
        (Some(Point::Position(5_000_000)), Some(Point::Position(1_000_000))),
    ] {
        let e = Plan::new(parts.clone(), Cut { from, to }).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidParams);
        assert!(e.data()["hint"].as_str().unwrap().contains("2023-11-14T22:13:20.000Z"), "{e:?}");
    }
}

#[test]
fn segments_of_two_formats_make_no_film_but_each_side_does() {
    let mut shelf = three();
    let start_us = START + 60_000_000;
    let other = [build::header(640, 480, 0, start_us), build::fragment(0, 15, 3000, 40)].concat();
    shelf.put(other, 4, 3, 0, start_us);
    let e = Plan::new(shelf.parts.clone(), Cut::WHOLE).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidState);
    assert!(
        e.message().contains("segment 4") && e.data()["suggestion"].as_str().unwrap().contains("?segment=4")
    );
    let to = Some(Point::Moment(START + 13_000_000));
    assert_eq!(walk(&whole(&shelf.film(Cut { from: None, to }))).0.len(), 12);
    let from = Some(Point::Moment(start_us));
    assert_eq!(walk(&whole(&shelf.film(Cut { from, to: None }))).0.len(), 1);
}

#[test]
fn another_part_or_a_grown_recording_has_another_tag() {
    let mut shelf = three();
    let first = shelf.film(Cut::WHOLE).tag().to_owned();
    assert_eq!(shelf.film(Cut::WHOLE).tag(), first);
    let from = Some(Point::Position(600_000));
    assert_ne!(shelf.film(Cut { from, to: None }).tag(), first);
    shelf.add(1, 2, 0);
    assert_ne!(shelf.film(Cut::WHOLE).tag(), first);
}

#[test]
fn a_part_starts_with_a_keyframe_wherever_that_stands() {
    let mut shelf = Shelf::new();
    shelf.add_drifting(20);
    for (from, first) in [(0.0, 0), (0.99, 0), (1.0, 30), (1.5, 30), (3.99, 90), (4.05, 120), (10.6, 300)] {
        let from_us = (from * 1e6) as u64;
        let film = shelf.film(Cut { from: Some(Point::Position(from_us)), to: None });
        let bytes = whole(&film);
        let (shown, ..) = walk(&bytes);
        assert!(frames(&bytes, shown[0].at).0, "{from}");
        assert_eq!((shown[0].base, shown[0].sequence), (0, 1));
        let all: u64 = shown.iter().map(|s| frames(&bytes, s.at).1 / 3000).sum();
        assert_eq!(320 - all, first, "{from}");
        assert_eq!(film.plan.cut.unwrap().0, first * 1_000_000 / 30);
    }
}

proptest! {
    #[test]
    fn any_cut_is_a_film_or_refused(from in any::<i64>(), to in any::<u64>()) {
        let shelf = three();
        let cut = Cut { from: Some(Point::Moment(from)), to: Some(Point::Position(to)) };
        if let Ok(plan) = Plan::new(shelf.parts.clone(), cut) {
            walk(&whole(&Film::new(&"camera0_x".parse().unwrap(), plan, None)));
        }
    }
}
