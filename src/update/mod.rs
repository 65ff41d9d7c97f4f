//! A new version of the box's system: taken into the other slot, tried, kept or taken back.
//!
//! Owns the bundles on the data partition, the way to RAUC (D-Bus), one installation at a time, and the gate that
//! marks the slot that runs as good. Promises: nothing is installed that RAUC did not verify, that is for another
//! board or, unless an administrator says so, older than what runs; a torn upload leaves nothing; a slot is marked
//! good only when the box answers over its own listener and every camera that was live before is live again;
//! whatever becomes of an update is known after any restart (`DATA/update.json`) and told with its reason. Costs
//! nothing but the gate's look once a second until it has decided; RAUC is asked at most every two seconds.
//!
//! Later work has its places: what the gate looks at is [`gate`], where a transfer goes on is [`fetch`] and
//! [`bundles`], what a fleet asks for is [`Wish`].

mod asking;
mod bundles;
mod fault;
mod fetch;
mod gate;
mod here;
mod installing;
mod job;
mod pace;
mod rauc;
mod record;
mod slots;
mod status;
mod trial;
mod version;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use bundles::{Incoming, Stored};
pub use fault::Fault;
pub use fetch::parse as parse_url;
pub use here::Here;
pub use job::{Source, Wish};
pub use record::Fallen;
pub use slots::SlotView;
pub use status::Status;

use self::asking::{ask, boot_state, first_boot_state};
use self::bundles::Bundles;
use self::gate::{Boot, Gate, Seen};
use self::job::{Job, Ours};
use self::rauc::Rauc;
use self::record::{Keeper, Record};
use self::status::Parts;
use crate::base::{CameraId, Error, Mono, Result};
use crate::helper::{self, Errand};
use crate::notice::{Fact, Notices};
use crate::pipeline::{CameraStatus, Cameras};
use crate::reach::Reach;
use crate::supervise::Group;

/// How long what RAUC and the bootloader said is good for.
const FRESH: Duration = Duration::from_secs(2);
/// What the room works with.
pub struct UpdateOptions {
    /// The data directory, as other programs reach it.
    pub data: PathBuf,
    /// The same through the held descriptor.
    pub held: PathBuf,
    /// What the start of the system left behind.
    pub here: Here,
    /// Socket of the box's helper.
    pub helper: PathBuf,
    /// How long a new version has to prove good.
    pub deadline: Duration,
    /// Whose cameras count.
    pub cameras: Cameras,
    /// Which hosts bundles may come from.
    pub reach: Reach,
    /// Who hears of it.
    pub notices: Notices,
}

/// The room's handle; clones share everything.
#[derive(Clone)]
pub struct Update(Arc<Inner>);

struct Inner {
    options: UpdateOptions,
    bundles: Bundles,
    rauc: Rauc,
    keeper: Keeper,
    group: Group,
    state: Mutex<State>,
    /// Counts changes of the job, for those who wait for one.
    changed: watch::Sender<u64>,
}

struct State {
    job: Job,
    gate: Option<Gate>,
    record: Record,
    kept_now: bool,
    answers: bool,
    missing: Vec<CameraId>,
    board: Option<String>,
    slots: Vec<SlotView>,
    looked: Option<Mono>,
    /// Counts what made RAUC or the bootloader say something else.
    slots_changed: u64,
}

impl State {
    fn lacks_data(&self) -> bool {
        self.gate.as_ref().is_some_and(Gate::lacks_data)
    }
}

impl State {
    /// What RAUC and the bootloader said does not hold any more.
    fn look_again(&mut self) {
        self.slots_changed += 1;
        self.looked = None;
    }
}

/// The plain name of a bundle: `name` or `name.raucb`.
///
/// Fails with `InvalidParams` (param `file`) when it is none.
pub fn bundle_name(text: &str) -> Result<String> {
    Bundles::name(text)
}

