//! A box that nobody owns yet lets nobody in, and whoever knows its code becomes its owner.

use std::fs::Permissions;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use fieldcam::auth::{ClaimCode, ClaimKey, Meeting, from_hex, to_hex};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite;

use crate::common::testbox::PROGRAM;
use crate::common::tls::{self, Line};
use crate::common::{Client, Setup, TestBox, ffmpeg, http, wait_for};

/// A box that has to be claimed, with TLS.
pub fn setup() -> Setup {
    Setup::new().env("SERVER__TLS", "auto").env("AUTH__CLAIM", "true")
}

/// A user on another machine, who has nothing of the box's data.
pub struct Laptop(tempfile::TempDir);

impl Laptop {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A file below `~/.config/fieldcam`.
    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join("fieldcam").join(name)
    }

    /// `fieldcam ctl --host HOST`, with `typed` on its standard input.
    fn ctl_at(&self, host: &str, args: &[&str], typed: &str) -> Output {
        self.ctl_as_is(&[&["--host", host], args].concat(), typed)
    }

    /// `fieldcam ctl`, with `typed` on its standard input.
    pub fn ctl_as_is(&self, args: &[&str], typed: &str) -> Output {
        let mut command = Command::new(PROGRAM);
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("FIELDCAM_")) {
            command.env_remove(key);
        }
        command.env("FIELDCAM_STORAGE__DATA_DIR", self.0.path().join("none"));
        command.env("XDG_CONFIG_HOME", self.0.path()).arg("ctl").args(args);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // One that asks for nothing may have ended.
        let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// The same for a box, over TLS.
    pub fn ctl(&self, testbox: &TestBox, args: &[&str]) -> Output {
        self.ctl_at(&format!("https://{}", testbox.endpoints().address("ws")), args, "")
    }
}

pub fn said(out: &Output) -> String {
    String::from_utf8_lossy(&[&out.stdout[..], &out.stderr].concat()).into_owned()
}

