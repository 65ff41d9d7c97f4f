//! `fieldcam diag`: one archive that says much, holds no secret, and can be made of a broken box too.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::common::{Setup, TestBox, turn, wait_for};
use serde_json::json;

/// Parts by name, and the folder they lie in.
fn unpack(path: &Path) -> (String, BTreeMap<String, String>) {
    let file = std::fs::File::open(path).unwrap();
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let (mut folder, mut parts) = (String::new(), BTreeMap::new());
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let (dir, name) = path.split_once('/').unwrap();
        folder = dir.to_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        parts.insert(name.to_owned(), text);
    }
    (folder, parts)
}

#[track_caller]
fn diag(testbox: &TestBox, more: &[&str]) -> PathBuf {
    let config = testbox.scratch().join("fieldcam.toml");
    let mut args = vec!["diag", "--config", config.to_str().unwrap()];
    args.extend(more);
    let out = testbox.fieldcam(&args);
    assert!(out.status.success(), "diag: {}", String::from_utf8_lossy(&out.stderr));
    PathBuf::from(String::from_utf8(out.stdout).unwrap().trim())
}

#[track_caller]
fn assert_holds_none(parts: &BTreeMap<String, String>, secrets: &[String]) {
    for secret in secrets {
        assert!(secret.len() >= 6, "{secret:?} is no secret");
        for (name, text) in parts {
            assert!(!text.contains(secret.as_str()), "{name} holds the secret {secret:?}:\n{text}");
        }
    }
}

#[test]
fn the_archive_of_a_running_box_tells_much_and_holds_no_secret() {
    let _turn = turn::take();
    let jwt = "a-configured-secret-of-this-very-test-0123456789";
    let testbox = Setup::new()
        .cameras(1)
        .toml("[[camera]]\nsource = \"rtsp://warden:gate-pass-9@127.0.0.1:9/live?token=query-pass-9\"")
        .env("AUTH__JWT_SECRET", jwt)
        .env("LOG__LEVEL", "debug")
        .start();
    let token = testbox.token("admin");
    let mut client = testbox.connect();
    client.authenticate(&token);
    let url = client.ok("get_stream_url", json!({ "device": "camera1" }))["stream_url"].clone();
    let url = url::Url::parse(url.as_str().unwrap()).unwrap();
    client.ok("start_streaming", json!({ "device": "camera1" }));
    let snapshot = client.ok("take_snapshot", json!({ "device": "camera1" }));
    let started = client.ok("start_recording", json!({ "device": "camera1" }));
    wait_for("something is recorded", || {
        let info = client.ok("get_recording_info", json!({ "filename": started["filename"] }));
        (info["file_size"].as_u64() > Some(0)).then_some(())
    });
    let recording = client.ok("stop_recording", json!({ "device": "camera1" }));
    let listed = client.ok("list_recordings", json!({}));
    let link = listed["files"][0]["download_url"].as_str().unwrap_or_default().to_owned();
    let signature = link.split("sig=").nth(1).unwrap_or_default().to_owned();
    // What a careless client sends ends up in nobody's archive either.
    let wrong = format!("{token}x");
    client.refused("authenticate", json!({ "auth_token": wrong }));

    let folder = testbox.scratch().join("out");
    std::fs::create_dir(&folder).unwrap();
    let archive = diag(&testbox, &["-o", folder.to_str().unwrap()]);
    let name = archive.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("fieldcam-diag-") && name.ends_with(".tar.gz"), "{name}");
    assert!(archive.metadata().unwrap().len() < 4 << 20);
    let (inner, parts) = unpack(&archive);
    assert_eq!(format!("{inner}.tar.gz"), name);

    let mut secrets: Vec<String> =
        [jwt, "gate-pass-9", "query-pass-9", &token, &wrong].map(str::to_owned).into();
    secrets.push(url.password().unwrap().to_owned());
    if !signature.is_empty() {
        secrets.push(signature);
    }
    for file in std::fs::read_dir(testbox.data().join("secrets")).unwrap().flatten() {
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        secrets.extend(text.lines().map(|l| l.trim().to_owned()).filter(|l| l.len() >= 6));
    }
    assert_holds_none(&parts, &secrets);
    assert!(!parts.values().any(|t| t.contains("eyJ")), "something like a token is in there");

    let pid = testbox.pid().to_string();
    let recording = recording["filename"].as_str().unwrap();
    for (part, words) in [
        ("summary.txt", vec!["runs as process", pid.as_str()]),
        ("versions.txt", vec!["fieldcam 0", "mediamtx: v", "ffmpeg: ffmpeg version"]),
        ("configuration.toml", vec!["[[camera]]", "jwt_secret = \"<hidden>\"", "warden:***@"]),
        ("log.txt", vec!["camera1", "stream can be read"]),
        ("processes.txt", vec![pid.as_str(), "mediamtx", "ffmpeg", "rss_kib"]),
        ("disk.txt", vec!["inodes free", "recordings", "mounts:", " rw"]),
        ("boot.txt", vec!["what the start left behind", "last time known"]),
        ("crashes.txt", vec!["the kernel"]),
        ("database.txt", vec!["schema version", recording, "quick_check=ok", "snapshots: 1 rows"]),
        ("mediamtx.txt", vec!["camera1: PathState", "version"]),
        ("cameras.txt", vec!["camera1 ", "CONNECTED"]),
        ("health.txt", vec!["verdict"]),
        ("system.txt", vec!["kernel: Linux", "MemTotal"]),
        ("faults.txt", vec![]),
        ("journal.txt", vec![]),
    ] {
        let text = parts.get(part).unwrap_or_else(|| panic!("no {part}: {:?}", parts.keys()));
        words.iter().for_each(|w| assert!(text.contains(w), "{part} says no {w:?}:\n{text}"));
    }
    assert!(snapshot["filename"].is_string());
}

