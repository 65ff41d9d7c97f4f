//! `recording.json`: the facts of a recording beside its files, so that the folder explains itself
//! and the index can be made again from it.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::base::clock::iso8601;
use crate::durable::replace;
use crate::store::{GapRow, NoteRow, RecordingRow, SegmentRow, WholeRecording};

/// The file's name in each recording's folder.
pub(super) const CARD: &str = "recording.json";

/// Everything the index knows about one recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub row: RecordingRow,
    pub segments: Vec<SegmentRow>,
    pub gaps: Vec<GapRow>,
    pub notes: Vec<NoteRow>,
}

impl From<WholeRecording> for Facts {
    fn from(whole: WholeRecording) -> Self {
        let WholeRecording { row, segments, gaps, notes } = whole;
        Self { row, segments, gaps, notes }
    }
}

impl Facts {
    pub(super) fn new(row: RecordingRow) -> Self {
        Self { row, segments: Vec::new(), gaps: Vec::new(), notes: Vec::new() }
    }

    /// Enters or updates a segment and the sums.
    pub(super) fn put_segment(&mut self, segment: SegmentRow) {
        match self.segments.iter_mut().find(|s| s.number == segment.number) {
            Some(known) => *known = segment,
            None => self.segments.push(segment),
        }
        self.sum();
    }

    /// The recording's size and duration from the segments that are there.
    pub(super) fn sum(&mut self) {
        let there = || self.segments.iter().filter(|s| !s.lost && !s.trimmed);
        self.row.size = there().map(|s| s.size).fold(0, u64::saturating_add);
        self.row.duration_ms = there().map(|s| s.duration_us).fold(0, u64::saturating_add) / 1000;
    }

    /// End of the last recorded frame.
    pub(super) fn end_us(&self) -> Option<i64> {
        self.segments.last().map(|s| s.start_us.saturating_add_unsigned(s.duration_us))
    }

    fn json(&self) -> Value {
        let row = &self.row;
        let time = |us: i64| json!({ "time": iso8601(us), "unix_us": us });
        json!({
            "fieldcam": 1,
            "name": row.name.as_str(),
            "state": if row.wanted { "recording" } else { "ended" },
            "camera": { "id": row.camera.to_string(), "identity": row.identity, "name": row.camera_name },
            "format": row.format,
            "codec": row.codec,
            "stsd": row.stsd.as_ref().map(|b| BASE64.encode(b)),
            "width": row.width,
            "height": row.height,
            "requested": time(row.requested_us),
            "start": time(row.start_us),
            "limit_ms": row.limit_ms,
            "until": row.until_us.map(time),
            "end": row.end_us.map(time),
            "duration_ms": row.duration_ms,
            "size": row.size,
            "ended": row.ended,
            "continues": row.continues.as_ref().map(|n| n.as_str()),
            "protected": row.protected,
            "segments": self.segments.iter().map(|s| json!({
                "number": s.number,
                "file": s.file,
                "start": time(s.start_us),
                "duration_ms": s.duration_us / 1000,
                "duration_us": s.duration_us,
                "size": s.size,
                "closed": s.closed,
                "lost": s.lost,
                "trimmed": s.trimmed,
                "stream": BASE64.encode(s.stream),
                "stream_number": s.stream_number,
            })).collect::<Vec<_>>(),
            "gaps": self.gaps.iter().map(|g| json!({
                "start": time(g.start_us),
                "duration_ms": g.duration_us / 1000,
                "duration_us": g.duration_us,
                "cause": g.cause,
                "before_segment": g.number,
            })).collect::<Vec<_>>(),
            "notes": self.notes.iter().map(|n| json!({
                "at": time(n.at_us),
                "kind": n.kind,
                "detail": n.detail,
            })).collect::<Vec<_>>(),
        })
    }

    /// Writes the file, whole or not at all. Blocks.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(&self.json()).map_err(io::Error::other)?;
        text.push(b'\n');
        replace(&dir.join(CARD), &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CameraId;

    #[test]
    fn the_folder_explains_itself() {
        let dir = tempfile::tempdir().unwrap();
        let mut facts = Facts::new(RecordingRow {
            id: 1,
            name: "camera0_2025-01-15_14-30-00".parse().unwrap(),
            camera: CameraId(0),
            identity: "test:smpte".into(),
            camera_name: "Door".into(),
            format: "mp4".into(),
            requested_us: 1_736_951_400_000_000,
            start_us: 1_736_951_400_123_456,
            limit_ms: None,
            until_us: None,
            wanted: true,
            end_us: None,
            duration_ms: 0,
            size: 0,
            codec: Some("h264".into()),
            width: 1280,
            height: 720,
            stsd: None,
            ended: None,
            continues: None,
            protected: false,
        });
        let segment = SegmentRow {
            number: 1,
            file: "x.mp4".into(),
            stream: [0; 16],
            stream_number: 0,
            start_us: 1_736_951_400_123_456,
            duration_us: 1_500_000,
            size: 10,
            closed: false,
            lost: false,
            trimmed: false,
        };
        facts.put_segment(segment.clone());
        facts.put_segment(SegmentRow { size: 20, ..segment });
        facts.write(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join(CARD)).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["camera"]["identity"], "test:smpte");
        assert_eq!(json["start"]["time"], "2025-01-15T14:30:00.123Z");
        assert_eq!((&json["size"], &json["duration_ms"]), (&json!(20), &json!(1500)));
        assert_eq!(facts.end_us(), Some(1_736_951_401_623_456));
    }
}
