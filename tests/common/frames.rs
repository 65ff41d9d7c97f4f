//! Reads `frame.jpg` and what it costs.

use std::io::Write;

use super::http::{self, Response};
use super::{TestBox, squares};

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
