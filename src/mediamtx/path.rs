//! One path: what we want of it, checked strictly, and the JSON MediaMTX takes for it.
//!
//! The check is stricter than MediaMTX's, since one refused path would keep the whole file from loading.

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value, json};
use url::Url;

use crate::base::id::is_plain_name;
use crate::base::{Error, Result, Secret};

/// Where a path's stream comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathSource {
    /// A publisher of ours. A reader who finds none is held for up to 10 s while [`super::MediaMtx::take_wakes`]
    /// names the path.
    Publisher,
    /// MediaMTX pulls this RTSP or RTSPS URL and stays connected.
    Pull {
        /// The URL, with the camera's password if it has one.
        url: Secret,
    },
}

/// What a path should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSpec {
    /// Its name, such as `camera0`: one component of letters, digits, `_`, `-` and inner dots.
    pub name: String,
    /// Where its stream comes from.
    pub source: PathSource,
    /// The recording's folder, `<recordings>/<name>/<recording>`, while it should be recorded.
    pub record: Option<PathBuf>,
}

impl PathSpec {
    /// Refuses what MediaMTX would refuse, or would read as something else.
    pub(super) fn check(&self) -> Result<()> {
        check_name(&self.name)?;
        if let PathSource::Pull { url } = &self.source {
            check_url(url)?;
        }
        if let Some(folder) = &self.record {
            record_path(&self.name, folder)?;
        }
        Ok(())
    }

    /// The body of a config write and the value in the generated file. `bump` counts replacements:
    /// it changes a field without meaning here, because MediaMTX leaves a path alone whose
    /// configuration stays equal.
    pub(super) fn to_json(&self, bump: u32) -> Value {
        let mut path = Map::new();
        match &self.source {
            PathSource::Publisher => {
                path.insert("source".into(), "publisher".into());
                // MediaMTX splits the line first and expands variables inside each part then, so
                // this form carries any file name without quoting.
                path.insert("runOnDemand".into(), format!("$FIELDCAM_EXE wake {}", self.name).into());
                path.insert("runOnDemandRestart".into(), false.into());
                path.insert("runOnDemandStartTimeout".into(), "10s".into());
                path.insert("runOnDemandCloseAfter".into(), millis(10_000 + bump % 1000));
            }
            PathSource::Pull { url } => {
                // MediaMTX would put the reader's query or a regexp group in place of these.
                let parsed = Url::parse(url.expose()).map_or_else(|_| String::new(), String::from);
                let text = parsed.replace("$MTX_QUERY", "%24MTX_QUERY").replace("$G", "%24G");
                path.insert("source".into(), text.into());
                path.insert("sourceOnDemand".into(), false.into());
                // With "automatic" a camera behind a firewall costs seconds of waiting for UDP.
                path.insert("rtspTransport".into(), "tcp".into());
                path.insert("sourceOnDemandCloseAfter".into(), millis(10_000 + bump % 1000));
            }
        }
        let pattern = self.record.as_ref().and_then(|f| record_path(&self.name, f).ok());
        path.insert("record".into(), pattern.is_some().into());
        if let Some(pattern) = pattern {
            path.insert("recordPath".into(), pattern.into());
        }
        Value::Object(path)
    }
}

fn millis(ms: u32) -> Value {
    json!(format!("{ms}ms"))
}

/// The rule for names of paths: MediaMTX's, without slashes, and none of the names it treats specially.
pub(super) fn check_name(name: &str) -> Result<()> {
    if is_plain_name(name) && !matches!(name, "all" | "all_others") {
        Ok(())
    } else {
        Err(Error::param("path", "is not a stream's name", "use a name such as camera0"))
    }
}

fn check_url(url: &Secret) -> Result<()> {
    let refuse = |rule: &str| {
        Err(Error::param("source", rule, "write it like rtsp://user:password@192.168.1.20/stream1"))
    };
    let text = url.expose();
    if text.len() > 2048 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return refuse("must be a URL of printable ASCII; percent-encode everything else");
    }
    let Ok(parsed) = Url::parse(text) else {
        return refuse("is not a URL");
    };
    if !matches!(parsed.scheme(), "rtsp" | "rtsps") {
        return refuse("must begin with rtsp:// or rtsps://");
    }
    let host = parsed.host_str().unwrap_or_default();
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if inner.is_empty() || !inner.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:".contains(&b)) {
        return refuse("names no host");
    }
    if parsed.username().is_empty() != parsed.password().is_none_or(str::is_empty) {
        return refuse("must hold both user and password, or neither");
    }
    // Go's parser takes a percent sign only before two hexadecimal digits.
    let bytes = text.as_bytes();
    let broken = |i: usize| {
        bytes[i] == b'%' && !(i + 2 < bytes.len() && bytes[i + 1..=i + 2].iter().all(u8::is_ascii_hexdigit))
    };
    if (0..bytes.len()).any(broken) || text.contains(['<', '>', '"', '\\', '^', '`', '{', '|', '}']) {
        return refuse("holds a character that must be percent-encoded");
    }
    Ok(())
}