/// What `fieldcam claim-code` writes on the box's screen and label, and the code in it.
#[track_caller]
pub fn shown(testbox: &TestBox) -> (String, String) {
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
fn refused_unclaimed(client: &mut Client, method: &str, params: Value) {
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
    let url = |client: &mut Client, protocol: &str| {
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
        (testbox.http("/diag"), &[("Authorization", &bearer)]),
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

    // This machine has no image that could reset it, and whoever errs in the box hears so first.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let other = laptop.ctl(&testbox, &["factory-reset", "--confirm", "another-box"]);
    assert!(said(&other).contains("another box is meant"), "{}", said(&other));
    let none = laptop.ctl(&testbox, &["--json", "factory-reset", "--confirm", host.trim()]);
    let error: Value = serde_json::from_slice(&none.stderr).unwrap();
    assert_eq!((none.status.code(), &error["error"]["code"]), (Some(1), &json!(-32030)), "{error}");
    assert!(laptop.ctl(&testbox, &["status"]).status.success(), "the key is still there");
}

#[test]
fn root_makes_the_code_in_the_services_name_and_is_led_nowhere_else() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: this is not root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let (data, elsewhere) = (dir.path().join("data"), dir.path().join("elsewhere"));
    for folder in [&data, &elsewhere] {
        std::fs::create_dir(folder).unwrap();
    }
    const NOBODY: u32 = 65534;
    std::os::unix::fs::chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    let show = || {
        let screen = dir.path().join("screen");
        std::fs::write(&screen, "").unwrap();
        let mut command = Command::new(PROGRAM);
        command.env("FIELDCAM_STORAGE__DATA_DIR", &data).env("FIELDCAM_AUTH__CLAIM", "true");
        command.env("FIELDCAM_SERVER__TLS", "auto").args(["claim-code", "--to"]).arg(&screen);
        (command.output().unwrap(), std::fs::read_to_string(&screen).unwrap())
    };
    let (first, again) = (show(), show());
    assert!(first.0.status.success() && first.1.contains("Claim code:"), "{}", said(&first.0));
    assert_eq!(first.1, again.1, "code and certificate are made once");
    for file in ["secrets", "secrets/claim", "secrets/tls.pem"] {
        let there = std::fs::metadata(data.join(file)).unwrap();
        assert_eq!((there.uid(), there.mode() & 0o077), (NOBODY, 0), "{file}");
    }
    // A service that somebody has taken over cannot make root write where the service may not.
    std::fs::remove_dir_all(data.join("secrets")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, data.join("secrets")).unwrap();
    assert_eq!(show().0.status.code(), Some(1));
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn a_code_is_typed_when_it_is_asked_for_and_too_many_wrong_ones_are_followed_by_a_pause() {
    let laptop = Laptop::new();
    let mut testbox = setup().start();
    let (_, code) = shown(&testbox);
    let host = |testbox: &TestBox| format!("https://{}", testbox.endpoints().address("ws"));
    for n in 1..=5 {
        let wrong = laptop.ctl_at(&host(&testbox), &["claim"], "what?\n0123-4567-89AB\n");
        assert_eq!(wrong.status.code(), Some(1), "{n}: {}", said(&wrong));
        assert!(said(&wrong).contains("That is no code"), "{n}: {}", said(&wrong));
    }
    for _ in 0..2 {
        let late = laptop.ctl(&testbox, &["--json", "claim", "--code", &code]);
        let error: Value = serde_json::from_slice(&late.stderr).unwrap();
        assert_eq!(error["error"]["code"], -32040, "{error}");
        assert!(error["error"]["data"]["retry_after_ms"].as_u64() > Some(0), "{error}");
        // Nor does a start of the box help.
        testbox.kill();
        testbox.start_again();
    }
    let nothing = laptop.ctl_at(&host(&testbox), &["claim"], "");
    assert_eq!(nothing.status.code(), Some(2), "{}", said(&nothing));
    assert!(!laptop.file("box_keys").exists() || std::fs::read(laptop.file("box_keys")).unwrap().is_empty());
    // What the box knows of itself is told to whoever helps; the code is not.
    let archive = testbox.scratch().join("diag.tar.gz");
    let out = testbox.fieldcam(&["diag", "-o", archive.to_str().unwrap()]);
    assert!(out.status.success(), "{}", said(&out));
    let unpacked = Command::new("tar").arg("-xzOf").arg(&archive).output().unwrap();
    assert!(unpacked.status.success() && unpacked.stdout.len() > 1000);
    let text = String::from_utf8_lossy(&unpacked.stdout).into_owned() + &testbox.log();
    for code in [&code, &code.replace('-', "")] {
        assert!(!text.contains(code.as_str()));
    }
}

/// What a laptop sends that knows the code and saw this certificate.
fn proof_for(client: &mut Client, code: &str, certificate: [u8; 32]) -> (Meeting, ClaimKey, Value) {
    let challenge = client.ok("claim_challenge", Value::Null);
    let meeting = Meeting {
        certificate,
        box_nonce: from_hex(challenge["nonce"].as_str().unwrap()).unwrap(),
        laptop_nonce: Meeting::nonce(),
    };
    let key = ClaimKey::of(&ClaimCode::parse(code).unwrap());
    let ask = json!({ "nonce": to_hex(&meeting.laptop_nonce), "proof": to_hex(&key.of_laptop(&meeting)) });
    (meeting, key, ask)
}

#[test]
fn a_proof_made_for_another_certificate_or_answered_twice_or_sent_in_the_clear_opens_nothing() {
    let testbox = setup().env("SERVER__ALLOW_PLAIN", "true").start();
    let (_, code) = shown(&testbox);
    let mut client = tls::socket(&testbox, tls::line(&testbox)).unwrap();
    // Somebody in between who hands on what was meant for them.
    let theirs = fieldcam::tls::Fingerprint::of(b"another certificate").bytes();
    let (_, _, relayed) = proof_for(&mut client, &code, theirs);
    let error = client.refused("claim", relayed);
    assert_eq!(
        (error.code, &error.data["reason"], &error.data["tries_left"]),
        (-32001, &json!("wrong_code"), &json!(4))
    );
    // A challenge counts once.
    let own = tls::fingerprint(&testbox).bytes();
    let (meeting, key, ask) = proof_for(&mut client, &code, own);
    let mut other = tls::socket(&testbox, tls::line(&testbox)).unwrap();
    assert_eq!(other.refused("claim", ask.clone()).data["state"], "UNCHALLENGED");
    other.ok("claim_challenge", Value::Null);
    assert_eq!(other.refused("claim", ask.clone()).data["reason"], "wrong_code", "another socket's");
    match Line::from_elsewhere(&testbox.endpoints().address("ws")) {
        Some(line) => {
            let error = tls::socket(&testbox, line).unwrap().refused("claim_challenge", Value::Null);
            assert_eq!(error.data["reason"], "tls_required", "{error}");
        }
        None => println!("this machine has no address besides loopback"),
    }
    let claimed = client.ok("claim", ask.clone());
    let answered = from_hex(claimed["proof"].as_str().unwrap()).unwrap();
    assert!(key.is_of_box(&meeting, &answered));
    assert_eq!(client.refused("claim", ask).data["state"], "UNCHALLENGED", "a second time");
    client.authenticate(claimed["key"].as_str().unwrap());
    assert_eq!(client.ok("list_api_keys", Value::Null)["keys"][0]["name"], "owner");
}

#[test]
fn a_box_that_does_not_know_the_code_is_told_apart_and_nothing_of_it_is_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let impostor = std::thread::spawn(move || {
        let mut socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        let mut sent = String::new();
        for answer in [
            json!({ "nonce": "00".repeat(32) }),
            json!({
                "claimed": true, "proof": "11".repeat(32), "key": format!("fk_0123456789_{}", "0".repeat(64)),
                "key_id": "0123456789", "role": "admin",
            }),
        ] {
            let request = socket.read().unwrap().into_text().unwrap();
            let id = serde_json::from_str::<Value>(&request).unwrap()["id"].clone();
            sent.push_str(&request);
            let reply = json!({ "jsonrpc": "2.0", "id": id, "result": answer });
            socket.send(tungstenite::Message::text(reply.to_string())).unwrap();
        }
        sent
    });
    let laptop = Laptop::new();
    let out = laptop.ctl_at(&host, &["claim", "--code", "01AB-CDEF-GH10"], "");
    let sent = impostor.join().unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(said(&out).contains("does not know the claim code"), "{}", said(&out));
    assert!(!sent.contains("01AB") && sent.contains("proof"), "{sent}");
    assert!(!laptop.file("known_boxes").exists());
    assert!(std::fs::read(laptop.file("box_keys")).unwrap().is_empty());
    // Nor is one believed that is asked for without TLS on another machine.
    let out = laptop.ctl_at("http://192.0.2.1", &["claim", "--code", "01AB-CDEF-GH10"], "");
    assert!(said(&out).contains("claimed over TLS only"), "{}", said(&out));
}
