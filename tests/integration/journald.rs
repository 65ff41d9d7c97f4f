//! What journald is told: a socket of our own stands in for journald's, in the daemon's own view of /run.

#[path = "../fakes/journald.rs"]
mod fake;

use crate::common::{Setup, turn, wait_for};
use fake::Journald;
use serde_json::json;

#[test]
fn entries_carry_priority_and_camera_and_no_secret() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("left out: a mount of its own for the daemon needs root");
        return;
    }
    let _turn = turn::take();
    let journal = Journald::start();
    let testbox = Setup::new()
        .cameras(1)
        .toml("[[camera]]\nsource = \"rtsp://warden:gate-pass-7@127.0.0.1:9/live\"")
        .env("LOG__TARGET", "journald")
        .env("LOG__LEVEL", "debug")
        .through(&journal.prefix())
        .start();
    let token = testbox.token("operator");
    let mut client = testbox.connect();
    client.authenticate(&token);
    client.ok("start_streaming", json!({ "device": "camera1" }));
    let find = |what: &str, words: &str, camera: &str| {
        wait_for(what, || {
            let entry = journal.entries().into_iter().find(|e| e["MESSAGE"].contains(words))?;
            assert_eq!(entry.get("CAMERA").map(String::as_str), Some(camera), "{entry:?}");
            Some(entry)
        })
    };
    let up = find("the start of a stream is logged", "stream can be read", "camera1");
    assert_eq!(up["SYSLOG_IDENTIFIER"], "fieldcam");
    let down = find("the camera that is away is logged", "camera=camera0", "camera0");
    assert!(down["PRIORITY"] <= up["PRIORITY"], "a warning is no less urgent: {down:?} {up:?}");
    assert!(down["MESSAGE"].lines().count() == 1 && !down["MESSAGE"].contains(" WARN "), "{down:?}");

    let entries = journal.entries();
    assert!(entries.iter().all(|e| matches!(e["PRIORITY"].as_str(), "3" | "4" | "5" | "6" | "7")));
    let secret = std::fs::read_to_string(testbox.data().join("secrets/jwt.key")).unwrap();
    for secret in ["gate-pass-7", &token, secret.trim()] {
        assert!(
            !entries.iter().any(|e| e.values().any(|v| v.contains(secret))),
            "{secret} is in the journal"
        );
    }
    let log = testbox.log();
    assert!(!log.contains("stream can be read"), "the console is left alone: {log}");
}
