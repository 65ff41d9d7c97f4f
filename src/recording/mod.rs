//! Recordings: what is to be recorded, what is recorded, and that it stays so.
//!
//! Owns the intent to record (SQLite), the folders below `recordings/`, their index, the storage
//! guard, and one task for each running recording. MediaMTX writes the files; this room tells it
//! where, makes what it wrote durable (`fdatasync` every `sync_interval`), notices when it does not
//! write, and knows from the files themselves what is there.
//!
//! Promises: an accepted recording goes on until it is stopped, reaches its length or the disk is
//! full, whichever of camera, FFmpeg, MediaMTX or this daemon dies meanwhile; a power cut costs at
//! most the last two seconds; nothing that was recorded is overwritten or thrown away by itself;
//! what is missing is listed with its cause.
//!
//! Costs, for each running recording and `sync_interval`: four times two stats and a small read, once
//! an `fdatasync`, all on blocking threads; and a transaction for each segment, gap and end.

mod adopt;
mod card;
mod card_reader;
mod catalogue;
mod cause;
mod disk;
mod ending;
mod files;
mod folder;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod guard;
mod hold;
mod lease;
mod mend;
pub mod mp4;
mod reconcile;
mod recover;
mod resume;
mod saving;
mod session;
mod shared;
mod start;
mod starts;
mod trim;
mod view;
mod watch;

pub use cause::{EndReason, Format, GapCause};
pub use disk::make_room_to_start;
pub use folder::THUMBNAIL;
pub use lease::Lease;
pub use reconcile::Checking;
pub use shared::{Recorder, RecordingsOptions};
pub use trim::Trimmed;
pub use view::{
    ActiveView, CameraFacts, Closed, Finished, Gap, Intent, RecordingDetails, RecordingInfo, SegmentFile,
    StartRecording, Started, StorageView,
};

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use self::reconcile::Worklist;
use self::session::{Command, Session};
use self::shared::{Shared, Slot};
use crate::base::{CameraId, Error, RecordingName, Result};
use crate::store::CameraRow;
use crate::supervise::Group;

/// A disk that answers is done within three seconds.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// The room's handle. Clones are the same room.
#[derive(Clone)]
pub struct Recordings {
    shared: Arc<Shared>,
    /// Recordings that go on, until [`Recordings::run`] starts them.
    resumed: Arc<Mutex<Vec<Session>>>,
    /// What is to be looked at beside everything else, from then on.
    work: Arc<Mutex<Option<Worklist>>>,
}

