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

/// Takes a path apart; none: nothing is there.
pub(super) fn read(path: &str) -> Option<Place> {
    let rest = path.strip_prefix("/live/")?;
    let (camera, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let camera = camera.parse().ok()?;
    let is_media = |file: &str| {
        is_plain_name(file) && [".m3u8", ".mp4", ".mp", ".ts"].iter().any(|ending| file.ends_with(ending))
    };
    match rest {
        file if is_media(file) => Some(Place::Hls { camera, file: file.to_owned() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let hls = |file: &str| Some(Place::Hls { camera: CameraId(3), file: file.into() });
        assert_eq!(read("/live/camera3/index.m3u8"), hls("index.m3u8"));
        assert_eq!(read("/live/camera3/f00_main_seg7.mp4"), hls("f00_main_seg7.mp4"));
        for nothing in [
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
            if let Some(Place::Hls { file, .. }) = read(&path) {
                prop_assert!(is_plain_name(&file));
            }
        }
    }
}
