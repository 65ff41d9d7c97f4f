//! The newest lines in memory, for `fieldcam diag`: redacted like every other line, bounded in bytes.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tracing::Level;

/// About 700 lines.
const LINES_BYTES: usize = 96 << 10;
/// Warnings and errors once more: chatter must not push them out.
const FAULTS_BYTES: usize = 32 << 10;

static LINES: Ring = Ring::new(LINES_BYTES);
static FAULTS: Ring = Ring::new(FAULTS_BYTES);

struct Ring {
    kept: Mutex<Kept>,
    limit: usize,
}

struct Kept {
    lines: VecDeque<Box<str>>,
    bytes: usize,
}

impl Ring {
    const fn new(limit: usize) -> Self {
        Self { kept: Mutex::new(Kept { lines: VecDeque::new(), bytes: 0 }), limit }
    }

    fn push(&self, line: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let line: Box<str> = super::sink::cut(line, self.limit / 4).into();
        kept.bytes += line.len();
        kept.lines.push_back(line);
        while kept.bytes > self.limit {
            let oldest = kept.lines.pop_front().expect("bytes belong to lines");
            kept.bytes -= oldest.len();
        }
    }

    fn text(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::with_capacity(kept.bytes + kept.lines.len());
        for line in &kept.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

/// Keeps a finished line.
pub(super) fn keep(level: Level, line: &str) {
    LINES.push(line);
    if level <= Level::WARN {
        FAULTS.push(line);
    }
}

/// The newest lines of this process, oldest first, each with its line end.
pub fn recent_lines() -> String {
    LINES.text()
}

/// The newest warnings and errors of this process, oldest first.
pub fn recent_faults() -> String {
    FAULTS.text()
}

/// Writes the newest lines to a file for this user alone: what is left of a daemon without journald.
pub fn save_recent(path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(recent_lines().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_stay_within_their_bytes() {
        let ring = Ring::new(100);
        for n in 0..50 {
            ring.push(&format!("line {n}"));
        }
        let text = ring.text();
        assert!(text.ends_with("line 48\nline 49\n") && text.len() <= 120, "{text}");
        ring.push(&"日".repeat(1000));
        assert!(ring.text().len() < 120);
    }
}
