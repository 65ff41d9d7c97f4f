//! Growing delays between attempts, with jitter so that children do not restart in step.

use std::time::Duration;

use rand::Rng;

/// Exponential backoff: doubles from `first` to `max`, each delay spread over ±25 %.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    /// Delays from `first` doubling up to `max`.
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, attempts: 0 }
    }

    /// The next delay; counts the attempt.
    pub fn next_delay(&mut self) -> Duration {
        self.delay_spread(rand::rng().random_range(0.75..1.25))
    }

    /// As [`Self::next_delay`] with the spread given, so that pure code stays deterministic.
    pub fn delay_spread(&mut self, spread: f64) -> Duration {
        let factor = 2u32.saturating_pow(self.attempts.min(30));
        self.attempts = self.attempts.saturating_add(1);
        self.first.saturating_mul(factor).min(self.max).mul_f64(spread.clamp(0.75, 1.25))
    }

    /// How many delays were taken since the last reset.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// To be called when the thing has worked for a while.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_ceiling_and_starts_over() {
        let mut b = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let delays: Vec<_> = (0..8).map(|_| b.delay_spread(1.0).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        b.reset();
        assert_eq!(b.delay_spread(1.0).as_millis(), 100);
    }

    #[test]
    fn jitter_stays_within_a_quarter() {
        let mut b = Backoff::new(Duration::from_millis(100), Duration::from_millis(100));
        for _ in 0..1000 {
            let d = b.next_delay().as_millis();
            assert!((75..=125).contains(&d), "{d}");
        }
    }
}
