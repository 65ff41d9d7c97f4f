use proptest::prelude::*;

use super::*;
use crate::pipeline::rung::Tries;

fn at(ms: u64) -> Mono {
    Mono(1_000_000_000_000 + ms * 1_000_000)
}

const ALONE: Can = Can { wanted: true, rebind: false, reauthorize: false };
const HELPED: Can = Can { wanted: true, rebind: true, reauthorize: true };

/// A table row: time in ms, event, expected step.
fn play(ladder: &mut Ladder, can: Can, rows: &[(u64, Event, Option<Step>)]) {
    for (ms, event, expected) in rows {
        assert_eq!(ladder.step(at(*ms), can, *event), *expected, "at {ms} ms on {event:?}: {ladder:?}");
    }
}

fn flowing() -> Ladder {
    let mut ladder = Ladder::default();
    play(&mut ladder, ALONE, &[(0, Event::Opened, None), (100, Event::Good, None)]);
    ladder
}

const fn climb(rung: Rung) -> Option<Step> {
    Some(Step::Climb(rung))
}

#[test]
fn a_camera_that_falls_silent_climbs_rung_after_rung_each_in_its_time() {
    let mut ladder = flowing();
    play(
        &mut ladder,
        HELPED,
        &[
            (60_000, Event::Fault(Fault::Silent), climb(Rung::Restream)),
            (61_499, Event::Tick, None),
            (61_500, Event::Tick, climb(Rung::Reopen)),
        ],
    );
    assert!(ladder.holds(), "it is not closed");
    play(&mut ladder, HELPED, &[(61_510, Event::Closed, None)]);
    assert!(!ladder.holds(), "it is not opened again");
    play(
        &mut ladder,
        HELPED,
        &[
            (61_520, Event::Opened, None),
            (63_600, Event::Fault(Fault::Silent), None),
            (64_500, Event::Tick, climb(Rung::Rebind)),
            (64_510, Event::Closed, None),
        ],
    );
    assert!(ladder.holds(), "it is opened while the helper works");
    play(
        &mut ladder,
        HELPED,
        &[
            (64_600, Event::Unplugged, None),
            (64_700, Event::Helped, None),
            (64_800, Event::Plugged, None),
            (66_000, Event::Opened, None),
            (74_500, Event::Tick, climb(Rung::Reauthorize)),
            (74_600, Event::NotHelped, climb(Rung::Quarantine)),
            (79_599, Event::Tick, None),
        ],
    );
    assert_eq!((ladder.rung(), ladder.holds()), (Some(Rung::Quarantine), true));
    play(
        &mut ladder,
        HELPED,
        &[
            (79_600, Event::Tick, None),
            (79_610, Event::Opened, None),
            // And from the beginning.
            (82_610, Event::Tick, climb(Rung::Restream)),
        ],
    );
    assert!(ladder.counts().iter().all(|n| n.tried >= 1 && n.cured == 0));
}

#[test]
fn a_failed_call_is_answered_at_once() {
    let mut ladder = flowing();
    play(
        &mut ladder,
        ALONE,
        &[
            (60_000, Event::Fault(Fault::Broken), climb(Rung::Restream)),
            (60_200, Event::Good, Some(Step::Recovered(Rung::Restream, Duration::from_millis(200)))),
        ],
    );
    assert_eq!(ladder.counts()[0], Tries { tried: 1, cured: 1 });
    assert_eq!((ladder.rung(), ladder.deadline()), (None, None));
}

#[test]
fn a_device_that_was_closed_is_opened_again_and_again_within_the_time() {
    let mut ladder = flowing();
    play(
        &mut ladder,
        ALONE,
        &[(60_000, Event::Fault(Fault::Closed), climb(Rung::Reopen)), (60_001, Event::Opened, None)],
    );
    play(&mut ladder, ALONE, &[(60_010, Event::Fault(Fault::Closed), None)]);
    assert_eq!((ladder.holds(), ladder.deadline()), (true, Some(at(60_310))));
    play(&mut ladder, ALONE, &[(60_310, Event::Tick, None)]);
    assert!(!ladder.holds());
    play(
        &mut ladder,
        ALONE,
        &[
            (60_320, Event::Opened, None),
            (60_500, Event::Good, Some(Step::Recovered(Rung::Reopen, Duration::from_millis(500)))),
        ],
    );
}

