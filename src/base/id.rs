//! Ids as newtypes, each with the one strict parser for text from outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};

/// The stable number of a camera, written `camera0`. Never reused for another camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CameraId(pub u32);

impl fmt::Display for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "camera{}", self.0)
    }
}

impl FromStr for CameraId {
    type Err = Error;

    /// `camera[0-9]+` (contract.md); a number with a leading zero or beyond `u32` names no camera of ours.
    fn from_str(text: &str) -> Result<Self> {
        let hint = "use an id from get_camera_list, such as camera0";
        let digits = text
            .strip_prefix("camera")
            .filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
            .ok_or_else(|| Error::param("device", "must match camera[0-9]+", hint))?;
        match digits.parse::<u32>() {
            Ok(n) if n.to_string() == digits => Ok(Self(n)),
            _ => Err(Error::not_found("Camera", text)),
        }
    }
}

impl Serialize for CameraId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CameraId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The name of a recording without extension, such as `camera0_2025-01-15_14-30-00`: one path
/// component of ASCII letters, digits, `_`, `-` and inner dots, at most 128 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RecordingName(String);

impl RecordingName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RecordingName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if is_plain_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::param("filename", PLAIN_NAME_RULE, "use a name from list_recordings"))
        }
    }
}

impl<'de> Deserialize<'de> for RecordingName {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The rule behind [`is_plain_name`], in a client's words.
pub const PLAIN_NAME_RULE: &str = "must be 1 to 128 letters, digits, '_', '-' or inner dots, without a path";

/// Whether `text` is safe as one path component of ours: no separator, no leading dot or dash, no
/// dot pair, ASCII only.
pub fn is_plain_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && !text.ends_with('.')
        && !text.contains("..")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    #[test]
    fn camera_ids_are_strict() {
        assert_eq!("camera12".parse::<CameraId>().unwrap(), CameraId(12));
        for bad in ["", "camera", "Camera1", "camera-1", "camera1 ", "cam0", "camera0x", "../camera0"] {
            assert_eq!(bad.parse::<CameraId>().unwrap_err().kind(), ErrorKind::InvalidParams, "{bad}");
        }
        for absent in ["camera01", "camera99999999999"] {
            assert_eq!(absent.parse::<CameraId>().unwrap_err().kind(), ErrorKind::NotFound, "{absent}");
        }
    }

    #[test]
    fn names_never_leave_their_folder() {
        assert!(is_plain_name("camera0_2025-01-15_14-30-00"));
        for bad in
            ["", ".", "..", "a/b", "a\\b", ".hidden", "-rf", "a..b", "a\0", "ä", "a.", &"x".repeat(129)]
        {
            assert!(!is_plain_name(bad), "{bad:?}");
        }
    }
}
