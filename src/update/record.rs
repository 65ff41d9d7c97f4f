//! What has to be known across restarts: one small file on the data partition, which both slots share.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    /// Installed, and not yet good.
    pub pending: Option<Pending>,
    /// The start of the machine whose slot was marked good.
    pub committed: Option<String>,
    /// The last update that was taken back.
    pub fallen: Option<Fallen>,
    /// The last update that was kept: its version.
    pub kept: Option<String>,
}

/// An update under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    /// `A` or `B`.
    pub slot: String,
    pub version: String,
    /// The version that installed it.
    pub from: String,
    /// The start of the machine in which it was installed.
    pub boot_id: String,
    /// RAUC said that it is done; before that nobody knows what became of it.
    #[serde(default)]
    pub done: bool,
    /// Cameras that were live then.
    pub cameras: Vec<String>,
    /// Why it was not good when it was tried last.
    #[serde(default)]
    pub reason: Option<String>,
}

/// An update that was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallen {
    /// Its version.
    pub version: String,
    /// Why, for a person.
    pub reason: String,
}

/// Where it is kept.
#[derive(Clone, Debug)]
pub(super) struct Keeper {
    file: PathBuf,
}

impl Keeper {
    /// `data`: the data directory.
    pub fn below(data: &Path) -> Self {
        Self { file: data.join("update.json") }
    }

    /// What is kept; empty when there is none, or when it cannot be read, which is logged.
    pub fn load(&self) -> Record {
        match std::fs::read(&self.file) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|e| {
                tracing::error!("what is known of the last update cannot be read: {e}");
                Record::default()
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Record::default(),
            Err(e) => {
                tracing::error!("what is known of the last update cannot be read: {e}");
                Record::default()
            }
        }
    }

    /// Keeps it, across a power cut too. Blocks for one small write.
    pub fn save(&self, record: &Record) -> io::Result<()> {
        durable::replace(&self.file, &serde_json::to_vec_pretty(record)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_what_is_torn_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let keeper = Keeper::below(dir.path());
        assert_eq!(keeper.load(), Record::default());
        let record = Record { committed: Some("x".into()), kept: Some("1.0".into()), ..Record::default() };
        keeper.save(&record).unwrap();
        assert_eq!(keeper.load(), record);
        std::fs::write(dir.path().join("update.json"), b"{\"pend").unwrap();
        assert_eq!(keeper.load(), Record::default());
        // A later version may note more.
        std::fs::write(dir.path().join("update.json"), b"{\"kept\":\"2\",\"fleet\":1}").unwrap();
        assert_eq!(keeper.load().kept.as_deref(), Some("2"));
    }
}
