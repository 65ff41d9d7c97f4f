//! Whether a socket's peer lives, for those who wait for its place.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::base::Mono;

/// When a socket's peer was heard last, and whether somebody doubts that it is still there.
#[derive(Debug)]
pub struct Pulse {
    heard: AtomicU64,
    /// Since when; 0: nobody does.
    doubted: AtomicU64,
    doubt: Notify,
}

impl Pulse {
    /// Of a socket that begins `now`.
    pub fn new(now: Mono) -> Self {
        Self { heard: AtomicU64::new(now.0), doubted: AtomicU64::new(0), doubt: Notify::new() }
    }

    /// Something came from the peer.
    pub fn heard(&self, now: Mono) {
        self.heard.store(now.0, Ordering::Relaxed);
        if self.is_doubted() {
            self.doubted.store(0, Ordering::Relaxed);
        }
    }

    /// How long nothing has come.
    pub fn silent_for(&self, now: Mono) -> Duration {
        now.since(Mono(self.heard.load(Ordering::Relaxed)))
    }

    /// The peer is to be asked; if it does not answer, its socket ends.
    pub fn doubt(&self) {
        self.doubted.store(Mono::now().0.max(1), Ordering::Relaxed);
        self.doubt.notify_one();
    }

    /// Whether it was asked and has not answered yet.
    pub fn is_doubted(&self) -> bool {
        self.doubted_since().is_some()
    }

    pub(super) fn doubted_since(&self) -> Option<Mono> {
        let since = self.doubted.load(Ordering::Relaxed);
        (since > 0).then_some(Mono(since))
    }

    /// Ends with the next doubt.
    pub(super) async fn is_asked(&self) {
        self.doubt.notified().await;
    }
}
