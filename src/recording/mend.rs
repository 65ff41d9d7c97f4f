//! Brings a recording's facts and its folder into agreement: what the disk really holds.
//!
//! Only for recordings that nobody writes to: torn files are cut and hopeless ones moved. Blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::card::Facts;
use super::cause::GapCause;
use super::files::seal;
use super::folder::{self, Contents, Places};
use super::mp4::{Hole, Scan, Sound, sound_parts};
use crate::store::{GapRow, NoteRow, RecordingChange, RecordingRow, SegmentRow};

/// This much of a file's end is looked into byte by byte. Everything before has been on the disk
/// for longer than any kernel keeps dirty pages (30 s; this is 100 s at 2.5 Mbit/s).
const SUSPECT: u64 = 32 << 20;

/// Shortest missing time between files that is entered here.
const GAP_US: i64 = 300_000;

/// More notes than this of one start say nothing more.
const MAX_NOTES: usize = 20;

/// What [`mend`] found.
#[derive(Debug)]
pub(super) struct Mended {
    /// As they are now.
    pub facts: Facts,
    /// One frame's time at the end.
    pub frame_us: u64,
    /// What somebody put into the folder, left alone.
    pub foreign: Vec<String>,
}

/// Brings a recording's folder in order. `at_us` = now, for the notes.
pub(super) fn mend(places: &Places, known: &Facts, at_us: i64) -> io::Result<Mended> {
    let dir = places.recording(known.row.camera, &known.row.name);
    let mut work = Work {
        places,
        dir: &dir,
        notes: Vec::new(),
        header: None,
        frame_us: 33_333,
        moved: false,
        bridged: BTreeMap::new(),
    };
    adopt(places, &known.row, &dir)?;
    let mut contents = match folder::contents(&dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Contents::default(),
        other => other?,
    };
    for name in &contents.leftovers {
        fs::remove_file(dir.join(name))?;
    }
    let mut facts = known.clone();
    facts.segments = work.compare(known, &contents.segments)?;
    let strange = work.fresh(&mut facts, known, &contents.segments)?;
    contents.foreign.extend(strange);
    if work.moved {
        places.quarantine().settle(dir.is_dir().then_some(&dir))?;
    }
    facts.segments.sort_by_key(|s| s.number);
    facts.gaps.extend(gaps_before_new(known, &facts.segments));
    let gaps = work.gaps_inside(&facts);
    facts.gaps.extend(gaps);
    facts.sum();
    if let Some(first) = facts.segments.first() {
        facts.row.start_us = first.start_us;
    }
    if let (Some(scan), None) = (&work.header, &facts.row.stsd)
        && let Some(header) = scan.header()
    {
        facts.row.codec = Some(header.codec.clone());
        facts.row.stsd = Some(header.stsd.clone());
        if header.width > 0 {
            (facts.row.width, facts.row.height) = (header.width, header.height);
        }
    }
    facts.notes.extend(work.notes(at_us));
    Ok(Mended { facts, frame_us: work.frame_us, foreign: contents.foreign })
}

struct Work<'a> {
    places: &'a Places,
    dir: &'a Path,
    notes: Vec<String>,
    /// Of the newest file that was read.
    header: Option<Scan>,
    frame_us: u64,
    moved: bool,
    /// Damaged stretches by file.
    bridged: BTreeMap<String, Vec<Hole>>,
}

/// What became of a file.
enum Found {
    /// Whole fragments, and the time of its last write.
    Footage(Box<Scan>, i64),
    /// Nothing of it can be played.
    Quarantined,
    /// Not from the recorder.
    Foreign,
}

