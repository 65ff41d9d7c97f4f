//! What systemd hears of us: READY, STATUS, STOPPING, WATCHDOG. Without systemd nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// Every server answers.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A new one-line status.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// We are on our way down.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

/// Feeds systemd's watchdog at a third of its period, as long as `alive` answers true; returns at
/// once when there is no watchdog.
pub async fn watchdog(stop: CancellationToken, mut alive: impl FnMut() -> bool) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    let mut tick = tokio::time::interval((period / 3).max(Duration::from_millis(100)));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => if alive() { tell(&[NotifyState::Watchdog]) },
        }
    }
}
