//! The log: tracing events as lines, to journald or the console.
//!
//! Promises that a registered secret, and what looks like a credential, is in no line ([`redact`]);
//! that one event is one line, whatever a child or a client put into it; and that journald never
//! makes the caller wait. The only state of the whole program that is not owned by a value: tracing
//! itself is global, and so are the secrets to hide and the newest 128 KiB of lines.

mod about;
mod redact;
mod ring;
mod sink;

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::os::linux::fs::MetadataExt as _;
use std::sync::{Arc, OnceLock, RwLock};

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, reload};

use self::about::About;
use self::sink::{Journal, Sink};
use crate::base::{Clock, Error, ErrorKind, Result, Secret};
use crate::config::{Log, Settings, SourceSpec};

pub use redact::redact;
pub use ring::{recent_faults, recent_lines, save_recent};

/// Starts logging as the settings say, and hides the secrets in them. Once in a process.
pub fn start(settings: &Settings) -> Result<()> {
    hide_settings(settings);
    let sink = Arc::new(open(&settings.log)?);
    let (subscriber, level) = subscriber(&settings.log.level, sink)?;
    tracing::subscriber::set_global_default(subscriber).map_err(Error::internal)?;
    // Nobody was first: the line above succeeds once in a process.
    let _ = LEVEL.set(level);
    Ok(())
}

type LevelHandle = reload::Handle<Targets, Registry>;

static LEVEL: OnceLock<LevelHandle> = OnceLock::new();

/// Logs as these settings say from now on, and hides the secrets in them too. The target stays.
pub fn change(settings: &Settings) -> Result<()> {
    hide_settings(settings);
    let filter = filter(&settings.log.level)?;
    match LEVEL.get() {
        Some(level) => level.reload(filter).map_err(Error::internal),
        None => Ok(()),
    }
}

/// `text` of any length as it may leave the box: without the secrets that were [`hide`]den and what
/// looks like one.
pub fn scrub(text: &str) -> String {
    let hidden = HIDDEN.read().unwrap_or_else(|e| e.into_inner());
    redact::redact_with(text, &hidden).into_owned()
}

/// Hides `secret` in every line from now on. For secrets that live long: only the newest few hundred
/// are kept. Those shorter than six bytes would hide half of the log, and are guessed anyway.
pub fn hide(secret: &Secret) {
    const MAX: usize = 256;
    let text = secret.expose();
    let mut hidden = HIDDEN.write().unwrap_or_else(|e| e.into_inner());
    if text.len() < 6 || hidden.iter().any(|h| h == text) {
        return;
    }
    if hidden.len() == MAX {
        hidden.remove(0);
    }
    hidden.push(text.to_owned());
}

static HIDDEN: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Hides every secret in the settings from now on; [`start`] does so too.
pub fn hide_settings(settings: &Settings) {
    settings.auth.jwt_secret.iter().for_each(hide);
    for camera in &settings.camera {
        if let SourceSpec::Rtsp(url) = &camera.source {
            url.secrets().iter().for_each(hide);
        }
    }
}

/// Which place `log.target` means.
fn open(log: &Log) -> Result<Sink> {
    let coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let console = Sink::Console { coloured };
    match log.target.as_str() {
        "journald" => Journal::open().map(Sink::Journal).map_err(|e| {
            let message = "log.target is \"journald\", but journald does not answer; start it, or set log.target to \
                           \"console\"";
            Error::new(ErrorKind::Config, message).caused_by(e)
        }),
        "auto" if started_by_systemd() => Ok(Journal::open().map_or(console, Sink::Journal)),
        _ => Ok(console),
    }
}

/// systemd connects standard error to the journal and says which stream that is; a shell started
/// from a service inherits the variable, but not the stream.
fn started_by_systemd() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").ok();
    let stderr = std::fs::metadata("/proc/self/fd/2").ok();
    stream.zip(stderr).is_some_and(|(s, m)| is_stream(&s, m.st_dev(), m.st_ino()))
}

/// Whether `JOURNAL_STREAM` (`device:inode`, decimal) names this file.
fn is_stream(stream: &str, device: u64, inode: u64) -> bool {
    stream.split_once(':').is_some_and(|(d, i)| d.parse() == Ok(device) && i.parse() == Ok(inode))
}

fn filter(level: &str) -> Result<Targets> {
    level
        .parse::<Targets>()
        .map_err(|e| Error::new(ErrorKind::Config, "log.level is no log filter").caused_by(e))
}

fn subscriber(level: &str, sink: Arc<Sink>) -> Result<(impl Subscriber + Send + Sync + use<>, LevelHandle)> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    // journald stores time and priority itself.
    let is_journal = matches!(*sink, Sink::Journal(_));
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Lines(sink));
    let layer = if is_journal { layer.without_time().with_level(false).boxed() } else { layer.boxed() };
    // For all layers, not `with_filter` for one: that keeps state on the thread between question and event, and
    // after `tracing::enabled!` loses the thread's next line when the process has a second subscriber, as
    // journald's is.
    Ok((Registry::default().with(filter).with(About.and_then(layer)), handle))
}

/// Gives each event a writer that knows its level.
struct Lines(Arc<Sink>);

struct Line<'a> {
    sink: &'a Sink,
    level: Level,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { sink: &self.0, level: Level::INFO }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { sink: &self.0, level: *meta.level() }
    }
}

impl io::Write for Line<'_> {
    /// tracing-subscriber hands over each event in one piece.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let line = {
            let hidden = HIDDEN.read().unwrap_or_else(|e| e.into_inner());
            one_line(&redact::redact_with(text.trim_end(), &hidden))
        };
        self.sink.line(self.level, &line, about::take().as_deref());
        match self.sink {
            Sink::Journal(_) => {
                ring::keep(self.level, &format!("{} {} {line}", Clock::new().wall(), self.level));
            }
            _ => ring::keep(self.level, &line),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Line breaks and other control characters as `\n`, `\u{1b}`: a camera's name or a child's words
/// must not forge a line or talk to the terminal.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            let _ = write!(line, "{}", c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests;
