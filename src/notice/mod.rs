//! Facts that clients, the log and other rooms may hear of.
//!
//! Owns one bounded broadcast. Promises: sending never waits and never fails; a listener that falls
//! behind learns how many facts it missed (`RecvError::Lagged`) and reads the current state instead.
//! Costs 256 slots of memory.

use tokio::sync::broadcast;

use crate::base::{CameraId, RecordingName};

/// How many facts a slow listener may be behind.
const SLOTS: usize = 256;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A camera's row (status, name, resolution, streams) changed.
    Camera {
        /// The camera.
        id: CameraId,
        /// Its status before, in the contract's word; empty for a camera that is new.
        was: &'static str,
        /// What it is now.
        row: CameraRow,
    },
    /// A control of a V4L2 camera was set, or changed by itself.
    Control {
        /// The camera.
        camera: CameraId,
        /// The control as lists show it.
        control: std::sync::Arc<serde_json::Value>,
    },
    /// A recording was accepted.
    RecordingStarted {
        /// Its camera.
        camera: CameraId,
        /// Its name.
        name: RecordingName,
    },
    /// A recording ended and its files are complete.
    RecordingStopped {
        /// Its camera.
        camera: CameraId,
        /// Its name.
        name: RecordingName,
        /// Why: `stopped`, `duration_reached`, `storage_full`, …
        reason: &'static str,
        /// Recorded time.
        duration_ms: u64,
    },
    /// A wanted recording is not growing, or was left closed after repeated crashes.
    RecordingError {
        /// Its camera.
        camera: CameraId,
        /// Its name.
        name: RecordingName,
        /// For a person; no path in it.
        message: String,
    },
    /// A still was stored.
    SnapshotTaken {
        /// Its camera.
        camera: CameraId,
        /// Its file name.
        name: String,
    },
    /// The data disk passed its warning mark (also sent once when it is below it again).
    StorageWarning {
        /// As `df` prints it, 0–100.
        used_percent: f64,
        /// Whether it is above the mark.
        above: bool,
    },
    /// Something about the box's own version changed.
    Update {
        /// As update_status answers it.
        status: std::sync::Arc<serde_json::Value>,
    },
    /// A network setting is on trial, or is not any more.
    Network {
        /// As get_network answers it.
        status: std::sync::Arc<serde_json::Value>,
    },
    /// The verdict on the box's health may have changed.
    Health,
    /// Every server answers and the cameras have been looked at.
    Startup,
}

/// A camera as lists show it, addresses left out: those depend on who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraRow {
    /// The contract's word.
    pub status: &'static str,
    /// Name for people.
    pub name: String,
    /// Pixels; 0 while unknown.
    pub width: u32,
    /// Pixels; 0 while unknown.
    pub height: u32,
    /// Pictures a second; 0 while unknown.
    pub fps: u32,
    /// What is tried to bring its pictures back; none = nothing has to be.
    pub recovering: Option<&'static str>,
}

/// The broadcast. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Notices {
    sender: broadcast::Sender<Fact>,
}

impl Notices {
    /// A broadcast without listeners.
    pub fn new() -> Self {
        Self { sender: broadcast::Sender::new(SLOTS) }
    }

    /// Tells every listener; without listeners nothing happens.
    pub fn send(&self, fact: Fact) {
        tracing::debug!(?fact, "notice");
        let _ = self.sender.send(fact);
    }

    /// A new listener; it hears what is sent from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Fact> {
        self.sender.subscribe()
    }
}

impl Default for Notices {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::broadcast::error::TryRecvError;

    #[test]
    fn a_slow_listener_learns_what_it_missed_and_delays_nobody() {
        let notices = Notices::new();
        notices.send(Fact::Health);
        let mut listener = notices.subscribe();
        for n in 0..(SLOTS as u32 + 10) {
            notices.send(Fact::SnapshotTaken { camera: CameraId(n), name: String::new() });
        }
        assert_eq!(listener.try_recv(), Err(TryRecvError::Lagged(10)));
        assert_eq!(
            listener.try_recv(),
            Ok(Fact::SnapshotTaken { camera: CameraId(10), name: String::new() })
        );
    }
}
