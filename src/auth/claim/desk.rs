//! Where a box is claimed: one at a time, counted, and durable before anybody hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use super::proof::{ClaimKey, Meeting, Proof};
use super::tries::Tries;
use super::{ClaimCode, ClaimFile, unclaimed};
use crate::auth::{ApiKey, Auth, NewApiKey, Role, refused};
use crate::base::{Error, ErrorKind, Mono, Result};

/// How long after a claim the same code counts once more, for a laptop that did not get the answer.
const AGAIN: Duration = Duration::from_secs(120);

/// What is known of the claim; open unless [`Auth::close_until_claimed`] said otherwise.
pub(in crate::auth) struct Desk {
    wanted: AtomicBool,
    closed: AtomicBool,
    file: Arc<ClaimFile>,
    turn: Mutex<Turn>,
}

struct Turn {
    tries: Tries,
    /// The code's key, which takes a while to make.
    key: Option<(ClaimCode, ClaimKey)>,
    recent: Option<Recent>,
}

/// A claim whose key nobody has used yet.
struct Recent {
    key: ClaimKey,
    key_id: String,
    until: Mono,
}

/// What the new owner is given.
pub struct Claimed {
    /// That this is the box that knows the code.
    pub proof: Proof,
    /// An administrator's key.
    pub key: NewApiKey,
}

impl Desk {
    pub(in crate::auth) fn new(file: ClaimFile) -> Self {
        let turn = Turn { tries: Tries::after(0, Mono::now()), key: None, recent: None };
        Self { wanted: false.into(), closed: false.into(), file: Arc::new(file), turn: Mutex::new(turn) }
    }

    pub(in crate::auth) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Refuses everybody while the box is not claimed.
    pub(in crate::auth) fn check(&self) -> Result<()> {
        if self.is_closed() { Err(unclaimed(None)) } else { Ok(()) }
    }
}

impl Auth {
    /// From now on nobody is let in until somebody has claimed the box, if nobody ever has.
    pub async fn close_until_claimed(&self) -> Result<()> {
        let desk = &self.0.desk;
        let state = self.store()?.claim_state().await?;
        desk.turn.lock().await.tries = Tries::after(state.wrong, Mono::now());
        desk.wanted.store(true, Ordering::Release);
        desk.closed.store(!state.claimed, Ordering::Release);
        if state.claimed {
            // A power cut may have left the code behind.
            self.forget_code().await;
        } else {
            tracing::warn!("this box is not claimed yet: it lets nobody in until `fieldcam ctl claim`");
        }
        Ok(())
    }

    /// Whether the box waits for its first owner and lets nobody in.
    pub fn is_unclaimed(&self) -> bool {
        self.0.desk.is_closed()
    }

    /// Whether somebody owns the box; none where boxes need no owner.
    pub fn claimed(&self) -> Option<bool> {
        let desk = &self.0.desk;
        desk.wanted.load(Ordering::Acquire).then(|| !desk.is_closed())
    }

    /// Fails with `InvalidState` when nobody can claim the box, or not any more.
    pub fn may_be_claimed(&self) -> Result<()> {
        let desk = &self.0.desk;
        // While somebody is claiming it, the next one is told by the claim itself.
        let again =
            || desk.turn.try_lock().map_or(true, |turn| turn.recent.as_ref().is_some_and(|r| self.counts(r)));
        if desk.is_closed() || again() { Ok(()) } else { Err(claimed()) }
    }

    /// Makes the box claimed when `proof` shows that the laptop knows the code; its key is called `name`.
    ///
    /// Fails with `AuthFailed` when the proof is wrong, with `RateLimited` after too many of those, and with
    /// `InvalidState` when the box is claimed, or has no code. All of it survives a power cut once it is answered.
    pub async fn claim(&self, meeting: &Meeting, proof: &Proof, name: &str) -> Result<Claimed> {
        let desk = &self.0.desk;
        // Whoever waited here would hold up those behind them.
        let Ok(mut turn) = desk.turn.try_lock() else { return Err(too_fast(Duration::from_secs(1))) };
        let wait = turn.tries.wait(Mono::now());
        if !wait.is_zero() {
            return Err(too_fast(wait));
        }
        if !desk.is_closed() {
            return self.claim_again(&mut turn, meeting, proof, name).await;
        }
        let key = self.claim_key(&mut turn).await?;
        if !key.is_of_laptop(meeting, proof) {
            return Err(self.wrong(&mut turn).await);
        }
        let (new, row) = self.0.ring.draft(Role::Admin, name, None, self.0.clock.wall_us())?;
        self.store()?.claim(Some(row.clone()), self.0.clock.wall_us()).await?;
        self.0.ring.enter(row, Role::Admin);
        turn.recent =
            Some(Recent { key: key.clone(), key_id: new.shown.id.clone(), until: Mono::now() + AGAIN });
        turn.key = None;
        desk.closed.store(false, Ordering::Release);
        self.forget_code().await;
        tracing::info!(id = new.shown.id, "this box is claimed");
        Ok(Claimed { proof: key.of_box(meeting), key: new })
    }

