//! Whether a transfer comes fast enough to be waited for: pure.

use std::time::Duration;

use crate::base::Mono;

/// So many bytes a second are the least: the largest bundles take hours then, on the worst of mobile networks.
pub(super) const LEAST: u64 = 8 << 10;
/// In the mean over this time: a network may falter.
const WINDOW: Duration = Duration::from_secs(60);

/// How fast a transfer is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    since: Mono,
    got: u64,
}

impl Pace {
    /// Of one that begins now.
    pub fn begin(now: Mono) -> Pace {
        Pace { since: now, got: 0 }
    }

    /// Judges one that has come so far, `got` in bytes. `Err`: it is too slow, and how fast it is, in bytes a second.
    pub fn judge(&mut self, now: Mono, got: u64) -> Result<(), u64> {
        let took = now.since(self.since);
        if took < WINDOW {
            return Ok(());
        }
        let rate = got.saturating_sub(self.got) / took.as_secs();
        *self = Pace { since: now, got };
        if rate < LEAST { Err(rate) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    #[test]
    fn a_trickle_ends_within_a_minute_and_a_half_and_a_slow_network_does_not() {
        // A byte each time just before the server would be silent for too long.
        let mut pace = Pace::begin(at(100));
        assert_eq!(pace.judge(at(129), 1), Ok(()));
        assert_eq!(pace.judge(at(158), 2), Ok(()));
        assert_eq!(pace.judge(at(187), 3), Err(0));
        // One that falters for most of a minute, again and again.
        let mut pace = Pace::begin(at(0));
        for minute in 1..100 {
            assert_eq!(pace.judge(at(minute * 60 - 5), (minute - 1) * 60 * LEAST), Ok(()));
            assert_eq!(pace.judge(at(minute * 60), minute * 60 * LEAST), Ok(()));
        }
        // A fast beginning is no credit.
        assert_eq!(pace.judge(at(99 * 60 + 61), 100 * 60 * LEAST - 1000), Err(8041));
    }

    proptest! {
        #[test]
        fn whatever_comes_at_the_least_rate_is_never_given_up(steps in prop::collection::vec(1..200_u64, 1..200)) {
            let (mut pace, mut now) = (Pace::begin(at(7)), 7);
            for step in steps {
                now += step;
                prop_assert_eq!(pace.judge(at(now), (now - 7) * LEAST), Ok(()));
            }
        }
    }
}
