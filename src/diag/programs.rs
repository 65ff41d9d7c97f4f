//! What other programs say: versions of MediaMTX and FFmpeg, and the journal.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::supervise::{ChildSpec, Spawner, Stdio, drain_lines};

/// Where systemd keeps our log; the unit's name.
const UNIT: &str = "fieldcam.service";
const MOST_BYTES: usize = 4 << 20;

/// Runs a program for at most `limit` and answers with what it printed; `Err` says why not.
pub(super) async fn said(
    spawner: &Spawner,
    program: &Path,
    args: &[&str],
    limit: Duration,
) -> Result<String, String> {
    let mut spec = ChildSpec::new("diag", program).args(args);
    spec.stdout = Stdio::Pipe;
    let mut child = spawner
        .spawn(spec)
        .await
        .map_err(|e| e.data().get("detail").and_then(|d| d.as_str()).unwrap_or(e.message()).to_owned())?;
    let text = Arc::new(Mutex::new(String::new()));
    let heard = text.clone();
    let stdout = child.stdout.take().expect("its output is piped");
    let reading = drain_lines(stdout, move |line| {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() < MOST_BYTES {
            heard.push_str(line);
            heard.push('\n');
        }
    });
    let ended = tokio::time::timeout(limit, async {
        reading.await;
        child.wait().await
    })
    .await;
    if ended.is_err() {
        child.kill().await;
    }
    Ok(std::mem::take(&mut *text.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// The newest lines of the unit's journal.
pub(super) async fn journal(spawner: &Spawner) -> Result<String, String> {
    let args = ["-q", "-u", UNIT, "-n", "5000", "--no-pager", "-o", "short-iso-precise"];
    let text = said(spawner, Path::new("journalctl"), &args, Duration::from_secs(15)).await?;
    if text.is_empty() { Err(format!("the journal holds nothing of {UNIT}")) } else { Ok(text) }
}
