//! What a recording holds: every segment on the disk, decoded completely, with its burnt-in times.

use std::path::{Path, PathBuf};

use super::squares::Squares;
use super::{ffmpeg, squares};

/// Burnt-in times are unix milliseconds modulo this.
const WRAP: u64 = 1 << 40;

/// Now, as the squares say it.
pub fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_millis() as u64 % WRAP
}

/// One file.
#[derive(Clone, Debug)]
pub struct Segment {
    pub file: PathBuf,
    pub run: Vec<Squares>,
}

/// A recording's files in order.
#[derive(Clone, Debug)]
pub struct Footage {
    pub segments: Vec<Segment>,
}

/// Time in which nothing was recorded, around a fault.
#[derive(Clone, Copy, Debug)]
pub struct Hole {
    /// Seconds captured before the fault and not in the file.
    pub lost: f64,
    /// Seconds after the fault until capture goes on.
    pub gap: f64,
    /// Burnt-in times on both sides.
    pub from_ms: u64,
    pub to_ms: u64,
}

/// Where a recording's files are.
pub fn folder(data: &Path, camera: &str, name: &str) -> PathBuf {
    data.join("recordings").join(camera).join(name)
}

/// The segment files of a recording, in order of time.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> =
        entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "mp4")).collect();
    files.sort();
    files
}

/// Bytes in all segments of a recording.
pub fn bytes(folder: &Path) -> u64 {
    files(folder).iter().filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum()
}

impl Footage {
    /// Decodes everything; a file that does not play to its end fails the test.
    #[track_caller]
    pub fn read(folder: &Path) -> Footage {
        let segments: Vec<_> = files(folder).into_iter().map(Segment::read).collect();
        assert!(!segments.is_empty(), "no segment in {}", folder.display());
        Footage { segments }
    }

    /// All pictures, in order of the files.
    pub fn pictures(&self) -> Vec<Squares> {
        self.segments.iter().flat_map(|s| s.run.iter().copied()).collect()
    }

    /// Every place where more than `longer` seconds lie between the capture of neighbours.
    pub fn jumps(&self, longer: f64) -> Vec<(u64, u64)> {
        let all = self.pictures();
        let pairs = all.windows(2).map(|w| (w[0].time_ms, w[1].time_ms));
        pairs.filter(|(a, b)| b.saturating_sub(*a) as f64 / 1000.0 > longer || b < a).collect()
    }

    /// The longest hole that a fault at `fault_ms` may have made.
    #[track_caller]
    pub fn hole(&self, fault_ms: u64) -> Hole {
        let all = self.pictures();
        let near = all.windows(2).map(|w| (w[0].time_ms, w[1].time_ms));
        let near = near.filter(|(from, to)| *to >= fault_ms && *from <= fault_ms + 15_000);
        let (from_ms, to_ms) = near.max_by_key(|(from, to)| to.saturating_sub(*from)).unwrap_or_else(|| {
            panic!("nothing was recorded after the fault at {fault_ms}: {:?}", all.last())
        });
        let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1000.0;
        Hole { lost: seconds(from_ms, fault_ms), gap: seconds(fault_ms.max(from_ms), to_ms), from_ms, to_ms }
    }
}

impl Segment {
    #[track_caller]
    fn read(file: PathBuf) -> Segment {
        ffmpeg::decode_all(&file).unwrap_or_else(|e| panic!("{} does not play: {e}", file.display()));
        let run = squares::read(&file.to_string_lossy(), 0);
        assert!(!run.is_empty(), "{} holds no picture", file.display());
        Segment { file, run }
    }
}
