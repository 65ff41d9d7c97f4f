//! The archive on the daemon's behalf, made by a process of its own: what hangs or dies there is not the daemon.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::archive::Archive;
use super::inside;
use crate::base::{Error, ErrorKind, Result};
use crate::config::Sources;
use crate::health::Health;
use crate::mediamtx::MediaMtx;
use crate::pipeline::Cameras;
use crate::supervise::{ChildSpec, Exit, Spawner, Stdio};

/// Each part is bounded by itself; this is for a disk on which all of them are late.
const MAKE_LIMIT: Duration = Duration::from_secs(120);
/// The most of an archive, packed. Usual ones have a tenth of a MiB.
const MOST_BYTES: u64 = 16 << 20;
/// Variables that settings are read from.
const VARIABLES: &str = "FIELDCAM_";

/// Makes archives for those who ask the daemon, one at a time. Clones are the same.
#[derive(Clone)]
pub struct Diagnosis(Arc<Inner>);

struct Inner {
    spawner: Spawner,
    spec: ChildSpec,
    turn: Arc<Semaphore>,
    rooms: Rooms,
}

/// What the daemon tells of, whatever its data disk does.
pub struct Rooms {
    /// Cameras and their streams.
    pub cameras: Cameras,
    /// The media server.
    pub mediamtx: MediaMtx,
    /// The verdict on the box.
    pub health: Health,
}

/// The right to have an archive; the next one gets it when this is dropped.
pub struct Turn(#[expect(dead_code, reason = "held, not looked at")] OwnedSemaphorePermit);

impl Diagnosis {
    /// `program` is our own; `sources` are where it reads the daemon's settings.
    pub fn new(spawner: Spawner, program: PathBuf, sources: &Sources, rooms: Rooms) -> Self {
        let mut args: Vec<OsString> = ["diag", "--heard", "--output", "-"].map(OsString::from).into();
        if let Some(file) = &sources.file {
            args.extend(["--config".into(), file.into()]);
        }
        let mut spec = ChildSpec::new("diag", program).args(args);
        (spec.stdin, spec.stdout) = (Stdio::Pipe, Stdio::Pipe);
        spec.env = sources
            .environment
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned())))
            .filter(|(name, _)| name.starts_with(VARIABLES))
            .collect();
        Self(Arc::new(Inner { spawner, spec, turn: Arc::new(Semaphore::new(1)), rooms }))
    }

    /// Takes the turn. Fails with `RateLimited` while somebody else has it.
    pub fn turn(&self) -> Result<Turn> {
        self.0.turn.clone().try_acquire_owned().map(Turn).map_err(|_| {
            Error::new(ErrorKind::RateLimited, "A diagnosis is being made already").with(
                "suggestion",
                "one is made and sent at a time, in a few minutes at most: wait for it and ask again",
            )
        })
    }

    /// Makes the archive, in memory and within two minutes. Fails with `DependencyFailed`.
    pub async fn make(&self, _turn: &Turn) -> Result<Archive> {
        let mut child = self.0.spawner.spawn(self.0.spec.clone()).await.map_err(|e| failed(&e.chain()))?;
        let stdout = child.stdout.take().expect("its output is piped");
        let mut stdin = child.stdin.take().expect("its input is piped");
        let Rooms { cameras, mediamtx, health } = &self.0.rooms;
        let told = serde_json::to_vec(&inside::tell(cameras, mediamtx, health)).map_err(Error::internal)?;
        let made = timeout(MAKE_LIMIT, async {
            // One that does not listen ends with something else than an archive.
            let _ = stdin.write_all(&told).await;
            drop(stdin);
            let mut bytes = Vec::new();
            stdout.take(MOST_BYTES + 1).read_to_end(&mut bytes).await.map_err(|e| failed(&e.to_string()))?;
            if bytes.len() as u64 > MOST_BYTES {
                return Err(failed("it is too large"));
            }
            match child.wait().await {
                Exit::Code(0) => Archive::received(bytes).ok_or_else(|| failed("what came is no archive")),
                exit => Err(failed(&format!("its process ended with {exit}"))),
            }
        });
        // A child that is still there ends with its handle.
        made.await.unwrap_or_else(|_| Err(failed("it was not ready in time")))
    }
}

fn failed(why: &str) -> Error {
    Error::dependency("diag", "the diagnosis could not be made")
        .with("suggestion", "try again; if it fails again, restart the box and ask then")
        .caused_by(why.to_owned())
}
