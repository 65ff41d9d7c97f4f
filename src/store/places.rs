//! Where the database and what belongs to it are.

use std::path::{Path, PathBuf};

use crate::durable::Quarantine;

/// The places of the room below the data directory.
#[derive(Clone, Debug)]
pub struct StorePlaces {
    /// `fieldcam.db`
    pub(super) database: PathBuf,
    /// Copies of it: `backup/`
    pub(super) copies: PathBuf,
    /// Which camera has which number, beside the database: `cameras.json`
    pub(super) cameras: PathBuf,
    /// There when the last run found the database damaged: `fieldcam.damaged`
    pub(super) damaged: PathBuf,
    pub(super) quarantine: Quarantine,
}

impl StorePlaces {
    /// The places of product.md, "Data directory".
    pub fn below(data: &Path) -> Self {
        Self {
            database: data.join("fieldcam.db"),
            copies: data.join("backup"),
            cameras: data.join("cameras.json"),
            damaged: data.join("fieldcam.damaged"),
            quarantine: Quarantine::below(data),
        }
    }

    /// The same places, where all but the database is reached through `held`, another path of the data
    /// directory that never leads to another disk ([`crate::disk::DataDisk::held`]). The database keeps
    /// its own: SQLite closes and opens it by name when the disk goes and comes.
    pub fn through(self, held: &Path) -> Self {
        Self { database: self.database, ..Self::below(held) }
    }

    /// Files that SQLite keeps beside its database. Left to another database they would ruin it.
    pub(super) fn companions(&self) -> [PathBuf; 3] {
        ["-wal", "-shm", "-journal"].map(|ending| {
            let mut name = self.database.clone().into_os_string();
            name.push(ending);
            PathBuf::from(name)
        })
    }
}
