//! The handle through which the rest of the program sees and drives the cameras.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::base::{CameraId, Error, Mono, Result};
use crate::camera::{CameraDef, Gone};
use crate::config::SourceSpec;
use crate::mediamtx::MediaMtx;
use crate::preview::Preview;
use crate::recording::{self, CameraFacts, Recordings, StartRecording};
use crate::snapshot::SnapshotInfo;
use crate::supervise::Group;
use crate::supervise::Program;

use super::Parts;
use super::controls::Controls;
use super::still::Stills;
use super::view::{
    CameraStatus, CameraView, FfmpegState, StreamPhase, StreamStarted, StreamStopped, Validation,
};

/// How long a caller waits for a stream or a picture before it gets an error.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// What a caller tells a camera's actor.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// start_streaming or a reader at an idle path.
    Open,
    /// stop_streaming.
    Close,
    /// A still is wanted, or somebody looks: deliver frames until then.
    Peek(Mono),
    /// Its name, and whether its encoder is kept warm, as configured now.
    Settle(Arc<str>, bool),
}

/// One running actor, as the handle knows it.
pub(super) struct Member {
    /// As configured now.
    pub def: Mutex<CameraDef>,
    /// Everything that runs for this camera, and the actor in it.
    pub group: Group,
    pub task: Mutex<Option<JoinHandle<()>>>,
    pub orders: mpsc::Sender<Order>,
    pub view: watch::Receiver<CameraView>,
    pub stills: Stills,
    pub preview: Preview,
    /// Of a V4L2 camera.
    pub controls: Option<Controls>,
    /// The encoder's command for people; empty when MediaMTX pulls the camera.
    pub command: String,
}

/// All cameras. Clones are the same cameras.
#[derive(Clone)]
pub struct Cameras {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub lineup: RwLock<Lineup>,
    /// For those that come later.
    pub parts: Parts,
    pub mediamtx: MediaMtx,
    pub recordings: Recordings,
    pub clock: crate::base::Clock,
    pub ffmpeg: Program,
}

/// Which cameras there are now.
#[derive(Clone)]
pub(super) struct Lineup {
    pub members: BTreeMap<CameraId, Arc<Member>>,
    pub gone: Vec<Gone>,
}

/// What clients read when a camera needs FFmpeg and there is none.
pub(super) const NO_FFMPEG: &str = "FFmpeg was not found or may not be run";

impl Cameras {
    pub(super) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// Every camera by number, those that are gone included. Never waits.
    pub fn list(&self) -> Vec<CameraView> {
        let lineup = self.lineup();
        let mut all: Vec<_> = lineup.members.values().map(|m| self.view_of(m)).collect();
        all.extend(lineup.gone.iter().map(gone_view));
        all.sort_by_key(|c| c.id);
        all
    }

    /// Those that are configured now, by number. Never waits.
    pub fn configured(&self) -> Vec<CameraView> {
        self.lineup().members.values().map(|m| self.view_of(m)).collect()
    }

    /// One camera.
    pub fn get(&self, id: CameraId) -> Result<CameraView> {
        let lineup = self.lineup();
        match lineup.members.get(&id) {
            Some(member) => Ok(self.view_of(member)),
            None => lineup.gone.iter().find(|g| g.id == id).map(gone_view).ok_or_else(|| unknown(id)),
        }
    }

    /// Whether FFmpeg is there; if not, whether a camera's stream needs it. Never waits.
    pub fn ffmpeg(&self) -> FfmpegState {
        if self.inner.ffmpeg.is_there() {
            FfmpegState::There
        } else if self.lineup().members.values().any(|m| m.view.borrow().needs_ffmpeg) {
            FfmpegState::Needed
        } else {
            FfmpegState::Missing
        }
    }

