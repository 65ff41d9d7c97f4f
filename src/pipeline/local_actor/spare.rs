//! The FFmpeg in waiting: most of a cold start is over before anybody asks.

use super::LocalActor;
use crate::encoder::{Encoder, EncoderSpec, Prepared};

impl LocalActor {
    /// The one that waits, unless it has died meanwhile or would not do any more.
    pub(super) fn take_spare(&mut self) -> Option<Prepared> {
        let (plan, mut spare) = self.children.spare.take()?;
        (plan == self.encoder_plan && spare.is_alive()).then_some(spare)
    }

    pub(super) fn encoder_spec(&self) -> EncoderSpec {
        let name = self.def.id.to_string();
        EncoderSpec {
            ffmpeg: self.parts.ffmpeg.path().to_owned(),
            plan: self.encoder_plan.plan(),
            publish: self.parts.mediamtx.publish_url(&name),
            name,
        }
    }

    /// Loads an FFmpeg for the next start, first or after a fault.
    pub(super) async fn prepare_spare(&mut self) {
        self.children.spare_at = None;
        if self.children.spare.is_some() || self.children.absent || !self.parts.ffmpeg.is_there() {
            return;
        }
        self.select_encoder();
        match Encoder::prepare(self.encoder_spec(), &self.parts.spawner, &self.parts.group).await {
            Ok(spare) => self.children.spare = Some((self.encoder_plan, spare)),
            Err(error) => tracing::warn!(camera = %self.def.id, "no encoder in waiting: {}", error.chain()),
        }
    }
}
