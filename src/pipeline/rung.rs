//! The rungs of the ladder: what each is called, and what it may take.

use std::time::Duration;

/// The first rest, and the longest; each is twice the one before.
pub(super) const REST: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// A rung, from the one that costs least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// STREAMOFF and STREAMON on the open device.
    Restream,
    /// The device is closed and opened again.
    Reopen,
    /// Its driver is unbound and bound, which takes everything away that hangs on the same interface.
    Rebind,
    /// The USB device loses its authorization and gets it back, as if it had been plugged in again.
    Reauthorize,
    /// It is left alone for a while.
    Quarantine,
}

impl Rung {
    /// Every rung, from the first.
    pub const ALL: [Rung; 5] =
        [Rung::Restream, Rung::Reopen, Rung::Rebind, Rung::Reauthorize, Rung::Quarantine];

    /// What clients and the log call it.
    pub const fn word(self) -> &'static str {
        match self {
            Rung::Restream => "RESTREAM",
            Rung::Reopen => "REOPEN",
            Rung::Rebind => "REBIND",
            Rung::Reauthorize => "REAUTHORIZE",
            Rung::Quarantine => "QUARANTINE",
        }
    }

    /// What a good picture may take from its beginning. The two that make a new device include the kernel's work
    /// and the questions that a new device is asked (vivid's 83 formats under emulation: 3 s).
    pub const fn budget(self) -> Duration {
        match self {
            Rung::Restream => Duration::from_millis(1500),
            Rung::Reopen => Duration::from_secs(3),
            Rung::Rebind => Duration::from_secs(10),
            Rung::Reauthorize => Duration::from_secs(15),
            Rung::Quarantine => REST.1,
        }
    }
}

/// How often a rung was tried, and how often pictures came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Begun.
    pub tried: u64,
    /// A good picture came within its time.
    pub cured: u64,
}

/// The counts of all rungs, in the order of [`Rung::ALL`].
pub type Counts = [Tries; 5];
