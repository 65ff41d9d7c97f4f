//! What is needed, taken from the disk: recordings are chosen a few at a time, then cut, then stills.

use std::collections::BTreeSet;

use super::Retention;
use super::plan::{Cut, Need, Reel, plan};
use super::times::{Possible, judged, reel};
use super::work::{Cleaned, State};
use crate::base::{RecordingName, Result};
use crate::store::Outline;

/// Recordings whose segments are read at a time, and the most that are looked at together.
const READ: usize = 32;
const MOST: usize = 1024;
const STILLS: u32 = 200;

impl Retention {
    /// Deletes until nothing is needed any more, or nothing more can go.
    pub(super) async fn clean(&self, state: &mut State, mut need: Need) -> Result<Cleaned> {
        let mut done = Cleaned::default();
        let mut failed = BTreeSet::new();
        let had = need.clone();
        while need.before_us.is_some() || need.wants_bytes() {
            let (cuts, more) = self.choose(&need, state.epoch_us, &failed).await?;
            for cut in &cuts {
                let bytes = self.carry_out(cut, &mut done).await;
                match bytes {
                    Ok(Some(bytes)) => need.freed(cut.camera, bytes),
                    // It is read, protected or gone by now.
                    Ok(None) => drop(failed.insert(cut.name.clone())),
                    Err(error) => {
                        tracing::warn!(error = %error.chain(), name = %cut.name, "it could not be deleted");
                        failed.insert(cut.name.clone());
                    }
                }
            }
            if cuts.is_empty() || !more && !need.wants_bytes() {
                break;
            }
        }
        if let Some(before_us) = had.before_us {
            self.clean_stills(state.epoch_us, before_us, &mut done).await?;
        }
        state.total = state.total.map(|total| total.saturating_sub(done.bytes));
        if done.files + done.recordings > 0 {
            let why = match (had.before_us, had.floor) {
                (_, 1..) => "floor",
                (Some(_), _) => "age",
                _ => "size",
            };
            let Cleaned { files, bytes, recordings, snapshots, .. } = done;
            tracing::info!(why, files, bytes, recordings, snapshots, "old footage was deleted");
        }
        if had.wants_bytes() {
            let stuck = need.wants_bytes();
            if stuck && !state.stuck {
                tracing::warn!(
                    "retention cannot free enough: what is left is protected, being recorded or being downloaded"
                );
            }
            state.stuck = stuck;
        }
        Ok(done)
    }

    /// What goes next, and whether there may be more after that.
    async fn choose(
        &self,
        need: &Need,
        epoch_us: i64,
        failed: &BTreeSet<RecordingName>,
    ) -> Result<(Vec<Cut>, bool)> {
        let options = &self.0.options;
        let possible = Possible { from_us: epoch_us, until_us: options.clock.wall_us() };
        let outlines = options.store.outlines().await?;
        let judged = judged(&outlines, possible);
        let only_cameras = need.total == 0 && need.floor == 0;
        let mut order: Vec<(&Outline, (i64, i64))> = outlines.iter().zip(judged).collect();
        order.retain(|(o, at)| {
            let bytes = need.wants_bytes() && (!only_cameras || need.cameras.contains_key(&o.camera));
            let aged = need.before_us.is_some_and(|before| at.0 < before);
            !o.protected && !failed.contains(&o.name) && (bytes || aged)
        });
        order.sort_by_key(|(o, at)| (at.0, o.id));
        let mut reels: Vec<Reel> = Vec::new();
        let mut steps = order.chunks(READ).peekable();
        let mut planned = (Vec::new(), false);
        while let Some(step) = steps.next() {
            let names = step.iter().map(|(o, _)| o.name.clone()).collect();
            let known = options.store.whole_recordings(names).await?;
            for ((outline, at), whole) in step.iter().zip(known) {
                if let Some(whole) = whole {
                    let leased = options.recordings.is_leased(&outline.name);
                    reels.push(reel(outline, *at, &whole.segments, leased, possible));
                }
            }
            let horizon = steps.peek().and_then(|next| next.first()).map_or(i64::MAX, |(_, at)| at.0);
            let (cuts, left) = plan(&reels, need, horizon);
            let enough = !left.wants_bytes() && need.before_us.is_none_or(|before| horizon >= before);
            let many = reels.len() >= MOST && !cuts.is_empty();
            planned = (cuts, steps.peek().is_some() && !enough);
            if enough || many {
                break;
            }
        }
        Ok(planned)
    }

    /// Answers with the bytes that are gone; `None` = it has to stay.
    async fn carry_out(&self, cut: &Cut, done: &mut Cleaned) -> Result<Option<u64>> {
        let recordings = &self.0.options.recordings;
        if cut.whole {
            if !recordings.expire(&cut.name, cut.anyway).await? {
                return Ok(None);
            }
            done.recordings += 1;
            done.files += cut.numbers.len() as u64;
            done.bytes = done.bytes.saturating_add(cut.bytes);
            return Ok(Some(cut.bytes));
        }
        let trimmed = recordings.trim(&cut.name, cut.numbers.clone(), cut.anyway).await?;
        done.files += trimmed.files;
        done.bytes = done.bytes.saturating_add(trimmed.bytes);
        Ok((trimmed.files > 0).then_some(trimmed.bytes))
    }

    async fn clean_stills(&self, from_us: i64, before_us: i64, done: &mut Cleaned) -> Result<()> {
        let options = &self.0.options;
        let mut seen = BTreeSet::new();
        loop {
            let stills = options.store.oldest_snapshots(from_us, before_us, STILLS).await?;
            let fresh: Vec<_> = stills.into_iter().filter(|s| !seen.contains(&s.name)).collect();
            if fresh.is_empty() {
                return Ok(());
            }
            for still in fresh {
                match options.snapshots.delete(&still.name).await {
                    Ok(()) => {
                        done.files += 1;
                        done.snapshots += 1;
                        done.bytes = done.bytes.saturating_add(still.size);
                    }
                    Err(error) => tracing::warn!(error = %error.chain(), "a snapshot could not be deleted"),
                }
                seen.insert(still.name);
            }
        }
    }
}
