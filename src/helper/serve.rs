//! The helpers themselves: one request a connection, one connection at a time.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::User;

use super::ask::say;
use super::carry::Carrier;
use super::errand::{Errand, LONGEST};
use super::places::Places;
use super::request::Request;
use super::sysfs::Sysfs;
use crate::base::{Error, Result};

/// A request that is not whole by then is none.
const PATIENCE: Duration = Duration::from_secs(2);
/// A driver that is bound anew, and RAUC, may take their time.
const ANSWERED: Duration = Duration::from_secs(60);
/// Nobody asked for so long: systemd starts it again when somebody does.
const IDLE: Duration = Duration::from_secs(60);

/// What it is started with.
#[derive(clap::Args, Debug)]
pub struct HelperArgs {
    /// Be the box's helper (slots, restart, clock) and not the cameras'
    #[arg(long = "box")]
    of_box: bool,
    #[command(flatten)]
    places: Places,
    /// Listen here instead of on the socket that systemd hands over
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
    /// Who may ask, beside root
    #[arg(long, default_value = "fieldcam")]
    user: String,
    /// Ask the helper that runs, such as "rebind vivid.0", and print its answer
    #[arg(long, value_name = "REQUEST")]
    ask: Option<String>,
}

/// Does what the subcommand says: answers requests, or asks for something. Answers with what to print.
///
/// Fails as [`serve`] does, and when there is no helper to ask or it refuses.
pub fn run(args: &HelperArgs) -> Result<Option<String>> {
    let Some(request) = &args.ask else { return serve(args).map(|()| None) };
    let usual = if args.of_box { super::BOX_SOCKET } else { super::SOCKET };
    let socket = args.socket.as_deref().unwrap_or(Path::new(usual));
    match say(socket, request, ANSWERED) {
        Ok(answer) if answer == "ok" || answer.starts_with("ok ") => Ok(Some(answer)),
        Ok(answer) => Err(Error::dependency("helper", answer)),
        Err(e) => Err(Error::dependency("helper", "it cannot be asked").caused_by(e)),
    }
}

/// Answers until nobody has asked for a minute. Blocks.
///
/// Fails when there is no socket, no such user, or no sysfs.
fn serve(args: &HelperArgs) -> Result<()> {
    // To the journal, by way of systemd.
    let log = tracing_subscriber::fmt().with_writer(io::stderr).without_time().finish();
    tracing::subscriber::set_global_default(log).map_err(Error::internal)?;
    let listener = match &args.socket {
        Some(path) => UnixListener::bind(path).map_err(Error::internal)?,
        None => handed_over()?,
    };
    let user = User::from_name(&args.user).map_err(Error::internal)?;
    let user =
        user.ok_or_else(|| Error::param("--user", "there is no such user", "make it, or name another"))?;
    let duty = if args.of_box {
        Duty::Box(Box::new(Carrier::new(args.places.clone())?))
    } else {
        Duty::Cameras(Sysfs::new(Path::new("/sys")).map_err(Error::internal)?)
    };
    listener.set_nonblocking(true).map_err(Error::internal)?;
    while is_asked(&listener, IDLE).map_err(Error::internal)? {
        match listener.accept() {
            Ok((stream, _)) => answer(stream, user.uid.as_raw(), |line| duty.carry_out(line)),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted) => {}
            Err(e) => return Err(Error::internal(e)),
        }
    }
    Ok(())
}

/// What a helper is there for.
enum Duty {
    Cameras(Sysfs),
    Box(Box<Carrier>),
}

/// What a line that is no request gets. Nothing of it is logged.
const UNKNOWN: &str = "no such request";

impl Duty {
    /// Reads a line and does what it says. Answers with what there is to say behind `ok`. Blocks.
    fn carry_out(&self, line: &[u8]) -> std::result::Result<String, String> {
        match self {
            Duty::Cameras(sysfs) => {
                let request = Request::parse(line).ok_or(UNKNOWN)?;
                told(&request, sysfs.carry_out(&request).map(|()| String::new()))
            }
            Duty::Box(carrier) => {
                let errand = Errand::parse(line).ok_or(UNKNOWN)?;
                told(&errand.clone(), carrier.carry_out(errand))
            }
        }
    }
}

/// Logs what became of a request.
fn told(
    request: &impl std::fmt::Display,
    done: std::result::Result<String, String>,
) -> std::result::Result<String, String> {
    match &done {
        Ok(said) => tracing::info!(%request, said, "done"),
        Err(why) => tracing::warn!(%request, why, "not done"),
    }
    done
}

/// The socket that systemd listens on for us.
fn handed_over() -> Result<UnixListener> {
    let none = || Error::param("--socket", "systemd hands no socket over", "name one");
    let fd = sd_notify::listen_fds().map_err(Error::internal)?.next().ok_or_else(none)?;
    #[expect(unsafe_code, reason = "systemd opened it for us, and nobody else in this process knows of it")]
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(UnixListener::from(fd))
}

fn is_asked(listener: &UnixListener, limit: Duration) -> io::Result<bool> {
    let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    loop {
        match poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], limit) {
            Ok(count) => return Ok(count > 0),
            Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// One connection: who asks, for what, and what becomes of it.
fn answer(mut stream: UnixStream, user: u32, work: impl Fn(&[u8]) -> std::result::Result<String, String>) {
    let asked = read(&mut stream, user);
    let text = match asked.and_then(|line| work(&line)) {
        Ok(said) if said.is_empty() => "ok\n".to_owned(),
        Ok(said) => format!("ok {said}\n"),
        Err(why) => format!("no: {why}\n"),
    };
    // One that does not read its answer has none.
    let _ = stream.write_all(text.as_bytes());
}

/// The line that somebody who may ask has sent, without its end.
fn read(stream: &mut UnixStream, user: u32) -> std::result::Result<Vec<u8>, String> {
    let failed = |e: io::Error| format!("the request could not be read: {e}");
    let peer = getsockopt(&*stream, PeerCredentials).map_err(|e| failed(e.into()))?;
    if peer.uid() != 0 && peer.uid() != user {
        tracing::warn!(uid = peer.uid(), "somebody else asked and was refused");
        return Err("not for you".into());
    }
    let until = Instant::now() + PATIENCE;
    stream.set_nonblocking(false).map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut line = Vec::with_capacity(LONGEST);
    let mut part = [0; LONGEST];
    while !line.ends_with(b"\n") && line.len() < LONGEST {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("the request did not come".into());
        }
        stream.set_read_timeout(Some(left)).map_err(failed)?;
        match stream.read(&mut part[..LONGEST - line.len()]).map_err(failed)? {
            0 => break,
            n => line.extend_from_slice(&part[..n]),
        }
    }
    if line.ends_with(b"\n") {
        line.pop();
    }
    Ok(line)
}

#[cfg(test)]
mod tests;
