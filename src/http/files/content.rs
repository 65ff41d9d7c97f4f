//! One file or film, opened, and the part of it that is sent.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use hyper::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use hyper::{Method, Response, StatusCode};
use jiff::Timestamp;

use crate::base::{Error, Result};
use crate::footage::{Film, Reading};
use crate::http::answer::{self, Body};
use crate::http::file_body::{FileBody, Hold, Source};
use crate::http::range::{self, Asked, Part};

/// What is to be sent.
pub(super) enum Found {
    File {
        path: PathBuf,
        /// Bytes that may be sent, where that is less than the file has.
        size: Option<u64>,
        /// What a browser saves it as.
        name: String,
        content_type: &'static str,
    },
    Film(Arc<Film>),
}

/// The same, opened.
pub(super) struct Content {
    source: Arc<dyn Source>,
    size: u64,
    etag: String,
    /// As an HTTP date; none: a date is too coarse to tell its versions apart.
    modified: Option<String>,
    name: String,
    content_type: &'static str,
}

/// A film that is sent.
struct Playing {
    film: Arc<Film>,
    reading: Reading,
}

impl Source for Playing {
    fn read(&self, start: u64, length: usize) -> io::Result<Vec<u8>> {
        self.film.read(&self.reading, start, length)
    }
}

/// Opens what was found.
pub(super) async fn open(found: Found) -> Result<Content> {
    let (path, size, name, content_type) = match found {
        Found::File { path, size, name, content_type } => (path, size, name, content_type),
        Found::Film(film) => {
            return Ok(Content {
                size: film.size(),
                etag: film.tag().to_owned(),
                modified: film.modified_us().map(|us| http_date(us.div_euclid(1_000_000))),
                name: film.file_name().to_owned(),
                content_type: "video/mp4",
                source: Arc::new(Playing { film, reading: Reading::default() }),
            });
        }
    };
    let opened = tokio::task::spawn_blocking(move || {
        let file = File::open(path)?;
        let facts = file.metadata()?;
        if facts.is_file() { Ok((file, facts)) } else { Err(io::Error::from(io::ErrorKind::NotFound)) }
    });
    let (file, facts) = match opened.await.map_err(Error::internal)? {
        Ok(opened) => opened,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(Error::not_found("File", name)
                .with(
                    "suggestion",
                    "it is listed but its file is gone; get_recording_info tells what is left",
                )
                .caused_by(e));
        }
        Err(e) => return Err(Error::dependency("storage", "the file cannot be read").caused_by(e)),
    };
    let size = size.map_or(facts.len(), |size| size.min(facts.len()));
    // Size and time of the last write: a file that is still growing is another one each time.
    let etag = format!("\"{size:x}-{:x}-{:x}\"", facts.mtime(), facts.mtime_nsec());
    let modified = Some(http_date(facts.mtime()));
    Ok(Content { source: Arc::new(file), size, etag, modified, name, content_type })
}

/// Sends the part that was asked for.
pub(super) fn send(
    content: Content,
    method: &Method,
    headers: &HeaderMap,
    hold: Box<dyn Hold>,
) -> Result<Response<Body>> {
    let Content { source, size, etag, modified, name, content_type } = content;
    let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let asked = Asked {
        range: text(RANGE).filter(|_| *method == Method::GET),
        if_range: text(IF_RANGE),
        if_none_match: text(IF_NONE_MATCH),
    };
    let (status, body, content_range) =
        match range::decide(asked, size, &etag, modified.as_deref().unwrap_or_default()) {
            Part::Whole => (StatusCode::OK, Body::File(FileBody::new(source, 0..size, hold)), None),
            Part::Bytes(r) => {
                let content_range = format!("bytes {}-{}/{size}", r.start, r.end - 1);
                (StatusCode::PARTIAL_CONTENT, Body::File(FileBody::new(source, r, hold)), Some(content_range))
            }
            Part::Unsatisfiable => {
                let mut refusal = answer::refusal(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "the file is shorter than that",
                    "ask without Range for its size",
                );
                refusal.headers_mut().insert(CONTENT_RANGE, value(&format!("bytes */{size}"))?);
                return Ok(refusal);
            }
            Part::NotModified => (StatusCode::NOT_MODIFIED, Body::empty(), None),
        };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    answer::guard(&mut response);
    let out = response.headers_mut();
    out.insert(ETAG, value(&etag)?);
    if let Some(modified) = modified {
        out.insert(LAST_MODIFIED, value(&modified)?);
    }
    out.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status != StatusCode::NOT_MODIFIED {
        out.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        out.insert(CONTENT_DISPOSITION, value(&format!("attachment; filename=\"{name}\""))?);
    }
    if let Some(content_range) = content_range {
        out.insert(CONTENT_RANGE, value(&content_range)?);
    }
    Ok(response)
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(Error::internal)
}

