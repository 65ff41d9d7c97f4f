//! How often a user, or an address before its log-in, may call: one bucket each, refilled evenly, a minute's
//! worth deep.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use crate::base::{Error, ErrorKind, Mono, Result};

const MINUTE_NS: u64 = 60_000_000_000;
/// Beyond this many the full buckets are forgotten, which changes nothing for whose they are.
const SWEEP_ABOVE: usize = 1024;

pub(super) struct Buckets<K> {
    /// Whose calls are counted, for the refusal.
    whose: &'static str,
    /// Nanoseconds that one call uses up; 0: calls are not counted.
    cost_ns: u64,
    /// For each of them, the moment at which the bucket is full again.
    full_at: Mutex<HashMap<K, Mono>>,
}

impl<K: Eq + Hash> Buckets<K> {
    /// `calls_per_minute` of 0 counts nothing.
    pub(super) fn new(whose: &'static str, calls_per_minute: u32) -> Self {
        let cost_ns = MINUTE_NS.checked_div(u64::from(calls_per_minute)).unwrap_or(0);
        Self { whose, cost_ns, full_at: Mutex::default() }
    }

    /// Counts a call, or refuses it.
    pub(super) fn admit<Q>(&self, who: &Q, now: Mono) -> Result<()>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        if self.cost_ns == 0 {
            return Ok(());
        }
        let mut all = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() > SWEEP_ABOVE && !all.contains_key(who) {
            all.retain(|_, full_at| *full_at > now);
        }
        let full_at = match all.get_mut(who) {
            Some(full_at) => full_at,
            None => all.entry(who.to_owned()).or_default(),
        };
        let next = (*full_at).max(now).0.saturating_add(self.cost_ns);
        let limit = now.0.saturating_add(MINUTE_NS);
        if next > limit {
            let retry_after_ms = (next - limit).div_ceil(1_000_000);
            return Err(Error::new(
                ErrorKind::RateLimited,
                format!("Rate limited: too many calls by this {}", self.whose),
            )
            .with("retry_after_ms", retry_after_ms)
            .with("hint", "wait, or raise auth.rate_limit_per_minute"));
        }
        *full_at = Mono(next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_minute_of_calls_at_once_then_one_at_a_time() {
        let buckets = Buckets::<String>::new("user", 1200);
        let now = Mono(1_000_000_000_000);
        for i in 0..1200 {
            assert!(buckets.admit("ann", now).is_ok(), "{i}");
        }
        let e = buckets.admit("ann", now).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::RateLimited);
        assert_eq!(e.data()["retry_after_ms"], 50);
        assert!(buckets.admit("bob", now).is_ok(), "each user has a bucket");
        assert!(buckets.admit("ann", now + Duration::from_millis(50)).is_ok());
        assert!(buckets.admit("ann", now + Duration::from_millis(50)).is_err());
    }

    #[test]
    fn many_users_do_not_fill_the_memory() {
        let buckets = Buckets::<String>::new("user", 60);
        for i in 0..10_000u64 {
            buckets.admit(format!("user{i}").as_str(), Mono(i * MINUTE_NS)).unwrap();
        }
        assert!(buckets.full_at.lock().unwrap().len() <= SWEEP_ABOVE + 1);
    }

    #[test]
    fn zero_counts_nothing() {
        let buckets = Buckets::<String>::new("user", 0);
        assert!((0..100_000).all(|_| buckets.admit("ann", Mono(0)).is_ok()));
    }
}
