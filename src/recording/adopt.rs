//! Folders that the index does not know: entered again from their files and `recording.json`.
//!
//! That happens when the database was lost or moved aside. Footage that nobody can find is lost
//! footage, so the files are the truth and the index can be made from them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::card::{CARD, Facts};
use super::folder::{Places, segment_files};
use super::recover::{Mended, mend};
use super::shared::Shared;
use crate::base::{CameraId, RecordingName, Result};
use crate::store::{RecordingChange, RecordingRow};

/// What such a recording's end is called when its own file does not say.
const REASON: &str = "index_lost";

/// Enters every unknown folder that holds footage; takes away those that hold none.
pub(super) async fn adopt_unknown(shared: &Shared) -> Result<()> {
    let known: BTreeSet<String> = shared.options.store.recording_names().await?.into_iter().collect();
    let places = shared.places.clone();
    let unknown = tokio::task::spawn_blocking(move || folders(&places, &known)).await.unwrap_or_default();
    for (camera, name) in unknown {
        let places = shared.places.clone();
        let found = tokio::task::spawn_blocking(move || read(&places, camera, &name)).await;
        let (facts, mended) = match found {
            Ok(Ok(Some(found))) => found,
            Ok(Ok(None)) | Err(_) => continue,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a folder without an entry could not be read");
                continue;
            }
        };
        let name = facts.row.name.clone();
        let change = RecordingChange {
            segments: mended.segments.clone(),
            gaps: facts.gaps.clone(),
            notes: facts.notes.clone(),
            ..Default::default()
        };
        shared.options.store.adopt_recording(facts.row, change).await?;
        tracing::warn!(%name, segments = mended.segments.len(), "a recording was entered again from its files");
    }
    Ok(())
}

fn folders(places: &Places, known: &BTreeSet<String>) -> Vec<(CameraId, RecordingName)> {
    let mut found = Vec::new();
    let names = |dir: &Path| -> Vec<String> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.filter_map(|e| e.file_name().into_string().ok()).collect()
    };
    for camera_dir in names(&places.recordings()) {
        let Ok(camera) = camera_dir.parse::<CameraId>() else { continue };
        for folder in names(&places.recordings().join(&camera_dir)) {
            if let Ok(name) = folder.parse::<RecordingName>()
                && !known.contains(&folder)
            {
                found.push((camera, name));
            }
        }
    }
    found
}

fn read(places: &Places, camera: CameraId, name: &RecordingName) -> std::io::Result<Option<(Facts, Mended)>> {
    let dir = places.recording(camera, name);
    if segment_files(&dir)?.is_empty() {
        // A start that a crash interrupted. Anything but our own card keeps the folder there.
        let _ = fs::remove_file(dir.join(CARD));
        let _ = fs::remove_dir(&dir);
        return Ok(None);
    }
    let card = fs::read(dir.join(CARD)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut facts = Facts::new(row(camera, name, &card.unwrap_or(Value::Null)));
    let mended = mend(places, &facts)?;
    let at_us = facts.row.requested_us;
    mended.apply(&mut facts, at_us);
    if facts.segments.is_empty() {
        return Ok(None);
    }
    facts.row.end_us = facts.end_us();
    facts.write(&dir)?;
    Ok(Some((facts, mended)))
}

/// What `recording.json` says, as far as it says it.
fn row(camera: CameraId, name: &RecordingName, card: &Value) -> RecordingRow {
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let time = |v: &Value| v["unix_us"].as_i64();
    let number = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let requested_us = time(&card["requested"]).unwrap_or(0);
    RecordingRow {
        id: 0,
        name: name.clone(),
        camera,
        identity: text(&card["camera"]["identity"]).unwrap_or_default(),
        camera_name: text(&card["camera"]["name"]).unwrap_or_else(|| camera.to_string()),
        format: text(&card["format"]).unwrap_or_else(|| "mp4".into()),
        requested_us,
        start_us: time(&card["start"]).unwrap_or(requested_us),
        limit_ms: card["limit_ms"].as_u64(),
        until_us: time(&card["until"]),
        wanted: false,
        end_us: None,
        duration_ms: 0,
        size: 0,
        codec: None,
        width: number(&card["width"]),
        height: number(&card["height"]),
        stsd: None,
        ended: Some(text(&card["ended"]).unwrap_or_else(|| REASON.into())),
        continues: text(&card["continues"]).and_then(|n| n.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::folder;
    use crate::recording::mp4::build;

    #[test]
    fn a_folder_tells_its_recording_even_without_its_card() {
        let data = tempfile::tempdir().unwrap();
        let places = Places::new(data.path());
        let names: Vec<RecordingName> =
            ["camera3_a", "camera3_b", "camera3_c"].map(|n| n.parse().unwrap()).into();
        for name in &names {
            folder::make(&places.recording(CameraId(3), name)).unwrap();
        }
        let dir = |n: usize| places.recording(CameraId(3), &names[n]);
        for n in 0..2 {
            fs::write(dir(n).join("1.mp4"), build::segment(4, 0, 1_700_000_000_000_000)).unwrap();
        }
        let card = r#"{"camera": {"identity": "test:x", "name": "Door"}, "ended": "stopped", "width": "bad",
            "requested": {"unix_us": 5}, "continues": "../etc"}"#;
        fs::write(dir(0).join(CARD), card).unwrap();
        fs::create_dir_all(places.trash().join("camera3_d")).unwrap();
        let mut unknown = folders(&places, &BTreeSet::new());
        unknown.sort();
        assert_eq!(unknown.len(), 3);
        let (facts, _) = read(&places, CameraId(3), &names[0]).unwrap().unwrap();
        assert_eq!((facts.row.identity.as_str(), facts.row.ended.as_deref()), ("test:x", Some("stopped")));
        assert_eq!((facts.row.duration_ms, facts.row.width, &facts.row.continues), (2000, 1280, &None));
        let (facts, _) = read(&places, CameraId(3), &names[1]).unwrap().unwrap();
        assert_eq!((facts.row.start_us, facts.row.ended.as_deref()), (1_700_000_000_000_000, Some(REASON)));
        assert!(read(&places, CameraId(3), &names[2]).unwrap().is_none());
        assert!(!dir(2).exists());
        let known = names.iter().map(|n| n.to_string()).collect();
        assert!(folders(&places, &known).is_empty());
    }
}
