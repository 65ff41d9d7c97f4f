//! A new version with the image's RAUC: taken in, tried, kept or taken back; and what is no good refused.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::common::rauc::{self, BOARD, Machine};
use crate::common::testbox::PROGRAM;
use crate::common::{Client, Setup, TestBox, http, wait_for};
use serde_json::{Value, json};

/// Puts a bundle where uploads go.
fn put(testbox: &TestBox, bundle: &Path) -> String {
    let name = bundle.file_stem().unwrap().to_string_lossy().into_owned();
    fs::copy(bundle, testbox.data().join(format!("updates/{name}.raucb"))).unwrap();
    name
}

#[track_caller]
fn wait_state(client: &mut Client, state: &str) -> Value {
    let mut last = Value::Null;
    wait_for(&format!("the update is {state}"), || {
        last = client.ok("update_status", Value::Null);
        (last["state"] == state).then(|| last.clone())
    })
}

/// Waits until slot B is left without having been marked good; `asked`: what systemd was asked for so far.
#[track_caller]
fn gives_up(machine: &Machine, testbox: &TestBox, asked: usize) {
    wait_for("the box asks to be restarted", || (machine.asked_of_systemd().len() == asked).then_some(()));
    let status = testbox.login("viewer").ok("update_status", Value::Null);
    assert_eq!(
        (&status["state"], &status["commit"]["committed"]),
        (&json!("restarting"), &json!(false)),
        "{status}"
    );
    assert_eq!((machine.state("BOOT_GOOD"), machine.state("BOOT_B_LEFT")), ("A".into(), "2".into()));
}

#[test]
fn a_new_version_is_installed_tried_and_kept() {
    let Some(tree) = rauc::tree() else { return };
    let mut machine = Machine::start(tree);
    let mut testbox = machine.setup().start();
    let mut client = testbox.login("admin");
    wait_for("the first start is marked good", || {
        let status = client.ok("update_status", Value::Null);
        (status["commit"]["committed"] == true).then_some(())
    });
    let status = client.ok("update_status", Value::Null);
    assert_eq!(
        (&status["state"], &status["version"], &status["board"]),
        (&json!("idle"), &json!("1.0.0"), &json!(BOARD))
    );
    assert_eq!((&status["booted"], &status["next"]), (&json!("A"), &json!("A")));
    assert_eq!(status["slots"][0]["tries_left"], 3, "{status}");
    assert_eq!((machine.state("BOOT_GOOD"), machine.state("BOOT_A_LEFT")), ("A".into(), "3".into()));

    client.ok("subscribe_events", json!({ "topics": ["update_status_update"] }));
    let name = put(&testbox, &machine.bundle("next", BOARD, "2.0.0", "ours"));
    client.ok("install_update", json!({ "file": name }));
    let told =
        client.notification(|n| n["method"] == "update_status_update" && n["params"]["state"] == "installed");
    assert_eq!(told["params"]["reboot_needed"], true, "{told}");
    let status = wait_state(&mut client, "installed");
    assert_eq!((&status["next"], &status["slots"][1]["version"]), (&json!("B"), &json!("2.0.0")), "{status}");
    assert_eq!(status["bundles"], json!([]), "an installed bundle takes no more room");
    assert!(fs::read(machine.at("root_b")).unwrap().starts_with(&rauc::image(7)));

    let answer = client.ok("reboot", json!({}));
    assert_eq!(answer["status"], "REBOOTING");
    assert_eq!(machine.asked_of_systemd(), ["--no-block reboot"]);
    testbox.stop();
    machine.boot("B", "2.0.0");
    assert_eq!(machine.state("BOOT_B_LEFT"), "2", "one of its tries is used");
    testbox.start_again();
    let mut client = testbox.login("viewer");
    let status = wait_state(&mut client, "committed");
    assert_eq!(
        (&status["version"], &status["booted"], &status["next"]),
        (&json!("2.0.0"), &json!("B"), &json!("B"))
    );
    let good = ["BOOT_GOOD", "BOOT_B_LEFT", "BOOT_ORDER"].map(|name| machine.state(name));
    assert_eq!(good, ["B", "3", "B A"]);
    assert!(status["fell_back"].is_null() && status["last_error"].is_null(), "{status}");
}

