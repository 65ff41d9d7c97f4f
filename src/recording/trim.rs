//! Segments taken out of a recording, also one that runs, and recordings that are kept from that.
//!
//! In this order: the segments are marked in the index and in `recording.json`, which makes the film
//! begin later; their files go; their rows go. Whatever ends the program in between, the next start
//! finds the marks and does the rest. The index is marked first and cleared last, because a start goes
//! by it.

use std::collections::BTreeSet;

use tokio::sync::oneshot;

use super::Recordings;
use super::card::Facts;
use super::folder::{self, disk_error};
use super::hold::Paused;
use super::session::{Command, Session};
use super::shared::Slot;
use crate::base::{Error, RecordingName, Result};
use crate::store::{GapRow, RecordingChange};

/// Cause of the gap before the film that is left.
const RETENTION: &str = "retention";

/// What went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Files that are gone.
    pub files: u64,
    /// Bytes that they had.
    pub bytes: u64,
}

/// A change of what a recording consists of.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// Mark these: they are no part of the film any more.
    TakeOut(BTreeSet<u32>),
    /// The files of these marked ones are gone.
    Forget(BTreeSet<u32>),
    /// Whether retention has to leave it alone.
    Protect(bool),
}

/// The marked segments there are after an edit: number, file, bytes.
pub(super) type Edited = Vec<(u32, String, u64)>;

impl Facts {
    /// Changes them; answers with what the index has to be told.
    fn edit(&mut self, edit: &Edit) -> RecordingChange {
        let mut change = RecordingChange::default();
        match edit {
            Edit::Protect(protected) => self.row.protected = *protected,
            Edit::TakeOut(numbers) => self.take_out(numbers, &mut change),
            Edit::Forget(numbers) => {
                let gone = |s: &crate::store::SegmentRow| s.trimmed && numbers.contains(&s.number);
                change.removed = self.segments.iter().filter(|s| gone(s)).map(|s| s.number).collect();
                self.segments.retain(|s| !gone(s));
            }
        }
        change.row = Some(self.row.clone());
        change
    }

    /// Marks those of `numbers` that stand at the beginning. What may still grow stays, and so does the
    /// newest of a recording that runs: it says where the next one goes on.
    fn take_out(&mut self, numbers: &BTreeSet<u32>, change: &mut RecordingChange) {
        if self.row.protected {
            return;
        }
        let newest = self.segments.last().map(|s| s.number).filter(|_| self.row.wanted);
        let Some(began_us) = self.segments.iter().find(|s| !s.trimmed).map(|s| s.start_us) else { return };
        let there = self.segments.iter_mut().filter(|s| !s.trimmed);
        let goes = there.take_while(|s| numbers.contains(&s.number) && s.closed && Some(s.number) != newest);
        for segment in goes {
            segment.trimmed = true;
            change.segments.push(segment.clone());
        }
        self.sum();
        let first = self.segments.iter().find(|s| !s.trimmed).map(|s| (s.number, s.start_us));
        let Some((number, start_us)) = first.filter(|_| !change.segments.is_empty()) else { return };
        self.row.start_us = start_us;
        // One gap from where it once began takes the place of all others there.
        let began_us = self.gaps.iter().find(|g| g.cause == RETENTION).map_or(began_us, |g| g.start_us);
        let before = |g: &GapRow| g.number < number || g.number == number && g.start_us < start_us;
        change.removed_gaps = self.gaps.iter().filter(|g| before(g)).map(|g| g.start_us).collect();
        self.gaps.retain(|g| !before(g));
        let gap = GapRow {
            number,
            start_us: began_us,
            duration_us: start_us.saturating_sub(began_us).max(0).unsigned_abs(),
            cause: RETENTION.into(),
        };
        self.gaps.insert(0, gap.clone());
        change.gaps.push(gap);
    }

    fn marked(&self) -> Edited {
        let marked = self.segments.iter().filter(|s| s.trimmed);
        marked.map(|s| (s.number, s.file.clone(), if s.lost { 0 } else { s.size })).collect()
    }
}

impl Session {
    /// Changes the running recording; `None` = it is another one by now.
    pub(super) async fn edit(&mut self, name: &RecordingName, edit: &Edit) -> Result<Option<Edited>> {
        if self.facts.row.name != *name {
            return Ok(None);
        }
        if self.paused != Paused::No {
            return Err(Error::dependency("storage", "the disk is away; the recording is paused"));
        }
        let change = self.facts.edit(edit);
        for segment in change.segments {
            self.unsaved.segments.retain(|s| s.number != segment.number);
            self.unsaved.segments.push(segment);
        }
        let unsaved = &mut self.unsaved;
        unsaved.segments.retain(|s| !change.removed.contains(&s.number));
        unsaved.removed.extend(change.removed);
        unsaved.gaps.retain(|g| !change.removed_gaps.contains(&g.start_us));
        unsaved.removed_gaps.extend(change.removed_gaps);
        unsaved.gaps.extend(change.gaps);
        self.shared.show(&self.facts);
        self.changed = true;
        self.write_out().await?;
        Ok(Some(self.facts.marked()))
    }
}

