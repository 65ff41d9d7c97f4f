//! The archive: a gzipped tar of small text files in one folder.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use jiff::Timestamp;

use crate::base::{Error, Result};
use crate::log;

/// The most of one part; of a longer one the end is kept, because that is where the news is.
const PART_BYTES: usize = 1 << 20;

/// An archive that is made.
#[derive(Debug)]
pub struct Archive {
    /// `fieldcam-diag-HOST-TIME.tar.gz`
    pub name: String,
    /// The file.
    pub bytes: Vec<u8>,
}

impl Archive {
    /// What another process made; it says its name itself. None when it is not whole enough to say one.
    pub(super) fn received(bytes: Vec<u8>) -> Option<Self> {
        let decoder = GzDecoder::new(&bytes[..]);
        let name = std::str::from_utf8(decoder.header()?.filename()?).ok()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let name = name.strip_suffix(".tar").filter(|name| name.chars().all(plain))?;
        Some(Self { name: format!("{name}.tar.gz"), bytes })
    }
}

/// The parts of an archive, scrubbed as they come.
#[derive(Default)]
pub(super) struct Parts {
    files: Vec<(&'static str, String)>,
}

impl Parts {
    pub fn add(&mut self, name: &'static str, text: &str) {
        self.files.push((name, log::scrub(newest(text))));
    }

    /// The file's bytes; everything lies in a folder called `name`.
    pub fn pack(&self, name: &str, now: Timestamp) -> io::Result<Vec<u8>> {
        let gzip = GzBuilder::new().filename(format!("{name}.tar")).write(Vec::new(), Compression::default());
        let mut tar = tar::Builder::new(gzip);
        for (file, text) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(u64::try_from(now.as_second()).unwrap_or_default());
            tar.append_data(&mut header, format!("{name}/{file}"), text.as_bytes())?;
        }
        tar.into_inner()?.finish()
    }
}

/// The last [`PART_BYTES`], from the start of a line.
fn newest(text: &str) -> &str {
    let Some(excess) = text.len().checked_sub(PART_BYTES).filter(|n| *n > 0) else { return text };
    let start = text.as_bytes()[excess..].iter().position(|b| *b == b'\n').map_or(excess, |n| excess + n + 1);
    text.get(start..).unwrap_or_default()
}

/// Where the archive goes: `output` itself, or under its `name` in the folder that it is, or here.
pub(super) fn destination(output: Option<PathBuf>, name: &str) -> PathBuf {
    match output {
        Some(folder) if folder.is_dir() => folder.join(name),
        Some(file) => file,
        None => name.into(),
    }
}

/// Writes it whole or not at all, for this user alone.
pub fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    let refused = |e: io::Error| {
        let what = format!("the archive {} cannot be written ({})", path.display(), e.kind());
        Error::dependency("storage", what)
            .caused_by(e)
            .with("suggestion", "choose another place with -o FILE")
    };
    let mut draft = path.as_os_str().to_owned();
    draft.push(".part");
    let draft = PathBuf::from(draft);
    let written = (|| {
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    })();
    written.map_err(|e| {
        let _ = std::fs::remove_file(&draft);
        refused(e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_part_the_newest_whole_lines_are_kept() {
        let long: String = (0..300_000).map(|n| format!("{n}\n")).collect();
        let kept = newest(&long);
        assert!(kept.len() <= PART_BYTES && kept.ends_with("\n299999\n"));
        assert!(long.contains(&format!("\n{kept}")), "starts with a whole line");
        assert_eq!(newest("short"), "short");
        let _ = newest(&"日".repeat(PART_BYTES));
    }

    #[test]
    fn it_goes_into_a_folder_under_its_own_name() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(destination(Some(dir.path().into()), "x.tar.gz"), dir.path().join("x.tar.gz"));
        assert_eq!(destination(Some("/a/b.tgz".into()), "x.tar.gz"), Path::new("/a/b.tgz"));
        assert_eq!(destination(None, "x.tar.gz"), Path::new("x.tar.gz"));
    }

    #[test]
    fn an_archive_says_its_name() {
        let mut parts = Parts::default();
        parts.add("a.txt", "words");
        let packed = |name: &str| parts.pack(name, Timestamp::UNIX_EPOCH).unwrap();
        let whole = Archive::received(packed("fieldcam-diag-box")).unwrap();
        assert_eq!(whole.name, "fieldcam-diag-box.tar.gz");
        assert!(Archive::received(packed("x\"; other")).is_none(), "it would not fit into a header");
        for torn in [&whole.bytes[..12], b"", b"no archive"] {
            assert!(Archive::received(torn.to_vec()).is_none(), "{torn:?}");
        }
    }
}
