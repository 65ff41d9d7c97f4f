//! Part of a file or a film, read a piece at a time on the blocking pool as the client takes it.

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

/// What a body is read from. Blocks.
pub(super) trait Source: Send + Sync {
    /// `length` bytes from `start` on, all of them there.
    fn read(&self, start: u64, length: usize) -> io::Result<Vec<u8>>;
}

impl Source for File {
    fn read(&self, start: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; length];
        self.read_exact_at(&mut piece, start)?;
        Ok(piece)
    }
}

/// Kept until the download is over; told when it goes on.
pub(super) trait Hold: Send + Sync {
    /// The client took a piece. `Err` = it gets no more.
    fn progress(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Hold for () {}

/// A body that holds one piece in memory.
pub(super) struct FileBody {
    source: Arc<dyn Source>,
    /// Not yet handed out.
    range: Range<u64>,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
    hold: Option<Box<dyn Hold>>,
}

impl FileBody {
    /// `range` lies within the source; `hold` is dropped with the last piece, or with the body.
    pub(super) fn new(source: Arc<dyn Source>, range: Range<u64>, hold: Box<dyn Hold>) -> Self {
        Self { source, range, reading: None, hold: Some(hold) }
    }

    /// Bytes still to come.
    pub(super) fn left(&self) -> u64 {
        self.range.end - self.range.start
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.range.is_empty() {
            return Poll::Ready(None);
        }
        let (source, start) = (&self.source, self.range.start);
        let length = usize::try_from(self.left().min(PIECE)).expect("a piece fits into memory");
        if self.reading.is_none()
            && let Some(Err(e)) = self.hold.as_ref().map(|hold| hold.progress())
        {
            return Poll::Ready(Some(Err(e)));
        }
        let reading = self.reading.get_or_insert_with(|| {
            let source = source.clone();
            tokio::task::spawn_blocking(move || source.read(start, length))
        });
        let done = std::task::ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        Poll::Ready(Some(match done {
            Ok(Ok(piece)) => {
                self.range.start += piece.len() as u64;
                if self.range.is_empty() {
                    // Nothing more is read; whoever has the last byte may delete the rest at once.
                    self.hold = None;
                }
                Ok(piece.into())
            }
            Ok(Err(e)) => Err(e),
            Err(e) => Err(io::Error::other(e)),
        }))
    }
}