impl Recordings {
    /// Deletes those of these segments that stand at the beginning of a recording, unless it is
    /// protected or somebody reads it; `anyway` ends such a download. Without numbers it finishes what
    /// was begun before.
    pub async fn trim(&self, name: &RecordingName, numbers: BTreeSet<u32>, anyway: bool) -> Result<Trimmed> {
        if !anyway && self.is_leased(name) {
            return Ok(Trimmed::default());
        }
        let marked = self.edit(name, Edit::TakeOut(numbers)).await?;
        if marked.is_empty() {
            return Ok(Trimmed::default());
        }
        if anyway {
            self.cut_off(name);
        } else if self.is_leased(name) {
            // Somebody came just now, perhaps before the marks were there. The files go with the next
            // look or the next start.
            return Ok(Trimmed::default());
        }
        let row = self.row(name).await?;
        let dir = self.shared.places.recording(row.camera, name);
        let files: Vec<String> = marked.iter().map(|(_, file, _)| file.clone()).collect();
        tokio::task::spawn_blocking(move || folder::remove_segments(&dir, files.iter().map(String::as_str)))
            .await
            .map_err(Error::internal)?
            .map_err(disk_error)?;
        let trimmed = Trimmed { files: marked.len() as u64, bytes: marked.iter().map(|m| m.2).sum() };
        self.edit(name, Edit::Forget(marked.into_iter().map(|m| m.0).collect())).await?;
        Ok(trimmed)
    }

    /// Deletes a recording that has ended as a whole, as [`Recordings::delete`] does, unless it is
    /// protected or somebody reads it; `anyway` ends such a download. Answers whether it is gone.
    pub async fn expire(&self, name: &RecordingName, anyway: bool) -> Result<bool> {
        let _edit = self.shared.edits.lock().await;
        let row = self.row(name).await?;
        if row.protected || row.wanted || self.runs(name) || !anyway && self.is_leased(name) {
            return Ok(false);
        }
        if anyway {
            self.cut_off(name);
        }
        self.remove(name, row).await.map(|()| true)
    }

    /// Keeps a recording from retention, or gives it free.
    pub async fn protect(&self, name: &RecordingName, protected: bool) -> Result<()> {
        self.edit(name, Edit::Protect(protected)).await.map(drop)
    }

    /// Recordings of which a file is about to go.
    pub async fn trimmed(&self) -> Result<Vec<RecordingName>> {
        self.shared.options.store.trimmed_recordings().await
    }

    fn cut_off(&self, name: &RecordingName) {
        for who in self.shared.leases.revoke(name) {
            tracing::warn!(%name, who, "the disk needs the room: a download of it is cut off");
        }
    }

    /// Has it changed by whoever writes it: its session, or nobody.
    async fn edit(&self, name: &RecordingName, edit: Edit) -> Result<Edited> {
        let session = self.shared.slots().values().find_map(|slot| match slot {
            Slot::Active(active) if active.view.name == *name => Some(active.commands.clone()),
            _ => None,
        });
        if let Some(session) = session {
            let (reply, answer) = oneshot::channel();
            let sent = session.send(Command::Edit(name.clone(), edit.clone(), reply));
            // Without an answer it has ended meanwhile.
            if let (Ok(()), Ok(edited)) = (sent, answer.await)
                && let Some(edited) = edited?
            {
                return Ok(edited);
            }
        }
        let _edit = self.shared.edits.lock().await;
        let store = &self.shared.options.store;
        let whole = store.whole_recordings(vec![name.clone()]).await?.pop().flatten();
        let mut facts = Facts::from(whole.ok_or_else(|| Error::not_found("Recording", name))?);
        let (id, before) = (facts.row.id, facts.clone());
        let change = facts.edit(&edit);
        if facts == before {
            return Ok(facts.marked());
        }
        let marked = facts.marked();
        let dir = self.shared.places.recording(facts.row.camera, name);
        let card = async move {
            let write = move || if dir.is_dir() { facts.write(&dir) } else { Ok(()) };
            tokio::task::spawn_blocking(write).await.map_err(Error::internal)?.map_err(disk_error)
        };
        let index = store.change_recording(id, change);
        // Where the program ends between the two, a start does the rest of what the index says; a card
        // that protects more than it should does no harm.
        if matches!(edit, Edit::TakeOut(_) | Edit::Protect(false)) {
            index.await?;
            card.await?;
        } else {
            card.await?;
            index.await?;
        }
        Ok(marked)
    }
}

#[cfg(test)]
mod tests;
