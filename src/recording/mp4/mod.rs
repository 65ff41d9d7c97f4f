//! Reader of the fragmented MP4 segments that MediaMTX's recorder writes.
//!
//! Promises: never panics, never allocates more than a ceiling of its own whatever a file claims,
//! accepts only what it understands. A fragment counts when it is whole on the disk, so the end it
//! reports is where a torn file may be cut. A growing file costs only its new bytes.

mod boxes;
mod fragment;
mod header;
mod holes;
mod index;
mod index_builder;
mod joined;
mod scan;
mod split;
mod verify;

pub use fragment::Fragment;
pub use header::{Header, Mtxi};
pub use holes::{Hole, Sound, goes_on, sound_parts};
pub use index::{Entries, Entry, Index, IndexedTrack, Traf, rescale_up};
pub use index_builder::IndexBuilder;
pub use joined::{Front, Reference, added, front_added, points, references};
pub use scan::{ReadAt, Scan};
pub use split::{Halves, SPLIT_MAX, Split};

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage(pub &'static str);

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Damage {}

/// Largest file header read; MediaMTX's is below 2 KiB.
const MAX_MOOV: u64 = 1 << 20;
/// Largest fragment header read; one of 500 ms holds 16 bytes a frame.
const MAX_MOOF: u64 = 1 << 20;

#[cfg(test)]
pub(crate) mod build;
