//! Whether the slot that runs is good: pure. Later work looks at more than cameras here.

use std::collections::BTreeSet;
use std::time::Duration;

use super::record::{Fallen, Record};
use crate::base::{CameraId, Mono};
use crate::helper::Slot;

/// What this start of the box is, as far as updates go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Boot {
    pub slot: Slot,
    pub version: String,
    /// Another one each time the machine starts.
    pub boot_id: String,
    /// The bootloader was to try the other slot first. `None` = it was not asked.
    pub other_first: Option<bool>,
    /// The slot that was marked good last. `None` = the bootloader does not say.
    pub good: Option<Slot>,
    /// Why the other slot's last start ended before its system ran, where it said so.
    pub failed: Option<String>,
    /// The data is only for now: what is known of updates is not to be had.
    pub temporary: bool,
}

impl Boot {
    /// The other slot is the one that was marked good last.
    fn other_good(&self) -> bool {
        self.good == Some(self.slot.other())
    }
}

/// What has to be seen before the slot is marked good.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    /// The slot was good before: that the box answers is enough.
    Answers,
    /// It is new: these cameras were live under the version before.
    Cameras(BTreeSet<CameraId>),
    /// It is new and cannot use the data partition, which the version before may.
    Data,
}

/// Where the gate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// Not everything was seen yet.
    Waiting,
    /// The helper is being asked.
    Committing,
    /// The slot is marked good.
    Committed,
    /// It was not, and the box restarts.
    GivenUp,
    /// It was not; the slot was good before, so the box goes on.
    Left,
}

/// What is seen now.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The box's own API answered over its own listener.
    pub answers: bool,
    /// Cameras that deliver, or would.
    pub live: BTreeSet<CameraId>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Do {
    /// Nothing yet.
    Wait,
    /// Ask the helper to mark the slot.
    Commit { fell_back: bool },
    /// Restart without marking it.
    Restart,
    /// Leave it unmarked and say so.
    Leave,
}

/// The gate of one start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gate {
    wanted: Wanted,
    fell_back: bool,
    until: Mono,
    stand: Stand,
}

impl Gate {
    /// What `record` makes of this start; it is changed where the start tells something new, and is then to be kept.
    pub fn open(boot: &Boot, record: &mut Record, now: Mono, deadline: Duration) -> Gate {
        let gate = |wanted, fell_back, stand| Gate { wanted, fell_back, until: now + deadline, stand };
        if record.committed.as_deref() == Some(boot.boot_id.as_str()) {
            return gate(Wanted::Answers, false, Stand::Committed);
        }
        // The bootloader was told to try this one, and there is a good one to go back to.
        if boot.temporary && boot.other_good() && boot.other_first != Some(true) {
            return gate(Wanted::Data, false, Stand::Waiting);
        }
        match record.pending.take() {
            // Installed in this very start: the slot that runs was judged before, or is still being.
            Some(pending) if pending.boot_id == boot.boot_id => {
                record.pending = Some(pending);
                gate(Wanted::Answers, false, Stand::Waiting)
            }
            Some(pending) if pending.slot == boot.slot.word() => {
                let cameras = pending.cameras.iter().filter_map(|id| id.parse().ok()).collect();
                record.pending = Some(pending);
                gate(Wanted::Cameras(cameras), false, Stand::Waiting)
            }
            // It ended half way, or the power went: nothing was to be tried.
            Some(pending) if !pending.done => gate(Wanted::Answers, false, Stand::Waiting),
            Some(pending) => {
                let unknown = || match &boot.failed {
                    Some(why) => format!("it could not be started: {why}"),
                    None => "it did not come up far enough to say why (its files, its kernel or its program \
                             failed, or it could not use the data partition)"
                        .into(),
                };
                record.fallen =
                    Some(Fallen { version: pending.version, reason: pending.reason.unwrap_or_else(unknown) });
                gate(Wanted::Answers, true, Stand::Waiting)
            }
            // No update: a version that was kept did not come up any more.
            None if boot.other_first == Some(true) && boot.other_good() => {
                let slot = boot.slot.other().word();
                let ended = match &boot.failed {
                    Some(why) => format!("could not be started: {why}"),
                    None => "its last starts (three at most) ended before it was marked good again: the power went each \
                             time, or it is damaged"
                        .into(),
                };
                record.fallen = Some(Fallen {
                    version: record.kept.clone().unwrap_or_else(|| "unknown".into()),
                    reason: format!("slot {slot} was good, but {ended}; install a version to have two again"),
                });
                gate(Wanted::Answers, true, Stand::Waiting)
            }
            None => gate(Wanted::Answers, boot.other_first == Some(true), Stand::Waiting),
        }
    }

    /// What follows from what is seen.
    pub fn step(&mut self, now: Mono, seen: &Seen) -> Do {
        if self.stand != Stand::Waiting {
            return Do::Wait;
        }
        if seen.answers && !self.lacks_data() && self.missing(seen).is_empty() {
            self.stand = Stand::Committing;
            return Do::Commit { fell_back: self.fell_back };
        }
        if now < self.until {
            return Do::Wait;
        }
        if self.is_new() {
            self.stand = Stand::GivenUp;
            return Do::Restart;
        }
        self.stand = Stand::Left;
        Do::Leave
    }

    /// The helper's answer. One that failed is asked again until the deadline.
    pub fn asked(&mut self, done: bool) {
        if self.stand == Stand::Committing {
            self.stand = if done { Stand::Committed } else { Stand::Waiting };
        }
    }

    /// Cameras that were live before and are not.
    pub fn missing(&self, seen: &Seen) -> BTreeSet<CameraId> {
        match &self.wanted {
            Wanted::Answers | Wanted::Data => BTreeSet::new(),
            Wanted::Cameras(cameras) => cameras.difference(&seen.live).copied().collect(),
        }
    }

    /// The slot has never been good with what is in it now.
    pub fn is_new(&self) -> bool {
        !matches!(self.wanted, Wanted::Answers)
    }

    /// It will not be good in this start: its data is only for now.
    pub fn lacks_data(&self) -> bool {
        matches!(self.wanted, Wanted::Data)
    }

    /// Where it is.
    pub fn stand(&self) -> Stand {
        self.stand
    }

    /// When it gives up.
    pub fn until(&self) -> Mono {
        self.until
    }
}

#[cfg(test)]
mod tests;
