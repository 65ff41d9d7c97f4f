//! What a request for a camera's pictures says: path, query, entity tags. Pure.

use url::form_urlencoded;

use crate::base::{CameraId, Error, Result};
use crate::preview::Quality;

/// What a path below `/cameras/` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The newest picture.
    Frame,
    /// Picture after picture.
    Stream,
    /// What they cost.
    Counters,
}

/// Takes a path apart.
pub(super) fn wanted(path: &str) -> Option<(CameraId, Wanted)> {
    let (camera, file) = path.strip_prefix("/cameras/")?.split_once('/')?;
    let wanted = match file {
        "frame.jpg" => Wanted::Frame,
        "stream.mjpeg" => Wanted::Stream,
        "frames.json" => Wanted::Counters,
        _ => return None,
    };
    Some((camera.parse().ok()?, wanted))
}

/// What the query asks for. Members that are not ours are passed over: pages add some against caches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Asked {
    pub quality: Quality,
    /// Only a picture newer than this one.
    pub newer_than: Option<Seen>,
    /// Pictures a second at most.
    pub fps: Option<f64>,
}

/// A picture that a client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// [`crate::preview::Preview::run`], where the client tells.
    run: Option<u32>,
    number: u64,
}

impl Seen {
    /// Its number in this run; 0, which none has, when it comes from another.
    pub fn number(self, run: u32) -> u64 {
        if self.run.is_some_and(|r| r != run) { 0 } else { self.number }
    }
}

impl Asked {
    pub fn read(query: &str) -> Result<Self> {
        let mut asked = Self { quality: Quality::OWN, newer_than: None, fps: None };
        let mut quality = None;
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let doubled = match &*key {
                "quality" => quality.replace(read_quality(&value)?).is_some(),
                "newer_than" => asked.newer_than.replace(read_seen(&value)?).is_some(),
                "fps" => asked.fps.replace(read_fps(&value)?).is_some(),
                _ => false,
            };
            if doubled {
                return Err(Error::param(&key, "must be there once", "leave one of them out"));
            }
        }
        asked.quality = quality.unwrap_or(Quality::OWN);
        Ok(asked)
    }
}

fn read_quality(text: &str) -> Result<Quality> {
    let number = text.parse().ok().filter(|_| is_digits(text)).and_then(Quality::new);
    number.ok_or_else(|| {
        Error::param("quality", "must be a whole number from 1 to 100", "without it you get the camera's own")
    })
}

fn read_fps(text: &str) -> Result<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number = text.parse().ok().filter(|fps: &f64| plain && (0.1..=120.0).contains(fps));
    number.ok_or_else(|| {
        Error::param(
            "fps",
            "must be a number from 0.1 to 120",
            "without it you get every picture you can take",
        )
    })
}

fn read_seen(text: &str) -> Result<Seen> {
    parse_seen(text).ok_or_else(|| {
        Error::param(
            "newer_than",
            "must be an ETag or an X-Frame-Number",
            "send back what the last answer said",
        )
    })
}

