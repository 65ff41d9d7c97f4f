//! Which encoder the camera gets, by what was tried on this box and what died here.

use std::time::Duration;

use super::LocalActor;
use crate::base::Mono;
use crate::encoder::Way;

/// An encoder that ended unasked; counted once it is clear that it was its own fault.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Death {
    way: Way,
    ran: Duration,
    /// MediaMTX's start that it published to.
    server: u64,
}

impl LocalActor {
    /// Chooses what to start next; says so where that is another than before.
    pub(super) fn select_encoder(&mut self) {
        self.count_death();
        let chosen = self.selection.choose(&self.parts.encoders.trials());
        if chosen.encoder != self.encoder_plan.encoder {
            let (encoder, reason) = (chosen.encoder.name(), &chosen.reason);
            tracing::info!(camera = %self.def.id, encoder, reason, "is encoded by another encoder from now on");
            self.encoder_plan.encoder = chosen.encoder;
        }
        self.chosen = chosen;
    }

    /// The encoder that began at `since` ended unasked.
    pub(super) fn encoder_died(&mut self, since: Mono) {
        let ran = Mono::now().since(since);
        let server = self.children.published_to;
        self.children.death = self.children.way.map(|way| Death { way, ran, server });
    }

    /// One that died with MediaMTX did nothing wrong; MediaMTX's end is known a moment later than its own.
    fn count_death(&mut self) {
        let Some(death) = self.children.death.take() else { return };
        let server = self.parts.mediamtx.server().borrow().generation;
        if death.server != server || !self.selection.died(death.way, death.ran) {
            return;
        }
        let encoder = death.way.name();
        tracing::warn!(camera = %self.def.id, encoder, "this encoder died too often and is given up");
        if death.way == Way::Copy
            && let Some(source) = &mut self.children.source
        {
            // It begins anew in another of its formats, if it has one.
            source.stop();
        }
    }
}
