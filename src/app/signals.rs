//! Signals: what ends the program, and what reads its configuration again.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::base::{Error, Result};
use crate::reload::Reloader;
use crate::supervise::systemd;

/// The signals that end the program.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn new() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(Error::internal);
        let (interrupt, terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hang_up: listen(SignalKind::hangup())? })
    }

    /// The next signal that ends the program; SIGHUP reads the configuration again meanwhile.
    pub(super) async fn next_stop(&mut self, reloader: &Reloader) -> &'static str {
        loop {
            let hung_up = tokio::select! {
                biased;
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.hang_up.recv() => reloader.reload(false),
            };
            systemd::reloading();
            // Its outcome is in the log; an error that is none of the operator's is worth saying again.
            if let Err(error) = hung_up.await {
                tracing::error!("SIGHUP: {}", error.chain());
            }
            systemd::reloaded();
        }
    }

    /// The next signal that ends the program.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
