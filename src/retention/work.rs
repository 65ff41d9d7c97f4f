//! The task that carries the policy out, and the cleanup that somebody asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::plan::{Cut, Need, Reel, plan};
use super::times::{Possible, Steady, judged, reel};
use super::{Policy, Retention, RetentionOptions};
use crate::base::{Error, Mono, Result};
use crate::store::Outline;

/// How often the clock and the disk are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often sizes are summed up.
const SIZES_EVERY: Duration = Duration::from_secs(2);
/// How often ages are judged.
const AGES_EVERY: Duration = Duration::from_secs(60);
/// A file system may take this long to show the room that a deleted file left.
const SETTLES: Duration = Duration::from_secs(5);
/// Somebody who asks for a cleanup waits this long for the check of a start.
const CHECK_LIMIT: Duration = Duration::from_secs(20);
/// Recordings whose segments are read at a time, and the most that are looked at together.
const READ: usize = 32;
const MOST: usize = 1024;
const STILLS: u32 = 200;

/// What the clocks said, for the next run of the program.
const CLOCK_NOTE: &str = "retention_clock";
/// No footage of this box is older: the day on which the oldest program that ran here was built.
const EPOCH: &str = "retention_epoch";

/// What is known from one look to the next.
pub(super) struct State {
    steady: Steady,
    boot: String,
    noted: String,
    epoch_us: i64,
    sizes_at: Mono,
    ages_at: Mono,
    marks_at: Mono,
    floor_at: Mono,
    /// All recordings' bytes at the last look.
    total: Option<u64>,
    /// Bytes that come in from one look to the next.
    growth: u64,
    /// It was said that not enough can go.
    stuck: bool,
}

/// What a cleanup did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Whether there was a policy to apply.
    pub executed: bool,
    /// Segments and stills that are gone.
    pub files: u64,
    /// Bytes that they had.
    pub bytes: u64,
    /// Recordings that are gone as a whole.
    pub recordings: u64,
    /// Stills among the files.
    pub snapshots: u64,
    /// For a person.
    pub message: String,
}

impl State {
    pub(super) async fn read(options: &RetentionOptions) -> Result<Self> {
        let store = &options.store;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot = boot.trim().to_owned();
        let note = store.setting(CLOCK_NOTE).await?;
        let fresh = store.recording_names().await?.is_empty();
        let (now, wall_us) = (Mono::now(), options.clock.wall_us());
        let built: i64 = env!("FIELDCAM_BUILD_DATE")
            .parse::<jiff::Timestamp>()
            .expect("the build script writes a time")
            .as_microsecond();
        let known = store.setting(EPOCH).await?.and_then(|text| text.parse::<i64>().ok());
        let epoch_us = known.map_or(built, |known| known.min(built));
        if known != Some(epoch_us) {
            store.set_setting(EPOCH, epoch_us.to_string()).await?;
        }
        Ok(Self {
            steady: Steady::begin(now, wall_us, &boot, note.as_deref(), fresh),
            boot,
            noted: note.unwrap_or_default(),
            epoch_us,
            sizes_at: Mono(0),
            ages_at: Mono(0),
            marks_at: Mono(0),
            floor_at: Mono(0),
            total: None,
            growth: 0,
            stuck: false,
        })
    }
}