    /// Opens the stream and answers when it can be read.
    ///
    /// Fails with `InvalidState` when the camera is away and `DependencyFailed` when it does not come up in 8 s.
    pub async fn start_streaming(&self, id: CameraId) -> Result<StreamStarted> {
        let member = self.connected(id)?;
        self.can_encode(&member)?;
        self.order(&member, Order::Open).await?;
        let mut view = member.view.clone();
        let up = tokio::time::timeout(PATIENCE, view.wait_for(|v| v.stream.ready)).await;
        let Ok(Ok(view)) = up else {
            let problem = member.view.borrow().problem.clone();
            let detail = problem.unwrap_or_else(|| "the stream did not start in 8 s".into());
            return Err(Error::dependency("camera", detail)
                .with("suggestion", "look at get_stream_status and the log, then try again"));
        };
        Ok(StreamStarted {
            stream_name: id.to_string(),
            start_us: view.stream.started_us.unwrap_or_else(|| self.inner.clock.wall_us()),
            ffmpeg_command: member.command.clone(),
        })
    }

    /// Gives the stream up; it goes on when a recording or a viewer takes it.
    ///
    /// Fails with `InvalidState` when it is not running.
    pub async fn stop_streaming(&self, id: CameraId) -> Result<StreamStopped> {
        let member = self.member(id)?;
        let before = self.view_of(&member);
        if before.stream.phase == StreamPhase::Inactive {
            let phase = before.stream.phase.word();
            return Err(Error::state(format!("{id} is not streaming"), phase, &["ACTIVE", "STARTING"])
                .with("suggestion", "start it with start_streaming"));
        }
        let stream_continues = before.recording || before.stream.readers > 0 || member.keeps_running();
        self.order(&member, Order::Close).await?;
        if !stream_continues {
            let mut view = member.view.clone();
            let down = view.wait_for(|v| !v.stream.ready);
            // A stream that will not end is a matter for get_stream_status, not for this answer.
            let _ = tokio::time::timeout(PATIENCE, down).await;
        }
        let now = self.inner.clock.wall_us();
        Ok(StreamStopped {
            stream_name: id.to_string(),
            start_us: before.stream.started_us.unwrap_or(now),
            end_us: now,
            stream_continues,
        })
    }

    /// Takes a full-resolution still.
    ///
    /// Fails with `InvalidState` when the camera is away or the name is taken, and `DependencyFailed` when
    /// no picture comes or it cannot be stored.
    pub async fn take_snapshot(&self, id: CameraId, filename: Option<String>) -> Result<SnapshotInfo> {
        let member = self.connected(id)?;
        if member.stills.needs_ffmpeg() && !self.inner.ffmpeg.is_there() {
            return Err(no_ffmpeg());
        }
        self.can_encode(&member)?;
        let peek = self.order(&member, Order::Peek(Mono::now() + PATIENCE));
        member.stills.take(peek, id, filename).await
    }

    /// The newest pictures of a camera, for those who look.
    ///
    /// Fails with `InvalidState` when the camera is away.
    pub fn preview(&self, id: CameraId) -> Result<Preview> {
        Ok(self.connected(id)?.preview.clone())
    }

    /// What can be set on a camera, plugged in or not.
    ///
    /// Fails with `Unsupported` for one that is no V4L2 device, and with `InvalidState` for one that is gone.
    pub fn controls(&self, id: CameraId) -> Result<Controls> {
        self.member(id)?.controls.clone().ok_or_else(|| {
            Error::unsupported("camera_controls", format!("{id} is no V4L2 camera")).with(
                "suggestion",
                "only cameras that are plugged into the box have controls here; set others at the camera itself",
            )
        })
    }

    /// Starts a recording, timed or until stopped.
    pub async fn start_recording(
        &self,
        id: CameraId,
        duration: Option<Duration>,
        format: recording::Format,
    ) -> Result<recording::Started> {
        let member = self.connected(id)?;
        self.can_encode(&member)?;
        let view = member.view.borrow().clone();
        let def = member.def();
        let camera = CameraFacts {
            id,
            identity: def.identity,
            name: def.name,
            width: view.width,
            height: view.height,
        };
        self.inner.recordings.start(StartRecording { camera, duration, format }).await
    }

    /// Stops the running recording and answers with what the file really holds.
    pub async fn stop_recording(&self, id: CameraId) -> Result<recording::Finished> {
        self.get(id)?;
        self.inner.recordings.stop(id).await
    }

