//! One JPEG out of an FFmpeg that reads film at its input.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::base::{Error, Result};
use crate::supervise::Child;

const MAX_JPEG: u64 = 64 << 20;

/// Feeds `film` to a child with both pipes and takes the JPEG it makes within `limit`; the child is gone
/// when this returns.
///
/// Fails with `DependencyFailed`; `what` is the picture's name there.
pub async fn one_picture(mut child: Child, film: &[u8], limit: Duration, what: &str) -> Result<Vec<u8>> {
    let failed = |detail: &str| Error::dependency("ffmpeg", detail.to_owned());
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed("it has no pipes"));
    };
    let mut jpeg = Vec::new();
    let work = async {
        let feed = async {
            // It may close its input as soon as it has what it needs.
            let _ = input.write_all(film).await;
            drop(input);
        };
        let mut output = output.take(MAX_JPEG);
        tokio::join!(feed, output.read_to_end(&mut jpeg)).1
    };
    let outcome = tokio::time::timeout(limit, work).await;
    child.kill().await;
    match outcome {
        Err(_) => Err(failed(&format!("{what} took too long to decode"))),
        Ok(Err(error)) => Err(failed("it broke off").caused_by(error)),
        Ok(Ok(_)) if jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]) => Ok(jpeg),
        Ok(Ok(_)) => Err(failed(&format!("{what} could not be decoded"))),
    }
}
