//! The daemon's way to the helper.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

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
    let asked = tokio::time::timeout(limit, say(socket, request)).await;
    let answer = match asked {
        Err(_) => return Err(format!("the helper did not answer within {limit:?}")),
        Ok(Err(e)) => return Err(format!("the helper cannot be asked: {e}")),
        Ok(Ok(answer)) => answer,
    };
    match answer.trim_end() {
        "ok" => Ok(()),
        other => Err(crate::device::plain(other.strip_prefix("no: ").unwrap_or("it said nothing"), 128)),
    }
}

async fn say(socket: &Path, request: &Request) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(format!("{request}\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
