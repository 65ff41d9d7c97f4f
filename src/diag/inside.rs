//! What only the daemon knows, told to whoever may open its socket: one JSON object, then the end.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};

use super::camera;
use crate::base::socket::reachable;
use crate::disk::DataDisk;
use crate::health::Health;
use crate::log;
use crate::mediamtx::MediaMtx;
use crate::pipeline::Cameras;
use crate::supervise::Group;

/// Below the run directory.
const SOCKET_NAME: &str = "diag.sock";
/// The log of a daemon that is gone, below the run directory.
const LAST_LOG: &str = "last-log.txt";
const TELL_LIMIT: Duration = Duration::from_secs(5);
/// The daemon keeps less than this in memory.
const MOST_BYTES: u64 = 4 << 20;

/// What the daemon tells.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    pub pid: u32,
    pub version: String,
    pub health: String,
    pub paths: String,
    pub cameras: String,
    pub log: String,
    pub faults: String,
}

/// Answers on the socket below `run_dir`, one asker at a time, until the phase stops. A box without it
/// works all the same.
pub fn serve(
    run_dir: &Path,
    cameras: Cameras,
    mediamtx: MediaMtx,
    health: Health,
    disk: &DataDisk,
    group: &Group,
) {
    let path = run_dir.join(SOCKET_NAME);
    let (stop, mut condition) = (group.stop().clone(), disk.follow());
    group.spawn("diag", async move {
        let mut listener = listen(&path).map_err(unheard).ok();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = condition.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = *condition.borrow_and_update();
                    if now.is_fine() && listener.is_none() {
                        listener = listen(&path).map_err(unheard).ok();
                    } else if !now.is_readable() {
                        // A bound socket would keep the disk from being unmounted and repaired.
                        listener = None;
                    }
                }
                asked = accept(listener.as_ref()) => {
                    let Ok((mut stream, _)) = asked else { return };
                    let told = serde_json::to_vec(&tell(&cameras, &mediamtx, &health)).unwrap_or_default();
                    // An asker that does not read ends itself only.
                    let _ = tokio::time::timeout(TELL_LIMIT, stream.write_all(&told)).await;
                }
            }
        }
    });
}

fn unheard(error: std::io::Error) {
    tracing::warn!(%error, "`fieldcam diag` will not hear of the running daemon");
}

async fn accept(listener: Option<&UnixListener>) -> std::io::Result<(UnixStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

fn listen(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let (name, _folder) = reachable(path)?;
    let listener = UnixListener::bind(name)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

pub(super) fn tell(cameras: &Cameras, mediamtx: &MediaMtx, health: &Health) -> Told {
    let server = mediamtx.server().borrow().clone();
    let mut paths = format!("MediaMTX: {server:?}\n\n");
    for (name, path) in mediamtx.paths().iter() {
        let _ = writeln!(paths, "{name}: {path:?}");
    }
    Told {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        health: format!("{:#?}\n", health.report()),
        paths,
        cameras: cameras.list().iter().map(camera::lines).collect(),
        log: log::recent_lines(),
        faults: log::recent_faults(),
    }
}

/// Asks the daemon of this data directory; `Err` says why there is no answer.
pub(super) async fn ask(data_dir: &Path) -> Result<Told, String> {
    let path = data_dir.join("run").join(SOCKET_NAME);
    let answer = async {
        let (name, _folder) = reachable(&path)?;
        let stream = UnixStream::connect(name).await?;
        let mut bytes = Vec::new();
        stream.take(MOST_BYTES).read_to_end(&mut bytes).await?;
        std::io::Result::Ok(bytes)
    };
    match tokio::time::timeout(TELL_LIMIT, answer).await {
        Err(_) => Err("the daemon does not answer".into()),
        Ok(Err(e)) => Err(format!("no daemon answers ({})", e.kind())),
        Ok(Ok(bytes)) => read(&bytes),
    }
}

/// What the daemon that started us says on our standard input: its socket goes away with its data disk.
pub(super) async fn hear() -> Result<Told, String> {
    let heard = tokio::task::spawn_blocking(|| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(std::io::stdin(), MOST_BYTES), &mut bytes)?;
        std::io::Result::Ok(bytes)
    });
    let unheard = |e: std::io::Error| format!("the daemon said nothing ({})", e.kind());
    let bytes = heard.await.unwrap_or_else(|e| Err(std::io::Error::other(e))).map_err(unheard)?;
    read(&bytes)
}

fn read(bytes: &[u8]) -> Result<Told, String> {
    serde_json::from_slice(bytes).map_err(|_| "the daemon's answer is torn".into())
}

/// The log of the last daemon that stopped in order or panicked.
pub(super) fn last_log(data_dir: &Path) -> Result<String, String> {
    std::fs::read(data_dir.join("run").join(LAST_LOG))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|e| format!("no log of an earlier run is kept ({})", e.kind()))
}

static LAST_WORDS: OnceLock<PathBuf> = OnceLock::new();

/// From now on a panic leaves the newest log lines behind, and so does [`last_words`].
pub fn keep_last_words(run_dir: &Path) {
    if LAST_WORDS.set(run_dir.join(LAST_LOG)).is_err() {
        return;
    }
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!("panic: {panic}");
        last_words();
        usual(panic);
    }));
}

/// Leaves the newest log lines behind for `fieldcam diag`.
pub fn last_words() {
    if let Some(path) = LAST_WORDS.get() {
        // A full disk is no reason to fail here.
        let _ = log::save_recent(path);
    }
}
