//! The addresses below `/live/`, taken apart by text alone.

use crate::base::CameraId;
use crate::base::id::is_plain_name;

/// The playlist that a player opens.
pub(super) const INDEX: &str = "index.m3u8";

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A playlist, or a piece of video that one names.
    Hls { camera: CameraId, file: String },
    /// The page, or one of its files.
    File(File),
    /// Where the page asks what to play.
    Urls(CameraId),
    /// Where an offer goes.
    Whep(CameraId),
    /// A WebRTC session that an offer began.
    WhepSession { camera: CameraId, secret: String },
}

/// What the page consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    Page,
    Style,
    Script,
    Hls,
}

/// The page that plays a camera.
pub fn page_path(camera: CameraId) -> String {
    format!("/live/{camera}")
}

/// Where a WebRTC player sends its offer.
pub fn whep_path(camera: CameraId) -> String {
    format!("/live/{camera}/whep")
}

/// The path that a signed query for a camera's live video is made for: it opens the page and WHEP of
/// this camera too (contract.md, "Stream URLs").
pub fn signed_path(camera: CameraId) -> String {
    format!("/live/{camera}/{INDEX}")
}

/// A path as a log may show it: the address of a WebRTC session holds its secret.
pub fn shown(path: &str) -> &str {
    match path.find("/whep/") {
        Some(at) if path.starts_with("/live/") => &path[..at + "/whep".len()],
        _ => path,
    }
}

/// Takes a path apart; none: nothing is there.
pub(super) fn read(path: &str) -> Option<Place> {
    let rest = path.strip_prefix("/live/")?;
    match rest {
        "page.css" => return Some(Place::File(File::Style)),
        "page.js" => return Some(Place::File(File::Script)),
        "hls.min.js" => return Some(Place::File(File::Hls)),
        _ => {}
    }
    let (camera, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let camera: CameraId = camera.parse().ok()?;
    let is_media = |file: &str| {
        is_plain_name(file) && [".m3u8", ".mp4", ".mp", ".ts"].iter().any(|ending| file.ends_with(ending))
    };
    match rest {
        "" => Some(Place::File(File::Page)),
        "urls" => Some(Place::Urls(camera)),
        "whep" => Some(Place::Whep(camera)),
        session if session.starts_with("whep/") => {
            let secret = &session["whep/".len()..];
            is_uuid(secret).then(|| Place::WhepSession { camera, secret: secret.to_owned() })
        }
        file if is_media(file) => Some(Place::Hls { camera, file: file.to_owned() }),
        _ => None,
    }
}

/// MediaMTX's secrets of sessions are lower-case UUIDs.
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let hls = |file: &str| Some(Place::Hls { camera: CameraId(3), file: file.into() });
        assert_eq!(read("/live/camera3/index.m3u8"), hls("index.m3u8"));
        for (path, file) in [
            ("/live/camera3", File::Page),
            ("/live/camera3/", File::Page),
            ("/live/page.js", File::Script),
            ("/live/hls.min.js", File::Hls),
        ] {
            assert_eq!(read(path), Some(Place::File(file)));
        }
        assert_eq!(read("/live/camera3/urls"), Some(Place::Urls(CameraId(3))));
        assert_eq!(read("/live/camera3/f00_main_seg7.mp4"), hls("f00_main_seg7.mp4"));
        let secret = "0b7c3c1e-6a55-4f4b-9d3c-2f4f2f0b8a11";
        assert_eq!(read("/live/camera3/whep"), Some(Place::Whep(CameraId(3))));
        assert_eq!(shown(&format!("/live/camera3/whep/{secret}")), "/live/camera3/whep");
        assert_eq!(shown("/files/whep/x"), "/files/whep/x");
        let session = Place::WhepSession { camera: CameraId(3), secret: secret.into() };
        assert_eq!(read(&format!("/live/camera3/whep/{secret}")), Some(session));
        for nothing in [
            "/live/camera3/whep/",
            "/live/camera3/whep/../whep",
            "/live/camera3/whep/0b7c3c1e-6a55-4f4b-9d3c-2f4f2f0b8a1/",
            "/live",
            "/live/",
            "/live/../camera3/index.m3u8",
            "/live/camera3/../camera4/index.m3u8",
            "/live/camera3/..%2findex.m3u8",
            "/live/camera3//index.m3u8",
            "/live/camera03/index.m3u8",
            "/live/camera/index.m3u8",
            "/live/camera3/sub/index.m3u8",
            "/live/camera3/.m3u8",
            "/live/camera3/index.m3u8/",
            "/live/camera3/index.html",
            "/live/camera3/whip",
            "/live/camera3/publish",
            "/live/all_others/index.m3u8",
        ] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_found_can_stand_in_a_request_line(path in "/live/(camera[0-9]{1,2})?[ -~]{0,30}") {
            match read(&path) {
                Some(Place::Hls { file, .. }) => prop_assert!(is_plain_name(&file)),
                Some(Place::WhepSession { secret, .. }) => prop_assert!(is_uuid(&secret)),
                Some(Place::Whep(_) | Place::Urls(_) | Place::File(_)) | None => {}
            }
        }
    }
}
