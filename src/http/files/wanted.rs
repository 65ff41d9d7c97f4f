//! What a path below `/files/` and its query name.

use crate::base::id::is_plain_name;
use crate::base::query::member;
use crate::base::{Error, RecordingName, Result};
use crate::footage::Cut;

#[derive(Debug, PartialEq, Eq)]
pub(in crate::http) enum Wanted {
    /// A recording as one film, or a part of it.
    Film(RecordingName, Cut),
    /// One of a recording's files.
    Segment(RecordingName, u32),
    /// A recording's first picture.
    Thumbnail(RecordingName),
    Snapshot(String),
}

/// Takes a path apart. Names hold no character that a URL would have to escape.
pub(in crate::http) fn wanted(path: &str, query: &str) -> Result<Wanted> {
    let nothing = || Error::not_found("File", "").with("suggestion", "use the download_url of an answer");
    let rest = path.strip_prefix("/files/").ok_or_else(nothing)?;
    let (kind, file) = rest.split_once('/').ok_or_else(nothing)?;
    if !is_plain_name(file) {
        return Err(nothing());
    }
    match kind {
        "recordings" => {
            if let Some(name) = file.strip_suffix(".jpg") {
                return Ok(Wanted::Thumbnail(name.parse().map_err(|_| nothing())?));
            }
            let name = file.strip_suffix(".mp4").ok_or_else(nothing)?;
            let name = name.parse().map_err(|_| nothing())?;
            let cut = Cut::of_query(query)?;
            Ok(match segment(query)? {
                Some(_) if !cut.is_whole() => {
                    let hint = "leave from and to out, or segment";
                    return Err(Error::param("segment", "cannot be cut", hint));
                }
                Some(number) => Wanted::Segment(name, number),
                None => Wanted::Film(name, cut),
            })
        }
        "snapshots" if file.ends_with(".jpg") => Ok(Wanted::Snapshot(file.to_owned())),
        _ => Err(nothing()),
    }
}

fn segment(query: &str) -> Result<Option<u32>> {
    let Some(text) = member(query, "segment") else { return Ok(None) };
    match text.parse() {
        Ok(n) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(n)),
        _ => Err(Error::param("segment", "must be a whole number", "get_recording_info lists the segments")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::ErrorKind;

    #[test]
    fn only_plain_names_are_looked_up() {
        let name: RecordingName = "camera0_2025-01-15_14-30-00".parse().unwrap();
        let path = format!("/files/recordings/{name}.mp4");
        assert_eq!(wanted(&path, "").unwrap(), Wanted::Film(name.clone(), Cut::WHOLE));
        assert_eq!(wanted(&path, "exp=1&segment=3").unwrap(), Wanted::Segment(name, 3));
        assert_eq!(wanted("/files/snapshots/a.jpg", "").unwrap(), Wanted::Snapshot("a.jpg".into()));
        for bad in [
            "/files/",
            "/files/recordings",
            "/files/recordings/",
            "/files/recordings/.mp4",
            "/files/recordings/x",
            "/files/recordings/x.jpeg",
            "/files/recordings/../x.mp4",
            "/files/recordings/..%2fx.mp4",
            "/files/recordings/a/b.mp4",
            "/files/recordings//x.mp4",
            "/files/snapshots/x.mp4",
            "/files/secrets/x.jpg",
            "/files/snapshots/..jpg",
        ] {
            assert_eq!(wanted(bad, "").unwrap_err().kind(), ErrorKind::NotFound, "{bad}");
        }
        for bad in [
            "segment=",
            "segment=x",
            "segment=-1",
            "segment=+1",
            "segment=99999999999",
            "segment=1&to=3",
            "from=x",
        ] {
            assert_eq!(wanted(&path, bad).unwrap_err().kind(), ErrorKind::InvalidParams, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leaves_its_folder(path in "/files/(recordings|snapshots)/[a-z./%\\\\]{0,20}(.mp4|.jpg)?", query in ".{0,20}") {
            match wanted(&path, &query) {
                Ok(Wanted::Film(name, _) | Wanted::Segment(name, _) | Wanted::Thumbnail(name)) => prop_assert!(is_plain_name(name.as_str())),
                Ok(Wanted::Snapshot(name)) => prop_assert!(is_plain_name(&name)),
                Err(_) => {}
            }
        }
    }
}
