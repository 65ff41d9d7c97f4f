//! Takes the 40 ms wait out of FFmpeg's log-in at MediaMTX.
//!
//! FFmpeg writes an ANNOUNCE in two pieces. The kernel keeps the second back until the first is
//! acknowledged (Nagle), and MediaMTX, which waits for it, acknowledges after 40 ms. No option of FFmpeg
//! 5.1 reaches that socket (nor of 7.0, as its source reads), so we take a copy of it from the child, set
//! `TCP_NODELAY` and close the copy at once: one that is kept would hide the child's end from MediaMTX.
//! From SYN to the answer to RECORD 47 ms without, 2 to 7 ms with it (FFmpeg 5.1, MediaMTX 1.20.1). What
//! it costs MediaMTX in smaller packets is not settled: 22 ticks of CPU in 15 s of 720p30 without it, 23
//! and 40 in two runs with it on a busy machine.
//!
//! Best effort: where the kernel refuses, the stream is up 40 ms later and nothing else happens.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::os::fd::{AsFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::base::Mono;

/// One look costs about 30 µs; the wait it ends is 40 ms long.
const EVERY: Duration = Duration::from_millis(2);
/// A source that starts with it may take its time; a look every 2 ms for so long costs 25 ms of CPU.
const LIMIT: Duration = Duration::from_secs(3);

/// Looks at the child's sockets until `sockets` of them are connected to `port` and do not wait.
/// Ends by itself when the child ends, or after three seconds.
pub(super) async fn hurry(pid: u32, port: u16, sockets: usize) {
    let Some(child) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    let Ok(child) = pidfd_open(child, PidfdFlags::empty()) else { return };
    let folder = PathBuf::from(format!("/proc/{pid}/fd"));
    let until = Mono::now() + LIMIT;
    let mut done = BTreeSet::new();
    while Mono::now() < until {
        let Ok(open) = std::fs::read_dir(&folder) else { return };
        for entry in open.flatten() {
            let name = entry.file_name();
            let Some(fd) = name.to_str().and_then(|n| n.parse::<RawFd>().ok()) else { continue };
            let is_socket = || {
                let target = std::fs::read_link(entry.path());
                target.is_ok_and(|t| t.as_os_str().as_encoded_bytes().starts_with(b"socket:"))
            };
            if !done.contains(&fd) && is_socket() && set(child.as_fd(), fd, port) {
                done.insert(fd);
            }
        }
        if done.len() >= sockets {
            return;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Whether it was a connection to `port`, which now does not wait.
fn set(child: impl AsFd, fd: RawFd, port: u16) -> bool {
    // The number may stand for something else by now: then it has no peer.
    let Ok(copy) = pidfd_getfd(child, fd, PidfdGetfdFlags::empty()) else { return false };
    let copy = TcpStream::from(copy);
    copy.peer_addr().is_ok_and(|peer| peer.port() == port) && copy.set_nodelay(true).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::{ChildSpec, Spawner};
    use std::io::Read;
    use std::net::TcpListener;

    #[tokio::test]
    async fn a_childs_connection_does_not_wait_and_ends_with_the_child() {
        let (there, elsewhere) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let port = |l: &TcpListener| l.local_addr().unwrap().port();
        let script = format!(
            "exec 8<>/dev/tcp/127.0.0.1/{}; exec 9<>/dev/tcp/127.0.0.1/{}; exec sleep 100",
            port(&elsewhere),
            port(&there)
        );
        let spec = ChildSpec::new("client", "bash").args(["-c", &script]);
        // Children die with their spawner.
        let spawner = Spawner::start().unwrap();
        let mut child = spawner.spawn(spec).await.unwrap();
        hurry(child.pid(), port(&there), 1).await;

        let pidfd = pidfd_open(Pid::from_raw(child.pid() as i32).unwrap(), PidfdFlags::empty()).unwrap();
        let waits = |fd| {
            let copy = pidfd_getfd(&pidfd, fd, PidfdGetfdFlags::empty()).unwrap();
            !TcpStream::from(copy).nodelay().unwrap()
        };
        assert_eq!((waits(9), waits(8)), (false, true));
        let (mut peer, _) = there.accept().unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        child.kill().await;
        assert_eq!(peer.read(&mut [0]).unwrap_or(0), 0, "a copy is still open");
    }

    #[tokio::test]
    async fn a_child_that_is_gone_is_not_waited_for() {
        let spawner = Spawner::start().unwrap();
        let mut child = spawner.spawn(ChildSpec::new("gone", "true")).await.unwrap();
        child.wait().await;
        hurry(child.pid(), 1, 1).await;
    }
}
