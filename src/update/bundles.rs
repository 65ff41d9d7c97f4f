//! Bundles on the data partition: taken in whole or not at all.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::sys::statvfs::statvfs;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::base::units::show_size;
use crate::base::{Error, ErrorKind, Result, hex};
use crate::durable;

/// Larger than any slot of the boards.
const LARGEST: u64 = 4 << 30;
/// What stays free beside a bundle, for recordings and the database.
const SPARE: u64 = 128 << 20;
/// How many are kept; the oldest goes for a new one.
const KEPT: usize = 3;
/// What is written before it is forced to the disk, so that recordings do not wait for all of it at once.
const PIECE: u64 = 16 << 20;
const ENDING: &str = ".raucb";
const UNFINISHED: &str = ".part";

/// One bundle, as clients read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Its name, as install_update takes it.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// 64 hexadecimal digits, of one that just came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// The folder of bundles.
#[derive(Clone, Debug)]
pub(super) struct Bundles {
    /// As the installer reaches it.
    folder: PathBuf,
    /// Through the held descriptor of the data disk.
    through: PathBuf,
}

impl Bundles {
    /// `data`: the data directory, `through`: the same by the held descriptor. Makes the folder and removes what is
    /// unfinished. Blocks.
    pub fn open(data: &Path, through: &Path) -> io::Result<Self> {
        let bundles = Self { folder: data.join("updates"), through: through.join("updates") };
        match std::fs::create_dir(&bundles.through) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        for entry in std::fs::read_dir(&bundles.through)?.flatten() {
            if entry.file_name().as_encoded_bytes().ends_with(UNFINISHED.as_bytes()) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(bundles)
    }

    /// The plain name of a bundle: `name` or `name.raucb`.
    pub fn name(text: &str) -> Result<String> {
        let name = text.strip_suffix(ENDING).unwrap_or(text);
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-+".contains(&b);
        if (1..=100).contains(&name.len()) && name.bytes().all(fits) && !name.starts_with('.') {
            return Ok(name.to_owned());
        }
        let rule = "must be letters, digits, '.', '_', '-' and '+', at most 100, and not begin with '.'";
        Err(Error::param("file", rule, "name it like fieldcam-1.2.3.raucb"))
    }

    /// Where the installer finds it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{ENDING}"))
    }

    fn own(&self, name: &str) -> PathBuf {
        self.through.join(format!("{name}{ENDING}"))
    }

    /// All of them, newest first. Blocks.
    pub fn list(&self) -> Vec<Stored> {
        self.aged().into_iter().map(|(_, stored)| stored).collect()
    }

    fn aged(&self) -> Vec<(SystemTime, Stored)> {
        let entries = std::fs::read_dir(&self.through).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?.strip_suffix(ENDING)?.to_owned();
                let meta = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
                let modified = meta.modified().ok()?;
                Some((modified, Stored { name, size: meta.len(), sha256: None }))
            })
            .collect();
        found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
        found
    }

    /// Whether there is one of that name. Blocks.
    pub fn has(&self, name: &str) -> bool {
        self.own(name).is_file()
    }

    /// Removes one; none is none. Blocks.
    pub fn remove(&self, name: &str) {
        match std::fs::remove_file(self.own(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("a bundle could not be removed: {e}");
            }
            _ => {}
        }
    }

    /// SHA-256 of one. Blocks for as long as it takes to read it.
    pub fn sum(&self, name: &str) -> io::Result<String> {
        let mut file = std::fs::File::open(self.own(name))?;
        let (mut sum, mut piece) = (Sha256::new(), vec![0; 256 << 10]);
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(hex(&sum.finalize())),
                n => sum.update(&piece[..n]),
            }
        }
    }

    /// Begins to take one in. `length`: its bytes. `spared`: a bundle that is being installed and stays.
    ///
    /// Fails with `InvalidParams` when it is too large, with `DependencyFailed` when there is no room for it.
    pub async fn receive(&self, name: &str, length: u64, spared: Option<String>) -> Result<Incoming> {
        if length == 0 || length > LARGEST {
            let rule = format!("must have between 1 byte and {}", show_size(LARGEST));
            return Err(Error::param("file", rule, "this is no bundle of this box"));
        }
        let (own, name) = (self.clone(), name.to_owned());
        let begun = tokio::task::spawn_blocking(move || {
            own.make_way(&name, spared.as_deref());
            let space = statvfs(&own.through)?;
            let free = space.blocks_available() * space.fragment_size();
            if free < length.saturating_add(SPARE) {
                return Ok(Err((free, name)));
            }
            let part = own.through.join(format!("{name}{ENDING}{UNFINISHED}"));
            let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(&part)?;
            Ok(Ok((file, part, name)))
        });
        let failed = |e: io::Error| Error::dependency("storage", "the bundle cannot be kept").caused_by(e);
        match begun.await.map_err(Error::internal)?.map_err(failed)? {
            Ok((file, part, name)) => Ok(Incoming {
                bundles: self.clone(),
                file: Some(File::from_std(file)),
                part,
                name,
                length,
                got: 0,
                unsynced: 0,
                sum: Sha256::new(),
            }),
            Err((free, _)) => {
                let detail = format!(
                    "{} are free, and the bundle needs {}",
                    show_size(free),
                    show_size(length + SPARE)
                );
                Err(Error::dependency("storage", detail)
                    .with("suggestion", "delete recordings that are no longer needed, then try again"))
            }
        }
    }

    /// Room for a new one: the oldest go, and the one of the same name.
    fn make_way(&self, name: &str, spared: Option<&str>) {
        let is_other = |stored: &Stored| stored.name != name && Some(stored.name.as_str()) != spared;
        let others = self.list().into_iter().filter(is_other);
        let kept = KEPT - 1 - usize::from(spared.is_some());
        others.skip(kept).for_each(|stored| self.remove(&stored.name));
    }
}

