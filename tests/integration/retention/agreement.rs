//! SIGKILL in the middle of a cleanup: after the next start index, cards and files agree.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{assert_agree, numbers, recordings_size, small, wait_files};
use crate::common::recording::Recording;
use crate::common::wait_for;

/// When the daemon is killed; where the cleanup is then depends on the machine too.
#[derive(Debug)]
enum Moment {
    /// The card of the running recording says that segments are to go.
    Marked,
    /// The first file is gone.
    FileGone,
}

impl Moment {
    /// Looks as fast as it can: the cleanup takes a few milliseconds.
    fn wait(&self, folder: &Path) {
        let card = folder.join("recording.json");
        let begun = Instant::now();
        let files = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        let first = files.filter(|p| p.extension().is_some_and(|x| x == "mp4")).min().unwrap();
        let is_now = || match self {
            Moment::Marked => {
                std::fs::read_to_string(&card).is_ok_and(|card| card.contains("\"trimmed\": true"))
            }
            Moment::FileGone => !first.exists(),
        };
        // The cleanup may be over between two looks; that is a crash after it.
        while !is_now() && begun.elapsed() < Duration::from_secs(2) {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_crash_in_the_middle_of_a_cleanup_leaves_all_in_agreement() {
    let mut caught = 0;
    for moment in [Moment::Marked, Moment::FileGone] {
        // Of a box of its own: after several crashes in a row a recording is left closed.
        let mut testbox = small().cameras(2).start();
        let mut client = testbox.login("admin");
        let mut ended = Recording::start(&testbox, "camera0", 0);
        let mut running = Recording::start(&testbox, "camera1", 0);
        wait_files(&mut ended, 4);
        ended.stop();
        wait_files(&mut running, 5);
        let before = numbers(&running.info()).len() + numbers(&ended.info()).len();
        let total = recordings_size(&mut client);
        // About a third stays, of both.
        let gb = total as f64 / 3e9;
        let policy = json!({ "policy_type": "size", "max_size_gb": gb, "enabled": true });
        let request =
            json!({ "jsonrpc": "2.0", "id": 1, "method": "set_retention_policy", "params": policy });
        client.send(&request.to_string());
        client.send(r#"{"jsonrpc":"2.0","id":2,"method":"cleanup_old_files"}"#);
        moment.wait(&running.folder);
        testbox.kill();
        let marked = std::fs::read_to_string(running.folder.join("recording.json")).unwrap();
        caught += u32::from(marked.contains("\"trimmed\": true"));
        // What is left of the cleanup is not done by a policy.
        testbox.change(|setup| setup.env("STORAGE__RETENTION", "manual"));
        testbox.start_again();
        let mut client = testbox.login("admin");
        wait_for("the check is over", || {
            let ready =
                crate::common::http::get(&format!("{}/health/ready", testbox.endpoints().url("health")), &[]);
            (!ready.text().contains("checking")).then_some(())
        });
        let mut running = Recording::again(&testbox, "camera1", &running.name);
        running.wait_more(1);
        running.stop();
        let left = assert_agree(&testbox, &mut client, "camera1", &running.name);
        let gone = json!({ "filename": ended.name });
        let other = match client.call("get_recording_info", gone.clone()) {
            Ok(_) => assert_agree(&testbox, &mut client, "camera0", &ended.name),
            Err(e) => {
                assert_eq!(e.code, -32010, "{e}");
                assert!(!ended.folder.exists());
                json!({ "segments": [] })
            }
        };
        println!(
            "{moment:?}: of {before} files {} and {} are left",
            numbers(&other).len(),
            numbers(&left).len()
        );
        let log = testbox.log();
        assert!(!log.contains("is gone from the disk"), "a segment was lost");
    }
    println!("{caught} of 2 were caught with marks");
}
