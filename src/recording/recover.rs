//! After a start: what the disk really holds, and which recordings go on.
//!
//! Runs before MediaMTX is started, so nobody writes: torn files may be cut and moved.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::card::Facts;
use super::cause::{EndReason, GapCause};
use super::files::seal;
use super::folder::{self, Places};
use super::mp4::{Header, Scan, last_sound_end};
use crate::store::{GapRow, NoteRow, RecordingRow, SegmentRow};

/// This much of a file's end is looked into byte by byte. Everything before has been on the disk
/// for longer than any kernel keeps dirty pages (30 s; this is 100 s at 2.5 Mbit/s).
const SUSPECT: u64 = 32 << 20;

/// Shortest missing time between files that is entered here.
const GAP_US: i64 = 300_000;

/// What [`mend`] found.
#[derive(Debug, Default)]
pub(super) struct Mended {
    /// Every segment, in order.
    pub segments: Vec<SegmentRow>,
    /// Those that the index did not know like this.
    pub changed: Vec<SegmentRow>,
    /// Numbers of those that are gone.
    pub removed: Vec<u32>,
    pub gaps: Vec<GapRow>,
    /// What was done, for the notes.
    pub notes: Vec<String>,
    /// Of the newest segment.
    pub header: Option<Header>,
    /// One frame's time at the end.
    pub frame_us: u64,
}

/// Brings a recording's folder in order. Blocks.
pub(super) fn mend(places: &Places, facts: &Facts) -> io::Result<Mended> {
    let dir = places.recording(facts.row.camera, &facts.row.name);
    if !dir.is_dir() {
        folder::make(&dir)?;
    }
    adopt(places, &facts.row, &dir)?;
    let mut out = Mended { frame_us: 33_333, ..Mended::default() };
    let mut fresh = Vec::new();
    let files = folder::segment_files(&dir)?;
    for known in &facts.segments {
        if !files.contains(&known.file) {
            out.notes.push(format!("segment {} is gone from the disk", known.number));
            out.removed.push(known.number);
        } else if known.closed {
            out.segments.push(known.clone());
        }
    }
    for name in files {
        let known = facts.segments.iter().find(|s| s.file == name);
        if known.is_some_and(|k| k.closed) {
            continue;
        }
        let path = dir.join(&name);
        match mend_file(places, &path, &mut out.notes)? {
            Some((scan, modified)) => fresh.push((known.map(|k| k.number), modified, name, scan)),
            None => out.removed.extend(known.map(|k| k.number)),
        }
    }
    // Known ones keep their place; the others follow in the order of their last write.
    fresh.sort_by(|a, b| (a.0.unwrap_or(u32::MAX), a.1, &a.2).cmp(&(b.0.unwrap_or(u32::MAX), b.1, &b.2)));
    let mut next = facts.segments.iter().map(|s| s.number).max().unwrap_or(0) + 1;
    for (number, _, file, scan) in fresh {
        let number = number.unwrap_or_else(|| {
            next += 1;
            next - 1
        });
        let header = scan.header().expect("only files with fragments get here").clone();
        let row = SegmentRow {
            number,
            file,
            stream: header.mtxi.stream,
            stream_number: header.mtxi.number,
            start_us: header.mtxi.start_us(),
            duration_us: scan.media_us(),
            size: scan.end(),
            closed: true,
        };
        if let Some(last) = scan.last()
            && let Some(mean) = last.duration_us.checked_div(u64::from(last.frames))
        {
            out.frame_us = mean;
        }
        out.header = Some(header);
        out.changed.push(row.clone());
        out.segments.push(row);
    }
    out.segments.sort_by_key(|s| s.number);
    out.gaps = gaps_before_new(facts, &out.segments);
    Ok(out)
}

/// One file: cut to what is whole, or put away. Answers with its scan and the time of its last write.
fn mend_file(places: &Places, path: &Path, notes: &mut Vec<String>) -> io::Result<Option<(Scan, i64)>> {
    use std::os::unix::fs::MetadataExt;
    let file = File::open(path)?;
    let meta = file.metadata()?;
    let (scan, damage) = last_sound_end(&file, meta.len().saturating_sub(SUSPECT))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if scan.fragments() == 0 {
        let reason = match (meta.len(), scan.damage().or(damage)) {
            (0, _) => "the file is empty".to_owned(),
            (_, Some(damage)) => damage.to_string(),
            (_, None) => "it ends before its first whole fragment".to_owned(),
        };
        notes.push(format!("{name} was put into quarantine: {reason}"));
        folder::quarantine(places, path, &reason)?;
        return Ok(None);
    }
    let cut = meta.len().saturating_sub(scan.end());
    if let Some(damage) = scan.damage().or(damage) {
        // Not merely torn: what follows may be worth a look one day.
        folder::quarantine_tail(places, path, scan.end(), &damage.to_string())?;
        notes.push(format!("{cut} damaged bytes at the end of {name} were put into quarantine: {damage}"));
    } else if cut > 0 {
        notes.push(format!("{cut} bytes of an unfinished fragment were cut off {name}"));
    }
    if cut > 0 || scan.header().is_some_and(|h| h.duration_ms == 0) {
        seal(path, &scan)?;
    }
    Ok(Some((scan, meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec()))))
}

