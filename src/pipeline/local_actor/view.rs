//! What the rest of the program may know of a camera in the frame path.

use super::{LocalActor, PluggedIn};
use crate::camera::CameraDef;
use crate::encoder::Way;
use crate::pipeline::cameras::NO_FFMPEG;
use crate::pipeline::local::Stage;
use crate::pipeline::view::{CameraStatus, CameraView, StreamPhase, Validation};

/// MediaMTX's word for what every encoder of ours makes.
const H264: &str = "H264";

/// The view of a camera whose actor has not looked yet.
pub(in crate::pipeline) fn first_view(def: &CameraDef) -> CameraView {
    CameraView {
        status: CameraStatus::Connected,
        width: def.width,
        height: def.height,
        fps: def.fps,
        formats: vec!["MJPG".into()],
        resolutions: vec![(def.width, def.height)],
        fps_options: vec![def.fps],
        validation: Validation::Confirmed,
        ..first_view_of_device(def)
    }
}

/// The same of a camera that nobody has asked yet what it can.
pub(in crate::pipeline) fn first_view_of_device(def: &CameraDef) -> CameraView {
    CameraView { needs_ffmpeg: true, encoded_as: Some(H264), ..CameraView::unseen(def.id, &def.name) }
}

impl LocalActor {
    /// Publishes what the rest of the program may know.
    pub(super) fn show(&mut self) {
        let phase = match self.machine.encoder() {
            Stage::Running(_) => StreamPhase::Active,
            Stage::Stopping(_) => StreamPhase::Stopping,
            Stage::Starting(_) => StreamPhase::Starting,
            Stage::Waiting(_) => StreamPhase::Error,
            Stage::Off if self.machine.wanted() && self.machine.failing() => StreamPhase::Error,
            Stage::Off if self.machine.wanted() => StreamPhase::Starting,
            Stage::Off => StreamPhase::Inactive,
        };
        let children = &mut self.children;
        children.started_us = match phase {
            StreamPhase::Inactive => None,
            _ => children.started_us.or_else(|| Some(self.parts.clock.wall_us())),
        };
        let failing = self.machine.failing();
        let mut view = match &self.device {
            Some(device) => device.view(&self.def),
            None => first_view(&self.def),
        };
        view.status = if failing { CameraStatus::Error } else { CameraStatus::Connected };
        view.problem = children.problem.clone().filter(|_| failing || phase == StreamPhase::Error);
        if self.file.is_some() {
            // It comes at its own rate, known once it was encoded for a while.
            view.fps = if children.rate >= 1.0 { children.rate.round() as u32 } else { 0 };
            view.fps_options = if view.fps > 0 { vec![view.fps] } else { Vec::new() };
        }
        if children.absent && self.file.is_some() {
            view.status = CameraStatus::Disconnected;
            view.problem = Some("its file is not there".into());
        }
        if let Some((status, why)) = self.device.as_ref().and_then(PluggedIn::trouble) {
            view.status = status;
            view.problem = Some(why);
        }
        let active = phase == StreamPhase::Active;
        if !active && !self.parts.ffmpeg.is_there() {
            view.status = CameraStatus::Error;
            view.problem = Some(NO_FFMPEG.into());
        }
        let stream = &mut view.stream;
        stream.phase = phase;
        stream.ready = active;
        stream.held = self.machine.is_open();
        stream.started_us = children.started_us;
        stream.codec = view.encoded_as.filter(|_| active).map(str::to_owned);
        stream.chosen = Some(match self.encoder_plan.way() {
            Way::Copy => (Way::Copy, "the camera delivers H.264".into()),
            way @ Way::Encode(_) => (way, self.chosen.reason.clone()),
        });
        stream.given_up = self.selection.given_up().to_vec();
        stream.captured = self.device.as_ref().map(PluggedIn::meter);
        if let Some(encoder) = &children.encoder {
            stream.encoder = Some(encoder.view());
            stream.frames_sent = children.frames;
            (stream.fps, stream.bitrate) = (children.rate, children.bitrate);
        }
        self.view.show(view);
    }
}
