//! Where finished lines go: the console, or journald's socket.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};

use tracing::Level;
use tracing::dispatcher::{self, Dispatch};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

/// Lines that may wait for journald.
const QUEUE: usize = 1024;
/// No line of ours needs more than this.
const MAX_LINE_BYTES: usize = 32 << 10;

/// One place for lines.
#[derive(Debug)]
pub(super) enum Sink {
    /// Standard error; lines of warnings and errors in colour.
    Console { coloured: bool },
    /// journald.
    Journal(Journal),
    /// For tests.
    #[cfg(test)]
    Memory(std::sync::Mutex<Vec<(Level, String)>>),
}

impl Sink {
    /// Writes one line, which has no line break and holds no secret any more. `camera` is the one
    /// that it is about; journald keeps it as a field of its own.
    pub fn line(&self, level: Level, line: &str, camera: Option<&str>) {
        match self {
            // Nobody is left to tell when this fails.
            Sink::Console { coloured } => drop(console(&mut io::stderr().lock(), *coloured, level, line)),
            Sink::Journal(journal) => journal.send(level, line, camera),
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

/// The way to journald: a thread that hands lines to `tracing-journald`. Never waits: what does not
/// fit into the queue is counted and told with the next line that does.
///
/// A thread of its own, because `tracing-journald` is fed by events and an event made while another
/// one is being written goes nowhere; and so that a journald that stands still holds nobody up.
#[derive(Debug)]
pub(super) struct Journal {
    lines: SyncSender<Entry>,
    lost: AtomicU64,
}

/// One line on its way.
#[derive(Debug)]
struct Entry {
    level: Level,
    line: String,
    camera: Option<String>,
}

impl Journal {
    /// Fails when journald does not answer.
    pub fn open() -> io::Result<Self> {
        let layer =
            tracing_journald::layer()?.with_syslog_identifier("fieldcam".into()).with_field_prefix(None);
        let journald = Dispatch::new(Registry::default().with(layer));
        Self::start(move |entry| dispatcher::with_default(&journald, || event(entry)))
    }

    fn start(mut write: impl FnMut(&Entry) + Send + 'static) -> io::Result<Self> {
        let (lines, inbox) = mpsc::sync_channel::<Entry>(QUEUE);
        std::thread::Builder::new().name("journald".into()).stack_size(128 << 10).spawn(move || {
            for entry in inbox {
                write(&entry);
            }
        })?;
        Ok(Self { lines, lost: AtomicU64::new(0) })
    }

    fn send(&self, level: Level, line: &str, camera: Option<&str>) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 && !self.queue(Level::WARN, format!("{lost} log lines were lost here"), None) {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
        if !self.queue(level, cut(line, MAX_LINE_BYTES).to_owned(), camera) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn queue(&self, level: Level, line: String, camera: Option<&str>) -> bool {
        self.lines.try_send(Entry { level, line, camera: camera.map(str::to_owned) }).is_ok()
    }
}

/// One event whose message is the finished line; level and fields of an event are part of its code.
fn event(Entry { level, line, camera }: &Entry) {
    macro_rules! say {
        ($level:ident) => {
            match camera {
                Some(camera) => tracing::$level!(camera, "{line}"),
                None => tracing::$level!("{line}"),
            }
        };
    }
    match *level {
        Level::ERROR => say!(error),
        Level::WARN => say!(warn),
        Level::INFO => say!(info),
        Level::DEBUG => say!(debug),
        Level::TRACE => say!(trace),
    }
}

/// The start of a line, `most` bytes of it, whole characters.
pub(super) fn cut(line: &str, most: usize) -> &str {
    let mut end = line.len().min(most);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let long = "日".repeat(20_000);
        let short = cut(&long, MAX_LINE_BYTES);
        assert!(short.len() <= MAX_LINE_BYTES && short.len() > MAX_LINE_BYTES - 3);
    }

    #[test]
    fn lines_that_journald_does_not_take_are_counted_and_told() {
        let (go, wait) = mpsc::channel::<()>();
        let (out, written) = mpsc::channel();
        let journal = Journal::start(move |entry| {
            let _ = wait.recv();
            let _ = out.send(entry.line.clone());
        })
        .unwrap();
        // One more than fits beside the line that the thread holds and waits with.
        for n in 0..QUEUE + 10 {
            journal.send(Level::INFO, &n.to_string(), None);
        }
        drop(go);
        assert_eq!(written.recv().unwrap(), "0");
        let mut last = written.recv().unwrap();
        while let Ok(line) = written.recv_timeout(std::time::Duration::from_millis(200)) {
            last = line;
        }
        journal.send(Level::INFO, "after", None);
        let told = written.recv().unwrap();
        assert!(told.ends_with("log lines were lost here"), "{told} after {last}");
        assert_eq!(written.recv().unwrap(), "after");
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
