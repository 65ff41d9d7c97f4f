//! How a recording begins.

use tokio::sync::mpsc;

use super::Recordings;
use super::card::Facts;
use super::files::Files;
use super::session::Session;
use super::shared::{Shared, Slot, recording_name};
use super::view::{CLOCK_NOTE, StartRecording, Started};
use super::watch::Watch;
use crate::base::{CameraId, Error, Mono, RecordingName, Result};
use crate::disk::DataDisk;
use crate::notice::Fact;
use crate::store::{RecordingChange, RecordingRow};

impl Recordings {
    /// Starts a recording; answers as soon as the intent is durable and MediaMTX was told.
    pub async fn start(&self, request: StartRecording) -> Result<Started> {
        let group = self.shared.group.get().ok_or_else(not_ready)?;
        if let Some(refusal) = self.shared.guard().refusal() {
            return Err(refusal);
        }
        if let Some(why) = self.shared.disk.get().and_then(DataDisk::temporary) {
            return Err(why.error());
        }
        self.shared.check_disk().await?;
        let claim = Claim::take(&self.shared, request.camera.id)?;
        let this = self.clone();
        // In a task of its own: a caller that goes away must not leave half a recording.
        let task = group.spawn(format!("start of {}", request.camera.id), async move {
            this.begin(request, claim).await
        });
        task.await.map_err(Error::internal)?
    }

    async fn begin(&self, request: StartRecording, mut claim: Claim) -> Result<Started> {
        let shared = &self.shared;
        let (now, now_us) = (Mono::now(), shared.options.clock.wall_us());
        let camera = request.camera;
        let mut row = RecordingRow {
            id: 0,
            name: recording_name(camera.id, now_us, 1),
            camera: camera.id,
            identity: camera.identity,
            camera_name: camera.name,
            format: request.format.text().into(),
            requested_us: now_us,
            start_us: now_us,
            limit_ms: request.duration.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
            until_us: None,
            wanted: true,
            end_us: None,
            duration_ms: 0,
            size: 0,
            codec: None,
            width: camera.width,
            height: camera.height,
            stsd: None,
            ended: None,
            continues: None,
            protected: false,
        };
        self.make_place(&mut row, now_us).await?;
        let dir = shared.places.recording(row.camera, &row.name);
        // Before MediaMTX is told: the encoder may start meanwhile.
        let (commands, inbox) = mpsc::unbounded_channel();
        let facts = Facts::new(row.clone());
        let clock = shared.options.clock.trust();
        shared.enter(&facts, commands);
        claim.done = true;
        let recorder = shared.recorder();
        if let Err(error) = recorder.set_record(&row.camera.to_string(), Some(dir.clone())).await {
            shared.remove(row.camera);
            self.take_back(&row).await;
            return Err(error);
        }
        let watch = Watch::new(now, now_us, request.duration);
        let mut session = Session::new(shared.clone(), facts, watch, Files::new(dir, &[]), inbox);
        session.note(CLOCK_NOTE, clock.word().into());
        self.spawn(session);
        tracing::info!(name = %row.name, "recording started");
        let (camera, name) = (row.camera, row.name.clone());
        shared.options.notices.send(Fact::RecordingStarted { camera, name });
        Ok(Started { name: row.name, start_us: now_us, format: request.format })
    }

    /// Row and folder, both durable, under the first name that is free in both.
    async fn make_place(&self, row: &mut RecordingRow, now_us: i64) -> Result<()> {
        let shared = &self.shared;
        for attempt in 1..=1000 {
            row.name = recording_name(row.camera, now_us, attempt);
            let dir = shared.places.recording(row.camera, &row.name);
            let entered = shared.options.store.add_recording(row.clone());
            match tokio::join!(entered, shared.make_folder(&dir)) {
                (Ok(Some(id)), Ok(true)) => {
                    row.id = id;
                    return Ok(());
                }
                (Ok(Some(_)), made) => {
                    // The folder of something the index does not know: never touched.
                    shared.options.store.remove_recording(&row.name).await?;
                    made?;
                }
                (Ok(None), made) => {
                    if made? {
                        shared.unmake_folder(&dir).await;
                    }
                }
                (Err(error), made) => {
                    if let Ok(true) = made {
                        shared.unmake_folder(&dir).await;
                    }
                    return Err(error);
                }
            }
        }
        Err(Error::internal(std::io::Error::other("a thousand names of one second are taken")))
    }

    /// Nothing was recorded and nothing will be.
    async fn take_back(&self, row: &RecordingRow) {
        let shared = &self.shared;
        let _ = shared.recorder().set_record(&row.camera.to_string(), None).await;
        let dir = shared.places.recording(row.camera, &row.name);
        shared.unmake_folder(&dir).await;
        if let Err(error) = shared.options.store.remove_recording(&row.name).await {
            tracing::warn!(error = %error.chain(), name = %row.name, "a refused recording stays in the index");
            let ended = RecordingRow { wanted: false, ended: Some("stopped".into()), ..row.clone() };
            let change = RecordingChange { row: Some(ended), ..Default::default() };
            let _ = shared.options.store.change_recording(row.id, change).await;
        }
    }
}

fn not_ready() -> Error {
    Error::dependency("mediamtx", "the box is still starting")
}

/// A camera's place while its recording is being started.
struct Claim {
    shared: std::sync::Arc<Shared>,
    camera: CameraId,
    /// The place is an active recording's now.
    done: bool,
}

impl Claim {
    fn take(shared: &std::sync::Arc<Shared>, camera: CameraId) -> Result<Self> {
        let mut slots = shared.slots();
        let name: Option<RecordingName> = match slots.get(&camera) {
            None => {
                slots.insert(camera, Slot::Starting);
                return Ok(Self { shared: shared.clone(), camera, done: false });
            }
            Some(Slot::Starting) => None,
            Some(Slot::Active(active)) => Some(active.view.name.clone()),
        };
        let e = Error::state("the camera is already being recorded", "RECORDING", &["IDLE"]);
        Err(match name {
            Some(name) => e.with("filename", name.as_str()),
            None => e,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.done {
            self.shared.remove(self.camera);
        }
    }
}
