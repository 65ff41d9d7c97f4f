use super::*;

fn ours() -> Ours {
    Ours { compatible: "fieldcam-rpi".into(), version: "1.2.0".into() }
}

fn bundle(compatible: &str, version: &str) -> Bundle {
    Bundle { compatible: compatible.into(), version: version.into() }
}

fn wish(source: Source) -> Wish {
    Wish { source, sha256: None, allow_downgrade: false }
}

fn file() -> Wish {
    wish(Source::File("next".into()))
}

fn checking(wish: Wish) -> Job {
    let mut job = Job::Idle;
    job.begin(wish);
    job
}

#[test]
fn an_uploaded_bundle_is_looked_at_installed_and_then_waits_for_a_restart() {
    let mut job = Job::Idle;
    assert_eq!(job.begin(file()), Action::Inspect("next".into()));
    assert!(job.is_busy());
    let install = job.step(Event::Checked(bundle("fieldcam-rpi", "1.3.0")), &ours());
    assert_eq!(install, [Action::Install("next".into())]);
    assert_eq!(job.step(Event::Progress { percent: 40, message: "Copying".into() }, &ours()), []);
    assert!(matches!(&job, Job::Installing { percent: 40, message, .. } if message == "Copying"));
    let done = job.step(Event::Done, &ours());
    assert_eq!(done, [Action::Note { version: "1.3.0".into() }, Action::Remove("next".into())]);
    assert_eq!(job, Job::Installed { version: "1.3.0".into() });
    assert!(!job.is_busy());
}

#[test]
fn a_bundle_from_the_network_is_fetched_first_and_has_to_be_the_one_that_was_meant() {
    let url = || Wish { sha256: Some("aa".into()), ..wish(Source::Url("http://x/y".into())) };
    let fetched = |sum: &str| Event::Fetched { file: "fetched".into(), sha256: sum.into() };
    let mut job = Job::Idle;
    assert_eq!(job.begin(url()), Action::Fetch("http://x/y".into()));
    assert_eq!(job.step(Event::Fetching { got: 5, total: 10 }, &ours()), []);
    assert!(matches!(job, Job::Downloading { got: 5, total: 10, .. }));
    assert!(job.is_busy() && !job.would_be_torn(), "a restart may come");
    assert_eq!(job.step(fetched("aa"), &ours()), [Action::Inspect("fetched".into())]);
    assert!(job.is_busy() && job.would_be_torn());

    let mut job = checking(url());
    assert_eq!(job.step(fetched("bb"), &ours()), [Action::Remove("fetched".into())]);
    assert!(matches!(job, Job::Failed(fault) if fault.reason == "wrong_checksum"));
}

#[test]
fn an_uploaded_bundle_with_the_wrong_sum_stays_where_it_is() {
    let mut job = Job::Idle;
    let named = Wish { sha256: Some("aa".into()), ..file() };
    assert_eq!(job.begin(named), Action::Sum("next".into()));
    assert_eq!(job.step(Event::Fetched { file: "next".into(), sha256: "bb".into() }, &ours()), []);
    assert!(matches!(job, Job::Failed(fault) if fault.reason == "wrong_checksum"));
}

#[test]
fn another_board_and_an_older_version_are_refused() {
    for (compatible, version, allow_downgrade, reason) in [
        ("fieldcam-orin", "1.3.0", false, Some("wrong_board")),
        ("fieldcam-orin", "1.3.0", true, Some("wrong_board")),
        ("fieldcam-rpi", "1.1.9", false, Some("older_version")),
        ("fieldcam-rpi", "1.2.0-rc.1", false, Some("older_version")),
        ("fieldcam-rpi", "next", false, Some("older_version")),
        ("fieldcam-rpi", "1.1.9", true, None),
        // The same version once more mends a slot.
        ("fieldcam-rpi", "1.2.0", false, None),
    ] {
        let mut job = checking(Wish { allow_downgrade, ..file() });
        job.step(Event::Checked(bundle(compatible, version)), &ours());
        match reason {
            Some(reason) => assert!(matches!(&job, Job::Failed(fault) if fault.reason == reason), "{job:?}"),
            None => assert!(job.is_busy(), "{version}: {job:?}"),
        }
    }
}

#[test]
fn what_comes_late_changes_nothing() {
    let late = [
        Event::Fetching { got: 1, total: 2 },
        Event::Fetched { file: "x".into(), sha256: "y".into() },
        Event::Checked(bundle("fieldcam-rpi", "9")),
        Event::Progress { percent: 3, message: String::new() },
        Event::Done,
        Event::Failed(Fault::no_rauc("x")),
    ];
    for job in [Job::Idle, Job::Installed { version: "1".into() }, Job::Failed(Fault::no_rauc("y"))] {
        for event in late.clone() {
            let mut after = job.clone();
            assert_eq!((after.step(event, &ours()), &after), (vec![], &job));
        }
    }
}
