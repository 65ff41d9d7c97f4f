//! `fieldcam diag`: one archive that says much, holds no secret, and can be made of a broken box too.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::common::process::Process;
use crate::common::{Setup, TestBox, http, turn, wait_for};
use nix::sys::signal::Signal;
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
        ("kept-journal.txt", vec![]),
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

/// The process that makes an archive for the daemon.
fn maker(testbox: &TestBox) -> Option<Process> {
    testbox.children().into_iter().find(|p| p.command.contains(" diag --heard "))
}

#[test]
fn an_administrator_downloads_the_archive_and_nobody_else() {
    let _turn = turn::take();
    let jwt = "a-configured-secret-of-this-very-test-9876543210";
    let testbox = Setup::new().cameras(1).env("AUTH__JWT_SECRET", jwt).start();
    let url = testbox.http("/diag");
    for role in ["viewer", "operator"] {
        let refused = http::get(&url, &[("Authorization", &format!("Bearer {}", testbox.token(role)))]);
        assert_eq!(refused.status, 403, "{role}: {}", refused.text());
        assert!(refused.json()["hint"].as_str().unwrap().contains("admin"), "{}", refused.text());
    }
    assert_eq!(http::get(&url, &[]).status, 401);
    let token = testbox.token("admin");
    let login = format!("Bearer {token}");
    // It goes away with the data disk; the daemon is heard all the same.
    let socket = testbox.data().join("run/diag.sock");
    wait_for("the daemon's socket is taken away", || std::fs::remove_file(&socket).ok());
    assert_eq!(http::send("PUT", &url, &[("Authorization", &login)], b"x").status, 405);

    let answer = http::get(&url, &[("Authorization", &login)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/gzip"));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    let file = testbox.scratch().join("downloaded.tar.gz");
    std::fs::write(&file, &answer.body).unwrap();
    let (folder, parts) = unpack(&file);
    let named = format!("attachment; filename=\"{folder}.tar.gz\"");
    assert_eq!(answer.header("content-disposition"), Some(named.as_str()));
    let pid = testbox.pid().to_string();
    for (part, words) in [
        ("summary.txt", vec!["runs as process", pid.as_str()]),
        // The settings are the daemon's, from its file and its environment.
        ("configuration.toml", vec!["jwt_secret = \"<hidden>\"", "FIELDCAM_UPDATE__HELPER"]),
        ("cameras.txt", vec!["camera0 "]),
        ("crashes.txt", vec!["the kernel"]),
        ("kept-journal.txt", vec![]),
        ("database.txt", vec!["quick_check=ok"]),
        ("log.txt", vec!["MediaMTX runs"]),
    ] {
        let text = parts.get(part).unwrap_or_else(|| panic!("no {part}: {:?}", parts.keys()));
        words.iter().for_each(|w| assert!(text.contains(w), "{part} says no {w:?}:\n{text}"));
    }
    assert_holds_none(&parts, &[jwt.into(), token]);

    let log = testbox.login("admin").ok("get_audit_log", json!({}));
    let entries = log["entries"].as_array().unwrap();
    let told = |result: &str| {
        entries.iter().filter(|e| e["action"] == "download_diagnosis" && e["result"] == result).count()
    };
    // The same refusal is noted once a while.
    assert!(told("ok") == 1 && told("-32002") >= 1, "{log}");
}

#[test]
fn archives_are_made_one_at_a_time_and_one_that_fails_says_so() {
    let _turn = turn::take();
    let testbox = Setup::new().cameras(0).start();
    let (url, login) = (testbox.http("/diag"), format!("Bearer {}", testbox.token("admin")));
    let ask = || http::get(&url, &[("Authorization", &login)]);
    // Whoever makes one looks for what must not be in it, and waits here.
    let gate = testbox.data().join("secrets/gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(ask);
        wait_for("an archive is being made", || maker(&testbox));
        let second = ask();
        assert_eq!(second.status, 429, "{}", second.text());
        assert!(second.header("retry-after").is_some_and(|s| s.parse::<u32>().is_ok()));
        assert!(second.json()["hint"].as_str().unwrap().contains("ask again"), "{}", second.text());
        drop(std::fs::OpenOptions::new().write(true).open(&gate).unwrap());
        let first = first.join().unwrap();
        assert_eq!(first.status, 200, "{}", first.text());

        let failing = scope.spawn(ask);
        wait_for("another one is being made", || maker(&testbox)).signal(Signal::SIGKILL);
        let failed = failing.join().unwrap();
        assert_eq!(failed.status, 503, "{}", failed.text());
        assert!(failed.json()["hint"].as_str().unwrap().contains("try again"), "{}", failed.text());
    });
    std::fs::remove_file(&gate).unwrap();
    assert_eq!(ask().status, 200, "the next one is made again");
}

#[test]
fn ctl_downloads_it_whole_or_leaves_nothing() {
    let _turn = turn::take();
    let testbox = Setup::new().cameras(1).start();
    let folder = testbox.scratch().join("laptop");
    std::fs::create_dir(&folder).unwrap();
    let to = folder.to_str().unwrap();
    let out = testbox.fieldcam(&["ctl", "--json", "diag", "-o", to]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let said: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let saved = PathBuf::from(said["saved_as"].as_str().unwrap());
    assert_eq!(said["size"], saved.metadata().unwrap().len());
    let (inner, parts) = unpack(&saved);
    assert_eq!(saved, folder.join(format!("{inner}.tar.gz")));
    assert!(parts["summary.txt"].contains("runs as process"), "{}", parts["summary.txt"]);

    let file = testbox.scratch().join("mine.tar.gz");
    let path = file.to_str().unwrap();
    let token = testbox.scratch().join("operator");
    std::fs::write(&token, testbox.token("operator")).unwrap();
    let host = testbox.endpoints().address("ws");
    let args = ["ctl", "--host", &host, "--token-file", token.to_str().unwrap(), "diag", "-o", path];
    let refused = testbox.fieldcam(&args);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("administrators"), "{refused:?}");
    assert!(!file.exists());
    let out = testbox.fieldcam(&["ctl", "diag", "-o", path]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(unpack(&file).1.keys().count(), parts.keys().count());
    assert!(!testbox.scratch().join("mine.tar.gz.part").exists());
}