impl Recordings {
    /// Opens the room; nothing runs yet. Blocks shortly.
    pub fn open(options: RecordingsOptions) -> Result<Self> {
        let places = folder::Places::new(&options.data_dir);
        std::fs::create_dir_all(places.recordings()).map_err(folder::disk_error)?;
        folder::sync_dir(places.root()).map_err(folder::disk_error)?;
        let space = disk::Space::of(places.root()).map_err(folder::disk_error)?;
        let mut guard = disk::Guard::new(options.warn_percent, options.refuse_percent);
        guard::first_look(&mut guard, &places, space);
        let (tell, closed) = mpsc::unbounded_channel();
        let shared = Shared {
            closed: (tell, Mutex::new(Some(closed))),
            places,
            options,
            slots: Mutex::new(BTreeMap::new()),
            wanted: tokio::sync::watch::Sender::new(BTreeSet::new()),
            recorder: OnceLock::new(),
            group: OnceLock::new(),
            guard: Mutex::new(guard),
            starts: Mutex::default(),
            leases: lease::Leases::default(),
            hold: tokio::sync::watch::Sender::new(None),
            disk: OnceLock::new(),
            checking: tokio::sync::watch::Sender::default(),
            edits: tokio::sync::Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), resumed: Arc::default(), work: Arc::default() })
    }

    /// Starts the watchers: of the recordings that go on, and of the disk. `group` has to be stopped
    /// after MediaMTX, so that the last files are whole when they are looked at.
    pub fn run(&self, group: &Group, recorder: impl Recorder + 'static) -> Result<()> {
        let twice = || Error::internal(std::io::Error::other("recordings run already"));
        self.shared.recorder.set(Arc::new(recorder)).map_err(|_| twice())?;
        self.shared.group.set(group.clone()).map_err(|_| twice())?;
        let resumed = std::mem::take(&mut *self.resumed.lock().unwrap_or_else(PoisonError::into_inner));
        for session in resumed {
            self.spawn(session);
        }
        if let Some(work) = self.work().take() {
            let stop = group.stop().clone();
            // Before anybody asks: what it will find is not known yet.
            self.shared.checking.send_replace(Checking { done: 0, total: work.len() });
            group.spawn("check of recordings", reconcile::run(self.shared.clone(), work, stop));
        }
        group.spawn("storage guard", guard::watch(self.shared.clone(), group.stop().clone()));
        Ok(())
    }

    fn spawn(&self, session: Session) {
        let group = self.shared.group.get().expect("run() has set the group");
        let stop = group.stop().clone();
        group.spawn(format!("recording {}", session.facts.row.name), session.run(stop));
    }

    /// Ends a camera's recording; answers when its files are complete and durable.
    pub async fn stop(&self, camera: CameraId) -> Result<Finished> {
        let (reply, answer) = oneshot::channel();
        let sent = match self.shared.slots().get(&camera) {
            Some(Slot::Active(active)) => {
                active.commands.send(Command::Stop(EndReason::Stopped, Some(reply))).is_ok()
            }
            _ => false,
        };
        let idle = || Error::state("the camera is not being recorded", "IDLE", &["RECORDING"]);
        if !sent {
            return Err(idle());
        }
        match tokio::time::timeout(STOP_LIMIT, answer).await {
            Ok(Ok(finished)) => finished,
            // It ended by itself before it heard of this.
            Ok(Err(_)) => Err(idle()),
            Err(_) => {
                let detail = "the disk does not answer; the recording ends as soon as it does";
                Err(Error::dependency("storage", detail).with("suggestion", "check the disk"))
            }
        }
    }

    /// The camera's running recording.
    pub fn active(&self, camera: CameraId) -> Option<ActiveView> {
        match self.shared.slots().get(&camera) {
            Some(Slot::Active(active)) => Some(active.view.clone()),
            _ => None,
        }
    }

    /// The cameras whose media is wanted for a recording.
    pub fn wanted(&self) -> tokio::sync::watch::Receiver<BTreeSet<CameraId>> {
        self.shared.wanted.subscribe()
    }

    /// Media of this camera stopped; `cause` is written with the gap that follows.
    pub fn fault(&self, camera: CameraId, cause: GapCause) {
        if let Some(Slot::Active(active)) = self.shared.slots().get(&camera) {
            let _ = active.commands.send(Command::Fault(cause));
        }
    }

    /// Holds a recording's files for `who` reads them; see [`Lease`]. Not found once its deletion has begun.
    pub fn lease(&self, name: &RecordingName, who: &str) -> Result<Lease> {
        self.shared.leases.take(name, who)
    }

    /// Whether somebody is reading it, so that deleting it would cut a download off.
    pub fn is_leased(&self, name: &RecordingName) -> bool {
        self.shared.leases.is_leased(name)
    }

    /// Segments as they close, handed out once.
    pub fn closed(&self) -> Option<mpsc::UnboundedReceiver<Closed>> {
        self.shared.closed.1.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// How far the look at what was there at the start is.
    pub fn checking(&self) -> tokio::sync::watch::Receiver<Checking> {
        self.shared.checking.subscribe()
    }

    /// The cameras that folders below `recordings/` are named after, but for those that are `known`.
    /// Their numbers must not be given to others, whatever became of the database. Blocks.
    pub fn cameras_of(data_dir: &Path, known: &BTreeSet<CameraId>) -> Result<Vec<CameraRow>> {
        adopt::cameras(&folder::Places::new(data_dir), known).map_err(folder::disk_error)
    }

    /// The data disk, as of the last look (every second).
    pub fn storage(&self) -> StorageView {
        self.shared.guard().view()
    }

    /// The data disk as of this moment.
    pub async fn storage_now(&self) -> Result<StorageView> {
        let root = self.shared.places.root().to_owned();
        let space = tokio::task::spawn_blocking(move || disk::Space::of(&root)).await;
        let space = space.map_err(Error::internal)?.map_err(folder::disk_error)?;
        Ok(self.shared.guard().view_of(space))
    }

    /// Bytes of each running recording as of now, by camera.
    pub fn growing(&self) -> Vec<(CameraId, u64)> {
        let slots = self.shared.slots();
        let active = slots.iter().filter_map(|(camera, slot)| match slot {
            Slot::Active(active) => Some((*camera, active.view.size)),
            Slot::Starting => None,
        });
        active.collect()
    }
}
