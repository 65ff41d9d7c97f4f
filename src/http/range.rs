//! Which part of a file a request asks for (RFC 9110, sections 13 and 14), decided from headers.

use std::ops::Range;

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// 200 with all of it.
    Whole,
    /// 206 with these bytes; never empty.
    Bytes(Range<u64>),
    /// 416.
    Unsatisfiable,
    /// 304.
    NotModified,
}

/// The headers that matter here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked<'a> {
    pub(super) range: Option<&'a str>,
    pub(super) if_range: Option<&'a str>,
    pub(super) if_none_match: Option<&'a str>,
}

/// Decides for a file of `size` bytes with this strong `etag` (quotes included) and this
/// `Last-Modified` (empty without one). Several ranges at once are answered with the whole file, as the RFC allows.
pub(super) fn decide(asked: Asked<'_>, size: u64, etag: &str, modified: &str) -> Part {
    if asked.if_none_match.is_some_and(|list| matches_any(list, etag)) {
        return Part::NotModified;
    }
    let Some(range) = asked.range else { return Part::Whole };
    // A copy that has changed since must not be continued.
    let is_same = |seen: &str| seen.trim() == etag || !modified.is_empty() && seen.trim() == modified;
    if asked.if_range.is_some_and(|seen| !is_same(seen)) {
        return Part::Whole;
    }
    parse(range, size)
}

fn matches_any(list: &str, etag: &str) -> bool {
    list.trim() == "*" || list.split(',').any(|e| e.trim().trim_start_matches("W/") == etag)
}

fn parse(text: &str, size: u64) -> Part {
    let Some(spec) = text.trim().strip_prefix("bytes=") else { return Part::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Part::Whole };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // A number beyond u64 is beyond every file.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Some(first), None) if last.is_empty() => first..size,
        (None, Some(count)) if first.is_empty() => size.saturating_sub(count)..size,
        _ => return Part::Whole,
    };
    if range.is_empty() { Part::Unsatisfiable } else { Part::Bytes(range) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ETAG: &str = "\"a-1\"";
    const DATE: &str = "Wed, 15 Jan 2025 14:30:00 GMT";

    fn part(range: &str, size: u64) -> Part {
        decide(Asked { range: Some(range), ..Asked::default() }, size, ETAG, DATE)
    }

    #[test]
    fn single_ranges() {
        assert_eq!(part("bytes=0-0", 10), Part::Bytes(0..1));
        assert_eq!(part("bytes=2-5", 10), Part::Bytes(2..6));
        assert_eq!(part("bytes=2-", 10), Part::Bytes(2..10));
        assert_eq!(part("bytes=-3", 10), Part::Bytes(7..10));
        assert_eq!(part("bytes=-30", 10), Part::Bytes(0..10));
        assert_eq!(part("bytes=5-99999999999999999999999", 10), Part::Bytes(5..10));
    }

    #[test]
    fn unsatisfiable_ones() {
        for range in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(part(range, 10), Part::Unsatisfiable, "{range}");
        }
        assert_eq!(part("bytes=0-", 0), Part::Unsatisfiable);
    }

    #[test]
    fn what_is_no_single_range_is_ignored() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=a-b",
            "bytes=5-2",
            "bytes=-",
            "lines=1-2",
            "bytes=0-1,3-4",
            "bytes=+1-2",
        ] {
            assert_eq!(part(range, 10), Part::Whole, "{range}");
        }
    }

    #[test]
    fn conditions() {
        let ask = |if_range, if_none_match| {
            decide(Asked { range: Some("bytes=1-2"), if_range, if_none_match }, 10, ETAG, DATE)
        };
        assert_eq!(ask(Some(ETAG), None), Part::Bytes(1..3));
        assert_eq!(ask(Some(DATE), None), Part::Bytes(1..3));
        assert_eq!(ask(Some("\"other\""), None), Part::Whole);
        assert_eq!(ask(Some("W/\"a-1\""), None), Part::Whole, "weak ones do not do for parts");
        assert_eq!(ask(None, Some(ETAG)), Part::NotModified);
        assert_eq!(ask(None, Some("\"x\", W/\"a-1\"")), Part::NotModified);
        assert_eq!(ask(None, Some("*")), Part::NotModified);
        assert_eq!(ask(None, Some("\"x\"")), Part::Bytes(1..3));
        assert_eq!(decide(Asked::default(), 10, ETAG, DATE), Part::Whole);
    }

    proptest! {
        #[test]
        fn every_part_lies_within_the_file(text in "(bytes=)?[0-9]{0,22}-[0-9]{0,22}.{0,3}", size in any::<u64>()) {
            if let Part::Bytes(r) = part(&text, size) {
                prop_assert!(r.start < r.end && r.end <= size);
            }
        }
    }
}
