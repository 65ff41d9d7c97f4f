//! What clients of a box that stops still hear.

use std::io::Read;
use std::net::TcpListener;

use crate::common::recording::Recording;
use crate::common::rpc::{Received, outcome};
use crate::common::{Client, PATIENCE, Setup};
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP, SIGTERM};
use serde_json::{Value, json};

const AWAY: u16 = 1001;

/// Sends a call with its method as its id.
fn ask(client: &mut Client, method: &str, params: &Value) {
    client.send(&json!({ "jsonrpc": "2.0", "id": method, "method": method, "params": params }).to_string());
}

/// Everything that a client hears until the box closes its socket, and with which code it does.
fn rest(client: &mut Client) -> (Vec<Value>, Option<u16>) {
    let mut said = Vec::new();
    loop {
        match client.receive(PATIENCE) {
            Received::Text(text) => said.push(serde_json::from_str(&text).unwrap()),
            Received::Closed(code) => return (said, code),
            other => panic!("{other:?} after {said:?}"),
        }
    }
}

#[test]
fn a_call_under_way_is_answered_before_the_goodbye_and_no_other_is_begun() {
    let mut testbox = Setup::new().start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(1);
    let mut idle = testbox.login("viewer");
    let mut client = testbox.login("admin");
    client.ok("subscribe_events", json!({ "topics": ["system.shutdown"] }));

    // The call needs MediaMTX, which does not answer before it is let.
    let mediamtx = testbox.child("mediamtx");
    mediamtx.signal(SIGSTOP);
    ask(&mut client, "stop_recording", &json!({ "device": "camera0" }));
    ask(&mut client, "ping", &json!({}));
    assert_eq!(client.reply()["id"], "ping", "the call before it is under way");
    testbox.signal(SIGTERM);
    let bye = idle.goodbye();
    assert_eq!(bye, (AWAY, "the box stops".to_owned()), "nobody waits where there is nothing to wait for");
    ask(&mut client, "take_snapshot", &json!({ "device": "camera1" }));
    mediamtx.signal(SIGCONT);

    let (said, code) = rest(&mut client);
    let [answer, shutdown] = &said[..] else { panic!("{said:?}") };
    let stopped = outcome(answer.clone()).unwrap();
    assert_eq!(
        (&answer["id"], &stopped["status"]),
        (&json!("stop_recording"), &json!("STOPPED")),
        "{said:?}"
    );
    assert_eq!(stopped["filename"], recording.name.as_str(), "{said:?}");
    assert_eq!((&shutdown["method"], code), (&json!("system.shutdown"), Some(AWAY)), "{said:?}");
    drop((client, idle, recording.client));
    assert!(testbox.wait_end().success());
    let stills = std::fs::read_dir(testbox.data().join("snapshots")).unwrap().count();
    assert_eq!(stills, 0, "what was asked for after the signal is not done");
}

#[test]
fn a_call_that_cannot_end_is_answered_with_an_error_before_the_goodbye() {
    // A server that is connected to and says nothing: the search of the network waits for it.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let allowed = json!([silent.local_addr().unwrap().to_string()]);
    let toml = format!("[discovery]\nexternal_enabled = true\nallowed_hosts = {allowed}");
    let mut testbox = Setup::new().cameras(0).toml(&toml).start();
    let mut client = testbox.login("operator");
    ask(&mut client, "discover_external_streams", &json!({ "generic_enabled": true }));
    let mut asked = silent.accept().unwrap().0;
    assert_ne!(asked.read(&mut [0; 64]).unwrap(), 0, "the call is under way");
    testbox.signal(SIGTERM);
    let (said, code) = rest(&mut client);
    let [answer] = &said[..] else { panic!("{said:?}") };
    let error = outcome(answer.clone()).unwrap_err();
    assert_eq!((error.code, &error.data["reason"]), (-32050, &json!("stopping")), "{error}");
    assert!(error.data["suggestion"].as_str().unwrap().contains("once the box is back"), "{error}");
    assert_eq!(code, Some(AWAY));
    drop(client);
    assert!(testbox.wait_end().success());
}
