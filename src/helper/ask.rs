//! The daemon's way to the helper.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::request::Request;

/// Where systemd listens for it (images/common).
pub const SOCKET: &str = "/run/fieldcam/helper.sock";
/// The longest answer that is read.
const ANSWER: u64 = 256;

/// Whether there is a helper to ask.
pub fn is_there(socket: &Path) -> bool {
    socket.exists()
}

/// Asks the helper for something and waits for its answer, at most `limit`. `Err` says why it was not done, for
/// the log.
pub async fn ask(socket: &Path, request: &Request, limit: Duration) -> Result<(), String> {
    let (socket, line) = (socket.to_owned(), request.to_string());
    let asking = tokio::task::spawn_blocking(move || say(&socket, &line, limit));
    let asked =
        tokio::time::timeout(limit, async { asking.await.unwrap_or_else(|e| Err(io::Error::other(e))) });
    let answer = match asked.await {
        Err(_) => return Err(format!("the helper did not answer within {limit:?}")),
        Ok(Err(e)) => return Err(format!("the helper cannot be asked: {e}")),
        Ok(Ok(answer)) => answer,
    };
    match answer.as_str() {
        "ok" => Ok(()),
        other => Err(crate::device::plain(other.strip_prefix("no: ").unwrap_or("it said nothing"), 128)),
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
