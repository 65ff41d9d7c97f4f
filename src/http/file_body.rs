//! Part of a file, read a piece at a time on the blocking pool as the client takes it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::task::JoinHandle;

/// Large enough that a disk reads at its speed, small enough for hundreds of downloads.
const PIECE: u64 = 256 << 10;

/// A body that holds one piece in memory.
pub(super) struct FileBody {
    file: Arc<File>,
    /// Not yet handed out.
    range: Range<u64>,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
    /// Kept until the download is over.
    _lease: Box<dyn Send + Sync>,
}

impl FileBody {
    /// `range` lies within the file; `lease` is dropped with the body.
    pub(super) fn new(file: File, range: Range<u64>, lease: impl Send + Sync + 'static) -> Self {
        Self { file: Arc::new(file), range, reading: None, _lease: Box::new(lease) }
    }

    /// Bytes still to come.
    pub(super) fn left(&self) -> u64 {
        self.range.end - self.range.start
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.range.is_empty() {
            return Poll::Ready(None);
        }
        let (file, start) = (&self.file, self.range.start);
        let length = usize::try_from(self.left().min(PIECE)).expect("a piece fits into memory");
        let reading = self.reading.get_or_insert_with(|| {
            let file = file.clone();
            tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; length];
                file.read_exact_at(&mut piece, start)?;
                Ok(piece)
            })
        });
        let done = std::task::ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        Poll::Ready(Some(match done {
            Ok(Ok(piece)) => {
                self.range.start += piece.len() as u64;
                Ok(piece.into())
            }
            Ok(Err(e)) => Err(e),
            Err(e) => Err(io::Error::other(e)),
        }))
    }
}
