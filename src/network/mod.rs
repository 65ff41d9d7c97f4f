//! The network ports of a box, and their settings made over the API.
//!
//! Owns nothing but the way to systemd-networkd (which ports there are) and to the box's helper (which alone changes
//! them). Promises: a change holds for 60 s unless it is confirmed over a connection that was made through it, and
//! then for good; whoever loses the way to the box by a change has it back a minute later, for what takes it back
//! depends on neither this process nor the helper (`fieldcam-network-revert.timer`), nor on the machine staying on.
//! Costs nothing but a look once a second while something is on trial.

mod networkd;
mod ports;
mod rule;
mod status;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

pub use rule::{Came, Kept};
pub use status::Status;

use self::networkd::Networkd;
use crate::addressing::Setting;
use crate::base::{Clock, Error, Mono, Result};
use crate::helper::{self, Errand, TRIAL, TRIAL_FOLDER, Trial};
use crate::machine::host_name;
use crate::notice::{Fact, Notices};
use crate::supervise::Group;

/// A change takes the address away that its asker is answered by; nothing tells when the answer has arrived.
const ANSWER_FIRST: Duration = Duration::from_secs(1);
/// How often a trial is looked at, for those who want to hear of its end.
const LOOK: Duration = Duration::from_secs(1);
/// The helper may have to be started, and asks networkd and systemd, each of which may take ten seconds.
const HELP: Duration = Duration::from_secs(30);

/// The room's handle; clones share everything.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    helper: PathBuf,
    networkd: Networkd,
    notices: Notices,
    clock: Clock,
    group: Group,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Network {
    /// `helper`: socket of the box's helper. What is followed is followed in `group`.
    pub fn start(helper: PathBuf, notices: Notices, clock: Clock, group: &Group) -> Self {
        let (networkd, changing) = (Networkd::default(), Mutex::new(()));
        let network =
            Self(Arc::new(Inner { helper, networkd, notices, clock, group: group.clone(), changing }));
        // One that began before this process did.
        if on_trial().is_some() {
            network.follow(None);
        }
        network
    }

    /// Every port, and what is on trial.
    ///
    /// Fails with `Unsupported` on a machine whose network systemd-networkd does not run.
    pub async fn status(&self) -> Result<Status> {
        let links = self.0.networkd.links().await?;
        Ok(Status::of(links, on_trial().as_ref(), &host_name(), Mono::now(), self.0.clock.wall_us()))
    }

    /// Puts a setting on trial. It holds a moment after this has answered, and for a minute unless it is confirmed.
    ///
    /// Fails with `InvalidParams` when there is no such port or another one has that address, with `InvalidState`
    /// while something is on trial, with `Unsupported` on a machine without systemd-networkd or the box's helper.
    pub async fn set(&self, setting: Setting) -> Result<Status> {
        let links = self.0.networkd.links().await?;
        self.has_helper()?;
        let _one = self.0.changing.lock().await;
        rule::may_try(&setting, &links, on_trial().as_ref(), Mono::now())?;
        self.ask(Errand::NetworkTry(setting.clone())).await?;
        tracing::warn!(%setting, "a network setting is on trial for {} s", TRIAL.as_secs());
        self.follow(Some(ANSWER_FIRST));
        self.status().await
    }

    /// Keeps what is on trial. Answers with the setting, and whether its port has an address that leads anywhere.
    ///
    /// Fails with `InvalidState` when nothing is on trial, when it does not hold yet, when the connection is not one
    /// that was made through it, and by DHCP while a lease may still come.
    pub async fn confirm(&self, came: Came) -> Result<Kept> {
        let links = self.0.networkd.links().await?;
        self.has_helper()?;
        let _one = self.0.changing.lock().await;
        let kept = rule::may_confirm(on_trial(), &links, came, &host_name(), Mono::now())?;
        self.ask(Errand::NetworkConfirm).await?;
        tracing::warn!(setting = %kept.setting, bare = kept.bare, "a network setting was confirmed");
        Ok(kept)
    }

    fn has_helper(&self) -> Result<()> {
        if helper::is_there(&self.0.helper) {
            return Ok(());
        }
        let reason = "this machine has no helper that may change its network (fieldcam-box.socket)";
        Err(Error::unsupported("network", reason)
            .with("suggestion", "do it on the machine itself, or install Fieldcam's image"))
    }

    async fn ask(&self, errand: Errand) -> Result<()> {
        let asked = helper::ask(&self.0.helper, &errand, HELP).await;
        asked.map(drop).map_err(|why| {
            tracing::error!(%errand, why, "the box's helper did not do it");
            Error::dependency("box helper", "the network setting could not be changed")
                .with("suggestion", "ask get_network how it stands, and try again")
                .caused_by(std::io::Error::other(why))
        })
    }

    /// Tells of a trial until its end; has it applied first, `after` so long.
    fn follow(&self, after: Option<Duration>) {
        let (this, stop) = (self.clone(), self.0.group.stop().clone());
        self.0.group.spawn("network trial", async move {
            let followed = async {
                this.tell().await;
                if let Some(after) = after {
                    tokio::time::sleep(after).await;
                    // What cannot be applied is taken back by the helper; the log has it.
                    let _ = this.ask(Errand::NetworkApply).await;
                    this.tell().await;
                }
                while on_trial().is_some_and(|trial| trial.holds(Mono::now())) {
                    tokio::time::sleep(LOOK).await;
                }
                this.tell().await;
            };
            let _ = stop.run_until_cancelled(followed).await;
        });
    }

    async fn tell(&self) {
        // A status is made of strings and numbers.
        if let Ok(status) = self.status().await
            && let Ok(status) = serde_json::to_value(status)
        {
            self.0.notices.send(Fact::Network { status: status.into() });
        }
    }
}

/// What is on trial, from its file in memory.
fn on_trial() -> Option<Trial> {
    Trial::parse(&std::fs::read_to_string(Trial::path(Path::new(TRIAL_FOLDER))).ok()?)
}
