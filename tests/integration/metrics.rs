//! get_metrics and get_system_status tell what is, and never wait.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::{Client, Setup, process, turn, wait_for};

fn metrics(admin: &mut Client) -> Value {
    admin.ok("get_metrics", Value::Null)
}

#[test]
fn the_figures_are_those_of_the_box() {
    let _turn = turn::take();
    let testbox = Setup::new()
        .cameras(1)
        .toml("[[camera]]\nname = \"Yard\"\nsource = \"rtsp://127.0.0.1:9/none\"\n")
        .start();
    let mut admin = testbox.login("admin");
    let before = metrics(&mut admin);
    let cameras = &before["camera_metrics"]["cameras"];
    assert_eq!(before["camera_metrics"]["connected_cameras"], 1);
    let yard = cameras.as_object().unwrap().values().find(|c| c["name"] == "Yard").unwrap();
    let id = yard["path"].as_str().unwrap();
    assert_eq!(
        (&yard["status"], &yard["last_seen"]),
        (&json!("DISCONNECTED"), &json!("1970-01-01T00:00:00.000Z"))
    );
    assert_eq!(yard["capabilities"]["driver_name"], "rtsp");
    let other = cameras.as_object().unwrap().values().find(|c| c["path"] != id).unwrap();
    assert_eq!(
        (&other["status"], &other["capabilities"]["driver_name"]),
        (&json!("CONNECTED"), &json!("synthetic"))
    );
    assert!(other["last_seen"].as_str().unwrap() > "2026-01-01");
    let formats = other["formats"].as_array().unwrap();
    assert!(
        formats.iter().all(|f| f["width"].as_u64() > Some(0) && !f["frame_rates"][0].is_null()),
        "{other}"
    );

    let device = json!({ "device": other["path"] });
    let started = admin.ok("start_recording", device.clone());
    let running = wait_for("the recording and its stream are in the figures", || {
        let now = metrics(&mut admin);
        (now["recording_metrics"]["active_recordings"] == 1 && now["stream_metrics"]["active_streams"] == 1)
            .then_some(now)
    });
    let recording = &running["recording_metrics"]["recordings"][other["path"].as_str().unwrap()];
    assert_eq!(recording["filename"], started["filename"]);
    admin.ok("stop_recording", device);

    let held: Vec<Client> = (0..4).map(|_| testbox.connect()).collect();
    let now = wait_for("connections and calls are counted", || {
        let now = metrics(&mut admin);
        let minute = &now["connection_metrics"]["established_last_minute"];
        (now["connection_metrics"]["active"] == 5 && minute.as_u64() >= Some(4)).then_some(now)
    });
    drop(held);
    let (connections, responses) = (&now["connection_metrics"], &now["response_metrics"]);
    assert!(connections["peak"].as_u64() >= Some(5) && connections["established"].as_u64() >= Some(5));
    assert_eq!((&connections["refused"], &connections["dropped"]), (&json!(0), &json!(0)));
    assert!(responses["requests"].as_u64() > before["response_metrics"]["requests"].as_u64());
    let times = ["p50_ms", "p95_ms", "p99_ms"].map(|name| responses[name].as_f64().unwrap());
    assert!(times[0] > 0.0 && times.is_sorted(), "{responses}");

    let system = &now["system_metrics"];
    let resident = system["process_memory"].as_u64().unwrap() / 1024;
    let seen = process::rss_kib(testbox.pid());
    assert!((seen / 2..seen * 2).contains(&resident), "{resident} KiB, and the kernel says {seen}");
    assert!(system["goroutines"].as_u64() > Some(10) && system["open_files"].as_u64() > Some(10), "{system}");
    assert!(
        system["memory_usage"].as_f64() > Some(1.0) && system["disk_usage"].as_f64() > Some(0.0),
        "{system}"
    );
}

#[test]
fn figures_are_answered_while_what_they_tell_of_stands_still() {
    let _turn = turn::take();
    let testbox = Setup::new().start();
    let mut admin = testbox.login("admin");
    let mediamtx = testbox.child("mediamtx");
    mediamtx.signal(Signal::SIGSTOP);
    let begun = Instant::now();
    for _ in 0..100 {
        metrics(&mut admin);
        admin.ok("get_system_status", Value::Null);
    }
    // A call that asked it would have waited for its time-out each time.
    let took = begun.elapsed();
    mediamtx.signal(Signal::SIGCONT);
    assert!(took < Duration::from_secs(10), "200 answers took {took:?}");
}

#[test]
fn connections_near_the_limit_raise_one_alert_that_ends_with_them() {
    let testbox = Setup::new().cameras(0).env("SERVER__MAX_CONNECTIONS", "5").start();
    let mut admin = testbox.login("admin");
    let alert = |admin: &mut Client| {
        let alerts = metrics(admin)["alerts"].clone();
        alerts.as_array().unwrap().iter().find(|a| a["subject"] == "connections").cloned()
    };
    assert_eq!(alert(&mut admin), None);
    let held: Vec<Client> = (0..3).map(|_| testbox.connect()).collect();
    let raised = wait_for("four of five raise an alert", || alert(&mut admin));
    assert_eq!((&raised["level"], &raised["threshold"]), (&json!("warning"), &json!(80.0)));
    assert_eq!(raised["value"], 80.0);
    testbox.wait_log("80 % of the connections are in use");
    drop(held);
    wait_for("it is over", || alert(&mut admin).is_none().then_some(()));
    testbox.wait_log("alert over");
    assert_eq!(testbox.log().matches("of the connections are in use").count(), 1, "{}", testbox.log());
}

#[test]
fn the_status_says_how_far_the_box_is() {
    let _turn = turn::take();
    let yard = "[[camera]]\nsource = \"rtsp://127.0.0.1:9/none\"\n";
    let testbox = Setup::new().cameras(2).toml(yard).start();
    let mut viewer = testbox.login("viewer");
    let list = viewer.ok("get_camera_list", Value::Null);
    let ids = |wanted: &str| -> Vec<Value> {
        let rows = list["cameras"].as_array().unwrap().iter();
        rows.filter(|row| row["status"] == wanted).map(|row| row["device"].clone()).collect()
    };
    let status = viewer.ok("get_system_status", Value::Null);
    assert_eq!(status["status"], "partial");
    assert_eq!(status["available_cameras"], json!(ids("CONNECTED")));
    assert!(
        status["message"].as_str().unwrap().contains(ids("DISCONNECTED")[0].as_str().unwrap()),
        "{status}"
    );
    // A camera that is no longer wanted is not missed.
    let file = testbox.scratch().join("fieldcam.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace(yard, "");
    std::fs::write(&file, text).unwrap();
    testbox.login("admin").ok("reload_config", json!({}));
    let status = viewer.ok("get_system_status", Value::Null);
    assert_eq!((&status["status"], &status["message"]), (&json!("ready"), &json!("every camera is there")));
    assert_eq!(
        (status["available_cameras"].as_array().unwrap().len(), &status["discovery_active"]),
        (2, &json!(false))
    );
}
