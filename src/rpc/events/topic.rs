//! Topics by their names: the ones of the contract, their aliases, and those that existing clients use.

use serde::{Serialize, Serializer};

use super::hub::Event;
use crate::notice::Fact;

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    CameraConnected,
    CameraDisconnected,
    CameraStatusChange,
    /// Ours.
    CameraControlChange,
    RecordingStart,
    RecordingStop,
    RecordingError,
    SnapshotTaken,
    SystemHealth,
    SystemStartup,
    SystemShutdown,
    /// Ours.
    UpdateStatus,
    /// Ours.
    NetworkChange,
    /// The last three are names of notifications: what existing clients subscribe with.
    CameraStatusUpdate,
    RecordingStatusUpdate,
    SystemHealthUpdate,
}

use Topic::*;

const NAMES: [(&str, Topic); 21] = [
    ("camera.connected", CameraConnected),
    ("camera.disconnected", CameraDisconnected),
    ("camera.status_change", CameraStatusChange),
    ("camera.control_change", CameraControlChange),
    ("camera_control_update", CameraControlChange),
    ("recording.start", RecordingStart),
    ("recording.stop", RecordingStop),
    ("recording.error", RecordingError),
    ("snapshot.taken", SnapshotTaken),
    ("system.health", SystemHealth),
    ("system.startup", SystemStartup),
    ("system.shutdown", SystemShutdown),
    ("update.status", UpdateStatus),
    ("update_status_update", UpdateStatus),
    ("network.change", NetworkChange),
    ("network_update", NetworkChange),
    ("camera_status_update", CameraStatusUpdate),
    ("recording_status_update", RecordingStatusUpdate),
    ("system_health_update", SystemHealthUpdate),
    ("recording.started", RecordingStart),
    ("recording.stopped", RecordingStop),
];

impl Topic {
    /// By name or alias.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(n, _)| *n == name).map(|(_, topic)| *topic)
    }

    /// Its own name.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, topic)| *topic == self).map_or("", |(name, _)| name)
    }

    /// Every name, for people.
    pub fn list() -> String {
        NAMES.map(|(name, _)| name).join(", ")
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.name())
    }
}

/// The topics that an event belongs to.
pub(super) fn topics_of(event: &Event) -> &'static [Topic] {
    match event {
        Event::Fact(Fact::Camera { was, row, .. }) => match (*was, row.status) {
            (was, now) if was == now => &[CameraStatusChange, CameraStatusUpdate],
            (_, "CONNECTED") => &[CameraConnected, CameraStatusChange, CameraStatusUpdate],
            (_, "DISCONNECTED") => &[CameraDisconnected, CameraStatusChange, CameraStatusUpdate],
            _ => &[CameraStatusChange, CameraStatusUpdate],
        },
        Event::Fact(Fact::Control { .. }) => &[CameraControlChange],
        Event::Fact(Fact::RecordingStarted { .. }) => &[RecordingStart, RecordingStatusUpdate],
        Event::Fact(Fact::RecordingStopped { .. }) => &[RecordingStop, RecordingStatusUpdate],
        Event::Fact(Fact::RecordingError { .. }) => &[RecordingError, RecordingStatusUpdate],
        Event::Fact(Fact::SnapshotTaken { .. }) => &[SnapshotTaken],
        Event::Fact(Fact::Startup) => &[SystemStartup],
        Event::Fact(Fact::Update { .. }) => &[UpdateStatus],
        Event::Fact(Fact::Network { .. }) => &[NetworkChange],
        Event::Health(_) => &[SystemHealth, SystemHealthUpdate],
        // Not for clients as such: the first shows in the verdict, the second is looked for anyway.
        Event::Fact(Fact::StorageWarning { .. } | Fact::Health) => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_contract_is_known_and_aliases_mean_the_same() {
        // A copy of contract.md's list, on purpose not taken from the table.
        for name in [
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
            "camera_status_update",
            "recording_status_update",
            "system_health_update",
        ] {
            assert_eq!(Topic::named(name).unwrap().name(), name);
        }
        assert_eq!(Topic::named("recording.started"), Some(RecordingStart));
        assert_eq!(Topic::named("recording.stopped"), Some(RecordingStop));
        for unknown in ["", "camera", "Camera.connected", "recording", "get_status"] {
            assert_eq!(Topic::named(unknown), None);
        }
    }
}