    /// The same for a laptop that lost the answer: its key is replaced, as long as nobody has used it.
    async fn claim_again(
        &self,
        turn: &mut Turn,
        meeting: &Meeting,
        proof: &Proof,
        name: &str,
    ) -> Result<Claimed> {
        let Some(recent) = turn.recent.take().filter(|recent| self.counts(recent)) else {
            return Err(claimed());
        };
        let key = recent.key.clone();
        if !key.is_of_laptop(meeting, proof) {
            turn.recent = Some(recent);
            return Err(self.wrong(turn).await);
        }
        let new = self.create_api_key(Role::Admin, name, None).await?;
        self.revoke_api_key(&recent.key_id).await?;
        turn.recent = Some(Recent { key_id: new.shown.id.clone(), ..recent });
        Ok(Claimed { proof: key.of_box(meeting), key: new })
    }

    /// Whether the same code may still be answered once more.
    fn counts(&self, recent: &Recent) -> bool {
        let unused = |key: &ApiKey| key.id == recent.key_id && key.used_us.is_none();
        Mono::now() < recent.until && self.0.ring.list().iter().any(unused)
    }

    /// The key of the box's code.
    async fn claim_key(&self, turn: &mut Turn) -> Result<ClaimKey> {
        let file = self.0.desk.file.clone();
        let before = turn.key.take();
        let found = tokio::task::spawn_blocking(move || {
            let Some(code) = file.read()? else { return Ok(None) };
            Ok(Some(match before {
                Some((known, key)) if known == code => (code, key),
                _ => (code.clone(), ClaimKey::of(&code)),
            }))
        });
        let found: std::io::Result<_> = found.await.map_err(Error::internal)?;
        let no_code = || {
            let error = Error::state("this box has no claim code", "UNCLAIMED", &["UNCLAIMED"]);
            error.with("suggestion", "switch it off and on again: it makes a code when it starts")
        };
        turn.key = found.map_err(|e| no_code().caused_by(e))?;
        turn.key.as_ref().map(|(_, key)| key.clone()).ok_or_else(no_code)
    }

    /// Counts a wrong proof, before anybody hears that it was.
    async fn wrong(&self, turn: &mut Turn) -> Error {
        let count = turn.tries.count(Mono::now());
        let noted = match self.store() {
            Ok(store) => store.claim_tried(count).await,
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            tracing::warn!("a wrong claim is counted in memory alone: {}", error.chain());
        }
        let where_it_is = "look at the box's screen, its serial console, or FIELDCAM.txt on its card";
        let error = refused("wrong_code", where_it_is)
            .with("details", "that is not this box's claim code")
            .with("tries_left", turn.tries.left());
        match turn.tries.wait(Mono::now()) {
            Duration::ZERO => error,
            wait => error.with("retry_after_ms", millis(wait)),
        }
    }

    async fn forget_code(&self) {
        let file = self.0.desk.file.clone();
        let removed = tokio::task::spawn_blocking(move || file.remove()).await;
        if let Ok(Err(error)) = removed {
            // It opens nothing any more.
            tracing::warn!(%error, "the claim code of before could not be removed");
        }
    }
}

fn claimed() -> Error {
    Error::state("this box is claimed already", "CLAIMED", &["UNCLAIMED"])
        .with("suggestion", "log in with the key of its owner; a factory reset makes it unclaimed again")
}

