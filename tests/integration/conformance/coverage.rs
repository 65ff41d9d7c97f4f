//! Which members of the documented results were ever seen: an optional member that a box never sends
//! would pass every schema.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::document::{document, is_planned};

/// Members that only a fault brings forth; the tests of those faults look at them.
const OF_FAULTS: [&str; 17] = [
    "get_metrics.alerts[].subject",
    "get_metrics.alerts[].level",
    "get_metrics.alerts[].value",
    "get_metrics.alerts[].threshold",
    "get_metrics.alerts[].since",
    "get_metrics.alerts[].message",
    "get_camera_status.problem",
    "get_storage_info.temporary",
    "get_storage_info.temporary.reason",
    "get_storage_info.temporary.message",
    "get_storage_info.temporary.suggestion",
    "get_recording_info.segments[].lost",
    "get_recording_info.gaps[].start_time",
    "get_recording_info.gaps[].end_time",
    "get_recording_info.gaps[].duration",
    "get_recording_info.gaps[].position",
    "get_recording_info.gaps[].cause",
];

/// Results that only a machine with V4L2 gives; tests/v4l2 calls these methods in its guest.
pub const OF_DEVICES: [&str; 10] = [
    "list_devices.devices[].",
    "rename_device.",
    "pin_device.",
    "forget_device.",
    "get_stream_status.capture",
    "get_camera_list.cameras[].recovering",
    "get_camera_status.recovering",
    "get_camera_status.recovery",
    "get_camera_controls.",
    "set_camera_control.",
];

/// Results of a box that nobody owns yet, and of one that has an image; tests/integration/claim.rs calls these methods.
pub const OF_CLAIMS: [&str; 4] = ["claim_challenge.", "claim.", "get_server_info.claimed", "factory_reset."];

/// Results that only a machine with RAUC, or with systemd-networkd and the box's helper gives; the tests of updates and
/// tests/guest/network.rs call these methods there.
pub const OF_IMAGES: [&str; 7] = [
    "update_status.",
    "install_update.",
    "reboot.",
    "set_time.",
    "get_network.",
    "set_network.",
    "confirm_network.",
];

/// Cameras that come, go or change belong to a reload with another file.
const OF_RELOADS: &str = "reload_config.";

/// Paths of members, such as `get_camera_list.cameras[].device`.
#[derive(Default)]
pub struct Coverage(BTreeSet<String>);

impl Coverage {
    /// Notes what a result holds.
    pub fn note(&mut self, method: &str, result: &Value) {
        note(method, result, &mut self.0);
    }

    /// Adds what another caller saw.
    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Documented members that nobody saw.
    pub fn unseen(&self) -> Vec<String> {
        let mut all = BTreeSet::new();
        for (name, method) in document().methods().filter(|(_, m)| !is_planned(m)) {
            members(name, &method["result"]["schema"], &mut all);
        }
        assert!(all.len() > 100, "{all:?}");
        let expected = |path: &String| {
            OF_FAULTS.contains(&path.as_str())
                || path.starts_with(OF_RELOADS)
                || [&OF_CLAIMS[..], &OF_DEVICES, &OF_IMAGES]
                    .concat()
                    .iter()
                    .any(|start| path.starts_with(start))
        };
        all.into_iter().filter(|path| !self.0.contains(path) && !expected(path)).collect()
    }
}

fn note(at: &str, value: &Value, seen: &mut BTreeSet<String>) {
    match value {
        Value::Object(inner) => {
            for (name, value) in inner {
                let at = format!("{at}.{name}");
                note(&at, value, seen);
                seen.insert(at);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| note(&format!("{at}[]"), item, seen)),
        _ => {}
    }
}

fn members(at: &str, schema: &Value, all: &mut BTreeSet<String>) {
    let schema = document().resolve(schema);
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        if !is_planned(member) {
            let at = format!("{at}.{name}");
            members(&at, member, all);
            all.insert(at);
        }
    }
    if schema["items"].is_object() {
        members(&format!("{at}[]"), &schema["items"], all);
    }
}
