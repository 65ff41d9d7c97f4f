//! Bad requests are answered as the contract says, and nothing else notices them.

use crate::common::bystander::{Bystander, check_error, start};
use crate::common::rpc::outcome;
use serde_json::{Value, json};

#[test]
fn envelopes_that_are_no_request_are_refused_with_their_id() {
    let testbox = start();
    let mut bystander = Bystander::new(&testbox);
    let mut client = testbox.connect();
    let brackets = "[".repeat(100_000);
    let braces = r#"{"a":"#.repeat(100_000);
    let cases: &[(&str, &str)] = &[
        ("", "null"),
        ("   ", "null"),
        ("not json", "null"),
        ("{", "null"),
        ("null", "null"),
        ("true", "null"),
        ("42", "null"),
        (r#""ping""#, "null"),
        ("[]", "null"),
        ("[1,2]", "null"),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "null"),
        (r#"[{"jsonrpc":"2.0","method":"ping"}]"#, "null"),
        (&brackets, "null"),
        (&braces, "null"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#, "null"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{}"#, "null"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping",}"#, "null"),
        (r#"{'jsonrpc':'2.0','id':1,'method':'ping'}"#, "null"),
        (r#"{"jsonrpc":"2.0","id":01,"method":"ping"}"#, "null"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":NaN}"#, "null"),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi\nng\"}", "null"),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, "null"),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, "null"),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, "null"),
        (r#"{"jsonrpc":"2.0","id":1}"#, "1"),
        (r#"{"id":2,"method":"ping"}"#, "2"),
        (r#"{"jsonrpc":"1.0","id":3,"method":"ping"}"#, "3"),
        (r#"{"jsonrpc":2.0,"id":4,"method":"ping"}"#, "4"),
        (r#"{"jsonrpc":null,"id":5,"method":"ping"}"#, "5"),
        (r#"{"jsonrpc":"2.0","id":6,"method":7}"#, "6"),
        (r#"{"jsonrpc":"2.0","id":"seven","method":null}"#, "\"seven\""),
        (r#"{"jsonrpc":"2.0","id":8,"method":["ping"]}"#, "8"),
        (r#"{"jsonrpc":"2.0","id":9,"method":{"name":"ping"}}"#, "9"),
        (r#"{"jsonrpc":"2.0","id":10,"method":"\ud800"}"#, "10"),
    ];
    for (sent, id) in cases {
        let case: String = sent.chars().take(80).collect();
        client.send(sent);
        let text = client.text();
        let reply: Value = serde_json::from_str(&text).unwrap();
        let error = outcome(reply.clone()).expect_err(&case);
        assert_eq!(error.code, -32600, "{case}: {text}");
        assert!(error.message.contains("Invalid Request"), "{case}: {text}");
        assert_eq!(reply["id"].to_string(), *id, "{case}: {text}");
        check_error(&testbox, &case, error.code, &error.data, &text);
        client.assert_alive();
    }
    bystander.noticed_nothing();
}

#[test]
fn an_id_comes_back_byte_for_byte() {
    let testbox = start();
    let mut client = testbox.connect();
    for id in [
        "0",
        "-0",
        "-1",
        "1.50",
        "1e2",
        "1E400",
        "9007199254740993",
        "18446744073709551616",
        "123456789012345678901234567890",
        r#""""#,
        r#""a\u0000b""#,
        r#""\u00e9\/""#,
        r#""é""#,
        "null",
    ] {
        for method in ["ping", "no_such_method"] {
            client.send(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#));
            let text = client.text();
            assert!(text.replace(": ", ":").contains(&format!(r#""id":{id}"#)), "{id}: {text}");
        }
    }
    // A notification is never answered, not even a wrong one: the next answer belongs to the next request.
    client.send(r#"{"jsonrpc":"2.0","method":"ping"}"#);
    client.send(r#"{"jsonrpc":"2.0","method":"no_such_method"}"#);
    client.send(r#"{"jsonrpc":"2.0","method":"ping","params":[]}"#);
    client.assert_alive();
}

#[test]
fn parameters_that_break_a_rule_are_named() {
    let testbox = start();
    let mut bystander = Bystander::new(&testbox);
    let mut client = testbox.login("admin");
    let long = "x".repeat(300);
    let mut cases: Vec<(&str, Value, i64, &str)> = vec![
        // Methods that do not exist, at any login.
        ("no_such_method", json!({}), -32601, ""),
        ("", json!({}), -32601, ""),
        ("PING", json!({}), -32601, ""),
        ("ping ", json!({}), -32601, ""),
        ("ping\u{0}", json!({}), -32601, ""),
        ("__proto__", json!({}), -32601, ""),
        ("camera_status_update", json!({}), -32601, ""),
        ("recording_status_update", json!({}), -32601, ""),
        ("system_health_update", json!({}), -32601, ""),
        ("camera.connected", json!({}), -32601, ""),
        // Parameters are an object.
        ("ping", json!([]), -32602, ""),
        ("get_camera_list", json!([1]), -32602, ""),
        ("get_camera_status", json!(["camera0"]), -32602, ""),
        ("get_camera_status", json!("camera0"), -32602, ""),
        ("get_camera_status", json!(7), -32602, ""),
        ("get_camera_status", json!(true), -32602, ""),
        ("take_snapshot", json!({ "device": "camera0", "filename": long }), -32602, "filename"),
        ("take_snapshot", json!({ "device": "camera0", "filename": 5 }), -32602, "filename"),
        ("stop_recording", json!({ "device": "camera0" }), -32020, ""),
        ("stop_streaming", json!({ "device": "camera0" }), -32020, ""),
    ];
    for device in [
        json!(null),
        json!(5),
        json!([]),
        json!({}),
        json!(""),
        json!("camera"),
        json!("Camera0"),
        json!("camera-1"),
        json!("camera0 "),
        json!("../camera0"),
        json!("/dev/video0"),
        json!("camera0\u{0}"),
        json!("camera٣"),
    ] {
        cases.push(("get_camera_status", json!({ "device": device }), -32602, "device"));
    }
    for method in [
        "get_camera_status",
        "get_camera_capabilities",
        "take_snapshot",
        "start_recording",
        "stop_recording",
        "start_streaming",
        "stop_streaming",
        "get_stream_url",
        "get_stream_status",
    ] {
        cases.push((method, Value::Null, -32602, "device"));
        cases.push((method, json!({}), -32602, "device"));
        cases.push((method, json!({ "device": "camera99" }), -32010, ""));
        cases.push((method, json!({ "device": "camera00" }), -32010, ""));
        cases.push((method, json!({ "device": "camera99999999999999999999" }), -32010, ""));
    }
    for name in [
        "../x.jpg",
        "/etc/x.jpg",
        "a/b.jpg",
        "..\\x.jpg",
        ".x.jpg",
        "x.png",
        "",
        "x.jpg\u{0}",
        "-rf.jpg",
        "ü.jpg",
    ] {
        cases.push(("take_snapshot", json!({ "device": "camera0", "filename": name }), -32602, "filename"));
    }
    for duration in
        [json!(0), json!(-1), json!(86_401), json!(1.5), json!("10"), json!(1e300), json!({}), json!(true)]
    {
        cases.push((
            "start_recording",
            json!({ "device": "camera0", "duration": duration }),
            -32602,
            "duration",
        ));
    }
    for format in [json!("avi"), json!(5), json!(""), json!("MP4 ")] {
        cases.push(("start_recording", json!({ "device": "camera0", "format": format }), -32602, "format"));
    }
    for method in ["list_recordings", "list_snapshots"] {
        for limit in [json!(0), json!(1001), json!(-1), json!("5"), json!(1.5), json!(1e30), json!([])] {
            cases.push((method, json!({ "limit": limit }), -32602, "limit"));
        }
        for offset in [json!(-1), json!("0"), json!(0.5), json!({})] {
            cases.push((method, json!({ "offset": offset }), -32602, "offset"));
        }
    }
    for (method, ending) in [
        ("get_recording_info", ""),
        ("delete_recording", ""),
        ("get_snapshot_info", ".jpg"),
        ("delete_snapshot", ".jpg"),
    ] {
        cases.push((method, json!({}), -32602, "filename"));
        cases.push((method, json!({ "filename": 7 }), -32602, "filename"));
        cases.push((method, json!({ "filename": "" }), -32602, "filename"));
        cases.push((method, json!({ "filename": "../../etc/passwd" }), -32602, "filename"));
        cases.push((method, json!({ "filename": "..%2f..%2fetc%2fpasswd" }), -32602, "filename"));
        cases.push((
            method,
            json!({ "filename": format!("camera0_2001-01-01_00-00-00{ending}") }),
            -32010,
            "",
        ));
    }
    assert!(cases.len() >= 60);
    for (method, params, code, param) in cases {
        let case = format!("{method} {params}");
        let error = client.refused(method, params);
        assert_eq!(error.code, code, "{case}: {error}");
        if !param.is_empty() {
            assert_eq!(error.data["param"], param, "{case}: {error}");
        }
        check_error(&testbox, &case, code, &error.data, &error.to_string());
    }
    client.assert_alive();
    bystander.noticed_nothing();
}

#[test]
fn unknown_members_are_tolerated_however_deep() {
    let testbox = start();
    let mut client = testbox.login("viewer");
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    client.send(&format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"get_camera_status","params":{{"x":{deep},"device":"camera0"}},"y":{deep}}}"#
    ));
    let reply = client.reply();
    assert_eq!(outcome(reply).unwrap()["device"], "camera0");
}
