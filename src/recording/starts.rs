//! Whether the daemon starts so often that going on with a recording may be what kills it.
//!
//! The wall clock may be wrong after a start (a box without a battery), so each start also carries
//! the kernel's boot id, the monotonic clock, and how long it ran as far as it could tell.

use serde::{Deserialize, Serialize};

use crate::base::Mono;

/// Starts within this time that are looked at.
const WINDOW_US: i64 = 300_000_000;
/// So many starts within the window, and the next goes on with nothing.
pub(super) const MAX_STARTS: usize = 3;
/// How often a running daemon notes how long it has been running.
pub(super) const NOTE_EVERY: std::time::Duration = std::time::Duration::from_secs(20);

/// One start of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Start {
    boot: String,
    mono_us: i64,
    wall_us: i64,
    /// How long it ran at least.
    #[serde(default)]
    ran_us: i64,
}

/// The starts that count, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Starts(Vec<Start>);

impl Starts {
    pub(super) fn parse(text: Option<&str>) -> Self {
        // What cannot be read is no reason to leave footage unrecorded.
        text.and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("plain numbers and text")
    }

    /// Enters the start of now; answers whether there were too many before it.
    pub(super) fn enter(&mut self, boot: &str, now: Mono, wall_us: i64) -> bool {
        let mono_us = (now.0 / 1000) as i64;
        let mut ran_since = 0;
        let mut recent: Vec<Start> = Vec::new();
        for start in self.0.drain(..).rev() {
            let age = if start.boot == boot {
                mono_us.saturating_sub(start.mono_us)
            } else {
                // At least what was run since; the wall clock may say more, never less than nothing.
                let by_wall = wall_us.saturating_sub(start.wall_us).max(0);
                start.ran_us.saturating_add(ran_since).max(by_wall)
            };
            ran_since = ran_since.saturating_add(start.ran_us);
            if age > WINDOW_US {
                break;
            }
            recent.push(start);
        }
        recent.reverse();
        self.0 = recent;
        let too_many = self.0.len() >= MAX_STARTS;
        self.0.push(Start { boot: boot.to_owned(), mono_us, wall_us, ran_us: 0 });
        // More than that decides nothing.
        let surplus = self.0.len().saturating_sub(MAX_STARTS + 1);
        self.0.drain(..surplus);
        too_many
    }

    /// The start of now ended as it should.
    pub(super) fn forget_last(&mut self) {
        self.0.pop();
    }

    /// The start of now has lasted until `now`.
    pub(super) fn note(&mut self, now: Mono) {
        if let Some(start) = self.0.last_mut() {
            start.ran_us = ((now.0 / 1000) as i64).saturating_sub(start.mono_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mono(s: u64) -> Mono {
        Mono(s * 1_000_000_000)
    }

    #[test]
    fn the_fourth_start_within_five_minutes_is_too_many() {
        let mut starts = Starts::default();
        let verdicts: Vec<_> =
            [0, 60, 120, 290].map(|s| starts.enter("a", mono(s), s as i64 * 1_000_000)).into();
        assert_eq!(verdicts, [false, false, false, true]);
        assert!(!starts.enter("a", mono(900), 0));
    }

    #[test]
    fn a_box_whose_clock_starts_at_the_same_moment_each_time_is_not_mistaken() {
        let mut starts = Starts::default();
        for n in 0..10 {
            assert!(!starts.enter(&format!("boot {n}"), mono(20), 1_000_000));
            starts.note(mono(20 + 86_400));
        }
        // The same box in a loop of power cuts.
        let verdicts: Vec<_> = (0..4)
            .map(|n| {
                let v = starts.enter(&format!("loop {n}"), mono(20), 1_000_000);
                starts.note(mono(40));
                v
            })
            .collect();
        assert_eq!(verdicts, [false, false, false, true]);
    }

    #[test]
    fn what_was_stored_is_read_again_and_rubbish_is_nothing() {
        let mut starts = Starts::default();
        starts.enter("a", mono(1), 5);
        assert_eq!(Starts::parse(Some(&starts.text())), starts);
        assert_eq!(Starts::parse(Some("{]")), Starts::default());
    }
}
