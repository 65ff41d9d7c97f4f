//! The segment files of one running recording: found, read as they grow, synced. Blocks; runs on
//! blocking threads.
//!
//! A second descriptor of a file that MediaMTX writes is enough to make its bytes durable
//! (`fdatasync` flushes the file, not the descriptor); MediaMTX itself never syncs.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::folder::{is_recorders_name, segment_files, sync_dir};
use super::mp4::{Header, Scan, goes_on};
use crate::store::SegmentRow;

/// The folder and the segments that may still grow.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    /// Change time of the folder when it was last read, and whether it was read again after that:
    /// the kernel's stamps are as coarse as its tick.
    stamp: Option<(i64, i64)>,
    settled: bool,
    known: BTreeSet<String>,
    open: Vec<Open>,
    next: u32,
}

#[derive(Debug)]
struct Open {
    name: String,
    file: File,
    scan: Scan,
    synced: u64,
    /// `None` = never, so the first part is made durable when it is seen.
    synced_at: Option<Instant>,
    row: Option<SegmentRow>,
    long: Vec<(u64, u64)>,
    frame_us: u64,
}

/// What a look found out about one segment.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub row: SegmentRow,
    /// Its header, the first time.
    pub header: Option<Header>,
    /// Whole fragments were added.
    pub grew: bool,
    /// How long ago its newest bytes were written.
    pub written_ago: Duration,
    /// It was closed, or given up, since the last look.
    pub ended: bool,
    /// One video frame lasts this long, as its newest fragment tells; 0 = not known.
    pub frame_us: u64,
    /// Frames that stand long: start after the segment's start and duration, microseconds.
    pub long: Vec<(u64, u64)>,
}

/// Frames that stand longer than this are told.
const LONG_US: u64 = 400_000;

