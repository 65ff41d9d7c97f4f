//! Reads `recording.json` back. Whatever it holds, something useful comes out, or nothing.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::card::{CARD, Facts};
use crate::base::{CameraId, RecordingName};
use crate::store::{GapRow, NoteRow, RecordingRow, SegmentRow};

/// What such a recording's end is called when its own file does not say.
pub(super) const REASON: &str = "index_lost";

/// Largest card read: 100,000 segments, a month of cuts every 30 s, make 30 MB.
const MAX_CARD: u64 = 64 << 20;

/// The card in a recording's folder; `None` = there is none that can be read. Fails when the disk does.
/// Blocks.
pub(super) fn read(dir: &Path, camera: CameraId, name: &RecordingName) -> io::Result<Option<Facts>> {
    let path = dir.join(CARD);
    match path.symlink_metadata() {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Ok(meta) if !meta.is_file() || meta.len() > MAX_CARD => return Ok(None),
        other => other?,
    };
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_CARD).read_to_end(&mut bytes)?;
    Ok(parse(&bytes, camera, name))
}

/// A recording of which nothing is known but its folder.
pub(super) fn unknown(camera: CameraId, name: &RecordingName) -> Facts {
    facts(camera, name, &Value::Null)
}

fn parse(bytes: &[u8], camera: CameraId, name: &RecordingName) -> Option<Facts> {
    let card: Value = serde_json::from_slice(bytes).ok()?;
    card.is_object().then(|| facts(camera, name, &card))
}

