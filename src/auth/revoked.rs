//! Which API keys were revoked, in a file beside the secret: a database that is made again from an older
//! copy of itself does not bring them back, and one that is away keeps nobody from revoking.

use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::Mutex;

use super::api_key;
use crate::durable;

const NAME: &str = "keys.revoked";
/// Ids kept, the latest; copies of the database are not so old that they have more.
const KEPT: usize = 1000;

pub(super) struct Revoked {
    file: PathBuf,
    /// One change at a time. Waited for on blocking threads alone.
    changing: Mutex<()>,
}

impl Revoked {
    pub(super) fn new(dir: &Path) -> Self {
        Self { file: dir.join(NAME), changing: Mutex::default() }
    }

    /// Every id in it. Blocks. A file that cannot be read keeps no box from recording: the database tells
    /// the same, where it is not an older one.
    pub(super) fn all(&self) -> Vec<String> {
        self.read().unwrap_or_else(|error| {
            tracing::error!(%error, "the list of revoked keys (secrets/{NAME}) cannot be read");
            Vec::new()
        })
    }

    /// Adds one; it is on the disk when this answers `Ok`. Blocks.
    pub(super) fn add(&self, id: &str) -> io::Result<()> {
        let _turn = self.changing.blocking_lock();
        let mut ids = self.read()?;
        ids.retain(|known| known != id);
        ids.push(id.to_owned());
        let kept = &ids[ids.len().saturating_sub(KEPT)..];
        durable::replace_private(&self.file, (kept.join("\n") + "\n").as_bytes())
    }

    /// The file's lines, the oldest first. A line that is no id is none of ours.
    fn read(&self) -> io::Result<Vec<String>> {
        match std::fs::read(&self.file) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                Ok(text.lines().filter(|line| api_key::is_id(line)).map(str::to_owned).collect())
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_once_each_and_nothing_else_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let revoked = Revoked::new(dir.path());
        assert!(revoked.all().is_empty());
        for n in [1, 2, 2] {
            revoked.add(&format!("{n:010x}")).unwrap();
        }
        assert_eq!(Revoked::new(dir.path()).all(), ["0000000001", "0000000002"]);
        let many: String = (0..KEPT).map(|n| format!("{n:010x}\n")).collect();
        let junk = [b"junk\n../x\n\xff\n", many.as_bytes()].concat();
        std::fs::write(dir.path().join(NAME), junk).unwrap();
        let revoked = Revoked::new(dir.path());
        revoked.add("ffffffffff").unwrap();
        let all = Revoked::new(dir.path()).all();
        assert_eq!((all.len(), all[0].as_str(), all[KEPT - 1].as_str()), (KEPT, "0000000001", "ffffffffff"));
    }
}