    /// Somebody is about to ask for the stream: it starts meanwhile. Whether it can is told when they ask.
    pub async fn expect_viewer(&self, id: CameraId) {
        self.wake(&id.to_string()).await;
    }

    /// A reader waits at an idle path (MediaMTX's hook).
    pub(super) async fn wake(&self, path: &str) {
        if let Ok(id) = path.parse::<CameraId>()
            && let Ok(member) = self.member(id)
            && self.order(&member, Order::Open).await.is_err()
        {
            tracing::debug!(camera = %id, "woken while stopping");
        }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Lineup)) {
        change(&mut self.inner.lineup.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn lineup(&self) -> RwLockReadGuard<'_, Lineup> {
        self.inner.lineup.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn member(&self, id: CameraId) -> Result<Arc<Member>> {
        let lineup = self.lineup();
        lineup
            .members
            .get(&id)
            .cloned()
            .ok_or_else(|| if lineup.gone.iter().any(|g| g.id == id) { away(id, None) } else { unknown(id) })
    }

    fn connected(&self, id: CameraId) -> Result<Arc<Member>> {
        let member = self.member(id)?;
        let away = {
            let view = member.view.borrow();
            // One that fails may work by the time it is tried again.
            let away = view.status == CameraStatus::Disconnected;
            away.then(|| self::away(id, view.problem.as_deref()))
        };
        match away {
            Some(error) => Err(error),
            None => Ok(member),
        }
    }

    /// What runs may go on: an FFmpeg that was taken away is missed only at the next start.
    fn can_encode(&self, member: &Member) -> Result<()> {
        let view = member.view.borrow();
        let wants = view.needs_ffmpeg && !view.stream.ready;
        if wants && !self.inner.ffmpeg.is_there() { Err(no_ffmpeg()) } else { Ok(()) }
    }

    pub(super) async fn order(&self, member: &Member, order: Order) -> Result<()> {
        let stopping = || Error::dependency("camera", "the box is stopping");
        member.orders.send(order).await.map_err(|_| stopping())
    }

    fn view_of(&self, member: &Member) -> CameraView {
        let mut view = member.view.borrow().clone();
        view.driver = member.driver();
        if view.status == CameraStatus::Connected {
            view.last_seen = Some(Mono::now());
        }
        view.recording = self.inner.recordings.wanted().borrow().contains(&view.id);
        if let Some(path) = self.inner.mediamtx.paths().get(&view.id.to_string()) {
            view.stream.path_exists = true;
            view.stream.readers = path.readers.saturating_sub(member.stills.own_readers());
            view.stream.bytes_sent = path.outbound_bytes;
        }
        view
    }
}

impl Member {
    fn keeps_running(&self) -> bool {
        self.def().keep_warm || self.command.is_empty()
    }

    fn driver(&self) -> &'static str {
        match self.def.lock().unwrap_or_else(PoisonError::into_inner).source {
            SourceSpec::Test(_) => "synthetic",
            SourceSpec::File(_) => "file",
            SourceSpec::Rtsp(_) => "rtsp",
            SourceSpec::V4l2(_) => "v4l2",
        }
    }

    /// As configured now.
    pub fn def(&self) -> CameraDef {
        self.def.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn no_ffmpeg() -> Error {
    Error::dependency("ffmpeg", NO_FFMPEG)
        .with("suggestion", "install FFmpeg or correct ffmpeg.binary; the camera then works by itself")
}

fn unknown(id: CameraId) -> Error {
    Error::not_found("Camera", id).with("suggestion", "use an id from get_camera_list")
}

pub(super) fn away(id: CameraId, problem: Option<&str>) -> Error {
    let error = Error::state(format!("{id} is not connected"), "DISCONNECTED", &["CONNECTED"])
        .with("suggestion", "check the camera's power and cable; it comes back by itself");
    match problem {
        Some(problem) => error.with("details", problem),
        None => error,
    }
}

fn gone_view(gone: &Gone) -> CameraView {
    CameraView {
        validation: Validation::Disconnected,
        problem: Some("it is no longer configured".into()),
        ..CameraView::unseen(gone.id, &gone.name)
    }
}
