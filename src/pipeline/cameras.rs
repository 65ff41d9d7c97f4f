//! The handle through which the rest of the program sees and drives the cameras.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::base::{CameraId, Error, Mono, Result};
use crate::camera::{CameraDef, Gone};
use crate::mediamtx::MediaMtx;
use crate::preview::Preview;
use crate::recording::{self, CameraFacts, Recordings, StartRecording};
use crate::snapshot::SnapshotInfo;
use crate::supervise::Program;

use super::still::Stills;
use super::view::{
    CameraStatus, CameraView, FfmpegState, StreamPhase, StreamStarted, StreamStopped, Validation,
};

/// How long a caller waits for a stream or a picture before it gets an error.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// What a caller tells a camera's actor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// start_streaming or a reader at an idle path.
    Open,
    /// stop_streaming.
    Close,
    /// A still is wanted, or somebody looks: deliver frames until then.
    Peek(Mono),
}

/// One running actor, as the handle knows it.
pub(super) struct Member {
    pub def: CameraDef,
    pub orders: mpsc::Sender<Order>,
    pub view: watch::Receiver<CameraView>,
    pub stills: Stills,
    pub preview: Preview,
    /// The encoder's command for people; empty when MediaMTX pulls the camera.
    pub command: String,
}

/// All cameras. Clones are the same cameras.
#[derive(Clone)]
pub struct Cameras {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub members: BTreeMap<CameraId, Member>,
    pub gone: Vec<Gone>,
    pub mediamtx: MediaMtx,
    pub recordings: Recordings,
    pub clock: crate::base::Clock,
    pub ffmpeg: Program,
}

/// What clients read when a camera needs FFmpeg and there is none.
pub(super) const NO_FFMPEG: &str = "FFmpeg was not found or may not be run";

impl Cameras {
    pub(super) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// Every camera by number, those that are gone included. Never waits.
    pub fn list(&self) -> Vec<CameraView> {
        let mut all: Vec<_> = self.inner.members.values().map(|m| self.view_of(m)).collect();
        all.extend(self.inner.gone.iter().map(gone_view));
        all.sort_by_key(|c| c.id);
        all
    }

    /// One camera.
    pub fn get(&self, id: CameraId) -> Result<CameraView> {
        match self.inner.members.get(&id) {
            Some(member) => Ok(self.view_of(member)),
            None => self.inner.gone.iter().find(|g| g.id == id).map(gone_view).ok_or_else(|| unknown(id)),
        }
    }

    /// Whether FFmpeg is there; if not, whether a camera's stream needs it. Never waits.
    pub fn ffmpeg(&self) -> FfmpegState {
        if self.inner.ffmpeg.is_there() {
            FfmpegState::There
        } else if self.inner.members.values().any(|m| m.view.borrow().needs_ffmpeg) {
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
        self.can_encode(member)?;
        self.order(member, Order::Open).await?;
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
        let before = self.view_of(member);
        if before.stream.phase == StreamPhase::Inactive {
            let phase = before.stream.phase.word();
            return Err(Error::state(format!("{id} is not streaming"), phase, &["ACTIVE", "STARTING"])
                .with("suggestion", "start it with start_streaming"));
        }
        let stream_continues = before.recording || before.stream.readers > 0 || member.keeps_running();
        self.order(member, Order::Close).await?;
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
        self.can_encode(member)?;
        let peek = self.order(member, Order::Peek(Mono::now() + PATIENCE));
        member.stills.take(peek, id, filename).await
    }

    /// The newest pictures of a camera, for those who look.
    ///
    /// Fails with `InvalidState` when the camera is away.
    pub fn preview(&self, id: CameraId) -> Result<Preview> {
        Ok(self.connected(id)?.preview.clone())
    }

    /// Starts a recording, timed or until stopped.
    pub async fn start_recording(
        &self,
        id: CameraId,
        duration: Option<Duration>,
        format: recording::Format,
    ) -> Result<recording::Started> {
        let member = self.connected(id)?;
        self.can_encode(member)?;
        let view = member.view.borrow().clone();
        let def = &member.def;
        let camera = CameraFacts {
            id,
            identity: def.identity.clone(),
            name: def.name.clone(),
            width: view.width,
            height: view.height,
        };
        self.inner.recordings.start(StartRecording { camera, duration, format }).await
    }

    /// Stops the running recording and answers with what the file really holds.
    pub async fn stop_recording(&self, id: CameraId) -> Result<recording::Finished> {
        if !self.inner.members.contains_key(&id) && !self.inner.gone.iter().any(|g| g.id == id) {
            return Err(unknown(id));
        }
        self.inner.recordings.stop(id).await
    }

    /// A reader waits at an idle path (MediaMTX's hook).
    pub(super) async fn wake(&self, path: &str) {
        if let Ok(id) = path.parse::<CameraId>()
            && let Some(member) = self.inner.members.get(&id)
            && self.order(member, Order::Open).await.is_err()
        {
            tracing::debug!(camera = %id, "woken while stopping");
        }
    }

    fn member(&self, id: CameraId) -> Result<&Member> {
        self.inner.members.get(&id).ok_or_else(|| {
            if self.inner.gone.iter().any(|g| g.id == id) { away(id, None) } else { unknown(id) }
        })
    }

    fn connected(&self, id: CameraId) -> Result<&Member> {
        let member = self.member(id)?;
        let view = member.view.borrow();
        match view.status {
            CameraStatus::Disconnected => Err(away(id, view.problem.as_deref())),
            // One that fails may work by the time it is tried again.
            CameraStatus::Connected | CameraStatus::Error => {
                drop(view);
                Ok(member)
            }
        }
    }

    /// What runs may go on: an FFmpeg that was taken away is missed only at the next start.
    fn can_encode(&self, member: &Member) -> Result<()> {
        let view = member.view.borrow();
        let wants = view.needs_ffmpeg && !view.stream.ready;
        if wants && !self.inner.ffmpeg.is_there() { Err(no_ffmpeg()) } else { Ok(()) }
    }

    async fn order(&self, member: &Member, order: Order) -> Result<()> {
        let stopping = || Error::dependency("camera", "the box is stopping");
        member.orders.send(order).await.map_err(|_| stopping())
    }

    fn view_of(&self, member: &Member) -> CameraView {
        let mut view = member.view.borrow().clone();
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
        self.def.keep_warm || self.command.is_empty()
    }
}

fn no_ffmpeg() -> Error {
    Error::dependency("ffmpeg", NO_FFMPEG)
        .with("suggestion", "install FFmpeg or correct ffmpeg.binary; the camera then works by itself")
}

fn unknown(id: CameraId) -> Error {
    Error::not_found("Camera", id).with("suggestion", "use an id from get_camera_list")
}

fn away(id: CameraId, problem: Option<&str>) -> Error {
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
