//! What goes in and out of the room.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::cause::Format;
use crate::base::clock::Trust;
use crate::base::{CameraId, RecordingName};

/// The camera of a recording, as it is when the recording starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraFacts {
    /// Its id.
    pub id: CameraId,
    /// What it is recognised by; no secret in it.
    pub identity: String,
    /// Its name.
    pub name: String,
    /// Expected picture width; the files tell the real one.
    pub width: u32,
    /// Expected picture height.
    pub height: u32,
}

/// A request to record.
#[derive(Clone, Debug)]
pub struct StartRecording {
    /// What.
    pub camera: CameraFacts,
    /// How long from the first recorded frame; `None` = until stopped.
    pub duration: Option<Duration>,
    /// What the client called it.
    pub format: Format,
}

/// An accepted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The recording's name.
    pub name: RecordingName,
    /// When it was accepted; the first frame's time once there is one (microseconds since 1970 UTC).
    pub start_us: i64,
    /// As asked.
    pub format: Format,
}

/// An ended recording; everything read from its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its name.
    pub name: RecordingName,
    /// First recorded frame.
    pub start_us: i64,
    /// End of the last recorded frame.
    pub end_us: i64,
    /// Recorded time without gaps.
    pub duration_ms: u64,
    /// Bytes.
    pub size: u64,
    /// As asked.
    pub format: String,
}

/// A running recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveView {
    /// Its name.
    pub name: RecordingName,
    /// First recorded frame, or the request while there is none.
    pub started_us: i64,
    /// Recorded time so far.
    pub duration_ms: u64,
    /// Bytes so far.
    pub size: u64,
}

/// A recording to go on with after a start of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its camera.
    pub camera: CameraId,
    /// Its name.
    pub name: RecordingName,
    /// Its folder: MediaMTX's first file has to record into it.
    pub dir: PathBuf,
    /// Wall-clock end of a timed one.
    pub until_us: Option<i64>,
}

/// A recording as lists show it.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordingInfo {
    /// Its row in the index.
    pub id: i64,
    /// Its name.
    pub name: RecordingName,
    /// Its camera.
    pub camera: CameraId,
    /// That camera's name then.
    pub camera_name: String,
    /// First recorded frame, or the request.
    pub start_us: i64,
    /// End of the last recorded frame; `None` while it runs.
    pub end_us: Option<i64>,
    /// Last change of its files, as far as known.
    pub modified_us: i64,
    /// Recorded time without gaps.
    pub duration_ms: u64,
    /// Bytes.
    pub size: u64,
    /// As asked.
    pub format: String,
    /// Such as `h264`, once known.
    pub codec: Option<String>,
    /// Picture width.
    pub width: u32,
    /// Picture height.
    pub height: u32,
    /// It runs.
    pub recording: bool,
    /// Why it ended.
    pub ended: Option<String>,
    /// The recording that this one continues.
    pub continues: Option<RecordingName>,
    /// Retention leaves it alone.
    pub protected: bool,
}

/// Missing time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// End of the last frame before it, microseconds since 1970 UTC.
    pub start_us: i64,
    /// How long.
    pub duration_ms: u64,
    /// Why.
    pub cause: String,
    /// The first segment with footage from after it.
    pub segment: u32,
}

/// Everything about a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordingDetails {
    /// As lists show it.
    pub info: RecordingInfo,
    /// Its files in order.
    pub segments: Vec<SegmentFile>,
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// What else happened: when, kind, words.
    pub notes: Vec<(i64, String, String)>,
}

/// Kind of the note that says how far the clock could be trusted when a recording began.
pub(super) const CLOCK_NOTE: &str = "clock";

impl RecordingDetails {
    /// How far the clock could be trusted when it began; `Unknown` too for recordings of earlier versions.
    pub fn clock(&self) -> Trust {
        let mut notes = self.notes.iter();
        notes.find(|(_, kind, _)| kind == CLOCK_NOTE).map_or(Trust::Unknown, |(.., word)| Trust::parse(word))
    }
}

/// A segment file that may be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// Where it is; never shown to a client.
    pub path: PathBuf,
    /// Its name there.
    pub file: String,
    /// MediaMTX's id of the recorder session, and its number within that session: neighbours of one
    /// session have nothing between them.
    pub stream: ([u8; 16], u64),
    /// Position in the recording, from 1.
    pub number: u32,
    /// First frame.
    pub start_us: i64,
    /// Recorded time.
    pub duration_us: u64,
    /// Bytes that may be served: whole fragments only.
    pub size: u64,
    /// Nothing will be added to it.
    pub closed: bool,
    /// Its file is gone; size and duration say what it had.
    pub lost: bool,
}

/// A segment to which nothing will be added any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Its recording's row in the index.
    pub recording: i64,
    /// The file.
    pub file: SegmentFile,
}

/// The data disk.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StorageView {
    /// Bytes in all.
    pub total: u64,
    /// Bytes used.
    pub used: u64,
    /// Bytes that we may still use.
    pub available: u64,
    /// used / (used + available), as `df` prints it, 0–100.
    pub used_percent: f64,
    /// At or above the warning mark.
    pub low: bool,
    /// It was warned of that, and it is not clearly below again.
    pub warning: bool,
    /// New recordings are refused.
    pub refusing: bool,
}
