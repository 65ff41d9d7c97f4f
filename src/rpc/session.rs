//! Who is at the other end of a socket, and what a call knows of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::events::{Client, Hub, Subscriber};
use super::{Reached, Services};
use crate::auth::{Login, Meeting, Nonce, Role, refused};
use crate::base::{Error, ErrorKind, Mono, Result};

/// One socket's caller.
pub(super) struct Session {
    pub(super) id: Uuid,
    hub: Hub,
    subscriber: Option<Subscriber>,
    /// What the next call is given.
    pub(super) call: Call,
}

/// What a handler may use. Clones are cheap.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) services: Arc<Services>,
    /// How the client reaches us, for URLs.
    pub(super) reached: Arc<Reached>,
    /// Cancelled when the box stops.
    pub(super) stop: CancellationToken,
    login: Option<Arc<Login>>,
    /// What the next claim on this socket has to answer to.
    challenge: Option<Arc<Challenge>>,
}

/// A nonce that counts once.
pub(super) struct Challenge {
    nonce: Nonce,
    used: AtomicBool,
}

impl Session {
    pub(super) fn new(services: Arc<Services>, hub: Hub, reached: Reached, stop: CancellationToken) -> Self {
        let call = Call { services, reached: Arc::new(reached), stop, login: None, challenge: None };
        Self { id: Uuid::new_v4(), hub, subscriber: None, call }
    }

    /// The list of all subscribers.
    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// This socket's place among the subscribers; it takes one when it has none.
    pub(super) fn subscriber(&mut self) -> &Subscriber {
        self.subscriber.get_or_insert_with(|| self.hub.join(self.id))
    }

    /// What it subscribes to, once it ever did.
    pub(super) fn client(&self) -> Option<&Arc<Client>> {
        self.subscriber.as_ref().map(Subscriber::client)
    }

    /// Makes up what the next claim has to answer to, in place of what there was.
    pub(super) fn challenge(&mut self) -> Nonce {
        let nonce = Meeting::nonce();
        self.call.challenge = Some(Arc::new(Challenge { nonce, used: AtomicBool::new(false) }));
        nonce
    }

    /// From now on calls are made as `login`.
    pub(super) fn log_in(&mut self, login: Login) {
        self.call.login = Some(Arc::new(login));
        if let Some(client) = self.client() {
            client.unmute();
        }
    }

    /// Whoever has logged in, be it expired.
    pub(super) fn login(&self) -> Option<Arc<Login>> {
        self.call.login.clone()
    }

    /// Ends its subscriptions.
    pub(super) fn unsubscribe(&mut self) {
        self.subscriber = None;
    }

    /// Whether anybody has logged in, be it expired.
    pub(super) fn is_known(&self) -> bool {
        self.call.login.is_some()
    }
}

impl Call {
    /// Decides whether the caller may do what needs `role`, and counts the call.
    pub(super) fn admit(&self, role: Role, now: Mono) -> Result<()> {
        let login = self.login.as_ref().ok_or_else(|| {
            refused("not_authenticated", "call authenticate {auth_token} first; `fieldcam token` makes one")
        })?;
        if login.standing.is_revoked() {
            let suggestion = "what you logged in with was withdrawn; log in with a new key or token";
            return Err(refused(login.standing.reason(), suggestion));
        }
        if !login.is_valid(now) {
            return Err(refused("token_expired", "call authenticate with a new token"));
        }
        if login.role < role {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                format!("Permission denied: needs the role {role}"),
            )
            .with("required_role", role.word())
            .with("have_role", login.role.word()));
        }
        self.services.auth.admit(login)
    }

    /// Whether the caller may hear what needs `role`; counts nothing.
    pub(super) fn is_admitted(&self, role: Role, now: Mono) -> bool {
        self.login.as_ref().is_some_and(|login| login.is_valid(now) && login.role >= role)
    }

    /// What a claim has to answer to; none when nobody asked for it, or a claim has answered already.
    pub(super) fn take_challenge(&self) -> Option<Nonce> {
        let challenge = self.challenge.as_ref()?;
        (!challenge.used.swap(true, Ordering::AcqRel)).then_some(challenge.nonce)
    }

    /// Whole seconds from then until now; 0 for never.
    pub(super) fn seconds_since(&self, then_us: Option<i64>) -> u64 {
        let us = then_us.map_or(0, |then| self.services.clock.wall_us().saturating_sub(then));
        us.max(0).unsigned_abs() / 1_000_000
    }

    /// Whoever has logged in, be it expired.
    pub(super) fn caller(&self) -> Option<&Login> {
        self.login.as_deref()
    }

    /// The caller. Only methods that need a role ask.
    pub(super) fn login(&self) -> &Login {
        self.login.as_ref().expect("admitted calls have a login")
    }
}
