//! What systemd hears of us: READY, STATUS, STOPPING, WATCHDOG. Without systemd nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// Every server answers.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again; [`ready`] or [`reloaded`] must follow.
pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// It has been read, or refused.
pub fn reloaded() {
    tell(&[NotifyState::Ready]);
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

/// Feeds systemd's watchdog at a third of its period, as long as `alive` answers true within that
/// third; returns at once when there is no watchdog.
pub async fn watchdog<F: Future<Output = bool>>(stop: CancellationToken, alive: impl Fn() -> F) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    let third = (period / 3).max(Duration::from_millis(100));
    let mut tick = tokio::time::interval(third);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        if tokio::time::timeout(third, alive()).await == Ok(true) {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("a part of the daemon hangs; systemd's watchdog is not fed");
        }
    }
}
