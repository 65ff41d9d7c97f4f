//! Ages after the wall clock was set.

use std::os::unix::fs::FileExt;

use serde_json::{Value, json};

use super::{numbers, small, wait_files};
use crate::common::recording::Recording;
use crate::common::{turn, wait_for};
use crate::faults_daemon::fake_clock;

#[test]
fn after_a_step_of_the_clock_no_footage_is_too_old_for_a_while() {
    let _turn = turn::take();
    let dir = tempfile::tempdir().unwrap();
    let library = match fake_clock(dir.path()) {
        Ok(library) => library,
        Err(why) => return eprintln!("left out: moving the clock needs a C compiler: {why}"),
    };
    let offset = dir.path().join("offset");
    std::fs::write(&offset, 0i64.to_ne_bytes()).unwrap();
    let mut testbox = small()
        .plain_env("LD_PRELOAD", &library.to_string_lossy())
        .plain_env("FAKE_CLOCK", &offset.to_string_lossy())
        .start();
    let mut client = testbox.login("admin");
    client.ok("take_snapshot", json!({ "device": "camera0", "filename": "old.jpg" }));
    let mut recording = Recording::start(&testbox, "camera0", 0);
    wait_files(&mut recording, 6);
    // As long as the clock runs on, ages count: three seconds.
    let days = 3.0 / 86_400.0;
    let age = json!({ "policy_type": "age", "max_age_days": days, "enabled": true });
    client.ok("set_retention_policy", age);
    wait_for("what is older goes", || (numbers(&recording.info())[0] > 1).then_some(()));
    wait_for("stills go too", || {
        let total = client.ok("list_snapshots", Value::Null)["total"].clone();
        (total == 0).then_some(())
    });
    client.ok("set_retention_policy", json!({ "policy_type": "age", "max_age_days": 0.5, "enabled": true }));
    let first = numbers(&recording.info())[0];
    // A day forward, in place: the program has this very file mapped.
    let file = std::fs::OpenOptions::new().write(true).open(&offset).unwrap();
    file.write_all_at(&(86_400 * 1_000_000_000i64).to_ne_bytes(), 0).unwrap();
    testbox.wait_log("no footage is too old for ten minutes");
    let refused = client.ok("cleanup_old_files", Value::Null);
    assert_eq!((&refused["cleanup_executed"], &refused["files_deleted"]), (&json!(false), &json!(0)));
    assert!(refused["message"].as_str().unwrap().contains("ages are judged again"), "{refused}");
    assert_eq!(numbers(&recording.info())[0], first);
    // A new start does not forget that.
    testbox.stop();
    testbox.start_again();
    let mut client = testbox.login("admin");
    let refused = client.ok("cleanup_old_files", Value::Null);
    assert_eq!(refused["cleanup_executed"], false, "{refused}");
    let mut recording = Recording::again(&testbox, "camera0", &recording.name);
    assert_eq!(numbers(&recording.info())[0], first);
    // Sizes need no clock.
    super::set_size(&mut client, 1);
    wait_for("size counts all the same", || (numbers(&recording.info())[0] > first).then_some(()));
}
