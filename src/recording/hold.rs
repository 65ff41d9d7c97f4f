//! Recordings that pause because the disk is not fit, and go on by themselves.
//!
//! A pause closes the recorder's file and everything of ours that is open, so that the disk can be
//! unmounted and repaired. The recording stays wanted. When the disk is back its folder is brought in
//! order as after a start, and the same recording goes on; what is missing is a gap with its cause.

use std::time::Duration;

use super::Recordings;
use super::cause::{EndReason, GapCause};
use super::files::Files;
use super::folder;
use super::mend::{difference, mend};
use super::session::Session;
use super::view::Finished;
use crate::base::{Error, Mono, Result};
use crate::disk::{Condition, DataDisk};
use crate::notice::Fact;

/// Looks and rows of a disk that still answers take less; one that hangs is not waited for.
const LAST_ACTS: Duration = Duration::from_secs(4);

/// Why nothing is recorded for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    /// For the gap.
    pub cause: GapCause,
    /// What is wrong, for a person.
    pub why: &'static str,
}

/// Whether a recording is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paused {
    No,
    /// Until the disk is back.
    Yes,
    /// It has ended meanwhile; that is entered when the disk is back.
    Ending(EndReason),
}

impl Recordings {
    /// Asks `disk` before anything new is begun, and tells it of what fails. To be called once,
    /// before [`Recordings::run`].
    pub fn keep_on(&self, disk: DataDisk) {
        let _ = self.shared.disk.set(disk);
    }

    /// Pauses every running recording while the disk's condition is not `Fine`, and lets them go on
    /// when it is. Never waits; [`Recordings::paused`] tells when the files are closed.
    pub fn hold(&self, condition: Condition) {
        let hold = GapCause::of_disk(condition).map(|cause| Hold { cause, why: condition.text() });
        self.shared.hold.send_if_modified(|now| {
            let news = *now != hold;
            *now = hold;
            news
        });
    }

    /// Waits until nothing of a running recording is open, at most `limit`. Answers whether it came
    /// to that.
    pub async fn paused(&self, limit: Duration) -> bool {
        let all = async {
            while !self.shared.all_paused() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(limit, all).await.is_ok()
    }
}

impl Session {
    /// The disk is back and this recording is still paused.
    pub(super) fn is_to_go_on(&self) -> bool {
        self.paused != Paused::No && self.hold.borrow().is_none()
    }

    /// Pauses or goes on, as the disk allows. Answers whether the recording is over.
    pub(super) async fn follow_hold(&mut self) -> bool {
        let hold = *self.hold.borrow_and_update();
        match (hold, self.paused) {
            (None, Paused::No) => false,
            (Some(hold), Paused::No) => {
                self.pause(hold).await;
                false
            }
            // The first cause stays: a disk that fails is unmounted for repair.
            (Some(_), _) => false,
            (None, _) => match self.go_on().await {
                Ok(over) => over,
                Err(error) => {
                    tracing::warn!(error = %error.chain(), name = %self.facts.row.name, "it cannot go on yet");
                    if let Some(disk) = self.shared.disk.get() {
                        disk.suspect();
                    }
                    false
                }
            },
        }
    }

    async fn pause(&mut self, hold: Hold) {
        self.watch.pause(hold.cause);
        let row = &self.facts.row;
        let (camera, name) = (row.camera, row.name.clone());
        let recorder = self.shared.recorder();
        if let Err(error) = recorder.set_record(&camera.to_string(), None).await {
            tracing::warn!(error = %error.chain(), %name, "MediaMTX could not be told to stop recording");
        }
        let message = format!("{}; the recording pauses and goes on by itself", hold.why);
        tracing::error!(%name, cause = hold.cause.text(), "recording.error: {message}");
        self.note(hold.cause.text(), message.clone());
        self.shared.options.notices.send(Fact::RecordingError { camera, name, message });
        // What can still be saved is: an unmounted disk takes writes until the last file is closed.
        let last_acts = async {
            self.wait_for_last_file(&*recorder).await;
            self.save().await;
        };
        if tokio::time::timeout(LAST_ACTS, last_acts).await.is_err() {
            tracing::warn!(name = %self.facts.row.name, "the disk does not answer");
        }
        self.files = None;
        self.look = None;
        self.paused = Paused::Yes;
        self.shared.set_paused(camera, true);
    }

    /// The recording is over, and the disk that should hear of it is away.
    pub(super) fn end_later(&mut self, reason: EndReason) -> Finished {
        if self.paused == Paused::Yes {
            self.paused = Paused::Ending(reason);
            let camera = self.facts.row.camera;
            // Nobody needs its pictures any more.
            self.shared.wanted.send_if_modified(|wanted| wanted.remove(&camera));
        }
        let end_us = self.facts.end_us().unwrap_or(self.facts.row.start_us);
        self.finished(end_us)
    }

    /// The disk is back. Answers whether the recording is over.
    async fn go_on(&mut self) -> Result<bool> {
        let (now, now_us) = (Mono::now(), self.shared.options.clock.wall_us());
        let camera = self.facts.row.camera;
        let dir = self.shared.places.recording(camera, &self.facts.row.name);
        let (places, known, at) = (self.shared.places.clone(), self.facts.clone(), dir.clone());
        let mended = tokio::task::spawn_blocking(move || {
            if !at.is_dir() {
                folder::make(&at)?;
            }
            mend(&places, &known, now_us)
        });
        let facts = mended.await.map_err(Error::internal)?.map_err(folder::disk_error)?.facts;
        let found = difference(&self.facts, &facts).unwrap_or_default();
        self.facts = facts;
        let change = &mut self.unsaved;
        for segment in found.segments {
            change.segments.retain(|s| s.number != segment.number);
            change.segments.push(segment);
        }
        change.removed.extend(found.removed);
        change.gaps.extend(found.gaps);
        change.notes.extend(found.notes);
        self.changed = true;
        self.files = Some(Files::new(dir.clone(), &self.facts.segments));
        if let Paused::Ending(reason) = self.paused {
            self.end(reason).await?;
            return Ok(true);
        }
        self.watch.go_on(now, self.facts.end_us());
        self.shared.recorder().set_record(&camera.to_string(), Some(dir)).await?;
        self.paused = Paused::No;
        self.shared.set_paused(camera, false);
        tracing::warn!(name = %self.facts.row.name, "the disk is back: the recording goes on");
        Ok(false)
    }
}
