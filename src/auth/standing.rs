//! Whether what a log-in rests on still stands. An API key may be withdrawn, and a secret of the box may
//! end, while log-ins, links and streams that rest on it are in use.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use super::keys::Keys;

/// What log-ins rest on: one key, or one secret. It is asked in every call, so that costs a load.
#[derive(Default)]
pub(super) struct Basis {
    over: AtomicBool,
    end: CancellationToken,
}

impl Basis {
    /// Ends it for all that rests on it.
    pub(super) fn withdraw(&self) {
        self.over.store(true, Ordering::Release);
        self.end.cancel();
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// Known to every log-in.
#[derive(Clone, Default)]
pub struct Standing {
    basis: Option<Arc<Basis>>,
    keys: Option<Arc<Keys>>,
}

impl Standing {
    /// That of an API key.
    pub(super) fn of_api_key(basis: &Arc<Basis>) -> Self {
        Self { basis: Some(basis.clone()), keys: None }
    }

    /// That of a token made with the secret behind `keys`.
    pub(super) fn of_secret(keys: &Arc<Keys>) -> Self {
        Self { basis: Some(keys.basis.clone()), keys: Some(keys.clone()) }
    }

    /// What is given to this log-in is signed with these, where not with the current ones.
    pub(super) fn keys(&self) -> Option<&Arc<Keys>> {
        self.keys.as_ref()
    }

    /// Whether it is over.
    pub fn is_revoked(&self) -> bool {
        self.basis.as_ref().is_some_and(|basis| basis.is_over())
    }

    /// Why it is over, as a word for programs.
    pub fn reason(&self) -> &'static str {
        if self.keys.is_some() { "secret_changed" } else { "key_revoked" }
    }

    /// Waits until it is over.
    pub async fn revoked(&self) {
        match &self.basis {
            Some(basis) => basis.end.cancelled().await,
            None => std::future::pending().await,
        }
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_revoked() { "over" } else { "good" })
    }
}

impl PartialEq for Standing {
    fn eq(&self, other: &Self) -> bool {
        self.is_revoked() == other.is_revoked()
    }
}

impl Eq for Standing {}