fn too_fast(wait: Duration) -> Error {
    Error::new(ErrorKind::RateLimited, "Rate limited: too many wrong claim codes")
        .with("retry_after_ms", millis(wait))
        .with("hint", "wait; the pause grows with each wrong code, from whatever address it came")
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Clock;
    use crate::store::Store;

    const NAME: &str = "a laptop";

    struct Box1 {
        dir: tempfile::TempDir,
        auth: Auth,
    }

    impl Box1 {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let auth = Self::open(&dir).await;
            Self { dir, auth }
        }

        async fn open(dir: &tempfile::TempDir) -> Auth {
            let auth = Auth::open(&dir.path().join("secrets"), None, Clock::new(), 0).unwrap();
            auth.keep_keys_in(Store::open(&dir.path().join("t.db")).unwrap()).await.unwrap();
            auth.close_until_claimed().await.unwrap();
            auth
        }

        fn file(&self) -> ClaimFile {
            ClaimFile::below(&self.dir.path().join("secrets"))
        }

        /// A try with what the laptop takes for the code.
        async fn try_with(&self, code: &ClaimCode) -> Result<(Claimed, bool)> {
            let meeting =
                Meeting { certificate: [7; 32], box_nonce: Meeting::nonce(), laptop_nonce: Meeting::nonce() };
            let key = ClaimKey::of(code);
            let claimed = self.auth.claim(&meeting, &key.of_laptop(&meeting), NAME).await?;
            let proven = key.is_of_box(&meeting, &claimed.proof);
            Ok((claimed, proven))
        }
    }

    #[tokio::test]
    async fn a_box_lets_nobody_in_until_it_is_claimed_and_then_for_good() {
        let mut the_box = Box1::new().await;
        let token = the_box.auth.mint(Role::Admin, "ann", Duration::from_secs(60)).unwrap();
        assert!(the_box.auth.verify(token.expose()).is_err() && the_box.auth.is_unclaimed());
        let none = the_box.try_with(&ClaimCode::random()).await.err().unwrap();
        assert_eq!(none.kind(), ErrorKind::InvalidState, "it has no code: {none}");
        let code = the_box.file().read_or_make().unwrap();
        let (claimed, proven) = the_box.try_with(&code).await.unwrap();
        assert!(proven && the_box.file().read().unwrap().is_none());
        for _ in 0..2 {
            let login = the_box.auth.verify(claimed.key.key.expose()).unwrap();
            assert_eq!((login.role, the_box.auth.is_unclaimed()), (Role::Admin, false));
            assert!(the_box.auth.verify(token.expose()).is_ok());
            the_box.auth = Box1::open(&the_box.dir).await;
        }
        // One that a power cut left is of no use.
        the_box.file().put(&code).unwrap();
        the_box.auth = Box1::open(&the_box.dir).await;
        assert!(the_box.file().read().unwrap().is_none());
        assert_eq!(the_box.try_with(&code).await.err().unwrap().kind(), ErrorKind::InvalidState);
    }

    #[tokio::test]
    async fn five_wrong_codes_are_answered_and_then_even_the_right_one_waits_over_a_start_too() {
        let mut the_box = Box1::new().await;
        let code = the_box.file().read_or_make().unwrap();
        for left in (0..5).rev() {
            let error = the_box.try_with(&ClaimCode::random()).await.err().unwrap();
            assert_eq!(error.kind(), ErrorKind::AuthFailed);
            assert_eq!(error.data()["tries_left"], left);
        }
        for _ in 0..2 {
            let error = the_box.try_with(&code).await.err().unwrap();
            assert_eq!(error.kind(), ErrorKind::RateLimited, "{error}");
            assert!(error.data()["retry_after_ms"].as_u64().unwrap() > 0);
            assert!(the_box.auth.is_unclaimed());
            the_box.auth = Box1::open(&the_box.dir).await;
        }
        the_box.auth.0.desk.turn.lock().await.tries = Tries::after(4, Mono::now());
        assert!(the_box.try_with(&code).await.is_ok());
        the_box.auth = Box1::open(&the_box.dir).await;
        assert_eq!(the_box.auth.0.desk.turn.lock().await.tries.left(), 5, "they are forgotten");
    }

    #[tokio::test]
    async fn a_laptop_that_lost_the_answer_may_ask_again_until_the_key_is_used() {
        let the_box = Box1::new().await;
        let code = the_box.file().read_or_make().unwrap();
        let (lost, _) = the_box.try_with(&code).await.unwrap();
        assert_eq!(the_box.try_with(&ClaimCode::random()).await.err().unwrap().kind(), ErrorKind::AuthFailed);
        let (second, proven) = the_box.try_with(&code).await.unwrap();
        assert!(proven && the_box.auth.verify(lost.key.key.expose()).is_err(), "the lost one is revoked");
        assert!(the_box.auth.may_be_claimed().is_ok());
        the_box.auth.verify(second.key.key.expose()).unwrap();
        assert_eq!(the_box.try_with(&code).await.err().unwrap().kind(), ErrorKind::InvalidState);
        assert!(the_box.auth.may_be_claimed().is_err());
    }

    #[tokio::test]
    async fn a_box_that_need_not_be_claimed_cannot_be() {
        let dir = tempfile::tempdir().unwrap();
        let auth = Auth::open(dir.path(), None, Clock::new(), 0).unwrap();
        assert!(!auth.is_unclaimed() && auth.may_be_claimed().is_err());
    }
}