#[test]
fn a_new_version_that_cannot_use_the_data_is_not_kept() {
    let Some(tree) = rauc::tree() else { return };
    let mut machine = Machine::start(tree);
    let order = Command::new(machine.at("bin/fw_setenv")).args(["BOOT_ORDER", "B A"]).status().unwrap();
    assert!(order.success());
    machine.boot("B", "2.0.0");
    // What was known of the update is on the partition that it cannot use.
    fs::write(machine.at("boot/data"), "broken\n").unwrap();
    let testbox = machine.setup().env("UPDATE__COMMIT_DEADLINE", "2s").start();
    gives_up(&machine, &testbox, 1);
}

#[test]
fn a_box_that_nobody_owns_yet_is_marked_good_all_the_same() {
    let Some(tree) = rauc::tree() else { return };
    let machine = Machine::start(tree);
    let _testbox = machine.setup().env("SERVER__TLS", "auto").env("AUTH__CLAIM", "true").start();
    wait_for("the slot has its tries again", || (machine.state("BOOT_A_LEFT") == "3").then_some(()));
}

#[test]
fn what_must_not_be_installed_is_refused_each_with_its_reason() {
    let Some(tree) = rauc::tree() else { return };
    let machine = Machine::start(tree);
    let testbox = machine.setup().start();
    let mut client = testbox.login("admin");
    let whole = fs::read(machine.bundle("whole", BOARD, "2.0.0", "ours")).unwrap();
    let damaged = |name: &str, bytes: &[u8]| {
        let file = machine.at(&format!("{name}.raucb"));
        fs::write(&file, bytes).unwrap();
        file
    };
    let mut flipped = whole.clone();
    flipped[20_000] ^= 0x40;
    for (bundle, reason) in [
        (machine.bundle("board", "fieldcam-other", "2.0.0", "ours"), "wrong_board"),
        (machine.bundle("key", BOARD, "2.0.0", "other"), "bad_signature"),
        (machine.bundle("old", BOARD, "0.9.0", "ours"), "older_version"),
        (damaged("cut", &whole[..whole.len() / 2]), "damaged_bundle"),
        (damaged("flipped", &flipped), "damaged_bundle"),
    ] {
        let name = put(&testbox, &bundle);
        let refused = client.refused("install_update", json!({ "file": name }));
        assert_eq!((refused.code, &refused.data["reason"]), (-32602, &json!(reason)), "{name}: {refused:?}");
        let status = client.ok("update_status", Value::Null);
        assert_eq!((&status["state"], &status["last_error"]["reason"]), (&json!("failed"), &json!(reason)));
        assert_eq!((&status["booted"], &status["next"]), (&json!("A"), &json!("A")), "{name}");
    }
    let refused = client.refused("install_update", json!({ "file": "absent" }));
    assert_eq!((refused.code, &refused.data["reason"]), (-32602, &json!("no_bundle")));
    let other = "0".repeat(64);
    let name = put(&testbox, &machine.at("whole.raucb"));
    let refused = client.refused("install_update", json!({ "file": name, "sha256": other }));
    assert_eq!(refused.data["reason"], "wrong_checksum");
    assert_eq!(fs::read(machine.at("root_b")).unwrap(), vec![0; 2 << 20], "nothing was written");
    let refused = testbox.login("operator").refused("install_update", json!({ "file": name }));
    assert_eq!(refused.code, -32002);

    client.ok("install_update", json!({ "file": "old", "allow_downgrade": true }));
    assert_eq!(wait_state(&mut client, "installed")["slots"][1]["version"], "0.9.0");
}

#[test]
fn a_version_that_loses_a_camera_is_taken_back_and_the_reason_told() {
    let Some(tree) = rauc::tree() else { return };
    let mut machine = Machine::start(tree);
    let mut testbox = machine.setup().start();
    let mut client = testbox.login("admin");
    wait_for("both cameras are live", || {
        let list = client.ok("get_camera_list", Value::Null);
        (list["connected"] == 2).then_some(())
    });
    let name = put(&testbox, &machine.bundle("next", BOARD, "2.0.0", "ours"));
    client.ok("install_update", json!({ "file": name }));
    wait_state(&mut client, "installed");
    client.ok("reboot", json!({}));
    testbox.stop();

    machine.boot("B", "2.0.0");
    testbox.change(|setup| setup.cameras(1).env("UPDATE__COMMIT_DEADLINE", "2s"));
    testbox.start_again();
    gives_up(&machine, &testbox, 2);
    testbox.stop();

    // The bootloader has tried it three times.
    machine.boot("A", "1.0.0");
    testbox.change(|setup| setup.cameras(2));
    testbox.start_again();
    let mut client = testbox.login("viewer");
    let status = wait_state(&mut client, "fell_back");
    assert_eq!(
        status["fell_back"],
        json!({ "version": "2.0.0", "reason": "not live again in time: camera1" })
    );
    assert_eq!((&status["booted"], &status["version"]), (&json!("A"), &json!("1.0.0")));
    wait_for("the bad slot is out of the order", || (machine.state("BOOT_ORDER") == "A").then_some(()));
    assert_eq!(machine.state("BOOT_GOOD"), "A");
}

