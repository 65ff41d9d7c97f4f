use super::*;
use crate::pipeline::view::CameraStatus;
use proptest::prelude::*;

fn at(ms: u64) -> Mono {
    Mono(1_000_000_000_000 + ms * 1_000_000)
}

fn seen(ready: bool, bytes: u64) -> Event {
    Event::Seen { ready, bytes, sound: false }
}

fn play(machine: &mut Network, rows: &[(u64, Event, &[Action])]) {
    for (ms, event, expected) in rows {
        assert_eq!(machine.step(at(*ms), *event), *expected, "at {ms} ms on {event:?}");
    }
}

fn live() -> Network {
    let mut m = Network::new(false, false);
    play(&mut m, &[(0, Event::Server(true), &[Action::Pull]), (100, seen(true, 1000), &[Action::Back])]);
    m
}

#[test]
fn a_lost_camera_is_tried_as_soon_as_its_port_answers() {
    let mut m = live();
    play(
        &mut m,
        &[
            (500, seen(true, 5000), &[]),
            (1000, seen(false, 5000), &[Action::Lost(Away::Ended), Action::Park, Action::Probe]),
            (1001, Event::Probed(false), &[Action::Why(Away::Unreachable)]),
            (1500, Event::Tick, &[]),
            (2001, Event::Tick, &[Action::Probe]),
            (2002, Event::Probed(true), &[Action::Pull]),
            (2200, seen(true, 10), &[Action::Back]),
        ],
    );
}

#[test]
fn a_camera_that_answers_without_sending_is_not_live() {
    let mut m = Network::new(false, false);
    play(
        &mut m,
        &[
            (0, Event::Server(true), &[Action::Pull]),
            (100, seen(true, 0), &[]),
            (900, seen(true, 0), &[]),
            (1000, seen(true, 700), &[Action::Back]),
        ],
    );
}

#[test]
fn a_refused_password_is_tried_ever_more_rarely() {
    let mut m = Network::new(false, false);
    m.step(at(0), Event::Server(true));
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..8 {
        now += 50;
        let refused_at = now;
        let refused = m.step(at(now), Event::Failed(Away::LoginRefused));
        assert_eq!(refused.last(), Some(&Action::Park));
        // Told once, not at every attempt.
        assert_eq!(refused.contains(&Action::Why(Away::LoginRefused)), waits.is_empty());
        loop {
            now += 10;
            match m.step(at(now), Event::Tick)[..] {
                [Action::Probe] => {
                    if m.step(at(now), Event::Probed(true)) == [Action::Pull] {
                        break;
                    }
                }
                [] => {}
                ref other => panic!("{other:?}"),
            }
        }
        waits.push(now - refused_at);
    }
    assert!(waits.windows(2).take(4).all(|w| w[1] > w[0]), "{waits:?}");
    assert!(waits.iter().all(|w| (1_400..77_000).contains(w)), "{waits:?}");
}

#[test]
fn a_stream_that_is_not_there_yet_is_tried_every_second() {
    let mut m = Network::new(false, false);
    play(
        &mut m,
        &[
            (0, Event::Server(true), &[Action::Pull]),
            (20, Event::Failed(Away::NoStream), &[Action::Why(Away::NoStream), Action::Park]),
            (1020, Event::Tick, &[Action::Probe]),
            (1021, Event::Probed(true), &[Action::Pull]),
        ],
    );
}

#[test]
fn a_silent_session_is_replaced_when_the_host_answers() {
    let mut m = live();
    play(
        &mut m,
        &[
            (1000, seen(true, 9000), &[]),
            (2999, seen(true, 9000), &[]),
            (3000, seen(true, 9000), &[Action::Probe]),
            (3001, Event::Probed(false), &[]),
            (4000, Event::Tick, &[Action::Probe]),
            (4001, Event::Probed(true), &[Action::Lost(Away::Silent), Action::Pull]),
        ],
    );
}

#[test]
fn a_camera_whose_packets_are_dropped_is_lost_three_seconds_later_and_sought_every_second() {
    let mut m = live();
    play(
        &mut m,
        &[
            (1000, seen(true, 9000), &[]),
            (3000, Event::Tick, &[Action::Probe]),
            (4000, Event::Probed(false), &[Action::Lost(Away::Unreachable), Action::Park, Action::Probe]),
            (5000, Event::Probed(false), &[Action::Probe]),
            (5300, Event::Probed(true), &[Action::Pull]),
            (5500, seen(true, 10), &[Action::Back]),
        ],
    );
}

#[test]
fn a_probe_that_is_never_answered_keeps_no_camera_live() {
    let mut m = live();
    play(
        &mut m,
        &[
            (2100, Event::Tick, &[Action::Probe]),
            (4099, Event::Tick, &[]),
            (4100, Event::Tick, &[Action::Lost(Away::Unreachable), Action::Park, Action::Probe]),
        ],
    );
}

#[test]
fn a_camera_that_pauses_shorter_than_three_seconds_is_left_alone() {
    let mut m = live();
    play(
        &mut m,
        &[
            (2100, Event::Tick, &[Action::Probe]),
            (2800, seen(true, 2000), &[]),
            (3100, Event::Probed(false), &[]),
            (4799, Event::Tick, &[]),
        ],
    );
}

