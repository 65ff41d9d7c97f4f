//! Requests as a fuzzer makes them: one line each for path, query, `Host`, `Origin`, `Range` and a list of tags.

use super::files::wanted::wanted;
use super::frame_query;
use super::hosts::Hosts;
use super::range::{self, Asked, Part};

const SIZE: u64 = 100_000;

/// Everything that this room reads out of a request.
///
/// Panics when a part of a file lies outside of it.
pub fn request(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines().map(Some).chain(std::iter::repeat(None));
    let mut line = || lines.next().flatten();
    let (path, query) = (line().unwrap_or_default(), line().unwrap_or_default());
    let (host, origin) = (line(), line().unwrap_or_default());
    let asked = Asked { range: line(), if_none_match: line(), if_range: line() };
    let _ = wanted(path, query);
    let _ = frame_query::wanted(path);
    let _ = frame_query::Asked::read(query);
    crate::live::fuzz::path(path);
    let hosts = Hosts::new("box", &["https://page.example".into()]);
    if let Some(authority) = host.and_then(|host| hosts.check(host)) {
        let _ = hosts.allows_origin(origin, &authority);
    }
    if let Part::Bytes(part) = range::decide(asked, SIZE, "\"etag\"", "Mon, 01 Jan 2024 00:00:00 GMT") {
        assert!(part.start < part.end && part.end <= SIZE, "{part:?} of {SIZE}");
    }
}
