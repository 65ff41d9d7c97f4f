//! Whether MediaMTX is alive, decided from its answers to two probes a second.

use std::time::Duration;

use crate::base::Mono;

/// What one probe meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// It answered.
    Alive,
    /// It did not, for the n-th time in a row.
    Missed(u32),
    /// It has to be ended.
    Dead,
}

/// Counts missed answers. A stopped process is found after at most 3.1 s: half a second until the next
/// probe, three time-outs and two pauses between. A recording may miss 3 s and a keyframe interval.
#[derive(Debug)]
pub(super) struct Pulse {
    next: Mono,
    missed: u32,
}

impl Pulse {
    /// How long one probe waits. An answer takes 2 ms; a box whose disk and cores are busy may need more.
    pub(super) const TIME_OUT: Duration = Duration::from_millis(800);
    const EVERY: Duration = Duration::from_millis(500);
    const MISSES: u32 = 3;

    pub(super) fn new(now: Mono) -> Self {
        Self { next: now + Self::EVERY, missed: 0 }
    }

    /// When the next probe is due.
    pub(super) fn next_probe(&self) -> Mono {
        self.next
    }

    /// Takes a probe's outcome.
    pub(super) fn beat(&mut self, answered: bool, now: Mono) -> Beat {
        if answered {
            self.missed = 0;
            self.next = now + Self::EVERY;
            return Beat::Alive;
        }
        self.missed += 1;
        // A refused connection fails at once; the pause keeps three of them apart.
        self.next = now + Self::EVERY / 5;
        if self.missed >= Self::MISSES { Beat::Dead } else { Beat::Missed(self.missed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_misses_in_a_row_end_it_soon_enough_for_a_recording() {
        let start = Mono(0);
        let mut pulse = Pulse::new(start);
        let found = loop {
            let now = pulse.next_probe() + Pulse::TIME_OUT;
            if pulse.beat(false, now) == Beat::Dead {
                break now;
            }
        };
        assert!(found.since(start) <= Duration::from_millis(3200), "{found:?}");
    }

    #[test]
    fn an_answer_starts_over() {
        let mut pulse = Pulse::new(Mono(0));
        for _ in 0..100 {
            assert_eq!(pulse.beat(false, Mono(0)), Beat::Missed(1));
            assert_eq!(pulse.beat(false, Mono(0)), Beat::Missed(2));
            assert_eq!(pulse.beat(true, Mono(0)), Beat::Alive);
        }
    }
}
