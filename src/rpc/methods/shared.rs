//! Parameters and forms that several subjects have in common.

use serde::Serialize;

use crate::base::{CameraId, Error, RecordingName, Result};
use crate::rpc::params::{Fields, Params};

/// `{device}`.
pub(super) struct Device(pub(super) CameraId);

impl Params for Device {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        fields.device().map(Self)
    }
}

/// A text of 1 to `most` characters on one line.
pub(super) fn line(param: &str, text: String, most: usize, hint: &str) -> Result<String> {
    let count = text.chars().count();
    if !(1..=most).contains(&count) || text.chars().any(char::is_control) {
        let rule = format!("must have 1 to {most} characters on one line");
        return Err(Error::param(param, rule, hint));
    }
    Ok(text)
}

/// `{limit?, offset?}`.
pub(super) struct Page {
    pub(super) limit: u32,
    pub(super) offset: u64,
}

impl Params for Page {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let limit = fields.optional_integer("limit", 1..=1000)?.unwrap_or(50);
        let limit = u32::try_from(limit).expect("the range is within u32");
        Ok(Self { limit, offset: fields.optional_integer("offset", 0..=u64::MAX)?.unwrap_or(0) })
    }
}

impl Page {
    /// How many rows come before it. There are never as many as `u32` holds, so the answer is the same.
    pub(super) fn skip(&self) -> u32 {
        u32::try_from(self.offset).unwrap_or(u32::MAX)
    }

    /// The answer: the files that were `found` on this page, out of how many in all.
    pub(super) fn answer<T>(&self, found: (Vec<T>, u64), file: impl FnMut(T) -> FileRow) -> Files {
        let (rows, total) = found;
        let files = rows.into_iter().map(file).collect();
        Files { files, total, limit: self.limit, offset: self.offset }
    }
}

/// `{filename}` of a recording, with or without extension.
pub(super) struct OfRecording(pub(super) RecordingName);

impl Params for OfRecording {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let text = fields.string("filename", "use a name from list_recordings")?;
        let name = [".mp4", ".fmp4", ".mkv"].iter().find_map(|e| text.strip_suffix(e)).unwrap_or(&text);
        name.parse().map(Self)
    }
}

/// A page of files.
#[derive(Serialize)]
pub(super) struct Files {
    files: Vec<FileRow>,
    total: u64,
    limit: u32,
    offset: u64,
}

/// One file of a list.
#[derive(Serialize)]
pub(super) struct FileRow {
    pub(super) filename: String,
    pub(super) file_size: u64,
    pub(super) modified_time: String,
    pub(super) download_url: String,
    /// Whole seconds, of recordings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration: Option<u64>,
    /// Of recordings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protected: Option<bool>,
}

/// What a deletion answers.
#[derive(Serialize)]
pub(super) struct Deleted {
    pub(super) filename: String,
    pub(super) deleted: bool,
    pub(super) message: &'static str,
}

/// Whole seconds, as durations are given.
pub(super) const fn seconds(ms: u64) -> u64 {
    (ms + 500) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_bounds_and_defaults() {
        let page = |text| Page::read(&Fields::parse(Some(text)).unwrap());
        let p = page("{}").unwrap();
        assert_eq!((p.limit, p.offset), (50, 0));
        let p = page(r#"{"limit":1000,"offset":7}"#).unwrap();
        assert_eq!((p.limit, p.offset), (1000, 7));
        let p = page(r#"{"offset":4294967296}"#).unwrap();
        assert_eq!((p.offset, p.skip()), (1 << 32, u32::MAX));
        for bad in [r#"{"limit":0}"#, r#"{"limit":1001}"#, r#"{"offset":-1}"#, r#"{"offset":0.5}"#] {
            assert!(page(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_recording_goes_by_its_name_with_or_without_extension() {
        let name = |text: &str| {
            let json = serde_json::json!({ "filename": text }).to_string();
            OfRecording::read(&Fields::parse(Some(&json)).unwrap()).map(|n| n.0.to_string())
        };
        let plain = "camera0_2025-01-15_14-30-00";
        for text in [plain, &format!("{plain}.mp4"), &format!("{plain}.fmp4")] {
            assert_eq!(name(text).unwrap(), plain);
        }
        for bad in ["", ".mp4", "../x", "a/b.mp4", "a\u{0}b"] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }
}
