//! Notifications held against the document, while everything else goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::document::document;
use crate::common::rpc::Received;
use crate::common::{Client, Setup, TestBox, turn, wait_for};

/// Subscribers of every kind.
pub struct Ears {
    clients: Vec<(&'static str, Client)>,
    heard: usize,
}

const TOPICS: [&str; 11] = [
    "camera.control_change",
    "camera.connected",
    "camera.disconnected",
    "camera.status_change",
    "recording.start",
    "recording.stop",
    "recording.error",
    "snapshot.taken",
    "system.health",
    "system.startup",
    "system.shutdown",
];

/// What existing clients subscribe with.
const LEGACY: [&str; 3] = ["camera_status_update", "recording_status_update", "system_health_update"];

impl Ears {
    /// A subscriber by topic, one by the older names, and an admin by both.
    pub fn open(testbox: &TestBox) -> Self {
        let both: Vec<_> = TOPICS.iter().chain(&LEGACY).collect();
        let clients = [
            ("topics", "viewer", json!(TOPICS)),
            ("legacy", "viewer", json!(LEGACY)),
            ("both", "admin", json!(both)),
        ];
        let clients = clients.map(|(name, role, topics)| {
            let mut client = testbox.login(role);
            client.ok("subscribe_events", json!({ "topics": topics }));
            (name, client)
        });
        Self { clients: clients.into(), heard: 0 }
    }

    /// Takes what has come until now and holds each against the document.
    pub fn listen(&mut self) -> BTreeMap<String, usize> {
        let mut kinds = BTreeMap::new();
        for (name, client) in &mut self.clients {
            client.send(&json!({ "jsonrpc": "2.0", "id": "end", "method": "ping" }).to_string());
            loop {
                match client.receive(Duration::from_secs(30)) {
                    Received::Text(text) => {
                        let note: Value = serde_json::from_str(&text).unwrap();
                        if note["id"] == "end" {
                            break;
                        }
                        self.heard += 1;
                        *kinds.entry(judge(name, &note)).or_default() += 1;
                    }
                    // A box that stops closes its sockets.
                    Received::Closed(_) | Received::Gone => break,
                    Received::Nothing => panic!("{name}: no answer to ping"),
                }
            }
        }
        kinds
    }

    /// How many notifications there were so far.
    pub fn heard(&self) -> usize {
        self.heard
    }

    /// Waits until one of this kind has come to this subscriber.
    fn wait(&mut self, who: &str, what: &str) {
        let (name, client) = self.clients.iter_mut().find(|(name, _)| *name == who).unwrap();
        let heard = &mut self.heard;
        client.notification(|note| {
            *heard += 1;
            judge(name, note) == what
        });
    }
}

/// Holds one against the document; answers with its method and status.
#[track_caller]
fn judge(who: &str, note: &Value) -> String {
    if let Some(fault) = document().fault_in_notification(note) {
        panic!("{who} heard {note}: {fault}");
    }
    let status = note["params"]["status"].as_str().unwrap_or_default();
    let kind = format!("{} {status}", note["method"].as_str().unwrap());
    match kind.as_str() {
        "recording_status_update RECORDING" => assert_ne!(who, "topics", "{note}"),
        "recording_status_update STARTED" => assert_eq!(who, "topics", "{note}"),
        _ => {}
    }
    assert!(who == "both" || !kind.starts_with("system_health_update"), "only admins hear of health: {note}");
    kind
}

#[test]
fn every_notification_is_as_the_document_says() {
    let _turn = turn::take();
    let gate = "[[camera]]\nsource = \"test:testsrc2\"\nresolution = \"320x180\"\n";
    let yard = "[[camera]]\nsource = \"test:smptebars\"\nresolution = \"320x180\"\n";
    let mut testbox = Setup::new().cameras(0).toml(gate).toml(yard).start();
    let mut ears = Ears::open(&testbox);
    let mut admin = testbox.login("admin");
    let device = json!({ "device": "camera0" });

    let started = admin.ok("start_recording", device.clone());
    wait_for("something is recorded", || {
        let info = admin.ok("get_recording_info", json!({ "filename": started["filename"] }));
        (info["file_size"].as_u64() > Some(0)).then_some(())
    });
    admin.ok("stop_recording", device.clone());
    admin.ok("take_snapshot", device);
    ears.wait("topics", "recording_status_update STARTED");
    ears.wait("legacy", "recording_status_update RECORDING");
    ears.wait("both", "recording_status_update STOPPED");
    ears.wait("topics", "snapshot.taken ");

    for (text, status) in [(gate.to_owned(), "DISCONNECTED"), (format!("{gate}{yard}"), "CONNECTED")] {
        std::fs::write(testbox.scratch().join("fieldcam.toml"), text).unwrap();
        admin.ok("reload_config", json!({}));
        for who in ["topics", "legacy", "both"] {
            ears.wait(who, &format!("camera_status_update {status}"));
        }
    }
    testbox.child("mediamtx").signal(Signal::SIGKILL);
    ears.wait("both", "system_health_update UNHEALTHY");
    wait_for("it is well again", || {
        (admin.ok("get_status", Value::Null)["status"] != "UNHEALTHY").then_some(())
    });
    ears.listen();
    testbox.stop();
    for who in ["topics", "both"] {
        ears.wait(who, "system.shutdown ");
    }
    println!("conformance: {} notifications", ears.heard());
}