impl Update {
    /// Reads what is known of the last update and makes the gate of this start; [`Update::on_trial`] lets it go.
    ///
    /// Fails when the folder of bundles cannot be made.
    pub async fn start(options: UpdateOptions, group: &Group) -> Result<Self> {
        let keeper = Keeper::below(&options.held);
        let (data, held, reader) = (options.data.clone(), options.held.clone(), keeper.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let record = reader.load();
            Bundles::open(&data, &held).map(|bundles| (bundles, record))
        });
        let (bundles, mut record) = opened.await.map_err(Error::internal)?.map_err(Error::internal)?;
        let before = record.clone();
        let boot = match options.here.slot {
            Some(slot) => {
                let state = first_boot_state(&options).await;
                let failed = options.here.failed.clone();
                Some(Boot {
                    slot,
                    version: options.here.version.clone(),
                    boot_id: options.here.boot_id.clone(),
                    other_first: state.as_ref().and_then(|state| state.other_first(slot)),
                    good: state.and_then(|state| state.good),
                    failed: failed.filter(|(failed, _)| *failed == slot.other()).map(|(_, why)| why),
                    temporary: options.here.data.is_some(),
                })
            }
            None => None,
        };
        let gate = boot.as_ref().map(|boot| Gate::open(boot, &mut record, Mono::now(), options.deadline));
        let installed = record.pending.as_ref().filter(|p| p.done && p.boot_id == options.here.boot_id);
        let job = installed.map_or(Job::Idle, |p| Job::Installed { version: p.version.clone() });
        if let Some(fallen) = record.fallen.as_ref().filter(|_| record.fallen != before.fallen) {
            tracing::error!("version {} was taken back: {}", fallen.version, fallen.reason);
        }
        let changed = before != record;
        let state = State {
            job,
            gate,
            record,
            kept_now: false,
            answers: false,
            missing: Vec::new(),
            board: None,
            slots: Vec::new(),
            looked: None,
            slots_changed: 0,
        };
        let update = Self(Arc::new(Inner {
            options,
            bundles,
            rauc: Rauc::default(),
            keeper,
            group: group.clone(),
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
        }));
        if changed {
            update.keep().await;
        }
        Ok(update)
    }

    /// How it stands. Asks RAUC and the bootloader when that was long ago.
    ///
    /// Fails with `Unsupported` on a machine without RAUC, with `DependencyFailed` when it does not answer.
    pub async fn status(&self) -> Result<Status> {
        let bundles = self.0.bundles.clone();
        let bundles = tokio::task::spawn_blocking(move || bundles.list()).await.map_err(Error::internal)?;
        self.look(false).await.map_err(rauc::Why::error)?;
        // An installation that ended meanwhile is told with the slots that it left.
        if self.state().looked.is_none() {
            self.look(false).await.map_err(rauc::Why::error)?;
        }
        Ok(self.shown(bundles))
    }

    /// Begins an installation. A bundle that was uploaded has been looked at when this answers; one from the network
    /// is on its way.
    ///
    /// Fails with `InvalidState` while another one is under way or the version that runs is on trial, with
    /// `InvalidParams` and the fault's reason when the bundle is not to be installed, with `Unsupported` on a machine
    /// without RAUC.
    pub async fn install(&self, wish: Wish) -> Result<Status> {
        self.begin(wish).await?;
        self.status().await
    }

    /// Restarts the box in order: recordings are closed, and go on after the start. A bundle that is only being fetched
    /// is given up.
    ///
    /// `stop`: this program is stopped. Fails with `InvalidState` while one is looked at or installed, with `Unsupported`
    /// on a machine that has no helper for it.
    pub async fn reboot(&self, stop: &CancellationToken) -> Result<()> {
        if self.state().job.would_be_torn() {
            return Err(busy());
        }
        if self.0.rauc.is_installing().await.unwrap_or(false) {
            return Err(busy());
        }
        // The cameras of this moment count, not those of the installation.
        let live = self.live();
        let noted = {
            let mut state = self.state();
            let pending = state.record.pending.as_mut().filter(|p| p.boot_id == self.0.options.here.boot_id);
            pending.map(|pending| pending.cameras = live.iter().map(ToString::to_string).collect()).is_some()
        };
        if noted {
            self.keep().await;
        }
        helper::or_stopped(self.ask(Errand::Reboot), stop).await.map(drop)
    }

    /// Begins to take a bundle in under `name`; `length` is its size in bytes.
    ///
    /// Fails as [`Bundles::receive`] does, with `InvalidState` while this very bundle is being installed.
    pub async fn receive(&self, name: &str, length: u64) -> Result<Incoming> {
        let name = Bundles::name(name)?;
        let used = match &self.state().job {
            Job::Checking { file, .. } | Job::Installing { file, .. } => Some(file.clone()),
            _ => None,
        };
        if used.as_ref() == Some(&name) {
            return Err(busy());
        }
        self.0.bundles.receive(&name, length, used).await
    }

    /// Asks the box's helper. Answers with what it said.
    pub async fn ask(&self, errand: Errand) -> Result<String> {
        ask(&self.0.options, errand).await
    }

    /// What this start of the machine is.
    pub fn here(&self) -> &Here {
        &self.0.options.here
    }

    /// This version is on trial and cannot use the data partition, which the one before it may.
    pub fn lacks_data(&self) -> bool {
        self.state().lacks_data()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> Option<helper::Slot> {
        self.0.options.here.slot
    }

    /// Cameras that deliver, or would as soon as somebody asks.
    fn live(&self) -> BTreeSet<CameraId> {
        let cameras = self.0.options.cameras.configured();
        cameras
            .iter()
            .filter(|camera| camera.status == CameraStatus::Connected)
            .map(|camera| camera.id)
            .collect()
    }

    /// Asks RAUC and the bootloader, unless that was just done.
    async fn look(&self, anew: bool) -> std::result::Result<(), rauc::Why> {
        let now = Mono::now();
        let changes = {
            let state = self.state();
            if !anew && state.looked.is_some_and(|at| now.since(at) < FRESH) {
                return Ok(());
            }
            state.slots_changed
        };
        let board = self.0.rauc.compatible().await?;
        let (rows, primary) = match self.0.rauc.slots().await {
            // RAUC does one thing at a time: while it installs, what was known before is told.
            Err(rauc::Why::Fault(fault)) if !anew && fault.reason == "busy" => return Ok(()),
            found => found?,
        };
        let boot = boot_state(&self.0.options).await;
        let running = self.running().map(|slot| (slot, self.0.options.here.version.as_str()));
        let views = slots::views(&rows, primary.as_deref(), boot.as_ref(), running);
        let mut state = self.state();
        state.board = Some(board);
        state.slots = views;
        // What has changed meanwhile is asked for again.
        state.looked = (state.slots_changed == changes).then_some(now);
        Ok(())
    }

    fn ours(&self) -> Ours {
        let compatible = self.state().board.clone().unwrap_or_default();
        Ours { compatible, version: self.0.options.here.version.clone() }
    }

    fn shown(&self, bundles: Vec<Stored>) -> Status {
        let state = self.state();
        Status::of(Parts {
            now: Mono::now(),
            job: &state.job,
            gate: state.gate.as_ref(),
            record: &state.record,
            version: &self.0.options.here.version,
            board: state.board.as_deref(),
            slots: &state.slots,
            running: self
                .running()
                .map(helper::Slot::word)
                .or_else(|| state.slots.iter().find(|slot| slot.booted).map(|slot| slot.name.as_str())),
            answers: state.answers,
            missing: &state.missing,
            kept_now: state.kept_now,
            bundles,
        })
    }

    /// Tells whoever listens how it stands, from what is known.
    fn tell(&self) {
        self.0.changed.send_modify(|count| *count += 1);
        // A status is made of strings and numbers.
        if let Ok(status) = serde_json::to_value(self.shown(self.0.bundles.list())) {
            self.0.options.notices.send(Fact::Update { status: status.into() });
        }
    }

    /// Keeps what has to be known across a restart. One that cannot be kept is logged: the box goes on.
    async fn keep(&self) {
        let (keeper, record) = (self.0.keeper.clone(), self.state().record.clone());
        match tokio::task::spawn_blocking(move || keeper.save(&record)).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => tracing::error!("what is known of the update cannot be kept: {e}"),
            Err(e) => tracing::error!("what is known of the update cannot be kept: {e}"),
        }
    }

    fn seen(&self, answers: bool) -> Seen {
        Seen { answers, live: self.live() }
    }
}

fn busy() -> Error {
    Error::state("an installation is under way; wait for its end (update_status)", "installing", &["idle"])
}
