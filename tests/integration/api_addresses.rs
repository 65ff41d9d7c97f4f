//! The addresses that a client is given lead back the way it came.

use crate::common::{Client, TestBox, http};
use serde_json::{Value, json};
use url::Url;

fn client_by(testbox: &TestBox, host: &str) -> Client {
    let mut client = Client::try_connect(testbox.endpoints().url("ws"), &[("Host", host)]).unwrap();
    client.authenticate(&testbox.token("admin"));
    client
}

fn url(value: &Value) -> Url {
    Url::parse(value.as_str().unwrap()).unwrap()
}

#[test]
fn links_carry_the_host_by_which_the_client_came() {
    let testbox = TestBox::start();
    testbox.login("admin").ok("take_snapshot", json!({ "device": "camera0", "filename": "door.jpg" }));
    let rtsp_port = url(&json!(testbox.endpoints().url("rtsp"))).port();
    for (host, name, port) in [
        ("box-in-the-hall.local:8123", "box-in-the-hall.local", Some(8123)),
        ("192.0.2.7:80", "192.0.2.7", None),
        ("[2001:db8::7]:9000", "[2001:db8::7]", Some(9000)),
        ("LOCALHOST:1", "localhost", Some(1)),
    ] {
        let mut client = client_by(&testbox, host);
        let stream = url(&client.ok("get_stream_url", json!({ "device": "camera0" }))["stream_url"]);
        assert_eq!(
            (stream.scheme(), stream.host_str(), stream.port()),
            ("rtsp", Some(name), rtsp_port),
            "{host}"
        );
        let link = url(&client.ok("get_snapshot_info", json!({ "filename": "door.jpg" }))["download_url"]);
        assert_eq!((link.scheme(), link.host_str(), link.port()), ("http", Some(name), port), "{host}");
        // The link's right does not hang on the host.
        let path = format!("{}?{}", link.path(), link.query().unwrap());
        assert_eq!(http::get(&testbox.http(&path), &[]).status, 200, "{host}");
    }
}

#[test]
fn one_token_has_one_stream_password_and_another_has_another() {
    let testbox = TestBox::start();
    let token = testbox.token("viewer");
    let ask = |token: &str| {
        let mut client = testbox.connect();
        client.authenticate(token);
        client.ok("get_stream_url", json!({ "device": "camera0" }))["stream_url"].clone()
    };
    assert_eq!(ask(&token), ask(&token));
    assert_ne!(ask(&token), ask(&testbox.token("admin")));
}

#[test]
fn every_protocol_has_a_url_of_its_own() {
    let testbox = TestBox::start();
    let mut client = testbox.login("viewer");
    let port = url::Url::parse(testbox.endpoints().url("ws")).unwrap().port();
    for (protocol, path) in
        [("hls", "/live/camera0/index.m3u8"), ("webrtc", "/live/camera0/whep"), ("page", "/live/camera0")]
    {
        let answer = client.ok("get_stream_url", json!({ "device": "camera0", "protocol": protocol }));
        let stream = url(&answer["stream_url"]);
        assert_eq!((stream.scheme(), stream.port(), stream.path()), ("http", port, path));
        assert!(stream.query().unwrap().contains("sig="), "{stream}");
    }
    let error = client.refused("get_stream_url", json!({ "device": "camera0", "protocol": "smoke" }));
    assert_eq!((error.code, &error.data["param"]), (-32602, &json!("protocol")));
    client.ok("get_stream_url", json!({ "device": "camera0", "protocol": "rtsp" }));
}

#[test]
fn an_old_client_without_a_host_is_served_by_address() {
    let testbox = TestBox::start();
    let address = testbox.endpoints().address("ws");
    let page = http::exchange(&address, b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(page.status, 200);
    assert!(page.text().contains(&format!("ws://{address}/ws")), "{}", page.text());
    assert_eq!(http::exchange(&address, b"GET / HTTP/1.1\r\n\r\n").status, 400);
    let twice = b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n";
    assert_eq!(http::exchange(&address, twice).status, 400);
    let machine = http::get(&testbox.http("/"), &[("Accept", "application/json")]);
    assert!(machine.json()["websocket"].as_str().unwrap().ends_with("/ws"));
}