#[test]
fn a_bundle_is_sent_and_followed_from_a_laptop() {
    let Some(tree) = rauc::tree() else { return };
    let machine = Machine::start(tree);
    let testbox = machine.setup().start();
    let bundle = machine.bundle("fieldcam-2.0.0", BOARD, "2.0.0", "ours");
    let host = testbox.endpoints().address("ws");
    let token = testbox.token("admin");
    let ctl = |args: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(["ctl", "--host", &host]).args(args).env("FIELDCAM_TOKEN", &token);
        command.output().unwrap()
    };
    let file = bundle.to_string_lossy();
    let out = ctl(&["update", &file, "--reboot"]);
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("version 2.0.0 is installed"), "{said}");
    assert_eq!(machine.asked_of_systemd(), ["--no-block reboot"]);
    let out = ctl(&["update"]);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success() && said.contains("TRIES LEFT") && said.contains("2.0.0"), "{said}");
    let wrong = machine.bundle("wrong", "fieldcam-other", "2.0.0", "ours");
    let foreign = machine.bundle("foreign", BOARD, "2.0.0", "other");
    let old = machine.bundle("old", BOARD, "0.9.0", "ours");
    let cut = machine.at("cut.raucb");
    fs::write(&cut, &fs::read(&bundle).unwrap()[..20_000]).unwrap();
    for (bundle, reason) in
        [(wrong, "wrong_board"), (foreign, "bad_signature"), (old, "older_version"), (cut, "damaged_bundle")]
    {
        let out = ctl(&["--json", "update", &bundle.to_string_lossy()]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "refused by the box, so no wrong usage: {said}");
        assert!(said.contains(&format!("\"reason\":\"{reason}\"")), "{said}");
    }
    let out = ctl(&["update", &machine.at("wrong.raucb").to_string_lossy()]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1) && said.contains("the bundle is for fieldcam-other"), "{said}");
    let actions = testbox.login("admin").ok("get_audit_log", json!({ "limit": 100 }));
    for action in ["upload_bundle", "install_update", "reboot"] {
        assert!(actions.to_string().contains(action), "{action}: {actions}");
    }
}

/// A server's next peer, once it has asked for the bundle: one that is answered before takes that for an end.
#[track_caller]
fn asked(server: &TcpListener) -> TcpStream {
    let (mut peer, _) = server.accept().unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        peer.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    assert!(request.starts_with(b"GET /next.raucb HTTP/1.1\r\n"));
    peer
}

#[test]
fn a_bundle_comes_from_a_server_that_may_be_asked() {
    let Some(tree) = rauc::tree() else { return };
    let machine = Machine::start(tree);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let testbox = machine.setup().toml(&format!("[discovery]\nallowed_hosts = [\"{address}\"]")).start();
    let mut client = testbox.login("admin");
    let whole = fs::read(machine.bundle("next", BOARD, "2.0.0", "ours")).unwrap();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", whole.len());
    let moved = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let answers = [
        (moved.as_bytes().to_vec(), "redirected"),
        ([head.as_bytes(), &whole[..whole.len() / 2]].concat(), "transfer_cut"),
        ([head.as_bytes(), &whole].concat(), ""),
    ];
    let url = format!("http://{address}/next.raucb");
    for (answer, reason) in answers {
        client.ok("install_update", json!({ "url": url }));
        let mut peer = asked(&server);
        peer.write_all(&answer).unwrap();
        drop(peer);
        if reason.is_empty() {
            assert_eq!(wait_state(&mut client, "installed")["slots"][1]["version"], "2.0.0");
        } else {
            let status = wait_state(&mut client, "failed");
            assert_eq!(status["last_error"]["reason"], reason);
            assert_eq!(status["bundles"], json!([]), "nothing of it is kept");
        }
    }
    client.ok("install_update", json!({ "url": "http://127.0.0.1:9/x.raucb" }));
    assert_eq!(wait_state(&mut client, "failed")["last_error"]["reason"], "host_refused");

    // A server that hardly sends anything holds no restart up.
    client.ok("install_update", json!({ "url": url }));
    let mut peer = asked(&server);
    peer.write_all(&[head.as_bytes(), &whole[..1]].concat()).unwrap();
    wait_state(&mut client, "downloading");
    let refused = client.refused("install_update", json!({ "url": url }));
    assert_eq!(refused.code, -32020, "{refused:?}");
    client.ok("reboot", Value::Null);
    assert_eq!(machine.asked_of_systemd(), ["--no-block reboot"]);
    drop(peer);
    assert_eq!(wait_state(&mut client, "failed")["last_error"]["reason"], "transfer_cut");
}

