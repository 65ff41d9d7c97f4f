//! When something is due and how much of it: the task that looks, and the cleanup that somebody asks for.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::plan::Need;
use super::times::Steady;
use super::{Policy, Retention, RetentionOptions};
use crate::base::{Error, Mono, Result};

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

/// What the clocks said, for the next run of the program.
const CLOCK_NOTE: &str = "retention_clock";
/// No footage of this box is older: the day on which the oldest program that ran here was built.
const EPOCH: &str = "retention_epoch";

/// What is known from one look to the next.
pub(super) struct State {
    steady: Steady,
    boot: String,
    noted: String,
    pub(super) epoch_us: i64,
    sizes_at: Mono,
    ages_at: Mono,
    marks_at: Mono,
    floor_at: Mono,
    /// All recordings' bytes at the last look.
    pub(super) total: Option<u64>,
    /// Bytes that come in from one look to the next.
    growth: u64,
    /// It was said that not enough can go.
    pub(super) stuck: bool,
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
}

/// Whether the note is old enough for slewing to have added up.
fn is_old(noted: &str, now: Mono) -> bool {
    let seen = noted.split(' ').nth(2).and_then(|n| n.parse().ok()).map(Mono);
    seen.is_none_or(|seen| now.since(seen) >= Duration::from_secs(600))
}
