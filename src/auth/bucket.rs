//! How often a user may call: one bucket each, refilled evenly, a minute's worth deep.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::base::{Error, ErrorKind, Mono, Result};

const MINUTE_NS: u64 = 60_000_000_000;
/// Beyond this many users the full buckets are forgotten, which changes nothing for their users.
const SWEEP_ABOVE: usize = 1024;

pub(super) struct Buckets {
    /// Nanoseconds that one call uses up; 0: calls are not counted.
    cost_ns: u64,
    /// For each user, the moment at which the bucket is full again.
    full_at: Mutex<HashMap<String, Mono>>,
}

impl Buckets {
    /// `calls_per_minute` of 0 counts nothing.
    pub(super) fn new(calls_per_minute: u32) -> Self {
        let cost_ns = MINUTE_NS.checked_div(u64::from(calls_per_minute)).unwrap_or(0);
        Self { cost_ns, full_at: Mutex::default() }
    }

    pub(super) fn admit(&self, user: &str, now: Mono) -> Result<()> {
        if self.cost_ns == 0 {
            return Ok(());
        }
        let mut all = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() > SWEEP_ABOVE && !all.contains_key(user) {
            all.retain(|_, full_at| *full_at > now);
        }
        let full_at = match all.get_mut(user) {
            Some(full_at) => full_at,
            None => all.entry(user.to_owned()).or_default(),
        };
        let next = (*full_at).max(now).0.saturating_add(self.cost_ns);
        let limit = now.0.saturating_add(MINUTE_NS);
        if next > limit {
            let retry_after_ms = (next - limit).div_ceil(1_000_000);
            return Err(Error::new(ErrorKind::RateLimited, "Rate limited: too many calls by this user")
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
        let buckets = Buckets::new(1200);
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
        let buckets = Buckets::new(60);
        for i in 0..10_000u64 {
            buckets.admit(&format!("user{i}"), Mono(i * MINUTE_NS)).unwrap();
        }
        assert!(buckets.full_at.lock().unwrap().len() <= SWEEP_ABOVE + 1);
    }

    #[test]
    fn zero_counts_nothing() {
        let buckets = Buckets::new(0);
        assert!((0..100_000).all(|_| buckets.admit("ann", Mono(0)).is_ok()));
    }
}