#[test]
fn one_that_is_pulled_out_climbs_nothing() {
    let mut ladder = flowing();
    play(
        &mut ladder,
        HELPED,
        &[
            (60_000, Event::Fault(Fault::Gone), None),
            (60_040, Event::Unplugged, None),
            (60_400, Event::Tick, None),
            (90_000, Event::Plugged, None),
            (90_100, Event::Opened, None),
            (90_300, Event::Good, None),
        ],
    );
    assert_eq!(ladder.counts(), Counts::default());
}

#[test]
fn what_helped_for_a_while_is_tried_first_and_what_did_not_is_passed() {
    for (lived, expected) in
        [(29_000, Rung::Reopen), (2_000, Rung::Rebind), (31_000, Rung::Restream), (3_000, Rung::Reopen)]
    {
        let mut ladder = flowing();
        play(
            &mut ladder,
            HELPED,
            &[
                (60_000, Event::Fault(Fault::Silent), climb(Rung::Restream)),
                (61_500, Event::Tick, climb(Rung::Reopen)),
                (61_510, Event::Closed, None),
                (61_520, Event::Opened, None),
            ],
        );
        ladder.step(at(62_000), HELPED, Event::Good);
        let next = ladder.step(at(62_000 + lived), HELPED, Event::Fault(Fault::Silent));
        assert_eq!(next, climb(expected), "after {lived} ms");
    }
}

#[test]
fn a_driver_that_lets_go_after_the_helper_is_done_does_not_end_the_climb() {
    let mut ladder = flowing();
    play(
        &mut ladder,
        HELPED,
        &[
            (60_000, Event::Fault(Fault::Silent), climb(Rung::Restream)),
            (61_500, Event::Tick, climb(Rung::Reopen)),
            (61_510, Event::Closed, None),
            (61_520, Event::Opened, None),
            (64_500, Event::Tick, climb(Rung::Rebind)),
            (64_600, Event::Helped, None),
            (65_000, Event::Closed, None),
            // And its driver made no node of it.
            (65_010, Event::Unplugged, None),
            (74_500, Event::Tick, climb(Rung::Reauthorize)),
        ],
    );
    // Nobody wants it any more: then it is over.
    ladder.step(at(74_600), HELPED, Event::Helped);
    let nobody = Can { wanted: false, ..HELPED };
    assert_eq!(ladder.step(at(74_700), nobody, Event::Closed), None);
    assert_eq!(ladder.deadline(), None);
}

#[test]
fn no_trouble_begins_with_what_takes_other_cameras_away() {
    let mut ladder = flowing();
    play(
        &mut ladder,
        HELPED,
        &[
            (60_000, Event::Fault(Fault::Silent), climb(Rung::Restream)),
            (61_500, Event::Tick, climb(Rung::Reopen)),
            (61_510, Event::Closed, None),
            (61_520, Event::Opened, None),
            (64_500, Event::Tick, climb(Rung::Rebind)),
            (64_510, Event::Closed, None),
            (64_600, Event::Unplugged, None),
            (64_700, Event::Plugged, None),
            (64_710, Event::Helped, None),
            (64_720, Event::Opened, None),
        ],
    );
    ladder.step(at(65_000), HELPED, Event::Good);
    let next = ladder.step(at(70_000), HELPED, Event::Fault(Fault::Broken));
    assert_eq!(next, climb(Rung::Restream));
}

#[test]
fn what_no_driver_cures_disturbs_no_driver() {
    let mut ladder = Ladder::default();
    play(
        &mut ladder,
        HELPED,
        &[
            (0, Event::Opened, None),
            (10, Event::Fault(Fault::Refused), climb(Rung::Reopen)),
            (20, Event::Opened, None),
            (30, Event::Fault(Fault::Refused), None),
            (3_010, Event::Tick, climb(Rung::Quarantine)),
        ],
    );
}

