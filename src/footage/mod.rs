//! A recording as users think of it: one film, however many files it is kept in.
//!
//! Owns how segments are joined (nothing is encoded again: the fragments' own bytes, one header, times
//! and sequence numbers rewritten while they are sent), the fragment indexes that make a part of a film
//! cost only that part, and thumbnails.
//!
//! Promises: a film's size is known before its first byte and does not change while it is read, also
//! when the recording runs; the same parts of the same recording are the same bytes for ever (strong
//! tag); only what is asked for is read from the disk; a file that is gone costs only itself.
//!
//! Costs: about nine bytes of index a fragment in SQLite, and the same in memory while a film is read.

mod cut;
mod film;
mod keep;
mod parts;
mod plan;
mod position;
mod thumbnail;
mod times;

pub use cut::{Cut, Point};
pub use film::{Film, Reading};
pub use position::position_of_gap;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::{Error, RecordingName, Result};
use crate::recording::{RecordingInfo, Recordings, mp4};
use crate::store::Store;
use crate::supervise::{Group, Spawner};

/// Films that are remembered: those of running recordings, so that their download can go on, and
/// others, because a player asks for many ranges of one.
const REMEMBERED: usize = 8;

/// What the room works with.
pub struct FootageOptions {
    /// Where the files are.
    pub recordings: Recordings,
    /// Keeps fragment indexes.
    pub store: Store,
    /// Starts FFmpeg.
    pub spawner: Spawner,
    /// FFmpeg.
    pub ffmpeg: PathBuf,
}

/// The room's handle. Clones are the same room.
#[derive(Clone)]
pub struct Footage {
    inner: Arc<Inner>,
}

struct Inner {
    recordings: Recordings,
    store: Store,
    growing: parts::Growing,
    thumbnails: thumbnail::Thumbnails,
    remembered: Mutex<VecDeque<(Made, Arc<Film>)>>,
}

/// What a film was made of; the same again makes the same film.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Made {
    name: RecordingName,
    cut: Cut,
    files: usize,
    bytes: u64,
    closed: bool,
}

impl Footage {
    /// Opens the room and starts, in `group`, what makes the indexes of segments as they close.
    pub fn start(options: FootageOptions, group: &Group) -> Self {
        let FootageOptions { recordings, store, spawner, ffmpeg } = options;
        let inner = Inner {
            recordings,
            store,
            growing: parts::Growing::default(),
            thumbnails: thumbnail::Thumbnails::new(ffmpeg, spawner),
            remembered: Mutex::default(),
        };
        let footage = Self { inner: Arc::new(inner) };
        keep::start(&footage, group);
        footage
    }

    /// A recording as one film, or the part of it that `cut` names. `as_of` is the tag of a film that
    /// the client has a part of: while that film can still be had, it is the one.
    ///
    /// Fails with `NotFound` without footage, `InvalidParams` when nothing was recorded in that time,
    /// and `InvalidState` when its segments do not fit together.
    pub async fn film(&self, name: &RecordingName, cut: Cut, as_of: Option<&str>) -> Result<Arc<Film>> {
        let (info, files) = self.inner.recordings.files(name).await?;
        let same = |made: &Made, film: &Film, tag: &str| {
            (&made.name, made.cut) == (name, cut) && film.tag() == tag && film.is_of(&files)
        };
        if let Some(known) = as_of.and_then(|tag| self.find(|made, film| same(made, film, tag))) {
            return Ok(known);
        }
        let made = Made {
            name: name.clone(),
            cut,
            files: files.len(),
            bytes: files.iter().map(|f| f.size).sum(),
            closed: !info.recording,
        };
        if let Some(known) = self.find(|known, _| *known == made) {
            return Ok(known);
        }
        let parts = self.parts(info.id, files).await?;
        if parts.is_empty() {
            return Err(Error::not_found("Recording", name)
                .with("suggestion", "nothing of it is on the disk; if it has just begun, try again"));
        }
        let plan = plan::Plan::new(parts, cut)?;
        let film = Arc::new(Film::new(name, plan, (!info.recording).then_some(info.modified_us)));
        let mut all = self.inner.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back((made, film.clone()));
        if all.len() > REMEMBERED {
            all.pop_front();
        }
        Ok(film)
    }

    fn find(&self, is_it: impl Fn(&Made, &Film) -> bool) -> Option<Arc<Film>> {
        let mut all = self.inner.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.iter().position(|(made, film)| is_it(made, film))?;
        let found = all.remove(found)?;
        let film = found.1.clone();
        all.push_back(found);
        Some(film)
    }
}

/// How many bytes a whole recording has as one film.
pub fn film_size(info: &RecordingInfo) -> u64 {
    size_of(info.size, info.duration_ms)
}

/// As [`film_size`], from the bytes of all segments and the recorded time.
pub fn size_of(bytes: u64, duration_ms: u64) -> u64 {
    if bytes == 0 { 0 } else { bytes + mp4::added(duration_ms) }
}