/// `recordPath` for a recording's folder. MediaMTX demands `%path` in it and expands every other
/// `%x` too, so the folder must lie in one named as the path and hold no percent sign.
fn record_path(name: &str, folder: &Path) -> Result<String> {
    let refuse = || {
        Err(Error::param(
            "folder",
            "must be absolute, without '%' and control characters, and end in <path>/<recording>",
            "choose another storage.data_dir",
        ))
    };
    let (Some(text), Some(parent)) = (folder.to_str(), folder.parent()) else {
        return refuse();
    };
    let plain = folder.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
    let (Some(root), Some(recording)) =
        (parent.parent().and_then(Path::to_str), folder.file_name().and_then(|n| n.to_str()))
    else {
        return refuse();
    };
    if !folder.is_absolute()
        || !plain
        || text.contains('%')
        || text.chars().any(char::is_control)
        || parent.file_name().and_then(|n| n.to_str()) != Some(name)
        || !is_plain_name(recording)
    {
        return refuse();
    }
    let root = root.trim_end_matches('/');
    Ok(format!("{root}/%path/{recording}/%Y-%m-%d_%H-%M-%S-%f"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pull(url: &str) -> PathSpec {
        PathSpec { name: "camera1".into(), source: PathSource::Pull { url: Secret::new(url) }, record: None }
    }

    #[test]
    fn a_recording_goes_to_its_own_folder() {
        let spec = PathSpec {
            name: "camera0".into(),
            source: PathSource::Publisher,
            record: Some("/data/recordings/camera0/camera0_2026-01-01_00-00-00".into()),
        };
        spec.check().unwrap();
        let json = spec.to_json(0);
        assert_eq!(json["record"], json!(true));
        assert_eq!(
            json["recordPath"],
            "/data/recordings/%path/camera0_2026-01-01_00-00-00/%Y-%m-%d_%H-%M-%S-%f"
        );
        assert_eq!(json["runOnDemand"], "$FIELDCAM_EXE wake camera0");
    }

    #[test]
    fn folders_mediamtx_would_misread_are_refused() {
        for bad in [
            "recordings/camera0/r",
            "/data/camera1/r",
            "/data/%Y/camera0/r",
            "/camera0",
            "/data/../camera0/r",
            "/data/camera0/r r",
            "/da\nta/camera0/r",
            "/",
        ] {
            assert!(record_path("camera0", Path::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn camera_urls() {
        for good in [
            "rtsp://192.168.1.20/stream1",
            "rtsp://admin:s3cr%20et@cam.local:554/h264?channel=1&subtype=0",
            "rtsps://[fe80::1]:322/x",
        ] {
            pull(good).check().unwrap();
        }
        for bad in [
            "",
            "http://x/",
            "rtsp://",
            "rtsp://user@host/x",
            "rtsp://:pw@host/x",
            "rtsp://host/a b",
            "rtsp://ho%41st/",
            "rtsp://a:b@ho$t/",
            "rtsp://a:p%zz@host/",
            "rtsp://a:p\"q@host/",
            "file:///etc/passwd",
        ] {
            assert!(pull(bad).check().is_err(), "{bad}");
        }
    }

    #[test]
    fn mediamtx_finds_no_placeholder_in_a_password() {
        let json = pull("rtsp://a:x$G1y$MTX_QUERY@host/").to_json(0);
        assert_eq!(json["source"], "rtsp://a:x%24G1y%24MTX_QUERY@host/");
    }

    #[test]
    fn a_replacement_changes_the_configuration() {
        let spec = pull("rtsp://host/");
        assert_ne!(spec.to_json(0), spec.to_json(1));
    }

    proptest! {
        #[test]
        fn names_that_pass_never_need_quoting(name in ".*") {
            if check_name(&name).is_ok() {
                prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)));
                prop_assert!(!name.starts_with('-'));
            }
        }

        #[test]
        fn any_url_or_folder_is_judged_without_panic(url in ".*", folder in ".*") {
            let spec = PathSpec {
                name: "camera0".into(),
                source: PathSource::Pull { url: Secret::new(url) },
                record: Some(folder.into()),
            };
            let _ = spec.check();
            let _ = spec.to_json(7);
        }

        #[test]
        fn a_folder_that_passes_keeps_its_text(root in "(/[^/%\\x00-\\x1f\\x7f-\\x9f]{1,12}){1,4}") {
            let folder = format!("{root}/camera0/rec1");
            if let Ok(pattern) = record_path("camera0", Path::new(&folder)) {
                let wanted = Path::new(&folder).join("%Y-%m-%d_%H-%M-%S-%f");
                prop_assert_eq!(PathBuf::from(pattern.replace("%path", "camera0")), wanted);
            }
        }
    }
}
