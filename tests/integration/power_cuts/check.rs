//! What a box makes of the disk that a cut left.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::busy::CAMERAS;
use crate::common::loopdisk::Disk;
use crate::common::{Client, TestBox, ffmpeg, footage, http, process, squares, wait_for};

/// The disk as a power cut left it.
pub struct Cut {
    pub image: PathBuf,
    /// When, as the squares say time.
    pub at_ms: u64,
    /// Which cameras were in the middle of a recording.
    pub steady: [bool; 2],
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Seconds lost of each camera in the middle of a recording.
    pub lost: [Option<f64>; 2],
    pub recordings: usize,
    pub files: usize,
    /// Files that were put away.
    pub quarantined: usize,
}

/// Starts a box on the copy and compares what it says with what is there. `seen` are files (by their
/// contents) that played after an earlier cut.
pub fn check(cut: &Cut, seen: &mut HashSet<u64>) -> Result<Found, String> {
    let disk = Disk::after_cut(&cut.image)?;
    let mut testbox = super::setup().data_dir(disk.path().join("data")).start();
    let found = look(cut, &mut testbox, seen);
    let stopped = testbox.stop();
    wait_for("nothing uses the disk", || process::naming(disk.path()).is_empty().then_some(()));
    let found = found?;
    if !stopped.success() {
        return Err(format!("the box ended with {stopped}"));
    }
    let database = rusqlite::Connection::open(testbox.data().join("fieldcam.db")).map_err(text)?;
    let verdict: String = database.query_row("PRAGMA integrity_check", [], |r| r.get(0)).map_err(text)?;
    if verdict != "ok" {
        return Err(format!("the database: {verdict}"));
    }
    Ok(found)
}

fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}

fn look(cut: &Cut, testbox: &mut TestBox, seen: &mut HashSet<u64>) -> Result<Found, String> {
    let mut client = testbox.login("admin");
    for (n, camera) in CAMERAS.iter().enumerate() {
        let stopped = client.call("stop_recording", json!({ "device": camera }));
        if cut.steady[n] {
            // It went on by itself, or there would be nothing to stop.
            stopped.map_err(|e| format!("{camera} did not go on: {e}"))?;
        }
    }
    let rows = rows(&mut client);
    let folders = folders(testbox.data());
    let listed: Vec<&String> = rows.keys().collect();
    let there: Vec<&String> = folders.keys().collect();
    if listed != there {
        return Err(format!("rows {listed:?}, folders {there:?}"));
    }
    let mut found = Found { recordings: rows.len(), ..Found::default() };
    for (name, row) in &rows {
        let folder = &folders[name];
        let files = footage::files(folder);
        found.files += files.len();
        let mut sizes: Vec<u64> = files.iter().map(|f| f.metadata().unwrap().len()).collect();
        let mut known: Vec<u64> =
            row["segments"].as_array().unwrap().iter().filter_map(|s| s["file_size"].as_u64()).collect();
        sizes.sort_unstable();
        known.sort_unstable();
        if sizes != known {
            return Err(format!("{name}: files of {sizes:?} bytes, rows of {known:?}"));
        }
        for file in &files {
            plays(file, seen).map_err(|e| format!("{name}: {e}"))?;
        }
    }
    for (n, camera) in CAMERAS.iter().enumerate().filter(|(n, _)| cut.steady[*n]) {
        found.lost[n] = Some(lost(testbox.data(), camera, cut.at_ms)?);
    }
    // One that had just begun may hold nothing.
    let holds = |row: &Value| row["segments"].as_array().is_some_and(|s| !s.is_empty());
    if let Some((name, _)) = rows.iter().rfind(|(_, row)| holds(row)) {
        whole(&mut client, name, testbox.scratch())?;
    }
    let trash = testbox.data().join("recordings/.deleted");
    if fs::read_dir(trash).is_ok_and(|d| d.count() > 0) {
        return Err("a deleted recording is still there".into());
    }
    let quarantine = fs::read_dir(testbox.data().join("quarantine")).map_err(text)?;
    found.quarantined =
        quarantine.flatten().filter(|e| !e.path().to_string_lossy().ends_with(".txt")).count();
    Ok(found)
}

/// Every recording in the list, with its details.
fn rows(client: &mut Client) -> BTreeMap<String, Value> {
    let list = client.ok("list_recordings", json!({ "limit": 1000 }));
    let names = list["files"].as_array().unwrap().iter().map(|f| f["filename"].as_str().unwrap().to_owned());
    names.map(|name| (name.clone(), client.ok("get_recording_info", json!({ "filename": name })))).collect()
}

/// Every recording's folder.
fn folders(data: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for camera in CAMERAS {
        let Ok(entries) = fs::read_dir(data.join("recordings").join(camera)) else { continue };
        for entry in entries.flatten() {
            found.insert(entry.file_name().to_string_lossy().into_owned(), entry.path());
        }
    }
    found
}

/// Decodes a file completely, unless one with the same contents was decoded before.
fn plays(file: &Path, seen: &mut HashSet<u64>) -> Result<(), String> {
    let mut hasher = DefaultHasher::new();
    fs::read(file).map_err(text)?.hash(&mut hasher);
    let hash = hasher.finish();
    if !seen.contains(&hash) {
        ffmpeg::decode_all(file).map_err(|e| format!("{:?} does not play: {e}", file.file_name()))?;
        seen.insert(hash);
    }
    Ok(())
}

/// Seconds before the cut that a camera's footage lacks.
fn lost(data: &Path, camera: &str, at_ms: u64) -> Result<f64, String> {
    let mut files: Vec<PathBuf> = folders(data)
        .into_values()
        .filter(|f| f.parent().is_some_and(|p| p.ends_with(camera)))
        .flat_map(|folder| footage::files(&folder))
        .collect();
    files.sort_by_key(|f| f.file_name().map(ToOwned::to_owned));
    for file in files.iter().rev() {
        let run = squares::try_read(&file.to_string_lossy(), 0)?;
        if let Some(last) = run.iter().map(|p| p.time_ms).rfind(|t| *t <= at_ms) {
            return Ok((at_ms - last) as f64 / 1000.0);
        }
    }
    Err(format!("nothing of {camera} survived"))
}

/// Downloads a recording as one file and decodes that.
fn whole(client: &mut Client, name: &str, scratch: &Path) -> Result<(), String> {
    let info = client.ok("get_recording_info", json!({ "filename": name }));
    let answer = http::get(info["download_url"].as_str().unwrap(), &[]);
    if answer.status != 200 {
        return Err(format!("{name} is not served: {} {}", answer.status, answer.text()));
    }
    let file = scratch.join("whole.mp4");
    fs::write(&file, &answer.body).map_err(text)?;
    ffmpeg::decode_all(&file).map_err(|e| format!("{name} as one file does not play: {e}"))
}
