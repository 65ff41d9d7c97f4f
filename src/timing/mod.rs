//! The wall clock of a box that may have no battery for it.
//!
//! Owns the note of the last time known (`DATA/clock`, written every minute and at the end) and what is known of the
//! clock's worth ([`Trust`]). Promises: the clock is never below the last time known when the box runs, even where
//! the slot that runs has not seen that time; it is set by hand only above that, and never against a time server.
//! Costs one small durable write a minute.

mod kernel;
mod rule;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::base::clock::Trust;
use crate::base::{Clock, Error, Result};
use crate::durable;
use crate::helper::{self, Errand};
use crate::supervise::Group;

/// How often the time is noted and the clock's worth looked at.
const EVERY: Duration = Duration::from_secs(60);
/// The helper may have to be started.
const HELP: Duration = Duration::from_secs(10);
/// A clock that is late by less is left alone at the start: reading it takes time too.
const SLACK_MS: i64 = 1000;

/// The room's handle; clones share everything.
#[derive(Clone)]
pub struct Timing(Arc<Inner>);

struct Inner {
    clock: Clock,
    helper: PathBuf,
    file: PathBuf,
    /// The last time known when the box started, milliseconds since 1970.
    floor_ms: i64,
    /// The last time known.
    kept_ms: AtomicI64,
    was_kept: bool,
    was_set: AtomicBool,
}

impl Timing {
    /// Brings a clock that is behind the last time known up to it, and keeps the time in `group`. `held`: the data
    /// directory by its held descriptor, `helper`: the box helper's socket.
    pub async fn start(held: PathBuf, helper: PathBuf, clock: Clock, group: &Group) -> Self {
        let file = held.join("clock");
        let read = file.clone();
        let kept = tokio::task::spawn_blocking(move || {
            let text = std::fs::read_to_string(read).ok()?;
            text.trim().parse::<i64>().ok()
        });
        let kept = kept.await.ok().flatten();
        let floor_ms = kernel::epoch_ms().max(kept.unwrap_or(0));
        let timing = Self(Arc::new(Inner {
            clock,
            helper,
            file,
            floor_ms,
            kept_ms: AtomicI64::new(floor_ms),
            was_kept: kept.is_some(),
            was_set: AtomicBool::new(false),
        }));
        timing.catch_up().await;
        timing.look();
        let (keeper, stop) = (timing.clone(), group.stop().clone());
        group.spawn("clock", async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                keeper.keep().await;
            }
            keeper.keep().await;
        });
        timing
    }

    /// Sets the clock, in milliseconds since 1970 UTC.
    ///
    /// Fails with `InvalidState` when a time server keeps it, with `InvalidParams` when the time is below the last one
    /// known, with `Unsupported` on a machine whose clock Fieldcam may not set.
    pub async fn set(&self, asked_ms: i64) -> Result<()> {
        rule::may(self.in_step())?;
        if !helper::is_there(&self.0.helper) {
            let reason = "this machine has no helper that may set the clock (fieldcam-box.socket)";
            return Err(Error::unsupported("set_time", reason)
                .with("suggestion", "set it on the machine itself, or install Fieldcam's image"));
        }
        rule::judge(asked_ms, self.0.floor_ms)?;
        self.ask(asked_ms).await.map_err(|why| {
            Error::dependency("box helper", "the clock could not be set")
                .with("suggestion", "try again; `fieldcam ctl diag` tells more")
                .caused_by(std::io::Error::other(why))
        })?;
        tracing::warn!(asked_ms, "the clock was set by hand");
        // From here on this is the last time known, also where it is before the one that ran so far.
        self.0.kept_ms.store(asked_ms, Ordering::Relaxed);
        self.0.was_set.store(true, Ordering::Relaxed);
        self.keep().await;
        Ok(())
    }

    async fn ask(&self, to_ms: i64) -> std::result::Result<(), String> {
        helper::ask(&self.0.helper, &Errand::SetTime(to_ms), HELP).await.map(drop)
    }

    fn in_step(&self) -> bool {
        kernel::in_step(self.now_ms())
    }

    fn now_ms(&self) -> i64 {
        self.0.clock.wall().as_millisecond()
    }

    async fn catch_up(&self) {
        let (now, floor) = (self.now_ms(), self.0.floor_ms);
        if now + SLACK_MS >= floor || self.in_step() {
            return;
        }
        match self.ask(floor).await {
            Ok(()) => tracing::warn!("the clock was {} s behind the last time known", (floor - now) / 1000),
            Err(why) => tracing::error!(
                "the clock is {} s behind the last time known and cannot be set: {why}",
                (floor - now) / 1000
            ),
        }
    }

    /// How far the clock can be trusted now.
    fn look(&self) -> bool {
        let in_step = self.in_step();
        self.0.clock.judge(if in_step {
            Trust::Ntp
        } else if self.0.was_set.load(Ordering::Relaxed) {
            Trust::Set
        } else if self.0.was_kept {
            Trust::Kept
        } else {
            Trust::Unknown
        });
        in_step
    }

    /// Notes the time, durably. One that cannot be noted is one of the disk's troubles, which others tell of.
    async fn keep(&self) {
        let in_step = self.look();
        let kept = rule::keep(self.0.kept_ms.load(Ordering::Relaxed), self.now_ms(), in_step);
        self.0.kept_ms.store(kept, Ordering::Relaxed);
        let file = self.0.file.clone();
        let wrote =
            tokio::task::spawn_blocking(move || durable::replace(&file, format!("{kept}\n").as_bytes()));
        if let Ok(Err(e)) = wrote.await {
            tracing::debug!("the time could not be noted: {e}");
        }
    }
}

#[cfg(test)]
mod tests;
