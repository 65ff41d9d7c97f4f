//! Carries an installation out.

use std::collections::VecDeque;

use super::fault::Fault;
use super::gate::Stand;
use super::job::{Action, Event, Job, Wish};
use super::record::Pending;
use super::{Update, busy, fetch};
use crate::base::{Error, Result};

/// The name that a bundle from the network has here.
const FETCHED: &str = "fetched";

impl Update {
    /// Begins, and answers when the bundle was looked at or is on its way.
    pub(super) async fn begin(&self, wish: Wish) -> Result<()> {
        self.look(true).await.map_err(super::rauc::Why::error)?;
        if self.0.rauc.is_installing().await.map_err(super::rauc::Why::error)? {
            return Err(busy());
        }
        if let super::Source::File(name) = &wish.source
            && !self.0.bundles.has(name)
        {
            let fault = Fault::of_rauc("No such file");
            return Err(fault.error("file"));
        }
        let action = {
            let mut state = self.state();
            if state.job.is_busy() {
                return Err(busy());
            }
            let trial = |g: &super::Gate| g.is_new() && g.stand() != Stand::Committed;
            if state.gate.as_ref().is_some_and(trial) {
                let text = "the version that runs is on trial; wait until it is kept or taken back";
                return Err(Error::state(text, "trying", &["idle", "committed"]));
            }
            state.record.fallen = None;
            state.kept_now = false;
            state.job.begin(wish)
        };
        let mut changes = self.0.changed.subscribe();
        self.tell();
        let (update, stop) = (self.clone(), self.0.group.stop().clone());
        self.0.group.spawn("update", async move {
            stop.run_until_cancelled(Box::pin(update.carry(action))).await;
        });
        loop {
            match &self.state().job {
                Job::Checking { .. } => {}
                Job::Failed(fault) => return Err(fault.error("file")),
                _ => return Ok(()),
            }
            if changes.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    async fn carry(&self, first: Action) {
        let mut queue = VecDeque::from([first]);
        while let Some(action) = queue.pop_front() {
            let event = match action {
                Action::Fetch(url) => self.fetch(&url).await,
                Action::Sum(file) => self.sum(file).await,
                Action::Inspect(file) => match self.0.rauc.inspect(&self.0.bundles.path(&file)).await {
                    Ok(bundle) => Event::Checked(bundle),
                    Err(why) => Event::Failed(why.fault()),
                },
                Action::Install(file) => self.write(&file).await,
                Action::Note { version } => {
                    tracing::info!("version {version} is installed; the next start runs it");
                    self.note(&version, true).await;
                    continue;
                }
                Action::Remove(file) => {
                    let bundles = self.0.bundles.clone();
                    // Whether it went is logged there.
                    let _ = tokio::task::spawn_blocking(move || bundles.remove(&file)).await;
                    continue;
                }
            };
            queue.extend(self.apply(event));
        }
        self.tell();
    }

    fn apply(&self, event: Event) -> Vec<Action> {
        let ours = self.ours();
        let mut state = self.state();
        if event == Event::Done {
            state.look_again();
        }
        let actions = state.job.step(event, &ours);
        if let Job::Failed(fault) = &state.job {
            tracing::error!(reason = fault.reason, "an update was not taken: {}", fault.message);
        }
        actions
    }

    async fn fetch(&self, url: &str) -> Event {
        let Ok(url) = fetch::parse(url) else {
            return Event::Failed(Fault::new("unreachable", "the address is none", "check it"));
        };
        let mut told = None;
        let tell = |got: u64, total: u64| {
            let percent = (got * 100).checked_div(total);
            if told != percent {
                told = percent;
                self.apply(Event::Fetching { got, total });
                self.tell();
            }
        };
        match fetch::fetch(&self.0.options.reach, &self.0.bundles, &url, FETCHED, tell).await {
            Ok(stored) => Event::Fetched { file: stored.name, sha256: stored.sha256.unwrap_or_default() },
            Err(fault) => Event::Failed(fault),
        }
    }

    async fn sum(&self, file: String) -> Event {
        let (bundles, name) = (self.0.bundles.clone(), file.clone());
        match tokio::task::spawn_blocking(move || bundles.sum(&name)).await {
            Ok(Ok(sha256)) => Event::Fetched { file, sha256 },
            _ => Event::Failed(Fault::new("no_bundle", "the bundle cannot be read", "upload it again")),
        }
    }

    async fn write(&self, file: &str) -> Event {
        // Should the power go while RAUC writes, the next start has to know what it may have come up with.
        let version = match &self.state().job {
            Job::Installing { version, .. } => version.clone(),
            _ => String::new(),
        };
        self.note(&version, false).await;
        self.tell();
        let tell = |percent, message| {
            self.apply(Event::Progress { percent, message });
            self.tell();
        };
        let done = self.0.rauc.install(&self.0.bundles.path(file), tell).await;
        match done {
            Ok(()) => Event::Done,
            Err(why) => {
                self.state().record.pending = None;
                self.keep().await;
                Event::Failed(why.fault())
            }
        }
    }

    /// Notes durably what is in the other slot, and which cameras were live.
    async fn note(&self, version: &str, done: bool) {
        let Some(running) = self.running() else { return };
        let here = &self.0.options.here;
        let pending = Pending {
            slot: running.other().word().to_owned(),
            version: version.to_owned(),
            from: here.version.clone(),
            boot_id: here.boot_id.clone(),
            done,
            cameras: self.live().iter().map(ToString::to_string).collect(),
            reason: None,
        };
        self.state().record.pending = Some(pending);
        self.keep().await;
    }
}