#[test]
fn a_camera_that_nobody_wants_is_left_alone() {
    let mut ladder = flowing();
    let nobody = Can { wanted: false, ..HELPED };
    play(&mut ladder, nobody, &[(60_000, Event::Fault(Fault::Closed), None)]);
    assert_eq!((ladder.rung(), ladder.holds(), ladder.deadline()), (None, false, None));
}

fn events() -> impl Strategy<Value = Event> {
    use Fault::{Broken, Closed, Gone, Refused, Silent};
    let fault = prop::sample::select(vec![Silent, Broken, Closed, Gone, Refused]).prop_map(Event::Fault);
    let other = [
        Event::Opened,
        Event::Good,
        Event::Closed,
        Event::Helped,
        Event::NotHelped,
        Event::Plugged,
        Event::Unplugged,
        Event::Tick,
    ];
    prop_oneof![2 => fault, 3 => prop::sample::select(other.to_vec())]
}

proptest! {
    /// Whatever happens, and in whichever order.
    #[test]
    fn counters_never_fall_and_nothing_waits_without_an_end(
        all in prop::collection::vec((events(), 0u64..4000, any::<bool>(), any::<bool>(), any::<bool>()), 1..200),
    ) {
        let mut ladder = Ladder::default();
        let mut now = 0;
        for (event, later, wanted, rebind, reauthorize) in all {
            now += later;
            let before = ladder.counts();
            let step = ladder.step(at(now), Can { wanted, rebind, reauthorize }, event);
            for (before, after) in before.iter().zip(ladder.counts()) {
                prop_assert!(after.tried >= before.tried && after.cured >= before.cured);
                prop_assert!(after.cured <= after.tried);
            }
            if let Some(Step::Climb(rung)) = step {
                prop_assert!(wanted);
                prop_assert_eq!(ladder.rung(), Some(rung));
                prop_assert!(rung != Rung::Rebind || rebind);
                prop_assert!(rung != Rung::Reauthorize || reauthorize);
            }
            if ladder.holds() || ladder.rung().is_some() {
                let deadline = ladder.deadline().expect("it waits for something");
                prop_assert!(deadline <= at(now) + Rung::Quarantine.budget(), "{ladder:?}");
            }
        }
    }

    /// A driver that fails however it likes: each minute has few rungs, and the ladder goes on for ever.
    #[test]
    fn a_camera_that_never_works_is_tried_for_ever_and_never_in_a_tight_loop(
        faults in prop::collection::vec((events(), 1u64..2000), 300),
        rebind: bool,
        reauthorize: bool,
    ) {
        let can = Can { wanted: true, rebind, reauthorize };
        let mut ladder = Ladder::default();
        let (mut now, mut climbs, mut open) = (0, Vec::new(), false);
        for (event, later) in faults {
            // As its owner: the device is opened when it may be, and closed when it may not.
            let due = ladder.deadline();
            now += later;
            if let Some(due) = due.filter(|due| *due <= at(now))
                && let Some(Step::Climb(rung)) = ladder.step(due, can, Event::Tick)
            {
                climbs.push((due, rung));
            }
            let event = match event {
                Event::Fault(Fault::Silent | Fault::Broken) if open => event,
                Event::Fault(_) if open => { open = false; event }
                Event::Helped | Event::NotHelped => event,
                _ if ladder.holds() && open => { open = false; Event::Closed }
                _ if !ladder.holds() && !open => { open = true; Event::Opened }
                _ => Event::Tick,
            };
            if let Some(Step::Climb(rung)) = ladder.step(at(now), can, event) {
                climbs.push((at(now), rung));
            }
        }
        let hours = Duration::from_millis(now).as_secs_f64() / 3600.0;
        prop_assert!(climbs.len() > 3, "{climbs:?}");
        for (n, (then, rung)) in climbs.iter().enumerate() {
            // All rungs between two rests, each once.
            if let Some((next, after)) = climbs.get(n + 1) {
                prop_assert!(after > rung || *rung == Rung::Quarantine, "{rung:?} then {after:?} in {hours} h");
                prop_assert!(*rung != Rung::Quarantine || next.since(*then) >= REST.0);
            }
        }
    }
}