#[test]
fn what_is_sent_is_kept_whole_or_not_at_all_and_from_administrators_only() {
    let testbox = Setup::new().cameras(0).start();
    let (url, token) = (testbox.http("/update/next.raucb"), format!("Bearer {}", testbox.token("admin")));
    let files = || fs::read_dir(testbox.data().join("updates")).unwrap().count();
    let stored = http::send("PUT", &url, &[("Authorization", &token)], b"abc");
    assert_eq!(stored.status, 201, "{}", stored.text());
    let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(stored.json(), json!({ "name": "next", "size": 3, "sha256": sum }));
    assert_eq!(files(), 1);
    for role in ["viewer", "operator"] {
        let token = format!("Bearer {}", testbox.token(role));
        assert_eq!(http::send("PUT", &url, &[("Authorization", &token)], b"x").status, 403, "{role}");
    }
    assert_eq!(http::send("PUT", &url, &[], b"x").status, 401);
    for (path, status) in [("/update/next", 400), ("/update/..%2fx.raucb", 400), ("/update/.x.raucb", 400)] {
        let answer = http::send("PUT", &testbox.http(path), &[("Authorization", &token)], b"x");
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    assert_eq!(http::get(&url, &[("Authorization", &token)]).status, 405);

    let mut torn = TcpStream::connect(testbox.endpoints().address("ws")).unwrap();
    let head = format!(
        "PUT /update/torn.raucb HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {token}\r\nContent-Length: 99999\r\n\r\n"
    );
    torn.write_all(head.as_bytes()).unwrap();
    torn.write_all(&[7; 5000]).unwrap();
    wait_for("it has begun to come in", || (files() == 2).then_some(()));
    drop(torn);
    wait_for("nothing of it is left", || (files() == 1).then_some(()));
}

#[test]
fn a_machine_without_rauc_says_so() {
    let testbox = Setup::new().start();
    let mut client = testbox.login("admin");
    for (method, params) in
        [("update_status", json!({})), ("install_update", json!({ "file": "x" })), ("reboot", json!({}))]
    {
        let refused = client.refused(method, params);
        assert_eq!(refused.code, -32030, "{method}: {refused:?}");
        assert!(refused.data["suggestion"].is_string(), "{method}: {refused:?}");
    }
}

#[test]
fn a_box_whose_data_is_only_for_now_shows_live_video_and_records_nothing() {
    let boot = tempfile::tempdir().unwrap();
    fs::write(boot.path().join("data"), "missing\n").unwrap();
    let testbox = Setup::new().env("UPDATE__BOOT_FACTS", &boot.path().to_string_lossy()).start();
    let mut client = testbox.login("admin");
    client.ok("start_streaming", json!({ "device": "camera0" }));
    let refused = client.refused("start_recording", json!({ "device": "camera0" }));
    assert_eq!((refused.code, &refused.data["reason"]), (-32050, &json!("data_missing")), "{refused:?}");
    assert!(refused.data["suggestion"].as_str().unwrap().contains("restart the box"), "{refused:?}");
    let info = client.ok("get_storage_info", json!({}));
    assert_eq!(info["temporary"]["reason"], "missing", "{info}");
    let health = http::get(&format!("{}/health/detailed", testbox.endpoints().url("health")), &[]);
    assert!(health.text().contains("no data partition"), "{}", health.text());
    assert_eq!(client.ok("get_status", json!({}))["status"], "UNHEALTHY");
}
