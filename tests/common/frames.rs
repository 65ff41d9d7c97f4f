//! Reads `frame.jpg` and what it costs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::http::{self, Response};
use super::{PATIENCE, TestBox, squares};

/// A picture and what its answer says of it.
#[derive(Clone, Debug)]
pub struct Shown {
    pub number: u64,
    pub etag: String,
    pub age_ms: u64,
    /// The frame's number in its source.
    pub burnt_in: u32,
    pub bytes: usize,
}

/// `camera0`'s newest picture.
#[track_caller]
pub fn frame(testbox: &TestBox, token: &str, query: &str, headers: &[(&str, &str)]) -> Response {
    let bearer = format!("Bearer {token}");
    let mut all = vec![("Authorization", &*bearer)];
    all.extend(headers);
    http::get(&testbox.http(&format!("/cameras/camera0/frame.jpg{query}")), &all)
}

/// Reads an answer's picture; it must be one.
#[track_caller]
pub fn shown(answer: &Response) -> Shown {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let header =
        |name: &str| answer.header(name).unwrap_or_else(|| panic!("no {name}: {answer:?}")).to_owned();
    let number = |name: &str| header(name).parse().unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(header("content-length"), answer.body.len().to_string());
    Shown {
        number: number("x-frame-number"),
        etag: header("etag"),
        age_ms: number("x-frame-age-ms"),
        burnt_in: burnt_in(&answer.body),
        bytes: answer.body.len(),
    }
}

/// The number burnt into a JPEG.
#[track_caller]
pub fn burnt_in(jpeg: &[u8]) -> u32 {
    assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]), "not a whole JPEG");
    let mut file = tempfile::Builder::new().suffix(".jpg").tempfile().unwrap();
    file.write_all(jpeg).unwrap();
    squares::read(&file.path().to_string_lossy(), 1)[0].frame
}

/// What a camera's pictures cost, from `frames.json`.
#[derive(Clone, Debug)]
pub struct Counters {
    pub copied: u64,
    pub decoded: u64,
    pub refused: u64,
    pub waiting: u64,
    pub streams: u64,
    encoded: Vec<(u64, u64)>,
}

impl Counters {
    /// Pictures made of one quality.
    pub fn encoded(&self, quality: u64) -> u64 {
        self.encoded.iter().find(|e| e.0 == quality).map_or(0, |e| e.1)
    }
}

/// Asks for them.
#[track_caller]
pub fn counters(testbox: &TestBox, token: &str, camera: &str) -> Counters {
    let bearer = format!("Bearer {token}");
    let url = testbox.http(&format!("/cameras/{camera}/frames.json"));
    let all = http::get(&url, &[("Authorization", &bearer)]).json();
    let number = |name: &str| all[name].as_u64().unwrap_or_default();
    let encoded = all["encoded"].as_array().unwrap().iter();
    Counters {
        copied: number("copied"),
        decoded: number("decoded"),
        refused: number("refused"),
        waiting: number("waiting"),
        streams: number("streams"),
        encoded: encoded.map(|e| (e["quality"].as_u64().unwrap(), e["pictures"].as_u64().unwrap())).collect(),
    }
}

/// A client of `stream.mjpeg`, as a browser reads it.
pub struct MjpegClient {
    pub status: u16,
    headers: Vec<(String, String)>,
    chunks: Chunks,
    /// Parts read so far.
    pub parts: u64,
}

/// One part of the stream.
pub struct Part {
    pub number: u64,
    pub jpeg: Vec<u8>,
}

/// The body behind its chunked coding.
struct Chunks {
    stream: BufReader<TcpStream>,
    left: usize,
}

impl MjpegClient {
    /// Asks and reads the answer's head.
    #[track_caller]
    pub fn open(url: &str, headers: &[(&str, &str)]) -> MjpegClient {
        let rest = url.strip_prefix("http://").unwrap();
        let (host, path) = rest.split_at(rest.find('/').unwrap());
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let extra: String = headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n").as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let status = head[0].split(' ').nth(1).unwrap().parse().unwrap();
        let headers = head[1..].iter().filter_map(|l| l.split_once(": "));
        let headers = headers.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        MjpegClient { status, headers, chunks: Chunks { stream, left: 0 }, parts: 0 }
    }

    /// A header of the answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| &**v)
    }

    /// The next picture; none at the end of the stream.
    #[track_caller]
    pub fn part(&mut self) -> Option<Part> {
        let mut line = self.chunks.line()?;
        // Each boundary but the first is preceded by the end of the picture's line.
        while line.is_empty() {
            line = self.chunks.line()?;
        }
        assert_eq!(line, "--fieldcam-frame");
        let mut head = Vec::new();
        loop {
            match &*self.chunks.line()? {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let value = |name: &str| -> u64 {
            let found = head.iter().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
            found.unwrap_or_else(|| panic!("no {name}: {head:?}")).parse().unwrap()
        };
        let mut jpeg = vec![0; value("Content-Length") as usize];
        self.chunks.read_exact(&mut jpeg).ok()?;
        self.parts += 1;
        Some(Part { number: value("X-Frame-Number"), jpeg })
    }
}

impl Chunks {
    /// A line without its end; none at the end of the stream.
    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            self.read_exact(&mut byte).ok()?;
            match byte[0] {
                b'\n' => return Some(String::from_utf8(line).unwrap()),
                b'\r' => {}
                b => line.push(b),
            }
        }
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            let mut size = String::new();
            // The end of the chunk before, then the size of this one.
            while size.trim().is_empty() {
                size.clear();
                if self.stream.read_line(&mut size)? == 0 {
                    return Ok(0);
                }
            }
            self.left = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
            if self.left == 0 {
                return Ok(0);
            }
        }
        let room = buffer.len().min(self.left);
        let got = self.stream.read(&mut buffer[..room])?;
        self.left -= got;
        Ok(got)
    }
}
