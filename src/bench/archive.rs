//! Years of recordings in seconds: a real recording multiplied, with files that say of themselves where
//! they belong, and the damage that a disk does to some of them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::base::clock::name_stamp;

/// 2025-01-01; a recording every hour from then on.
const FIRST_US: i64 = 1_735_689_600_000_000;
const HOUR_US: i64 = 3_600_000_000;
/// The recorder's own box, which says when a file begins: bytes from its name to its session, the number
/// in it and the time of its first frame (nanoseconds).
const MARK: &[u8; 4] = b"mtxi";
const SESSION: usize = 8;
const NUMBER: usize = 24;
const TIME: usize = 40;

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Archive {
    /// Recordings.
    pub recordings: u32,
    /// Files in each of them.
    pub segments: u32,
}

/// What was done to an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Harm {
    /// Files cut in the middle of a fragment.
    pub torn: u64,
    /// Files without a byte.
    pub emptied: u64,
    /// Files that are gone.
    pub removed: u64,
    /// Copies of files that no index knows.
    pub added: u64,
}

impl Archive {
    /// Makes the recordings beside `template`, the folder of a real one that has ended. Answers with
    /// their names, oldest first. Blocks.
    pub fn make(self, template: &Path) -> io::Result<Vec<String>> {
        let camera = template.parent().ok_or_else(|| bad("the template has no camera's folder"))?;
        let card: Value = serde_json::from_slice(&fs::read(template.join("recording.json"))?)?;
        let files = Model::read(template, &card)?;
        let id = camera.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut names = Vec::new();
        for n in 0..self.recordings {
            let start_us = FIRST_US + i64::from(n) * HOUR_US;
            let name = format!("{id}_{}", name_stamp(start_us));
            let dir = camera.join(&name);
            fs::create_dir(&dir)?;
            let card = self.fill(&dir, &name, start_us, &card, &files)?;
            fs::write(dir.join("recording.json"), serde_json::to_vec_pretty(&card)?)?;
            names.push(name);
        }
        Ok(names)
    }

    fn fill(self, dir: &Path, name: &str, start_us: i64, card: &Value, files: &[Model]) -> io::Result<Value> {
        let time = |us: i64| json!({ "unix_us": us });
        let (mut entries, mut at, mut size) = (Vec::new(), start_us, 0);
        for (n, model) in (1..=self.segments).zip(files.iter().cycle()) {
            let file = format!("{}-{:06}.mp4", name_stamp(at), n);
            fs::write(dir.join(&file), model.stamped(start_us, n - 1, at))?;
            let mut entry = model.entry.clone();
            entry["number"] = json!(n);
            entry["file"] = json!(file);
            entry["start"] = time(at);
            entry["stream_number"] = json!(n - 1);
            entry["stream"] = json!(session_text(start_us));
            entries.push(entry);
            at += i64::try_from(model.duration_us).map_err(io::Error::other)?;
            size += model.bytes.len() as u64;
        }
        let mut card = card.clone();
        for (key, value) in [
            ("name", json!(name)),
            ("requested", time(start_us)),
            ("start", time(start_us)),
            ("end", time(at)),
            ("duration_ms", json!((at - start_us) / 1000)),
            ("size", json!(size)),
            ("segments", json!(entries)),
            ("gaps", json!([])),
            ("notes", json!([])),
        ] {
            card[key] = value;
        }
        Ok(card)
    }
}

/// A real file, and what its card says of it.
struct Model {
    bytes: Vec<u8>,
    entry: Value,
    duration_us: u64,
    mark: usize,
}

impl Model {
    fn read(template: &Path, card: &Value) -> io::Result<Vec<Self>> {
        let mut all = Vec::new();
        for entry in card["segments"].as_array().into_iter().flatten() {
            let file = entry["file"].as_str().ok_or_else(|| bad("a segment without a name"))?;
            let bytes = fs::read(template.join(file))?;
            let mark = bytes.windows(4).position(|w| w == MARK).ok_or_else(|| bad("no recorder's mark"))?;
            let duration_us = entry["duration_us"].as_u64().unwrap_or(0);
            all.push(Self { bytes, entry: entry.clone(), duration_us, mark });
        }
        if all.is_empty() { Err(bad("the template has no segment")) } else { Ok(all) }
    }

    /// Its bytes as file `number` of a session, first frame at `at_us`.
    fn stamped(&self, session: i64, number: u32, at_us: i64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let mut put = |at: usize, value: &[u8]| {
            let at = self.mark + at;
            bytes[at..at + value.len()].copy_from_slice(value);
        };
        put(SESSION, &session_id(session));
        put(NUMBER, &u64::from(number).to_be_bytes());
        put(TIME, &(at_us * 1000).to_be_bytes());
        bytes
    }
}

fn session_id(session: i64) -> [u8; 16] {
    (session as u128).to_be_bytes()
}

fn session_text(session: i64) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(session_id(session))
}

impl Harm {
    /// Damages the segments below `camera`, a folder of recordings: of every `each` files one is torn, one
    /// emptied, one removed and one copied under another name. Blocks.
    pub fn sprinkle(camera: &Path, each: usize) -> io::Result<Harm> {
        let mut harm = Harm::default();
        let mut files = Vec::new();
        for folder in sorted(camera)? {
            files.extend(sorted(&folder)?.into_iter().filter(|f| f.extension().is_some_and(|e| e == "mp4")));
        }
        for (n, file) in files.iter().enumerate() {
            match n % each {
                1 => {
                    let file = File::options().write(true).open(file)?;
                    let whole = file.metadata()?.len();
                    file.set_len(whole - whole / 5)?;
                    harm.torn += 1;
                }
                2 => {
                    fs::write(file, "")?;
                    harm.emptied += 1;
                }
                3 => {
                    fs::remove_file(file)?;
                    harm.removed += 1;
                }
                0 => {
                    fs::copy(file, file.with_file_name("2030-01-01_00-00-00-000000.mp4"))?;
                    harm.added += 1;
                }
                _ => {}
            }
        }
        Ok(harm)
    }
}

fn sorted(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = fs::read_dir(dir)?.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>()?;
    found.sort_unstable();
    Ok(found)
}

fn bad(why: &'static str) -> io::Error {
    io::Error::other(why)
}
