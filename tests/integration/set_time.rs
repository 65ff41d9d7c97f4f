//! The clock set by a laptop, and how far a recording says it could be trusted. The helper is a fake one that only
//! notes what it is asked for: the real one would set this machine's clock.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::common::{Setup, wait_for};
use serde_json::{Value, json};

/// Answers `ok` to whatever it is asked, and notes it.
fn helper(socket: &Path) -> Arc<Mutex<Vec<String>>> {
    let listener = UnixListener::bind(socket).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut line = [0; 96];
            let n = stream.read(&mut line).unwrap_or(0);
            notes.lock().unwrap().push(String::from_utf8_lossy(&line[..n]).trim().to_owned());
            let _ = stream.write_all(b"ok\n");
        }
    });
    asked
}

fn errands(asked: &Mutex<Vec<String>>) -> Vec<String> {
    asked.lock().unwrap().iter().filter(|line| line.starts_with("SET-TIME")).cloned().collect()
}

#[test]
fn a_laptop_sets_the_clock_and_recordings_say_how_far_it_can_be_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("box.sock");
    let asked = helper(&socket);
    let mut testbox = Setup::new().env("UPDATE__HELPER", &socket.to_string_lossy()).start();
    let mut client = testbox.login("admin");
    let trust = |client: &mut crate::common::Client| -> Value {
        let started = client.ok("start_recording", json!({ "device": "camera0" }));
        let name = started["filename"].clone();
        let word = wait_for("the recording is noted", || {
            let info = client.ok("get_recording_info", json!({ "filename": name }));
            (info["duration"].as_u64()? > 0).then(|| info["clock"].clone())
        });
        client.ok("stop_recording", json!({ "device": "camera0" }));
        word
    };
    let now = jiff::Timestamp::now();
    if let Err(refused) = client.call("set_time", json!({ "time": now.to_string() })) {
        assert_eq!((refused.code, &refused.data["state"]), (-32020, &json!("ntp")), "{refused:?}");
        assert_eq!(trust(&mut client), "ntp");
        assert_eq!(errands(&asked), Vec::<String>::new());
        println!("this machine's clock is in step with a time server: only the refusal was tested");
        return;
    }
    assert_eq!(errands(&asked), [format!("SET-TIME {}", now.as_millisecond())]);
    assert_eq!(trust(&mut client), "set");
    let answer = client.ok("set_time", json!({ "time": now.to_string() }));
    let mut other = testbox.connect();
    other.authenticate(answer["auth_token"].as_str().unwrap());
    other.ok("get_metrics", json!({}));
    let refused = client.refused("set_time", json!({ "time": "2025-01-15T14:30:00Z" }));
    assert_eq!((refused.code, &refused.data["param"]), (-32602, &json!("time")), "{refused:?}");
    assert_eq!(
        testbox.login("operator").refused("set_time", json!({ "time": now.to_string() })).code,
        -32002
    );
    assert_eq!(errands(&asked).len(), 2);

    testbox.stop();
    let kept = std::fs::read_to_string(testbox.data().join("clock")).unwrap();
    assert!(kept.trim().parse::<i64>().unwrap() >= now.as_millisecond(), "{kept}");
    // A box that starts below the last time known is brought up to it.
    let later = now.as_millisecond() + 3_600_000;
    std::fs::write(testbox.data().join("clock"), later.to_string()).unwrap();
    testbox.start_again();
    assert_eq!(errands(&asked)[2..], [format!("SET-TIME {later}")]);
    assert_eq!(trust(&mut testbox.login("operator")), "kept");
}
