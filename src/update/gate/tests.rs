use super::*;
use crate::update::record::Pending;

const DEADLINE: Duration = Duration::from_secs(300);
const START: Mono = Mono(1_000_000_000);

fn boot(slot: Slot) -> Boot {
    Boot {
        slot,
        version: "2.0.0".into(),
        boot_id: "now".into(),
        other_first: Some(false),
        good: Some(Slot::A),
        failed: None,
        temporary: false,
    }
}

fn pending(boot_id: &str) -> Record {
    let pending = Pending {
        slot: "B".into(),
        version: "2.0.0".into(),
        from: "1.0.0".into(),
        boot_id: boot_id.into(),
        done: true,
        cameras: vec!["camera0".into(), "camera1".into()],
        reason: None,
    };
    Record { pending: Some(pending), ..Record::default() }
}

fn open(boot: &Boot, record: &mut Record) -> Gate {
    Gate::open(boot, record, START, DEADLINE)
}

fn seen(answers: bool, live: &[u32]) -> Seen {
    Seen { answers, live: live.iter().copied().map(CameraId).collect() }
}

#[test]
fn a_new_slot_is_good_when_the_box_answers_and_every_camera_is_back() {
    let mut gate = open(&boot(Slot::B), &mut pending("before"));
    assert!(gate.is_new());
    for half in [seen(false, &[0, 1]), seen(true, &[0]), seen(true, &[])] {
        assert_eq!(gate.step(START, &half), Do::Wait);
    }
    assert_eq!(gate.missing(&seen(true, &[0])), [CameraId(1)].into());
    assert_eq!(gate.step(START, &seen(true, &[0, 1, 7])), Do::Commit { fell_back: false });
    assert_eq!(gate.step(START, &seen(true, &[0, 1])), Do::Wait, "it is asked once at a time");
    gate.asked(false);
    assert_eq!(gate.step(START, &seen(true, &[0, 1])), Do::Commit { fell_back: false });
    gate.asked(true);
    assert_eq!(
        (gate.stand(), gate.step(START + DEADLINE * 2, &seen(false, &[]))),
        (Stand::Committed, Do::Wait)
    );
}

#[test]
fn a_new_slot_that_is_not_good_in_time_is_left_by_a_restart() {
    let mut gate = open(&boot(Slot::B), &mut pending("before"));
    assert_eq!(gate.step(START + DEADLINE - Duration::from_millis(1), &seen(true, &[0])), Do::Wait);
    assert_eq!(gate.step(START + DEADLINE, &seen(true, &[0])), Do::Restart);
    assert_eq!(gate.stand(), Stand::GivenUp);
    assert_eq!(gate.step(START + DEADLINE, &seen(true, &[0, 1])), Do::Wait, "too late");
}

#[test]
fn a_slot_that_was_good_needs_no_cameras_and_never_restarts_the_box() {
    let mut gate = open(&boot(Slot::A), &mut Record::default());
    assert_eq!(gate.step(START, &seen(true, &[])), Do::Commit { fell_back: false });
    let mut gate = open(&boot(Slot::A), &mut Record::default());
    assert_eq!(gate.step(START + DEADLINE, &seen(false, &[])), Do::Leave);
}

#[test]
fn a_box_that_is_back_in_the_old_slot_says_so_and_marks_the_other_bad() {
    let mut record = pending("before");
    record.pending.as_mut().unwrap().reason = Some("camera1 was not live".into());
    let mut gate = open(&boot(Slot::A), &mut record);
    assert_eq!(record.pending, None);
    assert_eq!(
        record.fallen.unwrap(),
        Fallen { version: "2.0.0".into(), reason: "camera1 was not live".into() }
    );
    assert_eq!(gate.step(START, &seen(true, &[])), Do::Commit { fell_back: true });

    // Without a note of an update, the bootloader's own order tells.
    let other = Boot { other_first: Some(true), ..boot(Slot::A) };
    let mut gate = open(&other, &mut Record::default());
    assert_eq!(gate.step(START, &seen(true, &[])), Do::Commit { fell_back: true });
}

