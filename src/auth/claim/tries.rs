//! Wrong proofs: five are answered at once, then each is followed by a longer pause for everybody.
//!
//! A code has 60 bits, so that nobody finds it by trying; the pauses keep a client gone wild from trying all day.
//! They count for all addresses together, for one client may have many. So somebody on the same network can hold
//! the owner up, by five minutes at most each time: docs/security.md says what helps.

use std::time::Duration;

use crate::base::Mono;

/// So many wrong proofs have no pause.
pub(super) const FREE: u32 = 5;
/// The first pause; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);

/// The wrong proofs so far, and when the next may come.
#[derive(Debug)]
pub(super) struct Tries {
    wrong: u32,
    next: Mono,
}

impl Tries {
    /// Those of an earlier run, whose pause begins anew: how long the box was off, nobody knows.
    pub(super) fn after(wrong: u32, now: Mono) -> Self {
        Self { wrong, next: now + pause(wrong) }
    }

    /// How long to wait before the next try; zero: it may come.
    pub(super) fn wait(&self, now: Mono) -> Duration {
        self.next.since(now)
    }

    /// Counts a wrong proof; answers with how many there were.
    pub(super) fn count(&mut self, now: Mono) -> u32 {
        *self = Self::after(self.wrong.saturating_add(1), now);
        self.wrong
    }

    /// How many more have no pause.
    pub(super) fn left(&self) -> u32 {
        FREE.saturating_sub(self.wrong)
    }
}

fn pause(wrong: u32) -> Duration {
    match wrong.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(more) => FIRST.saturating_mul(1 << more.min(16)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_are_free_and_then_each_pause_is_longer() {
        let now = Mono(1_000_000_000_000);
        let mut tries = Tries::after(0, now);
        let pauses: Vec<_> = (0..12)
            .map(|_| {
                tries.count(now);
                tries.wait(now).as_secs()
            })
            .collect();
        assert_eq!(pauses, [0, 0, 0, 0, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(tries.left(), 0);
        assert!(tries.wait(now + LONGEST).is_zero());
    }

    #[test]
    fn a_start_of_the_box_forgets_nothing() {
        let now = Mono(5);
        assert!(Tries::after(4, now).wait(now).is_zero());
        assert_eq!(Tries::after(4, now).left(), 1);
        assert_eq!(Tries::after(7, now).wait(now).as_secs(), 40);
        assert_eq!(Tries::after(u32::MAX, now).count(now), u32::MAX);
    }
}
