//! `fieldcam claim-code`: what a box that nobody owns yet shows to whoever stands before it.
//!
//! The code goes to the screens and the label that are named and nowhere else: in particular not to a standard
//! output that the journal reads.

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::auth::{ClaimCode, ClaimFile};
use crate::base::{Clock, Error, ErrorKind, Result};
use crate::config::Settings;
use crate::durable;
use crate::recording;
use crate::store;
use crate::tls::{Fingerprint, Tls};

use super::as_owner::as_owner;

/// The label's name, where FAT's short names and every laptop can read it.
const LABEL: &str = "FIELDCAM.txt";
/// A serial line that nobody reads may take nothing.
const SCREEN_LIMIT: Duration = Duration::from_secs(3);

/// Where to show it.
#[derive(clap::Args)]
pub struct ClaimCodeArgs {
    /// Screen or serial line to write to, such as /dev/console; may be repeated [default: standard output]
    #[arg(long = "to", value_name = "FILE")]
    screens: Vec<PathBuf>,
    /// Folder for the label FIELDCAM.txt, such as that of the FAT partition; once claimed it is removed there
    #[arg(long, value_name = "DIR")]
    label: Option<PathBuf>,
}

/// What is shown of an unclaimed box.
struct Label {
    code: ClaimCode,
    host: String,
    port: u16,
    fingerprint: Option<Fingerprint>,
}

/// Makes the code unless there is one, and shows it; of a claimed box it takes the label away. Answers with what
/// may stand in a log.
///
/// Fails when the box's data cannot be used. A screen or a label that takes nothing is no failure.
pub fn run(settings: &Settings, args: &ClaimCodeArgs) -> Result<String> {
    let data = &settings.storage.data_dir;
    let label = as_owner(data, || label(settings, data))?;
    let mut words = Vec::new();
    let mut told = |what: &Path, done: io::Result<()>, yes: &str| match done {
        Ok(()) => words.push(format!("{} {yes}", what.display())),
        Err(e) => words.push(format!("{} cannot be written: {e}", what.display())),
    };
    let Some(label) = label else {
        if let Some(dir) = &args.label {
            told(dir, take_away(dir), "has no label any more");
        }
        words.insert(0, "this box needs no claim code".into());
        return Ok(words.join("; "));
    };
    let text = label.text();
    for screen in &args.screens {
        told(screen, show(screen, &format!("\n{text}")), "shows it");
    }
    if let Some(dir) = &args.label {
        told(dir, put(dir, &text), "has the label");
    }
    if args.screens.is_empty() && args.label.is_none() {
        if std::env::var_os("JOURNAL_STREAM").is_some() && !io::stdout().is_terminal() {
            return Err(Error::new(ErrorKind::InvalidParams, "the claim code must not stand in the journal")
                .with("suggestion", "name a screen: --to /dev/console"));
        }
        return Ok(text.trim_end().to_owned());
    }
    words.insert(0, "this box has a claim code".into());
    Ok(words.join("; "))
}

/// None: the box is claimed, or need not be.
fn label(settings: &Settings, data: &Path) -> Result<Option<Label>> {
    let unusable = |e: io::Error| {
        let what = "the claim code cannot be kept in the data directory; make that writable";
        Error::new(ErrorKind::Config, what).caused_by(e)
    };
    recording::make_room_to_start(data);
    if !settings.auth.claim || store::is_claimed(&data.join("fieldcam.db")) {
        return Ok(None);
    }
    let secrets = data.join("secrets");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&secrets).map_err(unusable)?;
    let code = ClaimFile::below(&secrets).read_or_make().map_err(unusable)?;
    let tls = Tls::open(&settings.server, &secrets, Clock::new().wall_us())?;
    Ok(Some(Label {
        code,
        host: crate::machine::host_name(),
        port: settings.server.listen.port(),
        fingerprint: tls.map(|tls| tls.fingerprint()),
    }))
}

impl Label {
    fn text(&self) -> String {
        let Self { code, host, port, fingerprint } = self;
        let certificate = fingerprint.map_or(String::new(), |f| format!("Certificate:  {f}\n"));
        format!(
            "This Fieldcam box belongs to nobody yet.\n\n\
             Claim code:   {}\n\
             Box:          {host}\n\
             Address:      {host}.local:{port}\n\
             {certificate}\n\
             On a laptop in the same network:  fieldcam ctl --host {host}.local:{port} claim\n",
            code.shown()
        )
    }
}

/// Writes to a screen, as far as it takes it within three seconds.
fn show(screen: &Path, text: &str) -> io::Result<()> {
    let flags = nix::libc::O_NOCTTY | nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC;
    let mut file = OpenOptions::new().append(true).custom_flags(flags).open(screen)?;
    let until = Instant::now() + SCREEN_LIMIT;
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => rest = &rest[n..],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let left = until.saturating_duration_since(Instant::now());
                let limit = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
                if left.is_zero() || poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLOUT)], limit)? == 0 {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// A label of Windows' line ends: it is read on any laptop.
fn put(dir: &Path, text: &str) -> io::Result<()> {
    let path = dir.join(LABEL);
    let text = text.replace('\n', "\r\n");
    if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
        // The card is not worn for what it has.
        return Ok(());
    }
    durable::replace(&path, text.as_bytes())
}

fn take_away(dir: &Path) -> io::Result<()> {
    match fs::remove_file(dir.join(LABEL)) {
        Ok(()) => durable::sync_dir(dir),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_says_how_to_go_on() {
        let label = Label {
            code: ClaimCode::parse("01AB-CDEF-GH10").unwrap(),
            host: "fieldcam-1a2b".into(),
            port: 8002,
            fingerprint: Some(Fingerprint::of(b"x")),
        };
        let text = label.text();
        for part in ["01AB-CDEF-GH10", "fieldcam ctl --host fieldcam-1a2b.local:8002 claim", "2D:71:16:42:"] {
            assert!(text.contains(part), "{text}");
        }
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), &text).unwrap();
        let path = dir.path().join(LABEL);
        assert!(fs::read_to_string(&path).unwrap().ends_with(" claim\r\n"));
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        put(dir.path(), &text).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
        take_away(dir.path()).unwrap();
        take_away(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_screen_that_takes_nothing_or_is_not_there_is_said_and_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // A line without a reader.
        assert!(show(&fifo, "x").is_err());
        assert_eq!(show(&dir.path().join("none"), "x").unwrap_err().kind(), io::ErrorKind::NotFound);
        let flags = nix::libc::O_NONBLOCK;
        let reader = OpenOptions::new().read(true).custom_flags(flags).open(&fifo).unwrap();
        let full = show(&fifo, &"x".repeat(1 << 20)).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::TimedOut);
        drop(reader);
    }
}
