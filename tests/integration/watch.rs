//! subscribe_events and its notifications, and `ctl watch` on top of them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::rpc::Received;
use crate::common::testbox::PROGRAM;
use crate::common::{Client, Setup, TestBox, turn, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// Everything that a client is told until `last` has come, and nothing more for a moment after it.
fn told(client: &mut Client, last: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let note = client.notification(|_| true);
        let ended = last(&note);
        all.push(note);
        if ended {
            break;
        }
    }
    // What would come twice comes with the same turn of the socket; an answer after it closes the list.
    client.assert_alive();
    while let Received::Text(text) = client.receive(Duration::from_millis(300)) {
        all.push(serde_json::from_str(&text).unwrap());
    }
    all
}

fn is(note: &Value, method: &str, status: &str) -> bool {
    note["method"] == method && note["params"]["status"] == status
}

fn record(client: &mut Client, device: &str) -> String {
    let started = client.ok("start_recording", json!({ "device": device }));
    wait_for("something is recorded", || {
        let info = client.ok("get_recording_info", json!({ "filename": started["filename"] }));
        (info["file_size"].as_u64() > Some(0)).then_some(())
    });
    client.ok("stop_recording", json!({ "device": device }));
    started["filename"].as_str().unwrap().to_owned()
}

#[test]
fn subscribers_hear_each_fact_once_in_their_own_words() {
    let _turn = turn::take();
    let testbox = Setup::new().cameras(2).start();
    let mut operator = testbox.login("operator");
    let [mut legacy, mut modern, mut both, mut other] = [(); 4].map(|()| testbox.login("viewer"));

    let answer = legacy.ok("subscribe_events", json!({ "topics": ["recording_status_update"] }));
    assert_eq!(answer, json!({ "subscribed": true, "topics": ["recording_status_update"], "filters": {} }));
    modern.ok("subscribe_events", json!({ "topics": ["recording.started", "recording.stop"] }));
    both.ok(
        "subscribe_events",
        json!({ "topics": ["recording.start", "recording.stop", "recording_status_update"] }),
    );
    let filters = json!({ "device": "camera1" });
    let answer = other.ok(
        "subscribe_events",
        json!({ "topics": ["recording.stop", "snapshot.taken"], "filters": filters }),
    );
    assert_eq!(answer["filters"], filters);

    let name = record(&mut operator, "camera0");
    operator.ok("take_snapshot", json!({ "device": "camera1" }));
    let stopped = |n: &Value| is(n, "recording_status_update", "STOPPED");
    for (client, start) in [(&mut legacy, "RECORDING"), (&mut modern, "STARTED"), (&mut both, "RECORDING")] {
        let notes = told(client, stopped);
        let words: Vec<_> = notes.iter().map(|n| n["params"]["status"].as_str().unwrap()).collect();
        assert_eq!(words, [start, "STOPPED"], "{notes:?}");
        for note in &notes {
            assert!(note.get("id").is_none(), "a notification has no id: {note}");
            let keys: Vec<_> = note["params"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(keys, ["device", "duration", "filename", "status"]);
            assert_eq!(
                (&note["params"]["device"], &note["params"]["filename"]),
                (&json!("camera0"), &json!(name))
            );
        }
    }
    let notes = told(&mut other, |n| n["method"] == "snapshot.taken");
    assert_eq!(notes.len(), 1, "nothing of the other camera: {notes:?}");

    let stats = modern.ok("get_subscription_stats", json!({}));
    assert_eq!(stats["global_stats"]["active_clients"], 4);
    assert_eq!(stats["global_stats"]["topic_counts"]["recording.stop"], 3);
    assert_eq!(stats["client_topics"], json!(["recording.start", "recording.stop"]));
    assert!(uuid::Uuid::parse_str(stats["client_id"].as_str().unwrap()).is_ok());
    let gone = modern.ok("unsubscribe_events", json!({ "topics": ["recording.stopped", "system.health"] }));
    assert_eq!(gone, json!({ "unsubscribed": true, "topics": ["recording.stop"] }));
    assert_eq!(modern.ok("unsubscribe_events", json!({}))["topics"], json!(["recording.start"]));
    drop((legacy, both));
    wait_for("closed sockets are forgotten", || {
        let stats = operator.ok("get_subscription_stats", json!({}));
        (stats["global_stats"]["active_clients"] == 1).then_some(())
    });
    for (params, param) in [
        (json!({}), "topics"),
        (json!({ "topics": [] }), "topics"),
        (json!({ "topics": "camera.connected" }), "topics"),
        (json!({ "topics": ["camera.exploded"] }), "topics"),
        (json!({ "topics": [7] }), "topics"),
        (json!({ "topics": ["camera.connected"], "filters": [] }), "filters"),
        (json!({ "topics": ["camera.connected"], "filters": { "device": "x" } }), "filters.device"),
    ] {
        let refusal = operator.refused("subscribe_events", params);
        assert_eq!((refusal.code, &refusal.data["param"]), (-32602, &json!(param)));
    }
    let mut stranger = testbox.connect();
    assert_eq!(stranger.refused("subscribe_events", json!({ "topics": ["camera.connected"] })).code, -32001);
}

#[test]
fn a_camera_that_fails_and_heals_is_told_as_a_whole_row_and_health_to_admins_only() {
    let _turn = turn::take();
    let testbox = Setup::new().cameras(1).start();
    let [mut admin, mut viewer] = ["admin", "viewer"].map(|role| testbox.login(role));
    let row = viewer.ok("get_camera_list", json!({}))["cameras"][0].clone();
    for client in [&mut admin, &mut viewer] {
        client.ok(
            "subscribe_events",
            json!({ "topics": ["camera.status_change", "camera_status_update", "system.health"] }),
        );
    }
    assert_ne!(admin.ok("get_status", json!({}))["status"], "UNHEALTHY");
    testbox.child("mediamtx").signal(Signal::SIGKILL);
    let worse = admin.notification(|n| n["method"] == "system_health_update");
    assert!(is(&worse, "system_health_update", "UNHEALTHY"), "{worse}");
    assert_ne!(worse["params"]["components"]["mediamtx"], "RUNNING");
    admin.notification(|n| n["method"] == "system_health_update" && n["params"]["status"] != "UNHEALTHY");
    let mut operator = testbox.login("operator");
    operator.ok("start_streaming", json!({ "device": "camera0" }));
    // Three sources that end at once make a camera that does not work.
    let failed = loop {
        if let Some(source) = testbox.children().into_iter().find(|p| p.command.contains("mpjpeg")) {
            let _ = kill(Pid::from_raw(source.pid as i32), Signal::SIGKILL);
        }
        if let Received::Text(text) = viewer.receive(Duration::from_millis(50)) {
            break serde_json::from_str::<Value>(&text).unwrap();
        }
    };
    assert!(is(&failed, "camera_status_update", "ERROR"), "{failed}");
    let healed = viewer.notification(|n| is(n, "camera_status_update", "CONNECTED"));
    let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&healed["params"]), keys(&row), "the whole object, as in the list");
    assert_eq!(healed["params"]["name"], row["name"]);
    assert!(healed["params"]["streams"]["rtsp"].as_str().unwrap().starts_with("rtsp://"));
    viewer.assert_alive();
    let late = viewer.receive(Duration::from_millis(100));
    assert_eq!(late, Received::Nothing, "each change once, and no health for viewers");
}

