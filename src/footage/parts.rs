//! Segments with their indexes: kept in SQLite, or made from the file at first need.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::{Mutex, PoisonError};

use super::Footage;
use super::plan::Part;
use crate::base::{Error, Result};
use crate::recording::SegmentFile;
use crate::recording::mp4::{Damage, Index, IndexBuilder};
use crate::store::FragmentsRow;

/// Segments that still grow: recording and number. Asked again, only what is new is read.
#[derive(Default)]
pub(super) struct Growing(Mutex<BTreeMap<(i64, u32), IndexBuilder>>);

/// More recordings do not run at a time on a box that is not in trouble.
const GROWING_MAX: usize = 64;

/// A file's index, or why there is none.
enum Found {
    Index(Index),
    /// Nothing can be had from it.
    Nothing(String),
}

impl Footage {
    /// The segments that there is footage of. One whose file is gone or damaged costs only itself.
    pub(super) async fn parts(&self, recording: i64, files: Vec<SegmentFile>) -> Result<Vec<Part>> {
        let kept = self.inner.store.fragments(recording).await?;
        let mut kept: BTreeMap<u32, FragmentsRow> = kept.into_iter().map(|k| (k.number, k)).collect();
        let (mut parts, mut fresh) = (Vec::new(), Vec::new());
        for file in files.into_iter().filter(|f| f.size > 0) {
            let row = kept.remove(&file.number).filter(|k| k.file == file.file && k.size == file.size);
            let known = row.and_then(|row| Index::parse(row.blob).ok());
            let index = match known {
                Some(index) => index,
                None => match self.index(recording, &file).await? {
                    Found::Index(index) => {
                        if file.closed {
                            fresh.push(row_of(&file, &index));
                        }
                        index
                    }
                    Found::Nothing(why) => {
                        tracing::warn!(why, file = file.file, "a segment is left out of its film");
                        continue;
                    }
                },
            };
            if index.count > 0 {
                parts.push(Part {
                    path: file.path,
                    file: file.file,
                    number: file.number,
                    stream: file.stream,
                    start_us: file.start_us,
                    index,
                });
            }
        }
        if !fresh.is_empty()
            && let Err(error) = self.inner.store.put_fragments(recording, fresh).await
        {
            tracing::warn!(error = %error.chain(), "the index of a recording's fragments was not kept");
        }
        Ok(parts)
    }

    /// Makes and keeps the index of a segment that has just closed.
    pub(super) async fn keep_index(&self, recording: i64, file: &SegmentFile) -> Result<()> {
        let index = self.index(recording, file).await?;
        self.inner.growing.forget(recording, file.number);
        match index {
            Found::Index(index) => {
                self.inner.store.put_fragments(recording, vec![row_of(file, &index)]).await
            }
            Found::Nothing(_) => Ok(()),
        }
    }

    async fn index(&self, recording: i64, file: &SegmentFile) -> Result<Found> {
        let key = (recording, file.number);
        let mut builder = self.inner.growing.take(key);
        let (path, size) = (file.path.clone(), file.size);
        let read = tokio::task::spawn_blocking(move || {
            let read = File::open(path).and_then(|file| builder.advance(&file, size));
            (builder, read)
        });
        let (builder, read) = read.await.map_err(Error::internal)?;
        let index = match read {
            Ok(()) => builder.finish(),
            // The row says that it is there; whoever keeps house notes that it is not.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing("it is gone".into())),
            Err(e) => {
                let detail = "a part of the recording cannot be read";
                let suggestion =
                    format!("its other parts can be had: ?segment=N; this one is {}", file.number);
                return Err(Error::dependency("storage", detail).with("suggestion", suggestion).caused_by(e));
            }
        };
        if !file.closed {
            self.inner.growing.put(key, builder);
        }
        Ok(match index {
            Ok(index) => Found::Index(index),
            Err(Damage(why)) => Found::Nothing(why.to_owned()),
        })
    }
}

fn row_of(file: &SegmentFile, index: &Index) -> FragmentsRow {
    FragmentsRow {
        number: file.number,
        file: file.file.clone(),
        size: file.size,
        blob: index.blob().to_vec(),
    }
}

impl Growing {
    /// What is known of a segment; whoever asks meanwhile starts from its beginning.
    fn take(&self, key: (i64, u32)) -> IndexBuilder {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key).unwrap_or_default()
    }

    fn put(&self, key: (i64, u32), builder: IndexBuilder) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= GROWING_MAX {
            all.clear();
        }
        all.insert(key, builder);
    }

    fn forget(&self, recording: i64, number: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(recording, number));
    }
}