impl Work<'_> {
    /// What is still true of the segments that were known.
    fn compare(&mut self, known: &Facts, files: &[String]) -> io::Result<Vec<SegmentRow>> {
        if known.segments.iter().any(|s| s.trimmed) && self.dir.is_dir() {
            let trimmed = known.segments.iter().filter(|s| s.trimmed);
            folder::remove_segments(self.dir, trimmed.map(|s| s.file.as_str()))?;
        }
        let mut segments = Vec::with_capacity(known.segments.len());
        for segment in &known.segments {
            if segment.trimmed {
                continue;
            }
            let path = self.dir.join(&segment.file);
            // Follows a link: whoever moved a file elsewhere and left a link still has the footage.
            let len = match fs::metadata(&path) {
                Ok(meta) if meta.is_file() => Some(meta.len()),
                Ok(_) => None,
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                Err(e) if e.kind() == io::ErrorKind::NotADirectory => None,
                Err(e) => return Err(e),
            };
            let ours = files.binary_search(&segment.file).is_ok();
            let mut now = segment.clone();
            match len {
                None => {
                    if !segment.lost {
                        self.notes.push(format!("segment {} is gone from the disk", segment.number));
                    }
                    now.lost = true;
                    now.closed = true;
                }
                Some(len) if segment.closed && len == segment.size || !ours => {
                    if segment.lost {
                        self.notes.push(format!("segment {} is back on the disk", segment.number));
                    }
                    now.lost = false;
                }
                Some(len) => match self.file(&segment.file)? {
                    Found::Footage(scan, _) => {
                        if segment.closed && len < segment.size {
                            let lost = segment.size - len;
                            let text =
                                format!("segment {} is {lost} bytes shorter than it was", segment.number);
                            self.notes.push(text);
                        }
                        now = row(segment.number, &segment.file, &scan);
                        self.read(*scan);
                    }
                    Found::Quarantined | Found::Foreign if segment.duration_us == 0 => continue,
                    Found::Quarantined | Found::Foreign => {
                        now.lost = true;
                        now.closed = true;
                    }
                },
            }
            segments.push(now);
        }
        Ok(segments)
    }

    /// Enters files that were not known; answers with those that are not ours.
    fn fresh(&mut self, facts: &mut Facts, known: &Facts, files: &[String]) -> io::Result<Vec<String>> {
        let names: BTreeSet<&str> = known.segments.iter().map(|s| s.file.as_str()).collect();
        let mut fresh = Vec::new();
        let mut foreign = Vec::new();
        for name in files.iter().filter(|n| !names.contains(n.as_str())) {
            match self.file(name)? {
                Found::Footage(scan, modified) => fresh.push((modified, name, scan)),
                Found::Quarantined => {}
                Found::Foreign => foreign.push(name.clone()),
            }
        }
        // Sessions of the recorder in the order of their first write that is left (names follow a clock
        // that may have been set), and within a session as it counted.
        let mut sessions: BTreeMap<[u8; 16], i64> = BTreeMap::new();
        for (modified, _, scan) in &fresh {
            let since = sessions.entry(session(scan).0).or_insert(*modified);
            *since = (*since).min(*modified);
        }
        fresh.sort_by_key(|(_, name, scan)| {
            let (stream, number) = session(scan);
            (sessions.get(&stream).copied(), stream, number, *name)
        });
        let first = known.segments.iter().map(|s| s.number).max().unwrap_or(0).saturating_add(1);
        for (number, (_, name, scan)) in (first..).zip(fresh) {
            facts.segments.push(row(number, name, &scan));
            self.read(*scan);
        }
        Ok(foreign)
    }

    fn read(&mut self, scan: Scan) {
        if let Some(last) = scan.last()
            && let Some(mean) = last.duration_us.checked_div(u64::from(last.frames))
        {
            self.frame_us = mean;
        }
        self.header = Some(scan);
    }

    /// One file: cut to what is whole, or put away.
    fn file(&mut self, name: &str) -> io::Result<Found> {
        use std::os::unix::fs::MetadataExt;
        let path = self.dir.join(name);
        let file = File::open(&path)?;
        let meta = file.metadata()?;
        let Sound { scan, holes, damage } = sound_parts(&file, meta.len().saturating_sub(SUSPECT))?;
        if scan.fragments() == 0 {
            // Without the recorder's mark and under a name that it does not give, it is somebody else's.
            if scan.header().is_none() && !folder::is_recorders_name(name) {
                return Ok(Found::Foreign);
            }
            let reason = match (meta.len(), damage) {
                (0, _) => "the file is empty".to_owned(),
                (_, Some(damage)) => damage.to_string(),
                (_, None) => "it ends before its first whole fragment".to_owned(),
            };
            self.notes.push(format!("{name} was put into quarantine: {reason}"));
            self.places.quarantine().take_loosely(&path, &folder::quarantine_name(&path), &reason)?;
            self.moved = true;
            return Ok(Found::Quarantined);
        }
        self.bridge(name, &path, holes)?;
        let cut = meta.len().saturating_sub(scan.end());
        if let Some(damage) = damage {
            // Not merely torn: what follows may be worth a look one day.
            folder::quarantine_tail(self.places, &path, scan.end(), &damage.to_string())?;
            self.notes
                .push(format!("{cut} damaged bytes at the end of {name} were put into quarantine: {damage}"));
        } else if cut > 0 {
            self.notes.push(format!("{cut} bytes of an unfinished fragment were cut off {name}"));
        }
        let unsealed = cut > 0 || scan.header().is_some_and(|h| h.duration_ms == 0);
        if unsealed {
            seal(&path, &scan)?;
        }
        if unsealed || self.bridged.contains_key(name) {
            // It tells when the footage was written, which an index made anew goes by.
            let file = File::options().write(true).open(&path)?;
            meta.modified().and_then(|modified| file.set_modified(modified))?;
        }
        let modified = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
        Ok(Found::Footage(Box::new(scan), modified))
    }

    /// Makes players pass over damage that sound fragments follow; what stood there is kept.
    fn bridge(&mut self, name: &str, path: &Path, holes: Vec<Hole>) -> io::Result<()> {
        for hole in &holes {
            let (size, why) = (hole.to.saturating_sub(hole.from), hole.why);
            folder::quarantine_part(self.places, path, (hole.from, hole.to), &why.to_string())?;
            self.notes.push(format!("{size} damaged bytes inside of {name} are in quarantine: {why}"));
        }
        if holes.is_empty() {
            return Ok(());
        }
        let file = File::options().write(true).open(path)?;
        for hole in &holes {
            file.write_all_at(&hole.head(), hole.from)?;
        }
        file.sync_data()?;
        self.bridged.insert(name.to_owned(), holes);
        Ok(())
    }

    /// What bridged damage is to whoever looks for footage.
    fn gaps_inside(&self, facts: &Facts) -> Vec<GapRow> {
        let mut gaps = Vec::new();
        for segment in &facts.segments {
            for hole in self.bridged.get(&segment.file).into_iter().flatten() {
                let start_us = segment.start_us.saturating_add_unsigned(hole.from_us);
                if hole.to_us > hole.from_us && !facts.gaps.iter().any(|g| g.start_us == start_us) {
                    gaps.push(GapRow {
                        number: segment.number,
                        start_us,
                        duration_us: hole.to_us - hole.from_us,
                        cause: GapCause::FileDamaged.text().into(),
                    });
                }
            }
        }
        gaps
    }

    fn notes(&self, at_us: i64) -> Vec<NoteRow> {
        let mut details: Vec<String> = self.notes.iter().take(MAX_NOTES).cloned().collect();
        if let more @ 1.. = self.notes.len().saturating_sub(MAX_NOTES) {
            details.push(format!("and {more} more of this kind"));
        }
        details.into_iter().map(|detail| NoteRow { at_us, kind: "recovered".into(), detail }).collect()
    }
}

