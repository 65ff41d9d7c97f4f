//! The task behind the storage guard, and the note of how long the daemon has been running.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::cause::EndReason;
use super::disk::{Do, Guard, Space, make_reserve};
use super::folder::Places;
use super::resume::STARTS;
use super::session::Command;
use super::shared::{Shared, Slot};
use super::starts::NOTE_EVERY;
use crate::base::Mono;
use crate::notice::Fact;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The look at the disk when the room opens.
pub(super) fn first_look(guard: &mut Guard, places: &Places, space: Space) {
    for todo in guard.step(space, false) {
        match todo {
            Do::Reserve => {
                if let Err(error) = make_reserve(&places.reserve(), space) {
                    tracing::warn!(error = %error.chain(), "the reserve could not be made");
                }
            }
            // Nothing is recorded yet, but what the room is for has come.
            Do::StopAll => drop(std::fs::remove_file(places.reserve())),
            Do::Warn { .. } => {}
        }
    }
}

pub(super) async fn watch(shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut noted = Mono::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => look(&shared).await,
        }
        let now = Mono::now();
        if now.since(noted) >= NOTE_EVERY {
            noted = now;
            note_start(&shared, |starts| starts.note(now)).await;
        }
    }
    // A clean stop says nothing about what a recording does to the daemon.
    note_start(&shared, super::starts::Starts::forget_last).await;
}

async fn note_start(shared: &Shared, change: impl FnOnce(&mut super::starts::Starts)) {
    let text = {
        let mut starts = shared.starts();
        change(&mut starts);
        starts.text()
    };
    if let Err(error) = shared.options.store.set_setting(STARTS, text).await {
        tracing::debug!(error = %error.chain(), "the start could not be noted");
    }
}

async fn look(shared: &Arc<Shared>) {
    if shared.disk.get().is_some_and(|disk| !disk.condition().is_readable()) {
        // There is nothing to ask.
        return;
    }
    let root = shared.places.root().to_owned();
    let space = match tokio::task::spawn_blocking(move || Space::of(&root)).await {
        Ok(Ok(space)) => space,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the data disk does not answer");
            return;
        }
        Err(_) => return,
    };
    let recording = !shared.wanted.borrow().is_empty();
    let todo = shared.guard().step(space, recording);
    for todo in todo {
        match todo {
            Do::Warn { used_percent, above } => {
                let word = if above { "above" } else { "below" };
                tracing::warn!("the data disk is {used_percent:.1} % full, {word} the warning mark");
                shared.options.notices.send(Fact::StorageWarning { used_percent, above });
            }
            Do::StopAll => stop_all(shared).await,
            Do::Reserve => {
                let path = shared.places.reserve();
                let made = tokio::task::spawn_blocking(move || make_reserve(&path, space)).await;
                if let Ok(Err(error)) = made {
                    tracing::warn!(error = %error.chain(), "the reserve could not be made");
                }
            }
        }
    }
}

async fn stop_all(shared: &Arc<Shared>) {
    shared.release_reserve().await;
    for slot in shared.slots().values() {
        if let Slot::Active(active) = slot {
            tracing::error!(name = %active.view.name, "the disk is nearly full: the recording is ended");
            let _ = active.commands.send(Command::Stop(EndReason::StorageFull, None));
        }
    }
}
