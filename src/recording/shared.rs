//! What the handle, the sessions and the guard share: who records, and the ways to the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use super::card::Facts;
use super::disk::Guard;
use super::folder::{self, Places, disk_error};
use super::hold::Hold;
use super::lease::Leases;
use super::reconcile::Checking;
use super::session::Command;
use super::starts::Starts;
use super::view::{ActiveView, Closed};
use crate::base::clock::name_stamp;
use crate::base::{CameraId, Clock, Error, RecordingName, Result};
use crate::disk::DataDisk;
use crate::mediamtx::MediaMtx;
use crate::notice::Notices;
use crate::store::{SegmentRow, Store};
use crate::supervise::Group;

/// Where recordings go and what they tell.
#[derive(Clone, Debug)]
pub struct RecordingsOptions {
    /// The data directory; recordings are below `recordings/`.
    pub data_dir: PathBuf,
    /// The index.
    pub store: Store,
    /// Who hears of it.
    pub notices: Notices,
    /// The clock.
    pub clock: Clock,
    /// How often open files are made durable; zero = never.
    pub sync_interval: Duration,
    /// The recorder begins a new file at the first keyframe after this time.
    pub segment_duration: Duration,
    /// Disk use at which a warning is sent.
    pub warn_percent: f64,
    /// Disk use at which new recordings are refused.
    pub refuse_percent: f64,
}

/// What writes the files: MediaMTX, or a test's stand-in.
pub trait Recorder: Send + Sync {
    /// Records `path` into `folder` from its next keyframe on, or stops.
    fn set_record<'a>(&'a self, path: &'a str, folder: Option<PathBuf>) -> BoxFuture<'a, Result<()>>;

    /// Whether something may be writing at all.
    fn running(&self) -> bool;
}

impl Recorder for MediaMtx {
    fn set_record<'a>(&'a self, path: &'a str, folder: Option<PathBuf>) -> BoxFuture<'a, Result<()>> {
        Box::pin(MediaMtx::set_record(self, path, folder))
    }

    fn running(&self) -> bool {
        self.server().borrow().running
    }
}

/// One camera's place.
pub(super) enum Slot {
    /// A start is under way.
    Starting,
    Active(Box<Active>),
}

pub(super) struct Active {
    pub commands: mpsc::UnboundedSender<Command>,
    pub view: ActiveView,
    /// The segment that grows, newer than the index knows it.
    pub newest: Option<SegmentRow>,
    /// Switched off, with nothing of it open.
    pub paused: bool,
}

pub(super) struct Shared {
    pub options: RecordingsOptions,
    pub places: Places,
    pub slots: Mutex<BTreeMap<CameraId, Slot>>,
    pub wanted: watch::Sender<BTreeSet<CameraId>>,
    pub recorder: OnceLock<Arc<dyn Recorder>>,
    pub group: OnceLock<Group>,
    pub guard: Mutex<Guard>,
    pub starts: Mutex<Starts>,
    pub leases: Leases,
    /// Segments that closed, and whoever makes their indexes as long as nobody has taken it.
    pub closed: (mpsc::UnboundedSender<Closed>, Mutex<Option<mpsc::UnboundedReceiver<Closed>>>),
    /// Why nothing is recorded now, though it is wanted.
    pub hold: watch::Sender<Option<Hold>>,
    /// Whom to ask about the disk; none in tests of this room alone.
    pub disk: OnceLock<DataDisk>,
    pub checking: watch::Sender<Checking>,
    /// Held while something of a recording that does not run is changed.
    pub edits: tokio::sync::Mutex<()>,
}

impl Shared {
    pub(super) fn slots(&self) -> MutexGuard<'_, BTreeMap<CameraId, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn guard(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn starts(&self) -> MutexGuard<'_, Starts> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn recorder(&self) -> Arc<dyn Recorder> {
        self.recorder.get().expect("sessions run after run() has set the recorder").clone()
    }

