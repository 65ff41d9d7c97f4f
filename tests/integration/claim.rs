//! A box that nobody owns yet lets nobody in, and whoever knows its code becomes its owner.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::common::testbox::PROGRAM;
use crate::common::tls;
use crate::common::{Setup, TestBox, ffmpeg, http, wait_for};

/// A box that has to be claimed, with TLS.
fn setup() -> Setup {
    Setup::new().env("SERVER__TLS", "auto").env("AUTH__CLAIM", "true")
}

/// A user on another machine, who has nothing of the box's data.
struct Laptop(tempfile::TempDir);

impl Laptop {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A file below `~/.config/fieldcam`.
    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join("fieldcam").join(name)
    }

    /// `fieldcam ctl --host HOST`, with `typed` on its standard input.
    fn ctl_at(&self, host: &str, args: &[&str], typed: &str) -> Output {
        let mut command = Command::new(PROGRAM);
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("FIELDCAM_")) {
            command.env_remove(key);
        }
        command.env("FIELDCAM_STORAGE__DATA_DIR", self.0.path().join("none"));
        command.env("XDG_CONFIG_HOME", self.0.path()).args(["ctl", "--host", host]).args(args);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // One that asks for nothing may have ended.
        let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// The same for a box, over TLS.
    fn ctl(&self, testbox: &TestBox, args: &[&str]) -> Output {
        self.ctl_at(&format!("https://{}", testbox.endpoints().address("ws")), args, "")
    }
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&[&out.stdout[..], &out.stderr].concat()).into_owned()
}

/// What `fieldcam claim-code` writes on the box's screen and label, and the code in it.
#[track_caller]
fn shown(testbox: &TestBox) -> (String, String) {
    let (screen, label) = (testbox.scratch().join("screen"), testbox.scratch().join("card"));
    std::fs::write(&screen, "").unwrap();
    std::fs::create_dir_all(&label).unwrap();
    let args = ["--to", screen.to_str().unwrap(), "--to", "/nonexistent", "--label", label.to_str().unwrap()];
    let out = testbox.fieldcam(&[&["claim-code"], &args[..]].concat());
    let journal = said(&out);
    assert!(out.status.success() && journal.contains("this box has a claim code"), "{journal}");
    let text = std::fs::read_to_string(&screen).unwrap();
    let card = std::fs::read_to_string(label.join("FIELDCAM.txt")).unwrap();
    assert_eq!(card.replace("\r\n", "\n"), text.trim_start_matches('\n'), "screen and label");
    let code = text.lines().find_map(|line| line.strip_prefix("Claim code:")).unwrap().trim().to_owned();
    assert!(!journal.contains(&code), "{journal}");
    (text, code)
}

#[track_caller]
fn refused_unclaimed(client: &mut crate::common::Client, method: &str, params: Value) {
    let error = client.refused(method, params);
    assert_eq!((error.code, &error.data["reason"]), (-32001, &json!("unclaimed")), "{method}");
    assert!(error.data["suggestion"].as_str().unwrap().contains("fieldcam ctl --host 127.0.0.1:"), "{error}");
}

/// Whether FFmpeg gets a picture from a stream.
fn plays(url: &str) -> bool {
    ffmpeg::try_probe(url).is_ok()
}

