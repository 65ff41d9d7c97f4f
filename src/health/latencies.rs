//! How long answers took: a histogram that is added to without a lock.
//!
//! Exact to one part in eight, from a microsecond to over a minute, in 800 bytes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Steps of each doubling.
const STEPS: u64 = 8;
const BUCKETS: usize = 200;

/// Counts by time taken.
#[derive(Debug)]
pub(super) struct Latencies([AtomicU32; BUCKETS]);

impl Default for Latencies {
    fn default() -> Self {
        Self([const { AtomicU32::new(0) }; BUCKETS])
    }
}

/// The counts at one moment; they wrap.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counts(Box<[u32; BUCKETS]>);

impl Latencies {
    /// `calls` took this long, each.
    pub(super) fn add(&self, calls: u64, took: Duration) {
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        self.0[bucket(took)].fetch_add(calls, Ordering::Relaxed);
    }

    /// The counts now.
    pub(super) fn counts(&self) -> Counts {
        Counts(Box::new(std::array::from_fn(|at| self.0[at].load(Ordering::Relaxed))))
    }
}

impl Counts {
    /// How many there were since `before`.
    pub(super) fn calls_since(&self, before: &Counts) -> u64 {
        self.since(before).map(u64::from).sum()
    }

    /// What `percent` of the calls since `before` did not exceed (nearest rank); none without calls.
    pub(super) fn percentile_since(&self, before: &Counts, percent: f64) -> Option<Duration> {
        let calls = self.calls_since(before);
        let rank = ((percent / 100.0 * calls as f64).ceil() as u64).clamp(1, calls.max(1));
        let mut sum = 0;
        let at = self.since(before).position(|count| {
            sum += u64::from(count);
            sum >= rank
        })?;
        Some(Duration::from_micros(end(at as u64)))
    }

    fn since<'a>(&'a self, before: &'a Counts) -> impl Iterator<Item = u32> + 'a {
        self.0.iter().zip(before.0.iter()).map(|(now, then)| now.wrapping_sub(*then))
    }
}

fn bucket(took: Duration) -> usize {
    let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let at = match us {
        0..STEPS => us,
        _ => {
            let double = u64::from(us.ilog2());
            (double - 2) * STEPS + ((us >> (double - 3)) & (STEPS - 1))
        }
    };
    usize::try_from(at).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

/// Microseconds where a bucket ends.
fn end(bucket: u64) -> u64 {
    match bucket {
        0..STEPS => bucket + 1,
        _ => (STEPS + bucket % STEPS + 1) << (bucket / STEPS - 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_of_what_came_in_between() {
        let latencies = Latencies::default();
        latencies.add(1000, Duration::from_secs(1));
        let before = latencies.counts();
        assert_eq!(before.percentile_since(&before, 50.0), None);
        latencies.add(94, Duration::from_micros(100));
        latencies.add(6, Duration::from_millis(80));
        let now = latencies.counts();
        assert_eq!(now.calls_since(&before), 100);
        let at = |percent| now.percentile_since(&before, percent).unwrap().as_micros();
        assert!((100..=113).contains(&at(50.0)), "{}", at(50.0));
        assert_eq!(at(50.0), at(94.0));
        assert!((80_000..=90_000).contains(&at(95.0)), "{}", at(95.0));
    }

    #[test]
    fn counts_that_wrapped_are_counts_all_the_same() {
        let latencies = Latencies::default();
        latencies.add(u64::from(u32::MAX), Duration::ZERO);
        let before = latencies.counts();
        latencies.add(3, Duration::ZERO);
        assert_eq!(latencies.counts().calls_since(&before), 3);
    }

    proptest! {
        #[test]
        fn a_bucket_ends_close_behind_what_is_in_it(us in 0u64..60_000_000) {
            let at = bucket(Duration::from_micros(us));
            let end = end(at as u64);
            prop_assert!(us < end && end <= us + us / 8 + 1, "{us} in {at}, which ends at {end}");
            prop_assert!(at == 0 || super::end(at as u64 - 1) <= us);
        }

        #[test]
        fn any_time_has_a_bucket(ns in any::<u64>()) {
            prop_assert!(bucket(Duration::from_nanos(ns)) < BUCKETS);
        }
    }
}
