//! One camera from source to stream: its pure state machine and the actor that runs it.
//!
//! Owns which children run for which camera and why. Promises: whatever dies, a camera that somebody
//! wants comes back by itself (property-tested); nobody wants it: nothing runs. Costs one task a
//! camera, idle until something happens.

mod cameras;
mod change;
mod controls;
mod ladder;
mod local;
mod local_actor;
mod network;
mod network_actor;
mod run;
mod rung;
mod shown;
mod still;
mod view;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use tokio::sync::{mpsc, watch};

pub use cameras::Cameras;
use cameras::{Lineup, Member};
pub use controls::{ControlList, ControlView, Controls};
use local_actor::PluggedIn;
pub use rung::{Counts, Rung, Tries};
pub use view::{
    CameraStatus, CameraView, EncoderView, FfmpegState, Hardware, RecoveryView, StreamPhase, StreamStarted,
    StreamStopped, StreamView, Validation,
};

use crate::base::{Clock, Result};
use crate::camera::{CameraDef, Roster};
use crate::capture::{Fanout, FilePlan, FrameFormat, SourcePlan, TestPlan};
use crate::config::SourceSpec;
use crate::encoder::{EncodePlan, Encoders, Selection};
use crate::hotplug::Plugs;
use crate::mediamtx::{MediaMtx, PathSource, PathSpec};
use crate::notice::Notices;
use crate::preview::Makers;
use crate::reach::Reach;
use crate::recording::{Intent, Recordings};
use crate::snapshot::{Decoder, Snapshots};
use crate::store::Store;
use crate::supervise::{Group, Program, Spawner};
use crate::usb::UsbBuses;

/// What every actor works with.
#[derive(Clone)]
pub struct Parts {
    /// Starts children.
    pub spawner: Spawner,
    /// The phase of cameras.
    pub group: Group,
    /// The media server.
    pub mediamtx: MediaMtx,
    /// The recorder.
    pub recordings: Recordings,
    /// The stills.
    pub snapshots: Snapshots,
    /// Decodes stills of network cameras.
    pub decoder: Decoder,
    /// Encode pictures for those who look.
    pub makers: Makers,
    /// Where it is remembered that a camera sends sound it should not.
    pub store: Store,
    /// Where changes of a camera are told.
    pub notices: Notices,
    /// The clock.
    pub clock: Clock,
    /// Where relative paths of file cameras start.
    pub media_dir: PathBuf,
    /// The FFmpeg program.
    pub ffmpeg: Program,
    /// Which encoders work on this box.
    pub encoders: Encoders,
    /// Where V4L2 cameras are plugged in.
    pub plugs: watch::Receiver<Plugs>,
    /// What cameras reserve of their USB buses.
    pub usb: UsbBuses,
    /// Which hosts added cameras may lead to.
    pub reach: Reach,
}

/// The paths that MediaMTX starts with: every camera's, recordings that go on included.
pub fn first_paths(roster: &Roster, intents: &[Intent]) -> Vec<PathSpec> {
    let folder = |def: &CameraDef| intents.iter().find(|i| i.camera == def.id).map(|i| i.dir.clone());
    let path = |def: &CameraDef| PathSpec {
        name: def.id.to_string(),
        source: PathSource::Publisher,
        record: folder(def),
    };
    roster.cameras.iter().map(path).collect()
}

/// Starts the actor of every camera.
pub fn start(roster: Roster, parts: &Parts) -> Result<Cameras> {
    let mut members = BTreeMap::new();
    for def in roster.cameras {
        members.insert(def.id, Arc::new(start_member(def, parts)?));
    }
    let cameras = Cameras::new(cameras::Inner {
        lineup: RwLock::new(Lineup { members, gone: roster.gone }),
        parts: parts.clone(),
        mediamtx: parts.mediamtx.clone(),
        recordings: parts.recordings.clone(),
        clock: parts.clock.clone(),
        ffmpeg: parts.ffmpeg.clone(),
    });
    if let Some(mut wakes) = parts.mediamtx.take_wakes() {
        let (cameras, stop) = (cameras.clone(), parts.group.stop().clone());
        parts.group.spawn("wakes", async move {
            while let Some(Some(path)) = stop.run_until_cancelled(wakes.recv()).await {
                cameras.wake(&path).await;
            }
        });
    }
    Ok(cameras)
}

/// Starts one camera in a part of its own of the cameras' phase.
fn start_member(def: CameraDef, parts: &Parts) -> Result<Member> {
    let parts = &Parts { group: parts.group.part(), ..parts.clone() };
    let (sender, orders) = mpsc::channel(16);
    let plan = match &def.source {
        SourceSpec::Rtsp(_) => return Ok(network_actor::start(def, orders, sender, parts)),
        SourceSpec::Test(test) => SourcePlan::Test(TestPlan {
            pattern: test.pattern.clone(),
            width: def.width,
            height: def.height,
            fps: def.fps,
            deliver: test.deliver,
            lose: test.lose,
        }),
        SourceSpec::File(file) => {
            let path = file.within(&parts.media_dir);
            SourcePlan::File(FilePlan { path, width: def.width, height: def.height })
        }
        SourceSpec::V4l2(_) => return Ok(start_local(def, None, orders, sender, parts)),
    };
    Ok(start_local(def, Some(plan), orders, sender, parts))
}

fn start_local(
    def: CameraDef,
    source_plan: Option<SourcePlan>,
    orders: mpsc::Receiver<cameras::Order>,
    sender: mpsc::Sender<cameras::Order>,
    parts: &Parts,
) -> Member {
    let selection = Selection::new(def.encoder);
    let chosen = selection.choose(&parts.encoders.trials());
    let encoder_plan = EncodePlan {
        encoder: chosen.encoder,
        width: def.width,
        height: def.height,
        fps: def.fps,
        format: FrameFormat::Mjpeg,
    };
    let fanout = Fanout::new();
    let controls = source_plan
        .is_none()
        .then(|| Controls::new(def.id, parts.plugs.clone(), parts.store.clone(), parts.notices.clone()));
    let device =
        controls.clone().map(|controls| PluggedIn::new(parts.plugs.clone(), parts.usb.clone(), controls));
    let first = match &device {
        Some(device) => device.view(&def),
        None => local_actor::first_view(&def),
    };
    let (view, seen) = shown::Shown::new(first, &parts.notices);
    let stills =
        still::Stills::of_frames(fanout.clone(), def.fps, parts.decoder.clone(), parts.snapshots.clone());
    let mut member = Member {
        preview: stills.preview(parts.makers.clone(), &parts.group, sender.clone()),
        orders: sender,
        view: seen,
        stills,
        controls,
        command: encoder_plan.plan().printable(),
        def: def.clone().into(),
        group: parts.group.clone(),
        task: Mutex::default(),
    };
    let id = def.id;
    let actor = local_actor::LocalActor {
        machine: local::Local::new(def.keep_warm),
        parts: parts.clone(),
        children: local_actor::Children::default(),
        file: match &source_plan {
            Some(SourcePlan::File(plan)) => Some(plan.path.clone()),
            Some(SourcePlan::Test(_)) | None => None,
        },
        source_plan,
        device,
        encoder_plan,
        selection,
        chosen,
        fanout,
        orders,
        view,
        def,
    };
    member.task = Some(parts.group.spawn(format!("camera {id}"), actor.run())).into();
    member
}