fn parse_seen(text: &str) -> Option<Seen> {
    let text = text.trim();
    let text = text.strip_prefix("W/").unwrap_or(text);
    let text = text.strip_prefix('"').map_or(Some(text), |t| t.strip_suffix('"'))?;
    let number = |text: &str| text.parse().ok().filter(|_| is_digits(text));
    match text.split_once('-') {
        None => Some(Seen { run: None, number: number(text)? }),
        Some((run, rest)) => {
            let run = u32::from_str_radix(run, 16).ok().filter(|_| run.len() == 8)?;
            let (count, quality) = rest.split_once('-')?;
            let known = quality == OWN || is_digits(quality);
            Some(Seen { run: Some(run), number: number(count).filter(|_| known)? })
        }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The quality's word in an entity tag.
const OWN: &str = "own";

/// The strong entity tag of a picture: run of the camera, number of the picture, quality.
pub(super) fn etag(run: u32, number: u64, quality: Quality) -> String {
    match quality.number() {
        Some(quality) => format!("\"{run:08x}-{number}-{quality}\""),
        None => format!("\"{run:08x}-{number}-{OWN}\""),
    }
}

/// Whether `If-None-Match` names this tag.
pub(super) fn matches(list: &str, etag: &str) -> bool {
    list.trim() == "*" || list.split(',').any(|e| e.trim().trim_start_matches("W/") == etag)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::ErrorKind;

    #[test]
    fn only_cameras_and_files_of_ours_have_a_path() {
        assert_eq!(wanted("/cameras/camera3/frame.jpg"), Some((CameraId(3), Wanted::Frame)));
        assert_eq!(wanted("/cameras/camera0/stream.mjpeg"), Some((CameraId(0), Wanted::Stream)));
        for bad in [
            "/cameras/",
            "/cameras/camera0",
            "/cameras/camera0/",
            "/cameras/camera00/frame.jpg",
            "/cameras/camera0/../camera1/frame.jpg",
            "/cameras/../cameras/camera0/frame.jpg",
            "/cameras/camera0//frame.jpg",
            "/cameras/camera0/frame.jpg/",
            "/cameras/camera0/frame%2ejpg",
            "/cameras/gate/frame.jpg",
        ] {
            assert_eq!(wanted(bad), None, "{bad}");
        }
    }

    #[test]
    fn queries() {
        let read = |q: &str| Asked::read(q).unwrap();
        assert_eq!(read(""), Asked { quality: Quality::OWN, newer_than: None, fps: None });
        let asked = read("quality=85&t=17&exp=1&newer_than=%2200c0ffee-12-own%22&fps=2.5");
        assert_eq!((asked.quality.number(), asked.fps), (Some(85), Some(2.5)));
        assert_eq!(asked.newer_than.unwrap().number(0xc0_ffee), 12);
        assert_eq!(asked.newer_than.unwrap().number(1), 0, "from another run");
        assert_eq!(read("newer_than=12").newer_than.unwrap().number(9), 12);
        assert_eq!(read("newer_than=00c0ffee-12-85").newer_than.unwrap().number(0xc0_ffee), 12);
        for bad in [
            "quality=0",
            "quality=101",
            "quality=",
            "quality=+5",
            "quality=5&quality=5",
            "fps=0",
            "fps=nan",
            "fps=-1",
            "fps=1e1",
            "newer_than=",
            "newer_than=x",
            "newer_than=-1",
            "newer_than=%22",
            "newer_than=00c0ffee-12",
            "newer_than=00c0ffee-x-own",
            "newer_than=ffee-1-own",
        ] {
            assert_eq!(Asked::read(bad).unwrap_err().kind(), ErrorKind::InvalidParams, "{bad}");
        }
    }

    #[test]
    fn a_tag_matches_itself_alone() {
        let tag = etag(7, 12, Quality::OWN);
        assert_eq!(tag, "\"00000007-12-own\"");
        assert!(matches(&tag, &tag) && matches("*", &tag) && matches(&format!("\"x\", W/{tag}"), &tag));
        assert!(!matches(&etag(7, 12, Quality::new(12).unwrap()), &tag) && !matches("", &tag));
    }

    proptest! {
        #[test]
        fn nothing_panics(query in ".{0,60}", path in "(/cameras/)?.{0,30}") {
            let _ = Asked::read(&query);
            let _ = Asked::read(&format!("newer_than={query}"));
            let _ = wanted(&path);
        }

        #[test]
        fn every_tag_is_read_back(run in any::<u32>(), number in any::<u64>(), q in 0u8..=100) {
            let quality = Quality::new(q).unwrap_or(Quality::OWN);
            let seen = parse_seen(&etag(run, number, quality)).unwrap();
            prop_assert_eq!(seen.number(run), number);
        }
    }
}