impl Retention {
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut policy = self.0.policy.subscribe();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tracing::info!("retention: {}", self.policy().message());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
                _ = policy.changed() => self.0.turn.lock().await.ages_at = Mono(0),
            }
            // A cleanup ends after the recording that it is at; what is left of that a start finishes.
            tokio::select! {
                () = stop.cancelled() => return,
                looked = self.look() => if let Err(error) = looked {
                    tracing::warn!(error = %error.chain(), "retention could not do its work; it tries again");
                }
            }
        }
    }

    /// What is due now.
    async fn look(&self) -> Result<()> {
        let mut state = self.0.turn.lock().await;
        let state = &mut *state;
        let now = Mono::now();
        self.follow_clock(state, now).await?;
        let options = &self.0.options;
        if !options.disk.condition().is_fine() || options.recordings.checking().borrow().total > 0 {
            return Ok(());
        }
        let policy = self.policy();
        let mut need = Need::default();
        let due = |at: Mono, every: Duration| at == Mono(0) || now.since(at) >= every;
        if due(state.marks_at, AGES_EVERY) {
            state.marks_at = now;
            self.finish_marked().await;
        }
        if policy.max_age_us().is_some() && due(state.ages_at, AGES_EVERY) {
            state.ages_at = now;
            need.before_us = self.too_old(state, &policy, now);
        }
        if policy.max_bytes().or(policy.camera_max_bytes()).is_some() && due(state.sizes_at, SIZES_EVERY) {
            state.sizes_at = now;
            self.too_much(state, &policy, &mut need).await?;
        }
        let full = policy.floor().is_some_and(|floor| options.recordings.storage().used_percent >= floor);
        if full && now >= state.floor_at {
            need.floor = self.too_full(&policy).await?;
        }
        if need != Need::default() {
            let cleaned = self.clean(state, need).await;
            state.floor_at = Mono::now() + SETTLES;
            cleaned?;
        }
        Ok(())
    }

    /// Applies the policy now, and says what that did. Fails with `InvalidState` while files and index
    /// are still being compared after a start.
    pub async fn cleanup(&self) -> Result<Cleaned> {
        let policy = self.policy();
        let nothing = |message: String| Cleaned { message, ..Cleaned::default() };
        if !policy.acts() {
            let how = if policy.enabled {
                "choose what goes with set_retention_policy, or delete recordings with delete_recording"
            } else {
                "switch it on with set_retention_policy {enabled: true}, or use delete_recording"
            };
            return Ok(nothing(format!("{}; {how}", policy.message())));
        }
        let options = &self.0.options;
        let mut checking = options.recordings.checking();
        let check = async { checking.wait_for(|c| c.total == 0).await.is_ok() };
        if tokio::time::timeout(CHECK_LIMIT, check).await.is_err() {
            return Err(Error::state("files and index are still being compared", "CHECKING", &["RUNNING"])
                .with("suggestion", "try again in a minute"));
        }
        let mut state = self.0.turn.lock().await;
        let now = Mono::now();
        self.follow_clock(&mut state, now).await?;
        let mut need = Need { before_us: self.too_old(&state, &policy, now), ..Need::default() };
        if let Some(pause) = state.steady.pause(now).filter(|_| policy.max_age_us().is_some()) {
            let minutes = pause.as_secs().div_ceil(60);
            if policy.floor().is_none() {
                return Ok(nothing(format!(
                    "the clock was set, or the box started, a short time ago; ages are judged again in \
                     {minutes} min"
                )));
            }
        }
        self.too_much(&mut state, &policy, &mut need).await?;
        need.floor = self.too_full(&policy).await?;
        let wanted = need.wants_bytes();
        self.finish_marked().await;
        let mut cleaned = self.clean(&mut state, need).await?;
        cleaned.executed = true;
        let s = if cleaned.files == 1 { " was" } else { "s were" };
        cleaned.message = format!("{} file{s} deleted", cleaned.files);
        if state.stuck && wanted {
            cleaned.message +=
                "; more should go, but what is left is protected, being recorded or being downloaded";
        }
        Ok(cleaned)
    }

    async fn follow_clock(&self, state: &mut State, now: Mono) -> Result<()> {
        if let Some(by) = state.steady.look(now, self.0.options.clock.wall_us()) {
            let seconds = by as f64 / 1e6;
            tracing::warn!(
                "the wall clock was set by {seconds:+.3} s: no footage is too old for ten minutes"
            );
        }
        let note = state.steady.note(&state.boot);
        // A pause is noted at once.
        let news = state.noted.rsplit(' ').next() != note.rsplit(' ').next();
        if news || is_old(&state.noted, now) {
            self.0.options.store.set_setting(CLOCK_NOTE, note.clone()).await?;
            state.noted = note;
        }
        Ok(())
    }

    fn too_old(&self, state: &State, policy: &Policy, now: Mono) -> Option<i64> {
        let age = policy.max_age_us()?;
        if state.steady.pause(now).is_some() {
            return None;
        }
        Some(self.0.options.clock.wall_us().saturating_sub(age))
    }

    async fn too_much(&self, state: &mut State, policy: &Policy, need: &mut Need) -> Result<()> {
        let (all, each) = (policy.max_bytes(), policy.camera_max_bytes());
        if all.or(each).is_none() {
            return Ok(());
        }
        let sizes = self.sizes().await?.recordings;
        let total: u64 = sizes.values().sum();
        let growth = total.saturating_sub(state.total.unwrap_or(total));
        state.total = Some(total);
        // Room for what comes until the next look, so that it stays below.
        state.growth = growth.max(state.growth / 2);
        let over = |size: u64, limit: u64| {
            let room = state.growth.min(limit / 4);
            size.saturating_add(room).saturating_sub(limit)
        };
        need.total = all.map_or(0, |limit| over(total, limit));
        if let Some(limit) = each {
            need.cameras = sizes.into_iter().map(|(camera, size)| (camera, over(size, limit))).collect();
            need.cameras.retain(|_, bytes| *bytes > 0);
        }
        Ok(())
    }

    async fn too_full(&self, policy: &Policy) -> Result<u64> {
        let Some(floor) = policy.floor() else { return Ok(0) };
        let disk = self.0.options.recordings.storage_now().await?;
        let limit = disk.used.saturating_add(disk.available) as f64 * floor / 100.0;
        Ok(disk.used.saturating_sub(limit as u64))
    }

    /// Files whose deletion was begun.
    async fn finish_marked(&self) {
        let recordings = &self.0.options.recordings;
        let marked = recordings.trimmed().await.unwrap_or_default();
        for name in marked {
            if let Err(error) = recordings.trim(&name, BTreeSet::new(), false).await {
                tracing::warn!(error = %error.chain(), %name, "files of it are still to be deleted");
            }
        }
    }

    /// Deletes until nothing is needed any more, or nothing more can go.
    async fn clean(&self, state: &mut State, mut need: Need) -> Result<Cleaned> {
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
        failed: &BTreeSet<crate::base::RecordingName>,
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
        let mut seen = BTreeMap::new();
        loop {
            let stills = options.store.oldest_snapshots(from_us, before_us, STILLS).await?;
            let fresh: Vec<_> = stills.into_iter().filter(|s| !seen.contains_key(&s.name)).collect();
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
                seen.insert(still.name, ());
            }
        }
    }
}

/// Whether the note is old enough for slewing to have added up.
fn is_old(noted: &str, now: Mono) -> bool {
    let seen = noted.split(' ').nth(2).and_then(|n| n.parse().ok()).map(Mono);
    seen.is_none_or(|seen| now.since(seen) >= Duration::from_secs(600))
}