/// What it says, as far as it says it. Folder and camera are what the disk says.
fn facts(camera: CameraId, name: &RecordingName, card: &Value) -> Facts {
    let requested_us = time(&card["requested"]).unwrap_or(0);
    let wanted = card["state"] == "recording";
    let mut row = RecordingRow {
        id: 0,
        name: name.clone(),
        camera,
        identity: text(&card["camera"]["identity"]).unwrap_or_default(),
        camera_name: text(&card["camera"]["name"]).unwrap_or_else(|| camera.to_string()),
        format: text(&card["format"]).unwrap_or_else(|| "mp4".into()),
        requested_us,
        start_us: time(&card["start"]).unwrap_or(requested_us),
        limit_ms: card["limit_ms"].as_u64().filter(|ms| i64::try_from(*ms).is_ok()),
        until_us: time(&card["until"]),
        wanted,
        end_us: time(&card["end"]),
        duration_ms: 0,
        size: 0,
        codec: text(&card["codec"]),
        width: number(&card["width"]),
        height: number(&card["height"]),
        stsd: bytes(&card["stsd"]),
        ended: text(&card["ended"]),
        continues: text(&card["continues"]).and_then(|n| n.parse().ok()),
        protected: card["protected"] == true,
    };
    if !wanted && row.ended.is_none() {
        row.ended = Some(REASON.into());
    }
    let mut facts = Facts::new(row);
    facts.segments = list(&card["segments"]).filter_map(segment).collect();
    facts.segments.sort_by_key(|s| s.number);
    facts.segments.dedup_by_key(|s| s.number);
    facts.sum();
    facts.gaps = list(&card["gaps"]).filter_map(gap).collect();
    facts.notes = list(&card["notes"]).filter_map(note).collect();
    facts
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn segment(value: &Value) -> Option<SegmentRow> {
    let file = text(&value["file"])?;
    // One path component of the recording's folder and nothing else.
    if !super::folder::is_segment_name(&file) {
        return None;
    }
    let duration_ms = |v: &Value| v["duration_ms"].as_u64()?.checked_mul(1000);
    let small = |n: &u64| i64::try_from(*n).is_ok();
    // Cards of the first version do not say which session wrote the file; then it is read again.
    let stream = bytes(&value["stream"]).and_then(|b| b.try_into().ok());
    Some(SegmentRow {
        number: u32::try_from(value["number"].as_u64()?).ok().filter(|n| *n > 0)?,
        file,
        start_us: time(&value["start"])?,
        duration_us: value["duration_us"].as_u64().or_else(|| duration_ms(value)).filter(small)?,
        size: value["size"].as_u64().filter(small)?,
        closed: value["closed"] == true && stream.is_some(),
        stream: stream.unwrap_or_default(),
        stream_number: value["stream_number"].as_u64().filter(small).unwrap_or(0),
        lost: value["lost"] == true,
        trimmed: value["trimmed"] == true,
    })
}

fn gap(value: &Value) -> Option<GapRow> {
    let whole = value["duration_us"].as_u64();
    let duration_us = whole.or_else(|| value["duration_ms"].as_u64()?.checked_mul(1000));
    Some(GapRow {
        number: u32::try_from(value["before_segment"].as_u64()?).ok()?,
        start_us: time(&value["start"])?,
        duration_us: duration_us.filter(|n| i64::try_from(*n).is_ok())?,
        cause: text(&value["cause"])?,
    })
}

fn note(value: &Value) -> Option<NoteRow> {
    Some(NoteRow { at_us: time(&value["at"])?, kind: text(&value["kind"])?, detail: text(&value["detail"])? })
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn time(value: &Value) -> Option<i64> {
    value["unix_us"].as_i64()
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    BASE64.decode(value.as_str()?).ok()
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name() -> RecordingName {
        "camera3_a".parse().unwrap()
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back_whole(
            (times, flag, words) in (any::<[i32; 6]>(), any::<bool>(), "[ -~]{0,20}"),
            segments in proptest::collection::vec((any::<[u8; 16]>(), any::<u32>(), any::<bool>()), 0..4),
        ) {
            let us = |n: usize| i64::from(times[n]) * 1_000_003;
            let mut facts = unknown(CameraId(3), &name());
            facts.row = RecordingRow {
                identity: words.clone(),
                camera_name: words.clone(),
                format: "fmp4".into(),
                requested_us: us(0),
                start_us: us(1),
                limit_ms: flag.then_some(77),
                until_us: flag.then_some(us(2)),
                wanted: !flag,
                end_us: flag.then_some(us(3)),
                codec: Some("h264".into()),
                width: 640,
                height: 360,
                stsd: flag.then(|| words.clone().into_bytes()),
                ended: flag.then(|| words.clone()),
                continues: flag.then(name),
                protected: flag,
                ..facts.row
            };
            for (n, (stream, value, closed)) in segments.into_iter().enumerate() {
                facts.put_segment(SegmentRow {
                    number: n as u32 + 1,
                    file: format!("{n}.mp4"),
                    stream,
                    stream_number: u64::from(value),
                    start_us: us(4),
                    duration_us: u64::from(value),
                    size: u64::from(value),
                    closed,
                    lost: closed && value % 2 == 0,
                    trimmed: closed && value % 3 == 0,
                });
            }
            facts.gaps.push(GapRow { number: 1, start_us: us(5), duration_us: 1_234_567, cause: words.clone() });
            facts.notes.push(NoteRow { at_us: us(5), kind: words.clone(), detail: words });
            let dir = tempfile::tempdir().unwrap();
            facts.write(dir.path()).unwrap();
            let back = read(dir.path(), CameraId(3), &name()).unwrap().unwrap();
            prop_assert_eq!(back, facts);
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes, CameraId(0), &name());
        }

        #[test]
        fn any_values_are_survived(
            key in "(state|requested|segments|gaps|notes|camera|limit_ms|stsd|continues|width)",
            value in "(null|-1|1e300|18446744073709551615|\\[\\[\\]\\]|\\{\\}|\"x\"|\\[\\{\"number\":0\\}\\])",
        ) {
            let text = format!("{{\"{key}\": {value}}}");
            let facts = parse(text.as_bytes(), CameraId(0), &name()).unwrap();
            prop_assert!(facts.segments.is_empty());
        }
    }

    #[test]
    fn names_that_leave_the_folder_are_not_taken() {
        let text = r#"{"continues": "../etc", "width": "bad", "segments": [
            {"number": 1, "file": "../../secrets/a.mp4", "start": {"unix_us": 1}, "duration_ms": 1, "size": 1},
            {"number": 2, "file": "b.mp4", "start": {"unix_us": 1}, "duration_ms": 1, "size": 1, "closed": true}]}"#;
        let facts = parse(text.as_bytes(), CameraId(0), &name()).unwrap();
        assert_eq!((&facts.row.continues, facts.row.width), (&None, 0));
        assert_eq!(facts.segments.len(), 1);
        // Without its session's id it is not taken at its word.
        assert!(!facts.segments[0].closed && facts.segments[0].duration_us == 1000);
    }
}