#[test]
fn a_box_that_is_down_and_broken_can_be_described() {
    let _turn = turn::take();
    let mut testbox = Setup::new().cameras(1).start();
    testbox.wait_log("fieldcam ready");
    testbox.stop();
    let database = testbox.data().join("fieldcam.db");
    std::fs::write(&database, b"nothing of a database is left here").unwrap();
    for rest in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(testbox.data().join(format!("fieldcam.db{rest}")));
    }
    let file = testbox.scratch().join("down.tgz");
    let archive = diag(&testbox, &["-o", file.to_str().unwrap()]);
    assert_eq!(archive, file);
    let (_, parts) = unpack(&archive);
    assert!(parts["summary.txt"].contains("no daemon answers"), "{}", parts["summary.txt"]);
    assert!(parts["log.txt"].contains("SIGTERM"), "the last run's log is kept:\n{}", parts["log.txt"]);
    assert!(parts["database.txt"].contains("not a database"), "{}", parts["database.txt"]);
    assert!(parts["processes.txt"].contains("does not run"), "{}", parts["processes.txt"]);

    testbox.change(|setup| setup.toml("[[camera]]\nsource = \"rtsp://a:secret-of-a-slip@/x\"\nfsp = 3"));
    let (_, parts) = unpack(&diag(&testbox, &["-o", file.to_str().unwrap()]));
    assert!(parts["configuration.toml"].contains("fsp"), "{}", parts["configuration.toml"]);
    assert!(parts["disk.txt"].contains("fieldcam.db"), "the data directory is found all the same");
    assert_holds_none(&parts, &["secret-of-a-slip".into()]);

    let nowhere = testbox.scratch().join("no/such/folder/x.tgz");
    let config = testbox.scratch().join("fieldcam.toml");
    let args = ["diag", "--config", config.to_str().unwrap(), "-o", nowhere.to_str().unwrap()];
    let out = testbox.fieldcam(&args);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("-o FILE"));
}
