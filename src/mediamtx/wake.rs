//! The hook MediaMTX runs when a reader finds no publisher: one datagram to the daemon.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::path::check_name;
use crate::base::socket::reachable;
use crate::base::{Error, Result};

/// The environment variable that tells `fieldcam wake` where the daemon listens.
pub const WAKE_SOCKET: &str = "FIELDCAM_WAKE_SOCKET";

/// Name of the socket in the run directory.
const SOCKET_NAME: &str = "wake.sock";

/// Tells the daemon behind `socket` that someone waits for `path`. Takes no runtime and no
/// configuration, so that the hook costs little more than its exec.
pub fn wake(socket: &Path, path: &str) -> Result<()> {
    check_name(path)?;
    let gone = |e: std::io::Error| {
        Error::dependency("fieldcam", "the daemon does not listen for wake-ups").caused_by(e)
    };
    let out = UnixDatagram::unbound().map_err(gone)?;
    let (name, _folder) = reachable(socket).map_err(gone)?;
    out.send_to(path.as_bytes(), name).map_err(gone)?;
    Ok(())
}

/// The daemon's end.
pub(super) struct Bell {
    socket: tokio::net::UnixDatagram,
    /// Its path, for the hook's environment.
    pub path: PathBuf,
}

impl Bell {
    /// Makes the socket, in place of one left over, for this user alone.
    pub(super) fn hang(run_dir: &Path) -> std::io::Result<Self> {
        let path = run_dir.join(SOCKET_NAME);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let (name, _folder) = reachable(&path)?;
        let socket = UnixDatagram::bind(name)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: tokio::net::UnixDatagram::from_std(socket)?, path })
    }

    /// The next path someone waits for; what is no name is passed over.
    pub(super) async fn next(&self) -> std::io::Result<String> {
        let mut buffer = [0u8; 256];
        loop {
            let n = self.socket.recv(&mut buffer).await?;
            if let Some(name) = name_in(&buffer[..n]) {
                return Ok(name);
            }
        }
    }
}

pub(super) fn name_in(datagram: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(datagram).ok()?;
    check_name(name).ok()?;
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[tokio::test]
    async fn a_wake_arrives_and_nonsense_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let bell = Bell::hang(dir.path()).unwrap();
        let raw = UnixDatagram::unbound().unwrap();
        for nonsense in [&b"../x"[..], b"", b"\xff", &[b'a'; 300]] {
            raw.send_to(nonsense, &bell.path).unwrap();
        }
        wake(&bell.path, "camera0").unwrap();
        assert_eq!(bell.next().await.unwrap(), "camera0");
        assert_eq!(std::fs::metadata(&bell.path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_deep_run_directory_works() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("x".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let bell = Bell::hang(&deep).unwrap();
        drop(bell);
        let bell = Bell::hang(&deep).unwrap();
        wake(&bell.path, "camera7").unwrap();
        assert_eq!(bell.next().await.unwrap(), "camera7");
    }

    #[test]
    fn without_a_daemon_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        assert!(wake(&dir.path().join("none"), "camera0").is_err());
        assert!(wake(&dir.path().join("none"), "-rf /").is_err());
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = name_in(&bytes);
        }
    }
}
