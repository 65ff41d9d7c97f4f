//! Folders that the index does not know: what they say of themselves.
//!
//! That happens when the database was lost, is an older copy, or was moved aside. Footage that nobody
//! can find is lost footage, so the files are the truth and the index can be made from them. Blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::card::Facts;
use super::card_reader::{self, REASON};
use super::folder::Places;
use super::mend::mend;
use crate::base::{CameraId, RecordingName};
use crate::store::CameraRow;

/// A recording's place on the disk.
pub(super) type Folder = (CameraId, RecordingName);

/// Every folder that may hold a recording, and the names of those that do not but stand there.
pub(super) fn folders(places: &Places) -> io::Result<(Vec<Folder>, Vec<String>)> {
    let (mut found, mut foreign) = (Vec::new(), Vec::new());
    for (camera_dir, is_dir) in names(&places.recordings())? {
        let camera = camera_dir.parse::<CameraId>().ok().filter(|_| is_dir);
        let Some(camera) = camera else {
            if !camera_dir.starts_with('.') {
                foreign.push(camera_dir);
            }
            continue;
        };
        for (name, is_dir) in names(&places.recordings().join(&camera_dir))? {
            match name.parse::<RecordingName>() {
                Ok(recording) if is_dir => found.push((camera, recording)),
                _ => foreign.push(format!("{camera_dir}/{name}")),
            }
        }
    }
    found.sort_unstable();
    Ok((found, foreign))
}

fn names(dir: &Path) -> io::Result<Vec<(String, bool)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let is_dir = entry.file_type().is_ok_and(|t| t.is_dir());
        found.push((entry.file_name().to_string_lossy().into_owned(), is_dir));
    }
    Ok(found)
}

/// The recording of each camera that was running when its folder was last written, of folders that the
/// index does not know. Looks only into those that can be it: the newest by name and by change, two
/// each, because a start must not wait for ten thousand cards.
pub(super) fn running(places: &Places, unknown: &[Folder]) -> io::Result<Vec<Facts>> {
    let mut cameras: BTreeMap<CameraId, Vec<&Folder>> = BTreeMap::new();
    for folder in unknown {
        cameras.entry(folder.0).or_default().push(folder);
    }
    let mut found = Vec::new();
    for (camera, mut folders) in cameras {
        let changed = |f: &Folder| fs::metadata(places.recording(f.0, &f.1)).and_then(|m| m.modified()).ok();
        let mut likely: BTreeSet<&Folder> = folders.iter().rev().take(2).copied().collect();
        folders.sort_by_cached_key(|f| std::cmp::Reverse(changed(f)));
        likely.extend(folders.into_iter().take(2));
        let mut best: Option<Facts> = None;
        for (_, name) in likely {
            let card = card_reader::read(&places.recording(camera, name), camera, name)?;
            if let Some(facts) = card.filter(|f| f.row.wanted)
                && best.as_ref().is_none_or(|b| b.row.requested_us < facts.row.requested_us)
            {
                best = Some(facts);
            }
        }
        found.extend(best);
    }
    Ok(found)
}

/// An unknown folder as a recording that has ended; `None` = there is nothing of one in it.
pub(super) fn ended(places: &Places, (camera, name): &Folder, at_us: i64) -> io::Result<Option<Facts>> {
    let dir = places.recording(*camera, name);
    let card = card_reader::read(&dir, *camera, name)?;
    let known = card.clone().unwrap_or_else(|| card_reader::unknown(*camera, name));
    let mut facts = mend(places, &known, at_us)?.facts;
    if facts.segments.is_empty() && card.is_none() {
        // A start that a crash interrupted. Anything in the folder keeps it there.
        let _ = fs::remove_dir(&dir);
        return Ok(None);
    }
    if facts.row.wanted {
        facts.row.wanted = false;
        facts.row.ended = Some(REASON.into());
        facts.row.end_us = None;
    }
    if facts.row.requested_us == 0 {
        facts.row.requested_us = facts.row.start_us;
    }
    let end_us = facts.end_us().unwrap_or(facts.row.start_us);
    if facts.row.end_us.is_none() || facts.segments != known.segments {
        facts.row.end_us = Some(end_us);
    }
    if card.as_ref() != Some(&facts) {
        facts.write(&dir)?;
    }
    Ok(Some(facts))
}

/// The cameras that the folders below `recordings/` are named after, each by its newest card that can
/// be read. One without a card has no identity, but its number is taken.
pub(super) fn cameras(places: &Places, known: &BTreeSet<CameraId>) -> io::Result<Vec<CameraRow>> {
    let mut found = Vec::new();
    for (dir, is_dir) in names(&places.recordings())? {
        if let Ok(id) = dir.parse::<CameraId>()
            && is_dir
            && !known.contains(&id)
        {
            found.push(camera(places, id, &places.recordings().join(dir))?);
        }
    }
    Ok(found)
}

