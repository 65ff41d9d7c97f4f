//! The box of this data directory, for commands on the box itself: whoever may read the directory needs no
//! log-in. A running box is asked, so that a change takes effect there at once; without one it is made here.

use std::time::Duration;

use crate::auth::{Auth, Deed, Role};
use crate::base::{Clock, Error, Result};
use crate::config::Settings;
use crate::ctl::{Host, Link};
use crate::store::{Store, StorePlaces};

use super::data_dir::DataDir;
use super::token;

/// Who the audit log says it was.
const USER: &str = "local";
/// One command.
const TTL: Duration = Duration::from_secs(60);

/// The box, as it was found.
pub(super) enum OnBox {
    /// Logged in to.
    Running(Box<Link>),
    /// Nobody else has its data.
    Stopped(Stopped),
}

/// A box that does not run.
pub(super) struct Stopped {
    pub(super) auth: Auth,
    /// Holds the lock, so that no box starts meanwhile.
    _data: DataDir,
}

impl OnBox {
    /// Finds the box of these settings.
    pub(super) async fn find(settings: &Settings) -> Result<OnBox> {
        let token = token::mint(settings, Role::Admin, USER, TTL)?;
        let host = Host::local(Some(token::port(settings)));
        if let Ok(mut link) = Link::open(&host).await {
            link.log_in(token).await?;
            return Ok(OnBox::Running(Box::new(link)));
        }
        let data = DataDir::open(&settings.storage.data_dir)?;
        let (store, _) = Store::open_at(StorePlaces::below(data.root()))?;
        let auth = Auth::open(&data.secrets(), settings.auth.jwt_secret.as_ref(), Clock::new(), 0)?;
        auth.keep_keys_in(store).await?;
        Ok(OnBox::Stopped(Stopped { auth, _data: data }))
    }
}

impl Stopped {
    /// Tells the audit log what was `done`, in the words of the API. What was done is passed on although that
    /// may fail: a key is shown this once.
    pub(super) async fn tell<T>(
        &self,
        action: &'static str,
        target: Option<String>,
        done: Result<T>,
    ) -> Result<T> {
        let failed = done.as_ref().err().map(Error::kind);
        self.auth.audit(Deed { user: Some(USER.into()), address: None, action, target, failed });
        if let Err(error) = self.auth.write_audit().await {
            tracing::warn!("the audit log could not be told: {}", error.chain());
        }
        done
    }
}