impl Files {
    /// The folder, with the segments entered before (those that are closed are not looked at again).
    pub(super) fn new(dir: PathBuf, entered: &[SegmentRow]) -> Self {
        Self {
            dir,
            stamp: None,
            settled: false,
            known: entered.iter().map(|s| s.file.clone()).collect(),
            open: Vec::new(),
            next: entered.iter().map(|s| s.number).max().unwrap_or(0) + 1,
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Looks at everything that is new. With `sync`, what grew is made durable, each file at most once
    /// in that time; ends always are.
    pub(super) fn look(&mut self, sync: Option<Duration>) -> io::Result<Vec<Seen>> {
        let found = self.find()?;
        let mut seen = Vec::new();
        let newest = self.open.len().saturating_sub(1);
        let mut failed = None;
        for (position, open) in self.open.iter_mut().enumerate() {
            match open.look(sync, position < newest, &mut self.next) {
                Ok(Some(s)) => seen.push(s),
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        if found && sync.is_some() {
            sync_dir(&self.dir)?;
        }
        self.open.retain(|o| o.row.as_ref().is_none_or(|r| !r.closed));
        // Of files that never got a header only the newest may still get one.
        let last = self.open.len().saturating_sub(1);
        let mut position = 0;
        self.open.retain(|o| {
            position += 1;
            o.row.is_some() || position > last
        });
        match failed {
            // What was seen counts even when another file failed.
            Some(error) if seen.is_empty() => Err(error),
            _ => Ok(seen),
        }
    }

    /// Opens files that are new in the folder.
    fn find(&mut self) -> io::Result<bool> {
        let meta = std::fs::metadata(&self.dir)?;
        let stamp = Some((meta.mtime(), meta.mtime_nsec()));
        if stamp == self.stamp && self.settled {
            return Ok(false);
        }
        self.settled = stamp == self.stamp;
        self.stamp = stamp;
        let mut found = false;
        for name in segment_files(&self.dir)? {
            if self.known.contains(&name) {
                continue;
            }
            let file = match File::open(self.dir.join(&name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            self.known.insert(name.clone());
            self.open.push(Open {
                name,
                file,
                scan: Scan::new(),
                synced: 0,
                synced_at: None,
                row: None,
                long: Vec::new(),
                frame_us: 0,
            });
            found = true;
        }
        Ok(found)
    }

    /// Whether a file is there that its writer has not closed.
    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes the newest segment out, to go on with it in another folder. Its rows start there at 1.
    pub(super) fn split_newest(&mut self, dir: PathBuf) -> Option<Files> {
        let mut open = self.open.pop()?;
        let name = open.name.clone();
        let row = open.row.as_mut()?;
        row.number = 1;
        let files = Files {
            dir,
            stamp: None,
            settled: false,
            known: BTreeSet::from([name]),
            open: vec![open],
            next: 2,
        };
        Some(files)
    }

    /// Files that the recorder made in the folder and that are no segment of it: empty ones of failed
    /// attempts.
    pub(super) fn strangers(&self, entered: &[SegmentRow]) -> io::Result<Vec<String>> {
        let mut names = segment_files(&self.dir)?;
        names.retain(|n| is_recorders_name(n) && !entered.iter().any(|s| s.file == *n));
        Ok(names)
    }

    /// Ends every segment whose writer is gone for good.
    pub(super) fn seal_rest(&mut self) -> Vec<SegmentRow> {
        let mut rows = Vec::new();
        for open in self.open.drain(..) {
            if let Err(error) = open.dir_path().and_then(|path| seal_torn(&path, &open.scan)) {
                tracing::warn!(%error, file = open.name, "a torn segment could not be ended");
            }
            rows.extend(open.row.map(|row| SegmentRow { closed: true, ..row }));
        }
        rows
    }
}

impl Open {
    fn look(&mut self, sync: Option<Duration>, followed: bool, next: &mut u32) -> io::Result<Option<Seen>> {
        let before = self.scan.fragments();
        // Asked first: the duration is written after the last part, which is read next then.
        let mut closed = self.scan.refresh_duration(&self.file)? > 0;
        let (long, mut frame_us) = (&mut self.long, self.frame_us);
        self.scan.advance(&self.file, |f| {
            if f.longest_us.0 >= LONG_US {
                long.push((f.longest_us.1, f.longest_us.0));
            } else if let Some(mean) = f.duration_us.checked_div(u64::from(f.frames)) {
                frame_us = mean;
            }
        })?;
        self.frame_us = frame_us;
        let Some(header) = self.scan.header() else { return Ok(None) };
        let first = self.row.is_none();
        let header = header.clone();
        if first && header.duration_ms > 0 {
            // Closed between the two looks at it.
            self.scan.advance(&self.file, |_| {})?;
            closed = true;
        }
        let torn = followed && !closed;
        // MediaMTX closes a file on a full disk without taking half a part back.
        if torn || closed && self.scan.is_torn() {
            seal_torn(&self.dir_path()?, &self.scan)?;
        }
        let grew = self.scan.fragments() > before;
        let written_ago = if grew { written_ago(&self.file) } else { Duration::ZERO };
        if let Some(pause) = sync
            && (closed
                || torn
                || self.scan.file_size() > self.synced
                    && self.synced_at.is_none_or(|at| at.elapsed() >= pause))
        {
            self.synced_at = Some(Instant::now());
            self.file.sync_data()?;
            self.synced = self.scan.file_size();
        }
        let ended = closed || torn;
        let row = SegmentRow {
            number: self.row.as_ref().map_or_else(
                || {
                    *next += 1;
                    *next - 1
                },
                |r| r.number,
            ),
            file: self.name.clone(),
            stream: header.mtxi.stream,
            stream_number: header.mtxi.number,
            start_us: header.mtxi.start_us(),
            duration_us: self.scan.media_us(),
            size: self.scan.end(),
            closed: ended,
            lost: false,
            trimmed: false,
        };
        self.row = Some(row.clone());
        Ok((first || grew || ended).then(|| Seen {
            row,
            header: first.then_some(header),
            grew,
            written_ago,
            ended,
            frame_us,
            long: std::mem::take(&mut self.long),
        }))
    }

    /// The file by its descriptor: it may have been moved since it was found.
    fn dir_path(&self) -> io::Result<PathBuf> {
        use std::os::fd::AsRawFd;
        Ok(PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd())))
    }
}

/// As [`seal`], but nothing is cut off that is more than an unfinished fragment: a file with damage in it
/// waits for whoever brings folders in order, who can look at all of it.
fn seal_torn(path: &Path, scan: &Scan) -> io::Result<()> {
    if scan.is_torn() && (scan.damage().is_some() || goes_on(&File::open(path)?, scan)?) {
        tracing::warn!("a segment is damaged; it is left as it is until the next start");
        return Ok(());
    }
    seal(path, scan)
}

/// Ends a segment whose writer is gone: cut back to its last whole fragment, with its duration in
/// the header, as the recorder would have left it.
pub(super) fn seal(path: &Path, scan: &Scan) -> io::Result<()> {
    let Some(patch) = scan.duration_patch() else { return Ok(()) };
    let file = File::options().write(true).open(path)?;
    // The scan may be one over the sound part alone, which is not torn.
    if file.metadata()?.len() > scan.end() {
        file.set_len(scan.end())?;
    }
    file.write_all_at(&patch.1, patch.0)?;
    file.sync_data()
}

/// By the file's time stamp, and zero when the wall clock was set in between: never more than a look is apart.
fn written_ago(file: &File) -> Duration {
    let stamp = file.metadata().and_then(|m| m.modified());
    let ago = stamp.ok().and_then(|s| s.elapsed().ok()).unwrap_or_default();
    if ago < Duration::from_secs(1) { ago } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::mp4::build;
    use std::fs;
    use std::io::Write;

    fn append(path: &Path, bytes: &[u8]) {
        fs::File::options().append(true).create(true).open(path).unwrap().write_all(bytes).unwrap();
    }

    #[test]
    fn a_segment_is_seen_from_its_header_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.mp4");
        let mut files = Files::new(dir.path().to_owned(), &[]);
        assert!(files.look(Some(Duration::ZERO)).unwrap().is_empty());
        fs::write(&path, "").unwrap();
        assert!(files.look(Some(Duration::ZERO)).unwrap().is_empty());
        append(&path, &build::header(1280, 720, 0, 77));
        let seen = files.look(Some(Duration::ZERO)).unwrap();
        assert_eq!((seen.len(), seen[0].row.number, seen[0].row.start_us), (1, 1, 77));
        assert!(seen[0].header.is_some() && !seen[0].grew);
        let part = build::fragment(0, 15, 3000, 40);
        append(&path, &part[..100]);
        assert!(files.look(Some(Duration::ZERO)).unwrap().is_empty());
        append(&path, &part[100..]);
        let seen = files.look(Some(Duration::ZERO)).unwrap();
        assert!(seen[0].grew && !seen[0].ended && seen[0].header.is_none());
        assert_eq!((seen[0].row.duration_us, seen[0].frame_us), (500_000, 33_333));
        let mut whole = fs::read(&path).unwrap();
        build::close(&mut whole, 500);
        fs::write(&path, whole).unwrap();
        let seen = files.look(Some(Duration::ZERO)).unwrap();
        assert!(seen[0].ended && seen[0].row.closed);
        assert!(!files.has_open());
        assert!(files.look(Some(Duration::ZERO)).unwrap().is_empty());
    }

    #[test]
    fn a_torn_segment_is_ended_once_the_next_one_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let torn = build::segment(3, 0, 0);
        let cut = torn.len() - 10;
        fs::write(dir.path().join("1.mp4"), &torn[..cut]).unwrap();
        let mut files = Files::new(dir.path().to_owned(), &[]);
        let seen = files.look(Some(Duration::ZERO)).unwrap();
        assert_eq!((seen[0].row.duration_us, seen[0].ended), (1_000_000, false));
        fs::write(dir.path().join("2.mp4"), build::segment(1, 0, 5)).unwrap();
        files.settled = false;
        let seen = files.look(Some(Duration::ZERO)).unwrap();
        assert_eq!(seen.len(), 2);
        assert!(seen[0].ended && seen[0].row.closed);
        assert_eq!(seen[1].row.number, 2);
        let mut scan = Scan::new();
        scan.advance(&File::open(dir.path().join("1.mp4")).unwrap(), |_| {}).unwrap();
        assert!(!scan.is_torn());
        assert_eq!(scan.header().unwrap().duration_ms, 1000);
    }

    #[test]
    fn damage_with_footage_behind_it_is_no_torn_end() {
        let dir = tempfile::tempdir().unwrap();
        for (n, hit) in [(1, 4), (2, 0)] {
            let mut whole = build::segment(4, 0, 0);
            build::close(&mut whole, 2000);
            let second = whole.windows(4).enumerate().filter(|(_, w)| *w == b"moof").nth(1).unwrap().0 - 4;
            // Its name, or its size.
            whole[second + hit..second + hit + 4].fill(0x0f);
            let path = dir.path().join(format!("{n}.mp4"));
            fs::write(&path, &whole).unwrap();
            let mut files = Files::new(dir.path().to_owned(), &[]);
            files.look(Some(Duration::ZERO)).unwrap();
            files.seal_rest();
            assert!(fs::read(&path).unwrap() == whole, "{n} was cut");
        }
    }

    #[test]
    fn empty_files_of_a_recorder_that_cannot_write_are_not_kept_open() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new(dir.path().to_owned(), &[]);
        for n in 0..20 {
            fs::write(dir.path().join(format!("2023-11-14_22-13-{n:02}-000000.mp4")), "").unwrap();
            files.settled = false;
            files.look(Some(Duration::ZERO)).unwrap();
        }
        assert_eq!(files.open.len(), 1);
        assert_eq!(files.strangers(&[]).unwrap().len(), 20);
    }
}