#[test]
fn before_the_claim_every_door_is_closed_and_after_it_the_owner_is_in() {
    let laptop = Laptop::new();
    // What opens the doors of a box that need not be claimed.
    let mut testbox = setup().env("AUTH__CLAIM", "false").start();
    let mut admin = testbox.login("admin");
    assert!(admin.ok("get_server_info", Value::Null).get("claimed").is_none());
    let token = testbox.token("admin");
    let key = admin.ok("create_api_key", json!({ "name": "a", "role": "admin" }))["key"].clone();
    let key = key.as_str().unwrap();
    let url = |client: &mut crate::common::Client, protocol: &str| {
        let ask = json!({ "device": "camera0", "protocol": protocol });
        client.ok("get_stream_url", ask)["stream_url"].as_str().unwrap().to_owned()
    };
    let (rtsp, hls) = (url(&mut admin, "rtsp"), url(&mut admin, "hls"));
    let place = |url: &str, testbox: &TestBox, name: &str| {
        let path = url::Url::parse(url).unwrap();
        let (user, password) = (path.username(), path.password());
        let login = password.map_or(String::new(), |password| format!("{user}:{password}@"));
        let query = path.query().map_or(String::new(), |query| format!("?{query}"));
        let address = testbox.endpoints().address(name);
        format!("{}://{login}{address}{}{query}", path.scheme().trim_end_matches('s'), path.path())
    };
    wait_for("it plays by RTSP", || plays(&place(&rtsp, &testbox, "rtsp")).then_some(()));
    assert_eq!(http::get(&place(&hls, &testbox, "ws"), &[]).status, 200);
    testbox.stop();
    testbox.change(|setup| setup.env("AUTH__CLAIM", "true"));
    testbox.start_again();

    // Over the API.
    let mut client = testbox.connect();
    assert_eq!(client.ok("ping", Value::Null), "pong");
    assert_eq!(client.ok("get_server_info", Value::Null)["claimed"], false);
    for auth in [token.as_str(), key] {
        refused_unclaimed(&mut client, "authenticate", json!({ "auth_token": auth }));
    }
    refused_unclaimed(&mut client, "get_camera_list", Value::Null);
    refused_unclaimed(&mut client, "take_snapshot", json!({ "device": "camera0" }));
    assert_eq!(client.refused("no_such_method", Value::Null).code, -32601);
    // Over HTTP, but for the health pages.
    let (hls, bearer) = (place(&hls, &testbox, "ws"), format!("Bearer {token}"));
    for (url, headers) in [
        (testbox.http("/"), &[][..]),
        (hls, &[]),
        (testbox.http("/live/camera0/whep"), &[("Authorization", bearer.as_str())]),
        (testbox.http("/live/camera0"), &[("X-API-Key", key)]),
        (testbox.http("/cameras/camera0/frame.jpg"), &[("Authorization", &bearer)]),
        (testbox.http("/files/snapshots/a.jpg"), &[("X-API-Key", key)]),
    ] {
        let answer = http::get(&url, headers);
        assert_eq!(answer.status, 403, "{url}");
        assert!(answer.json()["hint"].as_str().unwrap().contains("fieldcam ctl --host 127.0.0.1:"));
    }
    let health = format!("http://{}/health", testbox.endpoints().address("health"));
    assert_eq!(http::get(&health, &[]).status, 200);
    // RTSP.
    let rtsp = |testbox: &TestBox| place(&rtsp, testbox, "rtsp");
    assert!(!plays(&rtsp(&testbox)), "a password of before opens it");

    // A stranger's guesses, then the owner.
    let (text, code) = shown(&testbox);
    assert!(text.contains(&tls::fingerprint(&testbox).to_string()), "{text}");
    let wrong = laptop.ctl(&testbox, &["claim", "--code", "0123-4567-89AB"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(said(&wrong).contains("is not this box's claim code"), "{}", said(&wrong));
    assert!(!laptop.file("known_boxes").exists(), "nothing is known of it yet");
    assert!(said(&laptop.ctl(&testbox, &["status"])).contains("claimed with `fieldcam ctl claim`"));
    let claimed =
        laptop.ctl(&testbox, &["claim", "--code", &code.to_lowercase().replace('-', "").replace('0', "o")]);
    assert!(claimed.status.success() && said(&claimed).contains("is yours"), "{}", said(&claimed));
    assert!(!testbox.data().join("secrets/claim").exists());

    // From now on without being asked; what was made before works too.
    let status = laptop.ctl(&testbox, &["status"]);
    assert!(status.status.success() && !said(&status).contains("is new here"), "{}", said(&status));
    assert_eq!(testbox.login("admin").ok("get_server_info", Value::Null)["claimed"], true);
    wait_for("it plays by RTSP again", || plays(&rtsp(&testbox)).then_some(()));
    let mut log = testbox.login("admin").ok("get_audit_log", Value::Null)["entries"].clone();
    log.as_array_mut().unwrap().retain(|entry| entry["action"] == "claim");
    let results: Vec<_> = log.as_array().unwrap().iter().map(|entry| entry["result"].clone()).collect();
    assert_eq!(results, ["ok", "-32001"], "{log}");
    let again = testbox.connect().refused("claim_challenge", Value::Null);
    assert_eq!((again.code, &again.data["state"]), (-32020, &json!("CLAIMED")));
    let no_label =
        testbox.fieldcam(&["claim-code", "--label", testbox.scratch().join("card").to_str().unwrap()]);
    assert!(no_label.status.success() && !testbox.scratch().join("card/FIELDCAM.txt").exists());
    assert!(!testbox.log().contains(&code));

    testbox.kill();
    testbox.start_again();
    assert!(laptop.ctl(&testbox, &["cameras"]).status.success(), "for good");
}