/// A continuation whose first file was not moved to it before the crash.
fn adopt(places: &Places, row: &RecordingRow, dir: &Path) -> io::Result<()> {
    let (Some(before), Some(stsd)) = (&row.continues, &row.stsd) else { return Ok(()) };
    let from = places.recording(row.camera, before);
    if !from.is_dir() {
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

/// Gaps before segments that the index did not know.
fn gaps_before_new(facts: &Facts, segments: &[SegmentRow]) -> Vec<GapRow> {
    let known = |s: &SegmentRow| facts.segments.iter().any(|k| k.number == s.number);
    segments
        .windows(2)
        .filter(|pair| !known(&pair[1]))
        .filter_map(|pair| {
            let start_us = pair[0].start_us.saturating_add_unsigned(pair[0].duration_us);
            let missing = pair[1].start_us.saturating_sub(start_us);
            (missing > GAP_US).then(|| GapRow {
                number: pair[1].number,
                start_us,
                duration_us: missing.unsigned_abs(),
                cause: GapCause::Unknown.text().into(),
            })
        })
        .collect()
}

impl Mended {
    /// Takes over what was found.
    pub(super) fn apply(&self, facts: &mut Facts, at_us: i64) -> Vec<NoteRow> {
        facts.segments = self.segments.clone();
        facts.gaps.extend(self.gaps.iter().cloned());
        facts.sum();
        if let Some(first) = facts.segments.first() {
            facts.row.start_us = first.start_us;
        }
        if let (Some(header), None) = (&self.header, &facts.row.stsd) {
            facts.row.codec = Some(header.codec.clone());
            facts.row.stsd = Some(header.stsd.clone());
            if header.width > 0 {
                (facts.row.width, facts.row.height) = (header.width, header.height);
            }
        }
        let note = |detail: &String| NoteRow { at_us, kind: "recovered".into(), detail: detail.clone() };
        let notes: Vec<NoteRow> = self.notes.iter().map(note).collect();
        facts.notes.extend(notes.iter().cloned());
        notes
    }
}

/// What becomes of a recording that was wanted when the daemon went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on; a timed one that had begun for this much longer.
    GoOn(Option<Duration>),
    End(EndReason),
}

/// A wall clock this far behind what is already recorded is wrong.
const BEHIND_US: i64 = 2_000_000;

/// Decides from the row and the end of what is recorded.
pub(super) fn fate(row: &RecordingRow, end_us: Option<i64>, now_us: i64, too_many_starts: bool) -> Fate {
    if too_many_starts {
        return Fate::End(EndReason::RestartLoop);
    }
    let (Some(limit_ms), Some(end_us)) = (row.limit_ms, end_us) else { return Fate::GoOn(None) };
    let limit_us = i64::try_from(limit_ms).unwrap_or(i64::MAX).saturating_mul(1000);
    let recorded = end_us.saturating_sub(row.start_us).max(0);
    let by_files = limit_us.saturating_sub(recorded);
    let until = row.until_us.unwrap_or(row.start_us.saturating_add(limit_us));
    // A clock that is behind cannot say how long the box was off; the files say what is missing.
    let behind = now_us < end_us.saturating_sub(BEHIND_US);
    let left = if behind { by_files } else { until.saturating_sub(now_us) };
    // A clock that is a little behind must not make it longer than was asked.
    match left.min(limit_us) {
        left if left <= 0 => Fate::End(EndReason::EndedWhileDown),
        left => Fate::GoOn(Some(Duration::from_micros(left.unsigned_abs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CameraId;
    use crate::recording::mp4::build;

    const START: i64 = 1_700_000_000_000_000;

    fn row(limit_ms: Option<u64>) -> RecordingRow {
        RecordingRow {
            id: 1,
            name: "camera0_r".parse().unwrap(),
            camera: CameraId(0),
            identity: "test:a".into(),
            camera_name: "A".into(),
            format: "mp4".into(),
            requested_us: START,
            start_us: START,
            limit_ms,
            until_us: limit_ms.map(|l| START + l as i64 * 1000),
            wanted: true,
            end_us: None,
            duration_ms: 0,
            size: 0,
            codec: None,
            width: 0,
            height: 0,
            stsd: None,
            ended: None,
            continues: None,
        }
    }

    #[test]
    fn fates() {
        let s = 1_000_000;
        let left = |n| Fate::GoOn(Some(Duration::from_secs(n)));
        let over = Fate::End(EndReason::EndedWhileDown);
        let cases = [
            // limit, recorded up to, now, too many starts, fate
            (None, Some(5), 100, false, Fate::GoOn(None)),
            (None, Some(5), 100, true, Fate::End(EndReason::RestartLoop)),
            (Some(60), None, 100, false, Fate::GoOn(None)),
            (Some(60), Some(5), 10, false, left(50)),
            (Some(60), Some(5), 60, false, over),
            (Some(60), Some(5), 100_000, false, over),
            // The clock starts at its factory date: what is recorded counts.
            (Some(60), Some(20), -1_000_000, false, left(40)),
            (Some(60), Some(60), -1_000_000, false, over),
        ];
        for (limit, recorded, now, many, fate_is) in cases {
            let row = row(limit.map(|l: u64| l * 1000));
            let got = fate(&row, recorded.map(|r: i64| START + r * s), START + now * s, many);
            assert_eq!(got, fate_is, "{limit:?} {recorded:?} {now}");
        }
    }

    fn folder_with(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, Places, Facts) {
        let data = tempfile::tempdir().unwrap();
        let places = Places::new(data.path());
        let facts = Facts::new(row(None));
        let dir = places.recording(CameraId(0), &facts.row.name);
        folder::make(&dir).unwrap();
        for (name, bytes) in files {
            fs::write(dir.join(name), bytes).unwrap();
        }
        (data, places, facts)
    }

    #[test]
    fn torn_files_are_cut_and_hopeless_ones_put_away() {
        let mut torn = build::segment(3, 1, START + 2_000_000);
        torn.truncate(torn.len() - 7);
        let mut whole = build::segment(4, 0, START);
        build::close(&mut whole, 2000);
        let (data, places, mut facts) = folder_with(&[
            ("1.mp4", whole),
            ("2.mp4", torn),
            ("3.mp4", Vec::new()),
            ("4.mp4", build::header(64, 64, 0, START)[..100].to_vec()),
            ("5.mp4", vec![b'x'; 999]),
        ]);
        let mended = mend(&places, &facts).unwrap();
        mended.apply(&mut facts, START);
        assert_eq!(facts.segments.len(), 2);
        assert_eq!((facts.row.duration_ms, facts.row.start_us), (3000, START));
        assert!(facts.segments.iter().all(|s| s.closed));
        assert_eq!(mended.gaps, []);
        assert_eq!(mended.notes.len(), 4, "{:?}", mended.notes);
        assert_eq!(fs::read_dir(data.path().join("quarantine")).unwrap().count(), 6);
        let dir = places.recording(CameraId(0), &facts.row.name);
        assert_eq!(fs::metadata(dir.join("2.mp4")).unwrap().len(), facts.segments[1].size);
        // A second start finds nothing to do.
        let again = mend(&places, &facts).unwrap();
        assert!(again.changed.is_empty() && again.notes.is_empty());
        assert_eq!(again.segments, facts.segments);
    }

    #[test]
    fn damage_in_the_middle_keeps_what_follows_in_quarantine() {
        let mut bytes = build::segment(6, 0, START);
        let mut scan = Scan::new();
        let mut ends = Vec::new();
        scan.advance(&bytes[..], |f| ends.push((f.offset + f.size) as usize)).unwrap();
        bytes[ends[2]..ends[2] + 64].fill(0);
        let (data, places, facts) = folder_with(&[("1.mp4", bytes.clone())]);
        let mended = mend(&places, &facts).unwrap();
        assert_eq!(mended.segments[0].duration_us, 1_500_000);
        let tail = data.path().join("quarantine/camera0_r__1.tail");
        assert_eq!(fs::metadata(tail).unwrap().len() as usize, bytes.len() - ends[2]);
    }

    #[test]
    fn a_file_left_behind_by_a_crash_is_moved_to_its_continuation() {
        let (_data, places, mut facts) = folder_with(&[]);
        let before: crate::base::RecordingName = "camera0_before".parse().unwrap();
        let from = places.recording(CameraId(0), &before);
        folder::make(&from).unwrap();
        fs::write(from.join("1.mp4"), build::segment(2, 0, START - 5)).unwrap();
        let other = [build::header(64, 64, 0, START), build::fragment(0, 15, 3000, 9)].concat();
        fs::write(from.join("2.mp4"), &other).unwrap();
        let mut scan = Scan::new();
        scan.advance(&other[..], |_| {}).unwrap();
        facts.row.continues = Some(before);
        facts.row.stsd = Some(scan.header().unwrap().stsd.clone());
        let mended = mend(&places, &facts).unwrap();
        assert_eq!(mended.segments.len(), 1);
        assert!(from.join("1.mp4").exists() && !from.join("2.mp4").exists());
    }
}
