//! Pure decisions of a download that may go on where an earlier one stopped.

use std::path::{Path, PathBuf};

use crate::base::id::is_plain_name;
use crate::base::{Error, ErrorKind, Result};

/// A `Content-Range` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentRange {
    /// `bytes start-end/total`, the end included.
    Part {
        /// First byte.
        start: u64,
        /// Bytes in all.
        total: u64,
    },
    /// `bytes */total`: what was asked for lies beyond the end.
    Beyond {
        /// Bytes in all.
        total: u64,
    },
}

impl ContentRange {
    /// Reads the header's value.
    pub fn parse(text: &str) -> Option<ContentRange> {
        let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let total = total.parse().ok()?;
        if range == "*" {
            return Some(ContentRange::Beyond { total });
        }
        let (start, end) = range.split_once('-')?;
        let (start, end) = (start.parse::<u64>().ok()?, end.parse::<u64>().ok()?);
        (start <= end && end < total).then_some(ContentRange::Part { start, total })
    }
}

/// What to do with an answer to a request from `offset` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write its body behind what is there.
    Append {
        /// Bytes of the whole file.
        total: u64,
    },
    /// The file is another one now, or the box sends all of it: write from the start.
    Restart {
        /// Bytes of the whole file, when told.
        total: Option<u64>,
    },
    /// Nothing is missing.
    Complete,
    /// What we hold does not fit: throw it away and ask again.
    Discard,
    /// The box refuses.
    Refused,
}

/// Decides by status and headers.
pub fn step(status: u16, range: Option<ContentRange>, length: Option<u64>, offset: u64) -> Step {
    match (status, range) {
        (200, _) => Step::Restart { total: length },
        (206, Some(ContentRange::Part { start, total })) if start == offset => Step::Append { total },
        (416, Some(ContentRange::Beyond { total })) if total == offset && offset > 0 => Step::Complete,
        (206 | 416, _) if offset > 0 => Step::Discard,
        _ => Step::Refused,
    }
}

/// Path and query of a download link: the box is asked at the address that we reached it by, whatever
/// host the link names.
pub fn path_of(link: &str) -> Result<String> {
    if link.starts_with('/') {
        return Ok(link.to_owned());
    }
    match url::Url::parse(link) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            let query = url.query().map(|q| format!("?{q}")).unwrap_or_default();
            Ok(format!("{}{query}", url.path()))
        }
        _ => Err(Error::new(ErrorKind::DependencyFailed, "The box gave a download link of an unknown kind")),
    }
}

/// Extension of the file behind a link.
pub fn extension_of(path: &str) -> Option<&str> {
    let file = path.split('?').next()?.rsplit('/').next()?;
    file.rsplit_once('.').map(|(_, extension)| extension).filter(|e| is_plain_name(e))
}

/// Where to save: `output` as it is, in it when it is a folder, else under the box's name for it here.
pub fn target(output: Option<&Path>, name: &str, is_folder: bool) -> Result<PathBuf> {
    match output {
        Some(path) if !is_folder => Ok(path.to_owned()),
        // A name from the network must not choose the folder.
        _ if !is_plain_name(name) => {
            Err(Error::new(ErrorKind::DependencyFailed, "The box gave a file name that is not plain")
                .with("suggestion", "choose the name with -o FILE"))
        }
        Some(folder) => Ok(folder.join(name)),
        None => Ok(PathBuf::from(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_is_only_appended_where_it_belongs() {
        let part = |start| Some(ContentRange::Part { start, total: 100 });
        assert_eq!(step(206, part(40), Some(60), 40), Step::Append { total: 100 });
        assert_eq!(step(206, part(0), Some(100), 40), Step::Discard);
        assert_eq!(step(206, None, Some(60), 40), Step::Discard);
        assert_eq!(step(200, None, Some(100), 40), Step::Restart { total: Some(100) });
        assert_eq!(step(416, Some(ContentRange::Beyond { total: 40 }), None, 40), Step::Complete);
        assert_eq!(step(416, Some(ContentRange::Beyond { total: 30 }), None, 40), Step::Discard);
        for status in [401, 403, 404, 500] {
            assert_eq!(step(status, None, None, 40), Step::Refused);
        }
    }

    #[test]
    fn links_lose_their_host_and_keep_their_signature() {
        assert_eq!(path_of("http://10.0.0.9:1/files/a.mp4?sig=x&exp=1").unwrap(), "/files/a.mp4?sig=x&exp=1");
        assert_eq!(path_of("/files/a.mp4?s").unwrap(), "/files/a.mp4?s");
        assert!(path_of("file:///etc/passwd").is_err());
        assert_eq!(extension_of("/files/a.b.mp4?x=/y.z"), Some("mp4"));
    }

    #[test]
    fn a_name_from_the_box_cannot_leave_the_folder() {
        assert!(target(None, "../x", false).is_err());
        assert!(target(Some(Path::new("here")), "a/b", true).is_err());
        assert_eq!(target(Some(Path::new("here")), "a.mp4", true).unwrap(), Path::new("here/a.mp4"));
        assert_eq!(target(Some(Path::new("f")), "../x", false).unwrap(), Path::new("f"));
    }

    proptest! {
        #[test]
        fn no_header_panics(text in ".*", digits in "bytes [0-9*-]{0,30}/[0-9]{0,30}") {
            let _ = ContentRange::parse(&text);
            let _ = ContentRange::parse(&digits);
            let _ = path_of(&text);
            let _ = extension_of(&text);
        }
    }
}