#[test]
fn a_new_slot_that_cannot_use_the_data_is_never_marked_and_left_by_a_restart() {
    let new = Boot { temporary: true, ..boot(Slot::B) };
    for other_first in [None, Some(false)] {
        let mut gate = open(&Boot { other_first, ..new.clone() }, &mut Record::default());
        assert!(gate.is_new() && gate.lacks_data());
        assert_eq!(gate.step(START, &seen(true, &[0, 1])), Do::Wait);
        assert_eq!(gate.step(START + DEADLINE, &seen(true, &[0, 1])), Do::Restart);
    }
    // The good one stays a box without its data, and so does one that the bootloader fell back to, or whose
    // bootloader does not say which is good.
    let good = Boot { temporary: true, ..boot(Slot::A) };
    let fallen = Boot { other_first: Some(true), ..new.clone() };
    let silent = Boot { other_first: None, good: None, ..new };
    for (boot, fell_back) in [(good, false), (fallen, true), (silent, false)] {
        let mut gate = open(&boot, &mut Record::default());
        assert_eq!(gate.step(START, &seen(true, &[])), Do::Commit { fell_back }, "{boot:?}");
    }
}

#[test]
fn a_kept_version_that_does_not_come_up_any_more_is_told() {
    let other = Boot { other_first: Some(true), good: Some(Slot::B), ..boot(Slot::A) };
    let mut record = Record { kept: Some("3.0.0".into()), ..Record::default() };
    let mut gate = open(&other, &mut record);
    let fallen = record.fallen.clone().unwrap();
    assert!(fallen.version == "3.0.0" && fallen.reason.contains("slot B was good"), "{fallen:?}");
    assert_eq!(gate.step(START, &seen(true, &[])), Do::Commit { fell_back: true });
    // Its start said why.
    let said = Boot { failed: Some("it is cold".into()), ..other.clone() };
    for (mut record, words) in [
        (Record::default(), "slot B was good, but could not be started: it is cold;"),
        (pending("before"), "it could not be started: it is cold"),
    ] {
        open(&said, &mut record);
        assert!(record.fallen.as_ref().unwrap().reason.starts_with(words), "{record:?}");
    }
    // The image's own first version has no name here.
    let mut record = Record::default();
    open(&other, &mut record);
    assert_eq!(record.fallen.unwrap().version, "unknown");
    // One that was marked good, and the power went before that was written down.
    let mut record = pending("before");
    let mut gate = open(&other, &mut record);
    assert!(record.pending.is_none() && record.fallen.is_some());
    assert_eq!(gate.step(START, &seen(true, &[])), Do::Commit { fell_back: true });
}

#[test]
fn an_installation_that_nobody_saw_end_is_an_update_only_where_it_runs() {
    let mut record = pending("before");
    record.pending.as_mut().unwrap().done = false;
    assert!(open(&boot(Slot::B), &mut record.clone()).is_new());
    let gate = open(&boot(Slot::A), &mut record);
    assert!(!gate.is_new() && record == Record::default());
}

#[test]
fn a_daemon_that_starts_again_between_install_and_restart_keeps_the_update() {
    let mut record = pending("now");
    let other = Boot { other_first: Some(true), ..boot(Slot::A) };
    let mut gate = open(&other, &mut record);
    assert!(record.pending.is_some() && record.fallen.is_none());
    assert_eq!(gate.step(START, &seen(true, &[])), Do::Commit { fell_back: false });
}

#[test]
fn a_slot_is_marked_once_in_each_start() {
    let mut record = Record { committed: Some("now".into()), ..Record::default() };
    let mut gate = open(&boot(Slot::A), &mut record);
    assert_eq!((gate.stand(), gate.step(START, &seen(true, &[]))), (Stand::Committed, Do::Wait));
}
