//! Commands for the guest: the other end of `common/agent`, over a virtio port.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

pub use crate::common::said::Said;

/// The connection to the guest. It outlives the guest's restarts.
pub struct Agent {
    line: BufReader<UnixStream>,
    /// Which boot it talks with.
    boot: Option<String>,
}

impl Agent {
    pub fn connect(socket: &Path) -> io::Result<Agent> {
        Ok(Agent { line: BufReader::new(UnixStream::connect(socket)?), boot: None })
    }

    /// Waits until a boot other than the last one takes commands.
    pub fn next_boot(&mut self, limit: Duration) -> io::Result<String> {
        let end = Instant::now() + limit;
        let mut text = String::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(ErrorKind::TimedOut, "no boot took commands"));
            }
            self.line.get_ref().set_read_timeout(Some(left))?;
            text.clear();
            self.line.read_line(&mut text)?;
            if let Some(boot) = text.strip_prefix("hello ").map(str::trim)
                && self.boot.as_deref() != Some(boot)
            {
                self.boot = Some(boot.to_owned());
                return Ok(boot.to_owned());
            }
        }
    }

    /// Runs a shell command as root. `Err` = no answer within `limit`, or a restart.
    pub fn run(&mut self, command: &str, limit: Duration) -> io::Result<Said> {
        self.line.get_ref().set_read_timeout(Some(limit))?;
        self.send(command)?;
        Said::read(&mut self.line)
    }

    /// Has a shell command run that ends this boot: its answer is skipped by `next_boot`, if there is one.
    pub fn send(&mut self, command: &str) -> io::Result<()> {
        assert!(!command.contains('\0'), "a zero byte ends a command");
        self.line.get_mut().write_all(format!("{command}\0").as_bytes())
    }
}