fn camera(places: &Places, id: CameraId, dir: &Path) -> io::Result<CameraRow> {
    let mut recordings = names(dir)?;
    recordings.sort_unstable();
    for name in recordings.iter().rev().filter_map(|(name, _)| name.parse().ok()) {
        let card = card_reader::read(&places.recording(id, &name), id, &name)?;
        if let Some(facts) = card.filter(|f| !f.row.identity.is_empty()) {
            let (identity, name) = (facts.row.identity, facts.row.camera_name);
            return Ok(CameraRow { id, identity, name, strip_audio: false });
        }
    }
    Ok(CameraRow { id, identity: String::new(), name: id.to_string(), strip_audio: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::card::CARD;
    use crate::recording::folder;
    use crate::recording::mp4::build;

    const CAMERA: CameraId = CameraId(3);

    fn data(names: &[&str]) -> (tempfile::TempDir, Places, Vec<RecordingName>) {
        let data = tempfile::tempdir().unwrap();
        let places = Places::new(data.path());
        let names: Vec<RecordingName> = names.iter().map(|n| n.parse().unwrap()).collect();
        for name in &names {
            folder::make(&places.recording(CAMERA, name)).unwrap();
        }
        (data, places, names)
    }

    #[test]
    fn a_folder_tells_its_recording_even_without_its_card() {
        let (_data, places, names) = data(&["camera3_a", "camera3_b", "camera3_c"]);
        let dir = |n: usize| places.recording(CAMERA, &names[n]);
        for n in 0..2 {
            fs::write(dir(n).join("1.mp4"), build::segment(4, 0, 1_700_000_000_000_000)).unwrap();
        }
        let card = r#"{"camera": {"identity": "test:x", "name": "Door"}, "ended": "stopped", "width": "bad",
            "requested": {"unix_us": 5}, "continues": "../etc"}"#;
        fs::write(dir(0).join(CARD), card).unwrap();
        fs::create_dir_all(places.trash().join("camera3_d")).unwrap();
        fs::create_dir_all(places.recordings().join("holiday")).unwrap();
        std::os::unix::fs::symlink("/", places.recordings().join("camera3/camera3_e")).unwrap();
        let (found, foreign) = folders(&places).unwrap();
        assert_eq!(found.iter().map(|f| &f.1).collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
        assert_eq!(foreign.len(), 2, "{foreign:?}");
        let facts = ended(&places, &found[0], 7).unwrap().unwrap();
        assert_eq!((facts.row.identity.as_str(), facts.row.ended.as_deref()), ("test:x", Some("stopped")));
        assert_eq!((facts.row.duration_ms, facts.row.width, &facts.row.continues), (2000, 1280, &None));
        let facts = ended(&places, &found[1], 7).unwrap().unwrap();
        assert_eq!((facts.row.start_us, facts.row.ended.as_deref()), (1_700_000_000_000_000, Some(REASON)));
        assert!(ended(&places, &found[2], 7).unwrap().is_none());
        assert!(!dir(2).exists());
        // What the first time wrote is what the second time reads.
        for folder in &found[..2] {
            let once = ended(&places, folder, 8).unwrap().unwrap();
            assert_eq!(ended(&places, folder, 9).unwrap().unwrap(), once);
        }
    }

    #[test]
    fn only_the_newest_wanted_recording_of_a_camera_goes_on() {
        let (_data, places, names) = data(&["camera3_a", "camera3_b", "camera3_c", "camera3_d"]);
        for (n, name) in names.iter().enumerate() {
            let mut facts = card_reader::unknown(CAMERA, name);
            facts.row.requested_us = n as i64;
            // The last one was stopped.
            facts.row.wanted = n < 3;
            facts.row.ended = (n == 3).then(|| "stopped".into());
            facts.write(&places.recording(CAMERA, name)).unwrap();
        }
        let (found, _) = folders(&places).unwrap();
        let running = running(&places, &found).unwrap();
        assert_eq!(running.iter().map(|f| &f.row.name).collect::<Vec<_>>(), [&names[2]]);
    }

    #[test]
    fn cameras_are_known_by_the_newest_readable_card() {
        let (_data, places, names) = data(&["camera3_a", "camera3_b"]);
        let mut facts = card_reader::unknown(CAMERA, &names[0]);
        facts.row.identity = "test:x".into();
        facts.write(&places.recording(CAMERA, &names[0])).unwrap();
        fs::write(places.recording(CAMERA, &names[1]).join(CARD), "{]").unwrap();
        fs::create_dir_all(places.recordings().join("camera5/camera5_a")).unwrap();
        let mut found = cameras(&places, &BTreeSet::from([CameraId(9)])).unwrap();
        found.sort_unstable_by_key(|c| c.id);
        let short: Vec<_> = found.iter().map(|c| (c.id.0, c.identity.as_str())).collect();
        assert_eq!(short, [(3, "test:x"), (5, "")]);
    }
}