#[test]
fn a_camera_that_answers_and_sends_nothing_stays_silent() {
    let mut m = live();
    play(
        &mut m,
        &[
            (2100, Event::Tick, &[Action::Probe]),
            (2101, Event::Probed(true), &[Action::Lost(Away::Silent), Action::Pull]),
            (2200, seen(true, 0), &[]),
            (6601, Event::Tick, &[Action::Park, Action::Probe]),
            (6602, Event::Probed(true), &[Action::Pull]),
        ],
    );
    assert_eq!(m.away(), Away::Silent);
}

#[test]
fn why_it_is_away_is_told_again_when_it_changes() {
    let mut m = live();
    play(
        &mut m,
        &[
            (1000, seen(false, 5000), &[Action::Lost(Away::Ended), Action::Park, Action::Probe]),
            (1001, Event::Probed(true), &[Action::Pull]),
            (1050, Event::Failed(Away::NoStream), &[Action::Why(Away::NoStream), Action::Park]),
            (2050, Event::Tick, &[Action::Probe]),
            (2051, Event::Probed(true), &[Action::Pull]),
            (2060, Event::Failed(Away::NoStream), &[Action::Park]),
            (3060, Event::Tick, &[Action::Probe]),
            (3061, Event::Probed(false), &[Action::Why(Away::Unreachable)]),
        ],
    );
}

#[test]
fn mediamtx_away_is_not_the_cameras_fault() {
    let mut m = live();
    play(
        &mut m,
        &[
            (1000, Event::Server(false), &[Action::Lost(Away::ServerDown)]),
            (1500, Event::Server(true), &[Action::Pull]),
            (1600, seen(true, 100), &[Action::Back]),
        ],
    );
}

#[test]
fn unwanted_sound_is_republished_without_it() {
    let mut m = Network::new(false, false);
    m.step(at(0), Event::Server(true));
    assert_eq!(
        m.step(at(100), Event::Seen { ready: true, bytes: 1, sound: true }),
        [Action::StripSound, Action::Pull]
    );
    assert_eq!(
        m.step(at(300), Event::Seen { ready: true, bytes: 1, sound: true }),
        [Action::Back, Action::StartRepack(1)]
    );
    assert_eq!(m.step(at(500), Event::RepackUp(1)), []);
    assert_eq!(m.step(at(900), Event::RepackDown(1)), [Action::StartRepack(2)]);
}

#[test]
fn wanted_sound_is_left_alone() {
    let mut m = Network::new(true, true);
    m.step(at(0), Event::Server(true));
    assert_eq!(m.step(at(100), Event::Seen { ready: true, bytes: 1, sound: true }), [Action::Back]);
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        any::<bool>().prop_map(Event::Server),
        (any::<bool>(), 0u64..5, any::<bool>()).prop_map(|(ready, bytes, sound)| Event::Seen {
            ready,
            bytes,
            sound
        }),
        prop::sample::select(&Away::ALL[..]).prop_map(Event::Failed),
        any::<bool>().prop_map(Event::Probed),
        (0u64..5).prop_map(Event::RepackUp),
        (0u64..5).prop_map(Event::RepackDown),
        Just(Event::Tick),
    ]
}

proptest! {
    /// After any history a camera that answers is live again within its longest delay.
    #[test]
    fn no_history_leaves_a_present_camera_away(history in prop::collection::vec((0u64..20_000, event()), 0..60)) {
        let mut m = Network::new(false, false);
        let mut now = 0;
        for (wait, event) in history {
            now += wait;
            m.step(at(now), event);
        }
        m.step(at(now), Event::Server(true));
        let mut bytes = 1_000_000;
        for _ in 0..900 {
            now += 100;
            bytes += 100;
            let mut actions = m.step(at(now), Event::Tick);
            if m.probing.is_some() { actions.extend(m.step(at(now), Event::Probed(true))); }
            let ready = !matches!(m.link(), Link::Waiting(_));
            m.step(at(now), Event::Seen { ready, bytes, sound: true });
            if m.repack == Repack::Stopping { let r = m.repack_run; m.step(at(now), Event::RepackDown(r)); }
            if m.repack == (Repack::On { up: false }) { let r = m.repack_run; m.step(at(now), Event::RepackUp(r)); }
        }
        prop_assert!(matches!(m.link(), Link::Live(..)), "{m:?}");
        prop_assert!(!m.strips_sound() || m.repack_is_up(), "{m:?}");
    }

    /// After any history a camera that sends nothing is not called live for longer than six seconds,
    /// whatever its host answers and even if nobody answers for it.
    #[test]
    fn no_history_keeps_a_silent_camera_live(
        history in prop::collection::vec((0u64..20_000, event()), 0..60),
        answers in prop::collection::vec(prop::option::of(any::<bool>()), 200),
    ) {
        let mut m = Network::new(false, false);
        let mut now = 0;
        for (wait, event) in history {
            now += wait;
            m.step(at(now), event);
        }
        let frozen = match m.link() {
            Link::Live(bytes, _) => bytes,
            _ => 0,
        };
        for (n, answer) in answers.into_iter().enumerate() {
            now += 100;
            // A new session begins to count anew, and gets nothing.
            let bytes = if matches!(m.link(), Link::Live(..)) { frozen } else { 0 };
            m.step(at(now), Event::Seen { ready: true, bytes, sound: false });
            m.step(at(now), Event::Tick);
            if let (Some(_), Some(ok)) = (m.probing, answer) {
                m.step(at(now), Event::Probed(ok));
            }
            prop_assert!(n < 60 || !matches!(m.link(), Link::Live(..)), "{m:?}");
        }
        prop_assert!(m.away().status() != CameraStatus::Connected);
    }
}