/// As RFC 9110 writes dates: `Wed, 15 Jan 2025 14:30:00 GMT`.
fn http_date(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::base::ErrorKind;

    const BARE: [(&str, &str); 0] = [];

    fn found(dir: &tempfile::TempDir, bytes: &[u8], size: Option<u64>) -> Found {
        let path = dir.path().join("x");
        // Writing it anew would make it another file.
        if std::fs::read(&path).ok().as_deref() != Some(bytes) {
            std::fs::write(&path, bytes).unwrap();
        }
        Found::File { path, size, name: "camera0_x.mp4".into(), content_type: "video/mp4" }
    }

    async fn get(found: Found, method: Method, headers: &[(&'static str, &str)]) -> (Response<()>, Vec<u8>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let response = send(open(found).await.unwrap(), &method, &map, Box::new(())).unwrap();
        let (parts, body) = response.into_parts();
        (Response::from_parts(parts, ()), body.collect().await.unwrap().to_bytes().to_vec())
    }

    #[tokio::test]
    async fn a_file_comes_whole_in_parts_and_not_twice() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..700_001u32).map(|i| (i % 251) as u8).collect();
        let (whole, body) = get(found(&dir, &bytes, None), Method::GET, &BARE).await;
        assert_eq!((whole.status().as_u16(), body == bytes), (200, true));
        assert_eq!(whole.headers()["content-type"], "video/mp4");
        assert_eq!(whole.headers()["content-disposition"], "attachment; filename=\"camera0_x.mp4\"");
        assert_eq!(whole.headers()["referrer-policy"], "no-referrer");
        assert_eq!(whole.headers()["cache-control"], "private");
        assert_eq!(whole.headers()["accept-ranges"], "bytes");
        let etag = whole.headers()["etag"].to_str().unwrap();

        let ask = [("range", "bytes=262143-600000"), ("if-range", etag)];
        let (part, body) = get(found(&dir, &bytes, None), Method::GET, &ask).await;
        assert_eq!(part.status(), 206);
        assert!(body == bytes[262_143..=600_000]);
        assert_eq!(part.headers()["content-range"], "bytes 262143-600000/700001");

        let (same, body) = get(found(&dir, &bytes, None), Method::GET, &[("if-none-match", etag)]).await;
        assert_eq!((same.status().as_u16(), body.len()), (304, 0));
        let (past, _) = get(found(&dir, &bytes, None), Method::GET, &[("range", "bytes=700001-")]).await;
        assert_eq!(
            (past.status().as_u16(), past.headers()["content-range"].as_bytes()),
            (416, &b"bytes */700001"[..])
        );
        let (head, _) = get(found(&dir, &bytes, None), Method::HEAD, &[("range", "bytes=1-2")]).await;
        assert_eq!(head.status(), 200, "Range is for GET");
    }

    #[tokio::test]
    async fn no_more_is_sent_than_may_be_and_changes_show() {
        let dir = tempfile::tempdir().unwrap();
        let (first, body) = get(found(&dir, b"whole part|half", Some(10)), Method::GET, &BARE).await;
        assert_eq!(body, b"whole part");
        let (second, body) = get(found(&dir, b"whole part|half", Some(15)), Method::GET, &BARE).await;
        assert_eq!(body.len(), 15);
        assert_ne!(first.headers()["etag"], second.headers()["etag"]);
        let (_, body) = get(found(&dir, b"", None), Method::GET, &BARE).await;
        assert!(body.is_empty());
    }

    #[tokio::test]
    async fn a_file_that_is_gone_is_not_found() {
        let dir = tempfile::tempdir().unwrap();
        let gone = found(&dir, b"x", None);
        std::fs::remove_file(dir.path().join("x")).unwrap();
        let e = open(gone).await.err().unwrap();
        assert_eq!(e.kind(), ErrorKind::NotFound);
        assert!(!e.message().contains(&*dir.path().to_string_lossy()));
    }
}