/// `fieldcam ctl watch`, its two streams as they come.
struct Watch {
    child: Child,
    out: Arc<Mutex<Vec<String>>>,
    remarks: Arc<Mutex<Vec<String>>>,
}

impl Watch {
    fn start(testbox: &TestBox, args: &[&str]) -> Watch {
        let mut command = Command::new(PROGRAM);
        let host = testbox.endpoints().address("ws");
        command
            .args(["ctl", "watch", "--host", &host])
            .args(args)
            .env("FIELDCAM_TOKEN", testbox.token("viewer"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, remarks) = (Arc::default(), Arc::default());
        collect(child.stdout.take().unwrap(), &out);
        collect(child.stderr.take().unwrap(), &remarks);
        Watch { child, out, remarks }
    }

    #[track_caller]
    fn wait(lines: &Mutex<Vec<String>>, words: &str) -> String {
        wait_for(&format!("watch says {words:?}"), || {
            lines.lock().unwrap().iter().find(|l| l.contains(words)).cloned()
        })
    }
}

fn collect(stream: impl std::io::Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            lines.lock().unwrap().push(line);
        }
    });
}

#[test]
fn ctl_watch_prints_events_survives_a_restart_and_ends_well() {
    let _turn = turn::take();
    // A port that stays the same over the restart.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut testbox = Setup::new().cameras(1).env("SERVER__LISTEN", &format!("127.0.0.1:{port}")).start();
    let mut watch = Watch::start(&testbox, &[]);
    let mut json = Watch::start(&testbox, &["--json", "camera0"]);
    for tool in [&watch, &json] {
        Watch::wait(&tool.remarks, "Ctrl-C ends");
    }
    testbox.login("operator").ok("take_snapshot", json!({ "device": "camera0" }));
    Watch::wait(&watch.out, "SNAPSHOT");
    let line = Watch::wait(&json.out, "snapshot.taken");
    let note: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(note["params"]["device"], "camera0");

    testbox.stop();
    Watch::wait(&watch.out, "STOPPING");
    Watch::wait(&watch.remarks, "trying again");
    testbox.start_again();
    Watch::wait(&watch.remarks, "again; what happened meanwhile");
    wait_for("both listen again", || {
        let listening =
            |t: &Watch| t.remarks.lock().unwrap().iter().filter(|l| l.contains("Ctrl-C ends")).count();
        (listening(&watch) >= 2 && listening(&json) >= 2).then_some(())
    });
    let taken = testbox.login("operator").ok("take_snapshot", json!({ "device": "camera0" }));
    Watch::wait(&watch.out, taken["filename"].as_str().unwrap());
    for tool in [&mut watch, &mut json] {
        kill(Pid::from_raw(tool.child.id() as i32), Signal::SIGINT).unwrap();
        let status = wait_for("it ends", || tool.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
    }
}
