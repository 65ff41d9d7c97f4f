//! Another secret for the box: what the former one signed goes on for its time, and no longer.

use serde_json::{Value, json};

use crate::common::{Client, Setup, TestBox, ffmpeg, http, wait_for};

fn rotate(testbox: &TestBox, grace: &str) {
    let out = testbox.fieldcam(&["secret", "rotate", "--grace", grace]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

fn bearer(testbox: &TestBox, token: &str) -> u16 {
    let token = format!("Bearer {token}");
    http::get(&testbox.http("/files/snapshots/none.jpg"), &[("Authorization", &token)]).status
}

#[test]
fn tokens_links_and_streams_of_before_outlive_a_change_and_a_restart() {
    let mut testbox = TestBox::start();
    let before = testbox.token("viewer");
    let mut socket = testbox.connect();
    socket.authenticate(&before);
    rotate(&testbox, "24h");
    let after = testbox.token("viewer");
    socket.ok("get_camera_list", Value::Null);
    let stream = |client: &mut Client| {
        let answer = client.ok("get_stream_url", json!({ "device": "camera0" }));
        answer["stream_url"].as_str().unwrap().to_owned()
    };
    for token in [&before, &after] {
        let mut client = testbox.connect();
        client.authenticate(token);
        assert!(ffmpeg::try_probe(&stream(&mut client)).is_ok());
        assert_eq!(bearer(&testbox, token), 404);
    }
    assert!(testbox.stop().success());
    testbox.start_again();
    for token in [&before, &after] {
        testbox.connect().authenticate(token);
    }
    let log = testbox.log();
    let secret = std::fs::read_to_string(testbox.data().join("secrets/jwt.key")).unwrap();
    assert!(!log.contains(secret.trim_end()) && !log.contains(&before));
}

#[test]
fn when_the_grace_is_over_open_sockets_are_refused_and_new_tokens_are_not() {
    let mut testbox = TestBox::start();
    let before = testbox.token("viewer");
    assert!(testbox.stop().success());
    // Shorter than a running box would take; long enough for the start.
    rotate(&testbox, "15s");
    testbox.start_again();
    let mut socket = testbox.connect();
    socket.authenticate(&before);
    socket.ok("subscribe_events", json!({ "topics": ["camera.connected"] }));
    let refusal = wait_for("the former secret ends", || socket.call("get_camera_list", Value::Null).err());
    assert_eq!((refusal.code, &refusal.data["reason"]), (-32001, &json!("secret_changed")));
    assert_eq!(testbox.connect().refused("authenticate", json!({ "auth_token": before })).code, -32001);
    assert_eq!(bearer(&testbox, &before), 401);
    testbox.login("viewer").ok("get_camera_list", Value::Null);
}

#[test]
fn a_configured_secret_is_changed_where_it_is_configured() {
    let mut testbox = Setup::new().env("AUTH__JWT_SECRET", &"s".repeat(40)).start();
    let refusal = testbox.login("admin").refused("rotate_secret", Value::Null);
    assert_eq!((refusal.code, &refusal.data["state"]), (-32020, &json!("CONFIGURED")), "{refusal}");
    let suggestion = refusal.data["suggestion"].as_str().unwrap();
    assert!(suggestion.contains("auth.jwt_secret"), "{suggestion}");
    let refused = |testbox: &TestBox| {
        let out = testbox.fieldcam(&["secret", "rotate"]);
        assert!(!out.status.success());
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(said.contains("auth.jwt_secret"), "{said}");
    };
    refused(&testbox);
    assert!(testbox.stop().success());
    refused(&testbox);
}
