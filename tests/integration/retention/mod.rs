//! Retention on a real box: what goes, what stays, and that index, cards and files agree.

mod agreement;
mod clock;
mod floor;
mod policy;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::recording::Recording;
use crate::common::{Client, Setup, TestBox, footage, wait_for};

/// One camera whose files are a second long.
fn small() -> Setup {
    Setup::new()
        .cameras(1)
        .env("CAMERAS__RESOLUTION", "320x180")
        .env("CAMERAS__FPS", "10")
        .env("RECORDING__SEGMENT_DURATION", "1s")
}

fn storage(client: &mut Client) -> Value {
    client.ok("get_storage_info", Value::Null)
}

fn recordings_size(client: &mut Client) -> u64 {
    storage(client)["recordings_size"].as_u64().unwrap()
}

#[track_caller]
fn set_size(client: &mut Client, bytes: u64) -> Value {
    let gb = bytes as f64 / 1e9;
    client.ok("set_retention_policy", json!({ "policy_type": "size", "max_size_gb": gb, "enabled": true }))
}

#[track_caller]
fn set_manual(client: &mut Client) {
    client.ok("set_retention_policy", json!({ "policy_type": "manual", "enabled": true }));
}

/// The numbers of the segments that a recording has.
fn numbers(info: &Value) -> Vec<u64> {
    info["segments"].as_array().unwrap().iter().map(|s| s["number"].as_u64().unwrap()).collect()
}

/// Waits until a recording has this many files.
#[track_caller]
fn wait_files(recording: &mut Recording, count: usize) {
    wait_for(&format!("{} has {count} files", recording.name), || {
        (numbers(&recording.info()).len() >= count).then_some(())
    });
}

/// Index, card and folder of a recording that does not run say the same, and nothing of it is damaged.
#[track_caller]
fn assert_agree(testbox: &TestBox, client: &mut Client, camera: &str, name: &str) -> Value {
    let info = client.ok("get_recording_info", json!({ "filename": name }));
    let folder = footage::folder(testbox.data(), camera, name);
    let card: Value = serde_json::from_slice(&std::fs::read(folder.join("recording.json")).unwrap()).unwrap();
    let on_disk: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.ends_with(".mp4"))
        .collect();
    let segments = card["segments"].as_array().unwrap();
    let in_card: BTreeSet<String> = segments.iter().map(|s| s["file"].as_str().unwrap().to_owned()).collect();
    assert_eq!(on_disk, in_card, "{name}: folder beside card");
    let of_card: Vec<u64> = segments.iter().map(|s| s["number"].as_u64().unwrap()).collect();
    assert_eq!(of_card, numbers(&info), "{name}: card beside index");
    assert!(segments.iter().all(|s| s["lost"] == false && s["trimmed"] == false), "{card}");
    assert!(of_card.windows(2).all(|w| w[1] == w[0] + 1), "{name} has a hole: {of_card:?}");
    assert_eq!(card["start"]["time"], info["created_time"], "{name}");
    info
}
