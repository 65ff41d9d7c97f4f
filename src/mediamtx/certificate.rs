//! The certificate of RTSP over TLS: a file beside MediaMTX's own, and its change while streams go on.
//!
//! Chain and key are one file, so that MediaMTX can never read one without the other. It watches that file,
//! but loses a change that comes within a second of another (`internal/confwatcher`): so the listener is
//! asked which certificate it shows, and the file is written again until that is ours.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::TcpStream;

use super::ports;
use crate::base::{Mono, Secret};
use crate::durable::publish;
use crate::tls::{Fingerprint, shown_by};

/// Its name in the folder of MediaMTX's file.
pub(super) const FILE_NAME: &str = "rtsps.pem";
/// Longer than the second in which MediaMTX sees no further change.
const AGAIN: Duration = Duration::from_millis(1500);
/// How often the listener is asked between two writes.
const LOOK: Duration = Duration::from_millis(100);
/// One look; on loopback it takes some milliseconds.
const LOOK_TIME: Duration = Duration::from_secs(2);
/// Writes before giving up; the next start of MediaMTX reads the file anyway.
const TRIES: u32 = 5;

/// Writes the file into `folder`, whole or not at all, for this user alone.
pub(super) fn write(folder: &Path, pem: &Secret) -> io::Result<()> {
    publish(&folder.join(FILE_NAME), pem.expose().as_bytes(), 0o600)
}

/// Has a running MediaMTX that listens at `rtsps` show the certificate in `pem`; says so in the log, also
/// when that does not come about. Sessions that are open go on with the one they began with.
pub(super) async fn change(folder: &Path, rtsps: SocketAddr, pem: &Secret, wanted: Fingerprint) {
    let address = ports::reach(rtsps);
    for _ in 0..TRIES {
        if let Err(error) = write(folder, pem) {
            tracing::warn!(%error, "the certificate of RTSPS could not be written; the former one stays");
            return;
        }
        let written = Mono::now();
        while Mono::now().since(written) < AGAIN {
            let shown = shown(address).await;
            if shown.as_ref().is_ok_and(|shown| *shown == wanted) {
                tracing::info!(fingerprint = %wanted, "RTSPS shows the new certificate");
                return;
            }
            tracing::debug!(?shown, "RTSPS does not show the new certificate yet");
            tokio::time::sleep(LOOK).await;
        }
    }
    tracing::error!("MediaMTX does not show the new certificate; RTSPS goes on with the former one");
}

async fn shown(address: SocketAddr) -> io::Result<Fingerprint> {
    let look = async { shown_by(TcpStream::connect(address).await?).await };
    tokio::time::timeout(LOOK_TIME, look).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_is_private() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &Secret::new("x")).unwrap();
        let mode = std::fs::metadata(dir.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
