use super::*;
use crate::capture::Fanout;
use crate::preview::{Makers, Preview};
use proptest::prelude::*;

fn at(ms: u64) -> Mono {
    Mono(1_000_000_000_000 + ms * 1_000_000)
}

/// A table row: time in ms, event, expected actions.
fn play(machine: &mut Local, rows: &[(u64, Event, &[Action])]) {
    for (ms, event, expected) in rows {
        assert_eq!(machine.step(at(*ms), *event), *expected, "at {ms} ms on {event:?}");
    }
}

fn live() -> Local {
    let mut m = Local::new(false);
    play(
        &mut m,
        &[
            (0, Event::Server(true), &[]),
            (1, Event::Open, &[Action::StartSource(1), Action::StartEncoder(1)]),
            (90, Event::SourceUp(1), &[]),
            (180, Event::EncoderUp(1), &[]),
        ],
    );
    m
}

#[test]
fn idle_camera_runs_nothing_and_wants_no_tick() {
    let mut m = Local::new(false);
    play(&mut m, &[(0, Event::Server(true), &[]), (5, Event::Tick, &[])]);
    assert_eq!(m.deadline(), None);
}

#[test]
fn nobody_watching_closes_it_after_300_seconds() {
    let mut m = live();
    assert_eq!(m.deadline(), Some(at(1) + AUTO_CLOSE));
    play(
        &mut m,
        &[
            (1000, Event::Readers(1), &[]),
            (60_000, Event::Readers(1), &[]),
            (60_500, Event::Readers(0), &[]),
            (359_999, Event::Tick, &[]),
            (360_001, Event::Tick, &[Action::StopSource(1), Action::StopEncoder(1)]),
            (360_100, Event::SourceDown(1), &[]),
            (360_101, Event::EncoderDown(1), &[]),
        ],
    );
    assert!(m.at_rest());
}

#[test]
fn stop_streaming_leaves_it_to_a_recording() {
    let mut m = live();
    play(
        &mut m,
        &[
            (1000, Event::Recording(true), &[]),
            (1100, Event::Close, &[]),
            (9000, Event::Recording(false), &[Action::StopSource(1), Action::StopEncoder(1)]),
        ],
    );
}

#[test]
fn a_dead_encoder_comes_back_at_once_and_then_more_slowly() {
    let mut m = live();
    play(
        &mut m,
        &[(500, Event::EncoderDown(1), &[Action::StartEncoder(2)]), (600, Event::EncoderDown(2), &[])],
    );
    let due = m.deadline().unwrap();
    assert!(due > at(600) && due <= at(900), "{due:?}");
}

#[test]
fn a_dead_source_leaves_the_encoder_running_for_four_seconds() {
    let mut m = live();
    play(
        &mut m,
        &[
            (10_000, Event::SourceDown(1), &[Action::StartSource(2)]),
            (13_999, Event::Tick, &[]),
            (14_000, Event::Tick, &[Action::StopEncoder(1)]),
            (14_010, Event::EncoderDown(1), &[]),
            (14_500, Event::SourceUp(2), &[Action::StartEncoder(2)]),
        ],
    );
}

#[test]
fn a_source_that_never_delivers_is_started_again() {
    let mut m = live();
    play(
        &mut m,
        &[
            (20_000, Event::SourceDown(1), &[Action::StartSource(2)]),
            (24_000, Event::Tick, &[Action::StopEncoder(1)]),
            (28_000, Event::Tick, &[Action::StopSource(2)]),
        ],
    );
    m.step(at(28_100), Event::SourceDown(2));
    assert!(matches!(m.source(), Stage::Waiting(_)));
}

#[test]
fn a_silent_source_is_stopped_and_started_again() {
    let mut m = live();
    play(
        &mut m,
        &[
            (10_000, Event::SourceSilent(1), &[Action::StopSource(1)]),
            (10_500, Event::SourceDown(1), &[Action::StartSource(2)]),
            (10_600, Event::SourceUp(2), &[]),
        ],
    );
    assert!(matches!(m.encoder(), Stage::Running(_)));
}

#[test]
fn mediamtx_away_stops_the_encoder_but_not_the_camera() {
    let mut m = live();
    play(
        &mut m,
        &[
            (1000, Event::Server(false), &[Action::StopEncoder(1)]),
            (1010, Event::EncoderDown(1), &[]),
            (1500, Event::Server(true), &[Action::StartEncoder(2)]),
        ],
    );
}

#[test]
fn news_of_an_older_run_changes_nothing() {
    let mut m = live();
    play(
        &mut m,
        &[(500, Event::EncoderDown(1), &[Action::StartEncoder(2)]), (501, Event::EncoderDown(1), &[])],
    );
    assert!(matches!(m.encoder(), Stage::Starting(_)));
}

