//! Downloads a file so that it has its name only when it is complete.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, HeaderValue, IF_RANGE, RANGE};
use tokio::fs;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::failure;
use super::host::Host;
use super::progress::Progress;
use super::range::{ContentRange, Step, path_of, step};
use super::web;
use crate::base::backoff::Backoff;
use crate::base::units::show_size;
use crate::base::{Error, ErrorKind, Result};

/// Attempts in a row without a single new byte before giving up.
const FRUITLESS: u32 = 5;

/// How one request went on.
enum Outcome {
    Done(u64),
    /// Cut off; what came is kept.
    Interrupted(Error),
}

/// Fetches `link` into `target`, going on where `target`'s `.part` stops. Answers with the size.
pub async fn fetch(host: &Host, link: &str, target: &Path, expected: u64) -> Result<u64> {
    let path = path_of(link)?;
    let part = Part::of(target);
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut progress = Progress::bytes(&name, expected);
    let mut backoff = Backoff::new(Duration::from_millis(300), Duration::from_secs(5));
    loop {
        let before = part.size().await;
        if before > 0 && backoff.attempts() == 0 {
            progress.remark(&format!("{name}: going on after {}", show_size(before)));
        }
        match attempt(host, &path, &part, &mut progress).await? {
            Outcome::Done(size) => {
                part.complete(target).await.map_err(|e| disk(target, &e))?;
                progress.finish();
                return Ok(size);
            }
            Outcome::Interrupted(error) => {
                if part.size().await > before {
                    backoff.reset();
                }
                if backoff.attempts() >= FRUITLESS {
                    progress.finish();
                    return Err(error.with(
                        "suggestion",
                        "give the same command again when the box is back: it goes on where it stopped",
                    ));
                }
                tokio::time::sleep(backoff.next_delay()).await;
            }
        }
    }
}

async fn attempt(host: &Host, path: &str, part: &Part, progress: &mut Progress) -> Result<Outcome> {
    let tag = part.tag().await;
    let offset = if tag.is_some() { part.size().await } else { 0 };
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    if let Some(tag) = tag.filter(|_| offset > 0) {
        headers.push((RANGE, format!("bytes={offset}-").parse().map_err(Error::internal)?));
        headers.push((IF_RANGE, tag));
    }
    let answered = web::get(host, path, &headers, web::SILENCE_LIMIT, async |answer| {
        take(host, answer, part, offset, progress).await
    });
    match answered.await {
        // No connection, or none any more: what came is on the disk.
        Err(e) if e.kind() == ErrorKind::DependencyFailed && e.data().get("dependency").is_none() => {
            Ok(Outcome::Interrupted(e))
        }
        other => other,
    }
}

async fn take(
    host: &Host,
    answer: Response<Incoming>,
    part: &Part,
    offset: u64,
    progress: &mut Progress,
) -> Result<Outcome> {
    let text = |name: HeaderName| answer.headers().get(name).and_then(|v| v.to_str().ok());
    let range = text(CONTENT_RANGE).and_then(ContentRange::parse);
    let length = text(CONTENT_LENGTH).and_then(|t| t.parse::<u64>().ok());
    let status = answer.status().as_u16();
    let full = |e: io::Error| disk(&part.data, &e);
    let (mut done, total) = match step(status, range, length, offset) {
        Step::Append { total } => (offset, Some(total)),
        Step::Restart { total } => (0, total),
        Step::Complete => return Ok(Outcome::Done(offset)),
        Step::Discard => {
            part.discard().await.map_err(full)?;
            return Ok(Outcome::Interrupted(failure::cut_off(host, "the file on the box has changed")));
        }
        Step::Refused => return Err(failure::http_status(host, status)),
    };
    if done == 0 {
        // The tag goes first: a part without its tag would never be continued.
        part.begin(answer.headers().get(ETAG)).await.map_err(full)?;
    }
    if let Some(total) = total {
        progress.set_total(total);
    }
    let mut file = fs::OpenOptions::new().append(true).open(&part.data).await.map_err(full)?;
    let mut body = answer.into_body();
    let interrupted = loop {
        let frame = match timeout(web::SILENCE_LIMIT, body.frame()).await {
            Err(_) => break Some("no more data".to_owned()),
            Ok(Some(Err(e))) => break Some(e.to_string()),
            Ok(None) => break None,
            Ok(Some(Ok(frame))) => frame,
        };
        if let Ok(data) = frame.into_data() {
            file.write_all(&data).await.map_err(full)?;
            done += data.len() as u64;
            progress.set(done, "");
        }
    };
    file.flush().await.map_err(full)?;
    file.sync_all().await.map_err(full)?;
    match interrupted {
        Some(why) => Ok(Outcome::Interrupted(failure::cut_off(host, &why))),
        None if total.is_some_and(|t| t != done) => {
            Ok(Outcome::Interrupted(failure::cut_off(host, "the file came incomplete")))
        }
        None => Ok(Outcome::Done(done)),
    }
}

