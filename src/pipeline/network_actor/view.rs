//! What the rest of the program may know of a network camera.

use super::NetworkActor;
use crate::pipeline::cameras::NO_FFMPEG;
use crate::pipeline::network::Link;
use crate::pipeline::run::Run;
use crate::pipeline::view::{CameraStatus, CameraView, StreamPhase, Validation};

impl NetworkActor {
    /// Publishes it.
    pub(super) fn show(&self) {
        let mut view = CameraView::unseen(self.def.id, &self.def.name);
        let live = matches!(self.machine.link(), Link::Live(..));
        let readable = live && (!self.machine.strips_sound() || self.machine.repack_is_up());
        let known = self.view.borrow();
        view.width = known.width;
        view.height = known.height;
        view.fps = known.fps;
        view.fps_options = known.fps_options.clone();
        view.formats = known.formats.clone();
        view.resolutions = known.resolutions.clone();
        view.validation =
            if known.validation == Validation::None { Validation::None } else { Validation::Disconnected };
        drop(known);
        if live {
            view.status = CameraStatus::Connected;
            view.validation = Validation::Confirmed;
            let fps = self.stills.fps();
            if fps > 0 {
                view.fps = fps;
                view.fps_options = vec![fps];
            }
            if let Some(track) = self.video() {
                if let (Some(width), Some(height)) = (track.width, track.height) {
                    (view.width, view.height) = (width, height);
                    view.resolutions = vec![(width, height)];
                }
                view.formats = vec![track.codec.clone()];
                view.stream.codec = Some(track.codec.clone());
            }
        } else {
            let away = self.machine.away();
            view.status = away.status();
            view.problem = Some(self.problem.clone().unwrap_or_else(|| away.problem().into()));
        }
        view.needs_ffmpeg = self.machine.strips_sound();
        if live && !readable && !self.parts.ffmpeg.is_there() {
            view.status = CameraStatus::Error;
            view.problem = Some(NO_FFMPEG.into());
        }
        let stream = &mut view.stream;
        stream.phase = if readable {
            StreamPhase::Active
        } else if live {
            StreamPhase::Starting
        } else {
            StreamPhase::Inactive
        };
        stream.ready = readable;
        stream.held = true;
        stream.started_us = self.live_since_us;
        stream.encoder = self.repack.as_ref().map(Run::view);
        self.view.show(view);
    }
}