fn session(scan: &Scan) -> ([u8; 16], u64) {
    let mark = scan.header().expect("only files with fragments get here").mtxi;
    (mark.stream, mark.number)
}

fn row(number: u32, file: &str, scan: &Scan) -> SegmentRow {
    let header = scan.header().expect("only files with fragments get here");
    SegmentRow {
        number,
        file: file.to_owned(),
        stream: header.mtxi.stream,
        stream_number: header.mtxi.number,
        start_us: header.mtxi.start_us(),
        duration_us: scan.media_us(),
        size: scan.end(),
        closed: true,
        lost: false,
        trimmed: false,
    }
}

/// A continuation whose first file was not moved to it before the crash.
fn adopt(places: &Places, row: &RecordingRow, dir: &Path) -> io::Result<()> {
    let (Some(before), Some(stsd)) = (&row.continues, &row.stsd) else { return Ok(()) };
    let from = places.recording(row.camera, before);
    if !row.wanted || !from.is_dir() || !dir.is_dir() {
        return Ok(());
    }
    for name in folder::segment_files(&from)? {
        let mut scan = Scan::new();
        scan.advance(&File::open(from.join(&name))?, |_| {})?;
        let ours = scan.header().is_some_and(|h| h.stsd == *stsd && h.mtxi.start_us() >= row.start_us);
        if ours && !dir.join(&name).exists() {
            fs::rename(from.join(&name), dir.join(&name))?;
            folder::sync_dir(dir)?;
            folder::sync_dir(&from)?;
        }
    }
    Ok(())
}

/// Gaps before segments that were not known.
fn gaps_before_new(known: &Facts, segments: &[SegmentRow]) -> Vec<GapRow> {
    let numbers: BTreeSet<u32> = known.segments.iter().map(|s| s.number).collect();
    let told: BTreeSet<i64> = known.gaps.iter().map(|g| g.start_us).collect();
    segments
        .windows(2)
        .filter(|pair| !numbers.contains(&pair[1].number))
        .filter_map(|pair| {
            let start_us = pair[0].start_us.saturating_add_unsigned(pair[0].duration_us);
            let missing = pair[1].start_us.saturating_sub(start_us);
            (missing > GAP_US && !told.contains(&start_us)).then(|| GapRow {
                number: pair[1].number,
                start_us,
                duration_us: missing.unsigned_abs(),
                cause: GapCause::Unknown.text().into(),
            })
        })
        .collect()
}

/// What to write so that the index says `new` where it says `old`; `None` = nothing.
pub(super) fn difference(old: &Facts, new: &Facts) -> Option<RecordingChange> {
    let before: BTreeMap<u32, &SegmentRow> = old.segments.iter().map(|s| (s.number, s)).collect();
    let after: BTreeSet<u32> = new.segments.iter().map(|s| s.number).collect();
    let gap_starts: BTreeSet<i64> = new.gaps.iter().map(|g| g.start_us).collect();
    let change = RecordingChange {
        row: (old.row != new.row).then(|| new.row.clone()),
        segments: new.segments.iter().filter(|s| before.get(&s.number) != Some(s)).cloned().collect(),
        removed: before.into_keys().filter(|n| !after.contains(n)).collect(),
        gaps: new.gaps.iter().filter(|g| !old.gaps.contains(g)).cloned().collect(),
        removed_gaps: old.gaps.iter().map(|g| g.start_us).filter(|at| !gap_starts.contains(at)).collect(),
        notes: new.notes.iter().filter(|n| !old.notes.contains(n)).cloned().collect(),
    };
    let nothing = change.row.is_none()
        && change.segments.is_empty()
        && change.removed.is_empty()
        && change.gaps.is_empty()
        && change.removed_gaps.is_empty()
        && change.notes.is_empty();
    (!nothing).then_some(change)
}

#[cfg(test)]
mod tests;