/// A bundle on its way in. Dropped before [`Incoming::finish`], nothing of it is left.
pub struct Incoming {
    bundles: Bundles,
    file: Option<File>,
    part: PathBuf,
    name: String,
    length: u64,
    got: u64,
    unsynced: u64,
    sum: Sha256,
}

impl Incoming {
    /// Takes the next bytes. Fails when there are more than were announced, or the disk does not take them.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.got += bytes.len() as u64;
        if self.got > self.length {
            return Err(cut_off("more came than was announced"));
        }
        self.sum.update(bytes);
        let file = self.file.as_mut().expect("only finish takes it");
        let failed = |e: io::Error| Error::dependency("storage", "the bundle cannot be written").caused_by(e);
        file.write_all(bytes).await.map_err(failed)?;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= PIECE {
            self.unsynced = 0;
            file.sync_data().await.map_err(failed)?;
        }
        Ok(())
    }

    /// How much came, in bytes.
    pub fn got(&self) -> u64 {
        self.got
    }

    /// Makes it durable under its name. Fails when less came than was announced.
    pub async fn finish(mut self) -> Result<Stored> {
        if self.got != self.length {
            return Err(cut_off("less came than was announced"));
        }
        let file = self.file.take().expect("it is finished once").into_std().await;
        let (part, to, folder) =
            (self.part.clone(), self.bundles.own(&self.name), self.bundles.through.clone());
        let kept = tokio::task::spawn_blocking(move || {
            file.sync_all()?;
            std::fs::rename(part, to)?;
            durable::sync_dir(&folder)
        });
        let failed = |e: io::Error| Error::dependency("storage", "the bundle cannot be written").caused_by(e);
        kept.await.map_err(Error::internal)?.map_err(failed)?;
        let sha256 = Some(hex(&self.sum.clone().finalize()));
        Ok(Stored { name: self.name.clone(), size: self.got, sha256 })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // After finish there is none of this name.
        let _ = std::fs::remove_file(&self.part);
    }
}

fn cut_off(why: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("The bundle did not come whole: {why}"))
        .with("suggestion", "send it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Bundles) {
        let dir = tempfile::tempdir().unwrap();
        let bundles = Bundles::open(dir.path(), dir.path()).unwrap();
        (dir, bundles)
    }

    fn files(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(dir.join("updates"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_whole_bundle_is_kept_with_its_checksum() {
        let (dir, bundles) = folder();
        let mut incoming = bundles.receive("next", 3, None).await.unwrap();
        incoming.write(b"a").await.unwrap();
        assert_eq!(files(dir.path()), ["next.raucb.part"]);
        incoming.write(b"bc").await.unwrap();
        let stored = incoming.finish().await.unwrap();
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((stored.name.as_str(), stored.size, stored.sha256.as_deref()), ("next", 3, Some(sum)));
        assert_eq!(files(dir.path()), ["next.raucb"]);
        assert_eq!(bundles.sum("next").unwrap(), sum);
        assert!(bundles.has("next") && !bundles.has("nex"));
    }

    #[tokio::test]
    async fn what_is_torn_short_or_long_leaves_nothing() {
        let (dir, bundles) = folder();
        let mut torn = bundles.receive("torn", 3, None).await.unwrap();
        torn.write(b"a").await.unwrap();
        drop(torn);
        let mut short = bundles.receive("short", 3, None).await.unwrap();
        short.write(b"ab").await.unwrap();
        assert!(short.finish().await.is_err());
        let mut long = bundles.receive("long", 3, None).await.unwrap();
        assert!(long.write(b"abcd").await.is_err());
        drop(long);
        assert!(files(dir.path()).is_empty());
        // A power cut in the middle.
        std::fs::write(dir.path().join("updates/cut.raucb.part"), b"x").unwrap();
        Bundles::open(dir.path(), dir.path()).unwrap();
        assert!(files(dir.path()).is_empty());
        for odd in [0, LARGEST + 1] {
            assert!(bundles.receive("odd", odd, None).await.is_err());
        }
    }

    #[tokio::test]
    async fn the_oldest_go_but_not_one_in_use() {
        let (dir, bundles) = folder();
        for (at, name) in ["one", "two", "three", "four"].into_iter().enumerate() {
            let mut incoming = bundles.receive(name, 1, Some("one".into())).await.unwrap();
            incoming.write(b"x").await.unwrap();
            incoming.finish().await.unwrap();
            let file = std::fs::File::open(bundles.own(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(at as u64 + 1))
                .unwrap();
        }
        assert_eq!(files(dir.path()), ["four.raucb", "one.raucb", "three.raucb"].map(str::to_owned).to_vec());
    }

    #[test]
    fn names_lead_nowhere_else() {
        assert_eq!(Bundles::name("fieldcam-1.2.3+a_b.raucb").unwrap(), "fieldcam-1.2.3+a_b");
        assert_eq!(Bundles::name("x").unwrap(), "x");
        for bad in ["", ".raucb", ".x", "a/b", "../x", "a\0", "ä", &"a".repeat(101)] {
            assert!(Bundles::name(bad).is_err(), "{bad:?}");
        }
    }
}