#[test]
fn a_snapshot_of_an_idle_camera_runs_the_source_alone() {
    let mut m = Local::new(false);
    play(
        &mut m,
        &[
            (0, Event::Server(true), &[]),
            (1, Event::Peek(at(5000)), &[Action::StartSource(1)]),
            (90, Event::SourceUp(1), &[]),
            (5000, Event::Tick, &[Action::StopSource(1)]),
        ],
    );
}

#[tokio::test]
async fn a_camera_that_was_looked_at_rests_300_s_after_the_last_look() {
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = asked.clone();
    let group = crate::supervise::Phases::default().add("test");
    let spawner = crate::supervise::Spawner::start().unwrap();
    let decoder = crate::snapshot::Decoder::new("ffmpeg".into(), spawner, group.clone());
    let preview = Preview::of_frames(Fanout::new(), decoder, Makers::new(), group, move |until| {
        heard.lock().unwrap().push(until);
        true
    });
    preview.touch();
    let [until] = asked.lock().unwrap()[..] else { panic!("it was not asked for once") };
    let left = until.since(Mono::now());
    assert!(left > AUTO_CLOSE - Duration::from_secs(60) && left <= AUTO_CLOSE, "{left:?}");

    let (mut m, now) = (Local::new(false), Mono::now());
    m.step(now, Event::Server(true));
    // Looking takes no encoder.
    assert_eq!(m.step(now, Event::Peek(until)), [Action::StartSource(1)]);
    assert_eq!(m.step(now, Event::SourceUp(1)), []);
    let later = until + Duration::from_secs(10);
    assert_eq!(m.step(now, Event::Peek(later)), [], "somebody looks again");
    assert_eq!(m.step(until, Event::Tick), []);
    assert_eq!(m.deadline(), Some(later));
    assert_eq!(m.step(later, Event::Tick), [Action::StopSource(1)]);
    assert_eq!(m.step(later, Event::SourceDown(1)), []);
    assert!(m.at_rest() && m.deadline().is_none(), "nothing runs and nothing wakes it");
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        any::<bool>().prop_map(Event::Recording),
        Just(Event::Open),
        Just(Event::Close),
        (0u64..600_000).prop_map(|ms| Event::Peek(at(ms))),
        (0u32..3).prop_map(Event::Readers),
        any::<bool>().prop_map(Event::Server),
        (0u64..12).prop_map(Event::SourceUp),
        (0u64..12).prop_map(Event::SourceDown),
        (0u64..12).prop_map(Event::SourceSilent),
        (0u64..12).prop_map(Event::EncoderUp),
        (0u64..12).prop_map(Event::EncoderDown),
        Just(Event::Tick),
    ]
}

proptest! {
    /// After any history: if a recording wants it and children answer as real ones do, it runs.
    #[test]
    fn no_history_leaves_a_wanted_camera_stuck(history in prop::collection::vec((0u64..20_000, event()), 0..60)) {
        let mut m = Local::new(false);
        let mut now = 0;
        let (mut source, mut encoder) = (Vec::new(), Vec::new());
        let mut note = |actions: Vec<Action>| for a in actions {
            match a {
                Action::StartSource(r) => source.push((r, true)),
                Action::StopSource(r) => source.push((r, false)),
                Action::StartEncoder(r) => encoder.push((r, true)),
                Action::StopEncoder(r) => encoder.push((r, false)),
            }
        };
        for (wait, event) in history {
            now += wait;
            note(m.step(at(now), event));
            let waits = |s: Stage| matches!(s, Stage::Starting(_) | Stage::Stopping(_) | Stage::Waiting(_));
            if waits(m.source()) || waits(m.encoder()) {
                prop_assert!(m.deadline().is_some());
            }
        }
        note(m.step(at(now), Event::Server(true)));
        note(m.step(at(now), Event::Recording(true)));
        for _ in 0..50 {
            if let Stage::Starting(_) = m.source() { let r = m.source.run; note(m.step(at(now), Event::SourceUp(r))); }
            if let Stage::Stopping(_) = m.source() { let r = m.source.run; note(m.step(at(now), Event::SourceDown(r))); }
            if let Stage::Starting(_) = m.encoder() { let r = m.encoder.run; note(m.step(at(now), Event::EncoderUp(r))); }
            if let Stage::Stopping(_) = m.encoder() { let r = m.encoder.run; note(m.step(at(now), Event::EncoderDown(r))); }
            now += 1000;
            note(m.step(at(now), Event::Tick));
        }
        prop_assert!(matches!(m.source(), Stage::Running(_)), "{m:?}");
        prop_assert!(matches!(m.encoder(), Stage::Running(_)), "{m:?}");
        for runs in [&source, &encoder] {
            // Every run is started once and stopped at most once.
            let mut starts: Vec<_> = runs.iter().filter(|r| r.1).map(|r| r.0).collect();
            let before = starts.len();
            starts.dedup();
            prop_assert_eq!(before, starts.len());
        }
    }
}
