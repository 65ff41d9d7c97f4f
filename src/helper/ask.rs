//! The daemon's way to the helpers.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Where systemd listens for the cameras' helper (images/common).
pub const SOCKET: &str = "/run/fieldcam/helper.sock";
/// Where it listens for the box's.
pub const BOX_SOCKET: &str = "/run/fieldcam/box.sock";
/// The longest answer that is read.
const ANSWER: u64 = 256;

/// Whether there is a helper to ask.
pub fn is_there(socket: &Path) -> bool {
    socket.exists()
}

/// Asks a helper for something and waits for its answer, at most `limit`. Answers with what it has to say, mostly
/// nothing. `Err` says why it was not done, for the log.
pub async fn ask(socket: &Path, request: &impl Display, limit: Duration) -> Result<String, String> {
    let (socket, line) = (socket.to_owned(), request.to_string());
    let asking = tokio::task::spawn_blocking(move || say(&socket, &line, limit));
    let asked =
        tokio::time::timeout(limit, async { asking.await.unwrap_or_else(|e| Err(io::Error::other(e))) });
    let answer = match asked.await {
        Err(_) => return Err(format!("the helper did not answer within {limit:?}")),
        Ok(Err(e)) => return Err(format!("the helper cannot be asked: {e}")),
        Ok(Ok(answer)) => answer,
    };
    judge(&answer)
}

/// What a helper has to say, mostly nothing; `Err`: why it was not done.
pub(super) fn judge(answer: &str) -> Result<String, String> {
    let plain = |text| crate::device::plain(text, 192);
    match answer.strip_prefix("ok") {
        Some("") => Ok(String::new()),
        Some(more) if more.starts_with(' ') => Ok(plain(more.trim_start())),
        _ => Err(plain(answer.strip_prefix("no: ").unwrap_or("it said nothing"))),
    }
}

/// Waits for `asking`, which asks for a restart of the box. That this program is stopped meanwhile (`stop`) is that restart's
/// beginning: the helper may be too busy with it to say so.
pub async fn or_stopped<T: Default, E>(
    asking: impl Future<Output = Result<T, E>>,
    stop: &CancellationToken,
) -> Result<T, E> {
    tokio::select! {
        biased;
        asked = asking => asked,
        () = stop.cancelled() => Ok(T::default()),
    }
}

/// Says a line to the helper and answers with its own; each step takes at most `limit`. Blocks.
pub(super) fn say(socket: &Path, line: &str, limit: Duration) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}