/// An unfinished download: the bytes, and beside them the tag of the file they belong to.
struct Part {
    data: PathBuf,
    tag: PathBuf,
}

impl Part {
    fn of(target: &Path) -> Part {
        let with = |ending: &str| {
            let mut name: OsString = target.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        Part { data: with(".part"), tag: with(".part-etag") }
    }

    async fn size(&self) -> u64 {
        fs::metadata(&self.data).await.map_or(0, |m| m.len())
    }

    /// A weak tag does not say that the bytes are the same.
    async fn tag(&self) -> Option<HeaderValue> {
        let text = fs::read_to_string(&self.tag).await.ok()?;
        HeaderValue::from_str(&text).ok().filter(|_| text.starts_with('"'))
    }

    async fn begin(&self, tag: Option<&HeaderValue>) -> io::Result<()> {
        self.discard().await?;
        if let Some(tag) = tag {
            fs::write(&self.tag, tag.as_bytes()).await?;
        }
        fs::write(&self.data, b"").await
    }

    async fn discard(&self) -> io::Result<()> {
        for file in [&self.data, &self.tag] {
            match fs::remove_file(file).await {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    async fn complete(&self, target: &Path) -> io::Result<()> {
        fs::rename(&self.data, target).await?;
        let _ = fs::remove_file(&self.tag).await;
        Ok(())
    }
}

/// This laptop's disk; `dependency` tells it from a lost connection.
fn disk(path: &Path, cause: &io::Error) -> Error {
    Error::dependency("disk", format!("{} cannot be written: {cause}", path.display()))
        .with("suggestion", "choose another place with -o")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    /// Serves one scripted answer a connection and keeps what it was asked; then downloads.
    async fn play(target: &Path, answers: &[Vec<u8>]) -> (Result<u64>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Host::local(Some(listener.local_addr().unwrap().port()));
        let mut asked = Vec::new();
        let serve = async {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                asked.push(String::from_utf8(request).unwrap().to_lowercase());
                stream.write_all(answer).await.unwrap();
            }
            std::future::pending().await
        };
        let outcome = tokio::select! {
            outcome = fetch(&host, "/files/recordings/x.mp4?sig=1", target, 10) => outcome,
            never = serve => never,
        };
        (outcome, asked)
    }

    fn answer(head: &str, body: &[u8]) -> Vec<u8> {
        [format!("HTTP/1.1 {head}\r\n\r\n").as_bytes(), body].concat()
    }

    #[tokio::test]
    async fn a_cut_download_goes_on_where_it_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x.mp4");
        let (size, asked) = play(
            &target,
            &[
                answer("200 OK\r\nContent-Length: 10\r\nETag: \"a\"", b"0123"),
                answer(
                    "206 Partial Content\r\nContent-Length: 6\r\nContent-Range: bytes 4-9/10\r\nETag: \"a\"",
                    b"456789",
                ),
            ],
        )
        .await;
        assert_eq!(size.unwrap(), 10);
        assert_eq!(std::fs::read(&target).unwrap(), b"0123456789");
        assert!(
            asked[1].contains("range: bytes=4-\r\n") && asked[1].contains("if-range: \"a\"\r\n"),
            "{asked:?}"
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[tokio::test]
    async fn a_file_that_changed_is_fetched_from_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x.mp4");
        std::fs::write(dir.path().join("x.mp4.part"), b"old").unwrap();
        std::fs::write(dir.path().join("x.mp4.part-etag"), "\"old\"").unwrap();
        let whole = answer("200 OK\r\nContent-Length: 3\r\nETag: \"new\"", b"new");
        let (size, asked) = play(&target, &[whole]).await;
        assert_eq!(size.unwrap(), 3);
        assert!(asked[0].contains("if-range: \"old\""), "{asked:?}");
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
    }

    #[tokio::test]
    async fn a_refusal_leaves_no_file_under_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x.mp4");
        let (outcome, _) = play(&target, &[answer("403 Forbidden\r\nContent-Length: 0", b"")]).await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert!(!target.exists());
    }
}
