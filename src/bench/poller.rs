//! One connection that asks for pictures as a page does, by hand: the load must cost less than what
//! it measures.

use std::fmt::Write;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::base::{Error, ErrorKind, Mono, Result, Secret};
use crate::ctl::{Host, connect};

/// A kept connection.
pub struct Poller {
    stream: TcpStream,
    host: String,
    token: Secret,
    path: String,
    request: String,
    input: Vec<u8>,
    /// Where the last answer's body lies in `input`.
    body: std::ops::Range<usize>,
    etag: String,
}

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// Whether it holds a picture that this connection had not seen.
    pub is_new: bool,
    /// From the first byte sent to the last one read.
    pub took: Duration,
    /// How old the picture was when the box sent it, milliseconds.
    pub age_ms: u64,
}

#[derive(Debug, Default, PartialEq)]
struct Head<'a> {
    status: u16,
    length: usize,
    etag: &'a str,
    age_ms: u64,
}

impl Poller {
    /// Connects; `path` is of the pictures, such as `/cameras/camera0/frame.jpg`.
    pub async fn open(host: &Host, token: &Secret, path: String) -> Result<Poller> {
        Ok(Poller {
            stream: connect(host).await?,
            host: host.to_string(),
            token: token.clone(),
            path,
            request: String::new(),
            input: Vec::new(),
            body: 0..0,
            etag: String::new(),
        })
    }

    /// Asks for the newest picture, or waits for the one after the last.
    pub async fn ask(&mut self, quality: u8, wait: bool) -> Result<Answer> {
        let etag = self.etag.trim_matches('"');
        let newer = if wait && !etag.is_empty() { format!("&newer_than={etag}") } else { String::new() };
        self.request.clear();
        write!(
            self.request,
            "GET {}?quality={quality}{newer} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             If-None-Match: {}\r\n\r\n",
            self.path,
            self.host,
            self.token.expose(),
            self.etag
        )
        .map_err(Error::internal)?;
        let begun = Mono::now();
        self.stream.write_all(self.request.as_bytes()).await.map_err(|e| broken(&e))?;
        self.input.clear();
        let (end, length) = loop {
            if self.stream.read_buf(&mut self.input).await.map_err(|e| broken(&e))? == 0 {
                return Err(broken(&"the box closed the connection"));
            }
            if let Some(end) = self.input.windows(4).position(|w| w == b"\r\n\r\n") {
                break (end, head(&self.input[..end]).ok_or_else(|| broken(&"no HTTP answer"))?.length);
            }
        };
        while self.input.len() < end + 4 + length {
            if self.stream.read_buf(&mut self.input).await.map_err(|e| broken(&e))? == 0 {
                return Err(broken(&"the box closed the connection"));
            }
        }
        let took = Mono::now().since(begun);
        let Some(head) = head(&self.input[..end]) else { return Err(broken(&"no HTTP answer")) };
        if !matches!(head.status, 200 | 204 | 304) {
            return Err(broken(&format!("HTTP {}", head.status)));
        }
        self.body = end + 4..end + 4 + length;
        self.etag = head.etag.to_owned();
        Ok(Answer { is_new: head.status == 200, took, age_ms: head.age_ms })
    }

    /// The body of the last answer.
    pub fn body(&self) -> &[u8] {
        &self.input[self.body.clone()]
    }
}

fn head(bytes: &[u8]) -> Option<Head<'_>> {
    let mut lines = std::str::from_utf8(bytes).ok()?.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let mut head = Head { status, ..Head::default() };
    for (name, value) in lines.filter_map(|l| l.split_once(": ")) {
        match name {
            "content-length" => head.length = value.parse().ok()?,
            "etag" => head.etag = value,
            "x-frame-age-ms" => head.age_ms = value.parse().ok()?,
            _ => {}
        }
    }
    Some(head)
}

fn broken(cause: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::DependencyFailed, "A picture could not be had").with("detail", cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 17\r\netag: \"1-2-own\"\r\nx-frame-age-ms: 3";
        assert_eq!(head(text), Some(Head { status: 200, length: 17, etag: "\"1-2-own\"", age_ms: 3 }));
        assert_eq!(head(b"HTTP/1.1 304 Not Modified").map(|h| h.status), Some(304));
        assert_eq!(head(b"SSH-2.0"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100)) {
            let _ = head(&bytes);
        }
    }
}
