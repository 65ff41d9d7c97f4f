//! Where finished lines go: the console, or journald's socket.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::Level;

/// journald takes at least 200 KiB in a datagram with the kernel's default buffers; no line of ours
/// needs more than this.
const MAX_LINE_BYTES: usize = 32 << 10;

/// One place for lines.
#[derive(Debug)]
pub(super) enum Sink {
    /// Standard error; lines of warnings and errors in colour.
    Console { coloured: bool },
    /// journald's own protocol.
    Journal(Journal),
    /// For tests.
    #[cfg(test)]
    Memory(std::sync::Mutex<Vec<(Level, String)>>),
}

impl Sink {
    /// Writes one line, which has no line break and holds no secret any more.
    pub fn line(&self, level: Level, line: &str) {
        match self {
            // Nobody is left to tell when this fails.
            Sink::Console { coloured } => drop(console(&mut io::stderr().lock(), *coloured, level, line)),
            Sink::Journal(journal) => journal.send(level, line),
            #[cfg(test)]
            Sink::Memory(lines) => lines.lock().expect("no panic under it").push((level, line.to_owned())),
        }
    }
}

/// The whole line in one write, so that lines of several threads and children do not mix.
fn console(out: &mut impl Write, coloured: bool, level: Level, line: &str) -> io::Result<()> {
    let colour = match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        _ => "",
    };
    if coloured && !colour.is_empty() {
        out.write_all(format!("{colour}{line}\x1b[0m\n").as_bytes())
    } else {
        out.write_all(format!("{line}\n").as_bytes())
    }
}

/// journald's datagram socket. Never waits: what journald does not take at once is counted and told
/// with the next line that gets through.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    lost: AtomicU64,
}

impl Journal {
    /// Where journald listens.
    pub const SOCKET: &str = "/run/systemd/journal/socket";

    pub fn open(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let journal = Self { socket, path: path.to_owned(), lost: AtomicU64::new(0) };
        // An empty datagram is ignored by journald and shows whether it is there.
        journal.socket.send_to(&[], path)?;
        Ok(journal)
    }

    fn send(&self, level: Level, line: &str) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 && !self.datagram(Level::WARN, &format!("{lost} log lines were lost here")) {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
        if !self.datagram(level, line) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn datagram(&self, level: Level, line: &str) -> bool {
        // By path each time: a restarted journald has a new socket there.
        self.socket.send_to(&entry(level, line), &self.path).is_ok()
    }
}

/// An entry in journald's native form: `NAME=value` lines, or for values with line breaks the name, a
/// length in 64 bits and the bytes.
fn entry(level: Level, line: &str) -> Vec<u8> {
    let priority = match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    };
    let mut cut = line.len().min(MAX_LINE_BYTES);
    while !line.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut bytes = Vec::with_capacity(cut + 128);
    let fields = [("PRIORITY", priority), ("SYSLOG_IDENTIFIER", "fieldcam"), ("MESSAGE", &line[..cut])];
    for (name, value) in fields {
        bytes.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            bytes.push(b'\n');
            bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            bytes.push(b'=');
        }
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_journalds_form() {
        let text = String::from_utf8(entry(Level::WARN, "hello")).unwrap();
        assert_eq!(text, "PRIORITY=4\nSYSLOG_IDENTIFIER=fieldcam\nMESSAGE=hello\n");
        let broken = entry(Level::INFO, "a\nb");
        assert!(broken.ends_with(b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n"));
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let bytes = entry(Level::INFO, &"日".repeat(20_000));
        assert!(bytes.len() < MAX_LINE_BYTES + 128);
        assert!(String::from_utf8(bytes).is_ok());
    }

    #[test]
    fn lines_that_journald_does_not_take_are_counted_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        assert!(Journal::open(&path).is_err(), "nobody listens");
        let server = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::open(&path).unwrap();
        let mut buffer = [0; 512];
        assert_eq!(server.recv(&mut buffer).unwrap(), 0);
        std::fs::remove_file(&path).unwrap();
        journal.send(Level::INFO, "one");
        journal.send(Level::INFO, "two");
        let server = UnixDatagram::bind(&path).unwrap();
        journal.send(Level::INFO, "three");
        let mut received = Vec::new();
        for _ in 0..2 {
            let n = server.recv(&mut buffer).unwrap();
            received.push(String::from_utf8_lossy(&buffer[..n]).into_owned());
        }
        assert!(received[0].contains("MESSAGE=2 log lines were lost"), "{received:?}");
        assert!(received[1].contains("MESSAGE=three"), "{received:?}");
    }

    #[test]
    fn warnings_are_coloured_for_people_only() {
        let write = |coloured, level| {
            let mut out = Vec::new();
            console(&mut out, coloured, level, "x").unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(write(false, Level::ERROR), "x\n");
        assert_eq!(write(true, Level::INFO), "x\n");
        assert_eq!(write(true, Level::ERROR), "\x1b[31mx\x1b[0m\n");
    }
}
