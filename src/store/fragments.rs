//! The fragment indexes of closed segments: made from the files, so losing them costs only time.

use rusqlite::params;

use super::Store;
use super::connection::rows;
use crate::base::Result;

/// The fragment index of a segment, as of a certain state of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FragmentsRow {
    /// The segment's position in its recording, from 1.
    pub number: u32,
    /// Its file name then.
    pub file: String,
    /// Its bytes then.
    pub size: u64,
    /// The index in the layout of the MP4 reader.
    pub blob: Vec<u8>,
}

impl Store {
    /// The indexes of a recording's segments, as far as there are any.
    pub async fn fragments(&self, recording: i64) -> Result<Vec<FragmentsRow>> {
        self.read(move |c| {
            let sql = "SELECT number, file, size, fragments FROM fragments WHERE recording = ?1";
            rows(c, sql, [recording], |r| {
                Ok(FragmentsRow { number: r.get(0)?, file: r.get(1)?, size: r.get(2)?, blob: r.get(3)? })
            })
        })
        .await
    }

    /// Keeps indexes; those of a recording that is gone meanwhile are dropped.
    pub async fn put_fragments(&self, recording: i64, all: Vec<FragmentsRow>) -> Result<()> {
        self.call(move |c| {
            for row in &all {
                let sql = "INSERT OR REPLACE INTO fragments (recording, number, file, size, fragments)
                    SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM recordings WHERE id = ?1)";
                let values = params![recording, row.number, row.file, row.size, row.blob];
                c.prepare_cached(sql)?.execute(values)?;
            }
            Ok(())
        })
        .await
    }
}