    /// Enters a running recording.
    pub(super) fn enter(&self, facts: &Facts, commands: mpsc::UnboundedSender<Command>) {
        let active =
            Active { commands, view: view_of(facts), newest: facts.segments.last().cloned(), paused: false };
        let camera = facts.row.camera;
        self.slots().insert(camera, Slot::Active(Box::new(active)));
        self.wanted.send_modify(|w| {
            w.insert(camera);
        });
    }

    /// What the newest look showed.
    pub(super) fn show(&self, facts: &Facts) {
        if let Some(Slot::Active(active)) = self.slots().get_mut(&facts.row.camera)
            && active.view.name == facts.row.name
        {
            active.view = view_of(facts);
            active.newest = facts.segments.last().cloned();
        }
    }

    /// The recording `old` went over into another.
    pub(super) fn replace(&self, old: &RecordingName, facts: &Facts) {
        if let Some(Slot::Active(active)) = self.slots().get_mut(&facts.row.camera)
            && active.view.name == *old
        {
            active.view = view_of(facts);
            active.newest = None;
        }
    }

    pub(super) fn remove(&self, camera: CameraId) {
        self.slots().remove(&camera);
        self.wanted.send_if_modified(|w| w.remove(&camera));
    }

    /// The files of a camera's recording are closed, or may be written again.
    pub(super) fn set_paused(&self, camera: CameraId, paused: bool) {
        if let Some(Slot::Active(active)) = self.slots().get_mut(&camera) {
            active.paused = paused;
        }
    }

    /// Whether every running recording is paused.
    pub(super) fn all_paused(&self) -> bool {
        self.slots().values().all(|s| matches!(s, Slot::Active(a) if a.paused))
    }

    /// Refuses what would need the disk while it is not fit.
    pub(super) async fn check_disk(&self) -> Result<()> {
        let Some(disk) = self.disk.get().cloned() else { return Ok(()) };
        tokio::task::spawn_blocking(move || disk.check()).await.map_err(Error::internal)?
    }

    /// A failed read or write: the disk is looked at when it may be the disk's fault.
    pub(super) fn suspect(&self, error: &std::io::Error) {
        if let (Some(_), Some(disk)) = (crate::disk::Condition::of_error(error), self.disk.get()) {
            disk.suspect();
        }
    }

    pub(super) async fn make_folder(&self, dir: &Path) -> Result<bool> {
        let dir = dir.to_owned();
        let made = tokio::task::spawn_blocking(move || folder::make(&dir)).await;
        made.map_err(crate::base::Error::internal)?.map_err(disk_error)
    }

    /// Takes an empty folder back.
    pub(super) async fn unmake_folder(&self, dir: &Path) {
        let dir = dir.to_owned();
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir(dir)).await;
    }

    pub(super) async fn release_reserve(&self) {
        let path = self.places.reserve();
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_file(path)).await;
    }
}

fn view_of(facts: &Facts) -> ActiveView {
    ActiveView {
        name: facts.row.name.clone(),
        started_us: facts.row.start_us,
        duration_ms: facts.row.duration_ms,
        size: facts.row.size,
    }
}

/// `camera0_2025-01-15_14-30-00`, and from the second try on with `_2`, `_3`, …
pub(super) fn recording_name(camera: CameraId, at_us: i64, attempt: u32) -> RecordingName {
    let suffix = if attempt > 1 { format!("_{attempt}") } else { String::new() };
    format!("{camera}_{}{suffix}", name_stamp(at_us)).parse().expect("a stamp is a plain name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_utc_and_a_taken_one_gets_a_number() {
        let us = 1_736_951_400_000_000;
        assert_eq!(recording_name(CameraId(0), us, 1).as_str(), "camera0_2025-01-15_14-30-00");
        assert_eq!(recording_name(CameraId(0), us, 2).as_str(), "camera0_2025-01-15_14-30-00_2");
    }
}
