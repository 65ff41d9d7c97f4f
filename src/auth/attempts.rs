//! Failed log-ins by address: the first are answered at once, then each later than the one before.
//!
//! No secret of the box can be guessed in any time; this keeps a client gone wild from filling the log
//! and the processor. Whoever logs in with a good credential is never delayed, from that address either.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::base::Mono;

/// How long it takes until one failure is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(1);
/// So many are answered at once.
const FREE: u32 = 60;
/// The first delay; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// Addresses remembered. Of more, those that failed longest ago are forgotten.
const ADDRESSES: usize = 4096;

#[derive(Default)]
pub(super) struct Attempts {
    /// For each address, the moment at which all its failures are forgotten.
    clean_at: Mutex<HashMap<IpAddr, Mono>>,
}

impl Attempts {
    /// Counts a failure; answers with how long its answer has to wait.
    pub(super) fn failed(&self, address: IpAddr, now: Mono) -> Duration {
        let mut all = self.clean_at.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ADDRESSES && !all.contains_key(&address) {
            all.retain(|_, clean_at| *clean_at > now);
            if let Some(oldest) = all.iter().min_by_key(|(_, at)| **at).map(|(a, _)| *a)
                && all.len() >= ADDRESSES
            {
                all.remove(&oldest);
            }
        }
        let clean_at = all.entry(address).or_default();
        // Kept within what makes a difference, so that the box forgets in time.
        let most = now + FORGOTTEN * (FREE + 8);
        *clean_at = ((*clean_at).max(now) + FORGOTTEN).min(most);
        let failures = clean_at.since(now).as_millis() / FORGOTTEN.as_millis();
        let beyond = u32::try_from(failures).unwrap_or(u32::MAX).saturating_sub(FREE);
        match beyond {
            0 => Duration::ZERO,
            n => FIRST.saturating_mul(1 << (n - 1).min(16)).min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Mono = Mono(1_000_000_000_000);

    #[test]
    fn the_first_cost_nothing_then_each_more_and_others_nothing() {
        let attempts = Attempts::default();
        let (bad, good) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        for n in 0..FREE {
            assert_eq!(attempts.failed(bad, NOW), Duration::ZERO, "{n}");
        }
        let delays: Vec<_> = (0..10).map(|_| attempts.failed(bad, NOW).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000]);
        assert_eq!(attempts.failed(good, NOW), Duration::ZERO);
        // A minute and a half later all is forgotten.
        assert_eq!(attempts.failed(bad, NOW + FORGOTTEN * 90), Duration::ZERO);
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_room() {
        let attempts = Attempts::default();
        for n in 0..10_000_u32 {
            attempts.failed(IpAddr::from(n.to_be_bytes()), NOW);
        }
        assert_eq!(attempts.clean_at.lock().unwrap().len(), ADDRESSES);
    }
}
