//! What is tried, and when, on a V4L2 camera that is plugged in and gives no pictures: the ladder.
//!
//! Pure: it is told what happened and when, and answers with the next step; [`Ladder::deadline`] says when it
//! wants to be asked again. It climbs from what costs least to what costs most: the driver's stream off and on,
//! the device closed and opened, the driver taken off and put on again, the USB device's authorization taken and
//! given back, and at last a rest that grows, after which the ladder begins again. Each rung has a time in which a
//! good picture has to come (property-tested: never a tight loop, never stuck).

use std::time::Duration;

use super::rung::{Counts, REST, Rung};
use crate::base::Mono;

/// What a camera that was just opened may take to its first picture before it is in trouble.
const FIRST: Duration = Duration::from_secs(3);
/// A camera that gave pictures for so long begins at the first rung when it stops, whatever was before.
pub(super) const PROVEN: Duration = Duration::from_secs(30);
/// The rung that brought pictures for so long is the first one tried when they stop again: one that brought
/// less was no cure, and the next one is tried.
const HELD: Duration = Duration::from_secs(3);
/// A device that is gone for its driver may have been pulled out: the kernel's word of that comes within some
/// ten milliseconds.
const SETTLE: Duration = Duration::from_millis(200);
/// Between attempts to open the device within one rung.
const AGAIN: Duration = Duration::from_millis(300);
/// How a camera stopped giving good pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No good picture for a while; the device is open.
    Silent,
    /// A call failed; the device is open and can be started anew.
    Broken,
    /// It could not be opened, or was closed because it failed.
    Closed,
    /// Its driver says that it is gone. It may have been pulled out.
    Gone,
    /// Somebody else uses it, it is not ours to open, or its bus has no room: nothing that a driver cures.
    Refused,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is being opened.
    Opened,
    /// A first good picture.
    Good,
    /// It stopped, or does not start.
    Fault(Fault),
    /// It was closed because it was told to.
    Closed,
    /// The helper has done what was asked.
    Helped,
    /// The helper has not.
    NotHelped,
    /// It was plugged in.
    Plugged,
    /// It was pulled out, or went with its driver.
    Unplugged,
    /// Time passed.
    Tick,
}

/// What to do. Whether the device may be open says [`Ladder::holds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Begin this rung.
    Climb(Rung),
    /// It gives pictures again, thanks to this rung, so long after the trouble began.
    Recovered(Rung, Duration),
}

/// What can be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Can {
    /// Somebody wants its pictures.
    pub wanted: bool,
    /// The driver can be unbound and bound.
    pub rebind: bool,
    /// The USB device can be authorized anew.
    pub reauthorize: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody reads it.
    Idle,
    /// Opened; a first picture has to come until then.
    First(Mono),
    /// Gives pictures since then.
    Flowing(Mono),
    /// The next rung is tried then.
    Settling(Mono),
    /// On a rung until then.
    Trying(Rung, Mono, Hold),
    /// In quarantine until then.
    Resting(Mono),
}

/// Why the device is not to be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// It is.
    No,
    /// It is being closed.
    Closing,
    /// It is opened again then.
    Pause(Mono),
    /// The helper works.
    Helper,
}

/// The ladder of one camera.
#[derive(Clone, Debug)]
pub struct Ladder {
    state: State,
    /// The last rung tried since the camera was last proven.
    rung: Option<Rung>,
    /// When the present trouble began.
    since: Option<Mono>,
    /// The device is open.
    open: bool,
    /// The last fault was one that no driver cures.
    refused: bool,
    /// Rests since the camera was last proven.
    rests: u32,
    counts: Counts,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            state: State::Idle,
            rung: None,
            since: None,
            open: false,
            refused: false,
            rests: 0,
            counts: Counts::default(),
        }
    }
}

impl Ladder {
    /// Takes an event; answers what to do about it.
    pub fn step(&mut self, now: Mono, can: Can, event: Event) -> Option<Step> {
        match event {
            Event::Opened => {
                self.open = true;
                if matches!(self.state, State::Idle | State::Flowing(_)) {
                    self.state = State::First(now + FIRST);
                }
                None
            }
            Event::Good => self.good(now),
            Event::Fault(fault) => self.fault(now, can, fault),
            Event::Closed => {
                self.open = false;
                self.closed(now, can);
                None
            }
            Event::Helped => {
                if let State::Trying(_, _, hold @ Hold::Helper) = &mut self.state {
                    *hold = Hold::No;
                }
                None
            }
            Event::NotHelped => match self.state {
                State::Trying(_, _, Hold::Helper) => self.climb(now, can),
                _ => None,
            },
            Event::Plugged | Event::Unplugged => {
                self.open = false;
                // Two rungs take it away and bring it back themselves.
                if !matches!(self.state, State::Trying(Rung::Rebind | Rung::Reauthorize, ..)) {
                    self.rest_is_over();
                    self.rests = 0;
                }
                None
            }
            Event::Tick => self.tick(now, can),
        }
    }

    fn good(&mut self, now: Mono) -> Option<Step> {
        let cure = match self.state {
            State::Trying(rung, _, Hold::No) => Some(rung),
            State::First(_) if self.since.is_some() => self.rung,
            State::First(_) | State::Idle => None,
            // It flows already, or is on its way to be closed.
            State::Flowing(_) | State::Settling(_) | State::Resting(_) | State::Trying(..) => return None,
        };
        self.state = State::Flowing(now);
        let since = self.since.take();
        let rung = cure?;
        self.counts[rung as usize].cured += 1;
        Some(Step::Recovered(rung, now.since(since.unwrap_or(now))))
    }

    fn fault(&mut self, now: Mono, can: Can, fault: Fault) -> Option<Step> {
        if !matches!(fault, Fault::Silent | Fault::Broken) {
            self.open = false;
        }
        self.refused = fault == Fault::Refused;
        match self.state {
            // What waits has its own time.
            State::Idle | State::Settling(_) | State::Resting(_) => return None,
            State::First(_) | State::Trying(..) if fault == Fault::Silent => return None,
            State::Trying(rung, until, Hold::No) if rung != Rung::Restream => {
                let hold = if self.open { Hold::Closing } else { Hold::Pause(now + AGAIN) };
                self.state = State::Trying(rung, until, hold);
                return None;
            }
            State::Trying(rung, until, Hold::Closing) if !self.open => {
                self.state = State::Trying(rung, until, Hold::No);
                return None;
            }
            State::Trying(_, _, Hold::Closing | Hold::Pause(_) | Hold::Helper) => return None,
            State::Flowing(since) => self.begins(now.since(since)),
            State::First(_) | State::Trying(..) => {}
        }
        self.since = self.since.or(Some(now));
        if fault == Fault::Gone {
            self.state = State::Settling(now + SETTLE);
            return None;
        }
        self.climb(now, can)
    }

    /// Where to begin, after pictures for so long.
    fn begins(&mut self, lived: Duration) {
        if lived >= PROVEN {
            (self.rung, self.rests) = (None, 0);
        } else if lived >= HELD {
            let before = |rung: Rung| Rung::ALL[..rung as usize].last().copied();
            // No trouble begins with what takes other cameras of the same driver away.
            let first = |helped: &Rung| !matches!(helped, Rung::Rebind | Rung::Quarantine);
            self.rung = self.rung.filter(first).and_then(before);
        }
    }

    fn closed(&mut self, now: Mono, can: Can) {
        match self.state {
            State::Trying(rung, until, Hold::Closing) => self.state = State::Trying(rung, until, Hold::No),
            // The helper was done before the reader of a driver that let go late.
            State::Trying(_, _, Hold::No) if can.wanted => {}
            // As it was told to: nobody wants it any more.
            State::First(_) | State::Trying(_, _, Hold::No) => self.state = State::Idle,
            State::Flowing(since) => {
                self.begins(now.since(since));
                self.state = State::Idle;
            }
            State::Idle | State::Settling(_) | State::Resting(_) | State::Trying(..) => {}
        }
        if self.state == State::Idle {
            self.since = None;
        }
    }

    fn tick(&mut self, now: Mono, can: Can) -> Option<Step> {
        match self.state {
            State::First(until) if now >= until => {
                self.since = self.since.or(Some(now));
                self.climb(now, can)
            }
            State::Settling(at) if now >= at => self.climb(now, can),
            State::Trying(_, until, _) if now >= until => self.climb(now, can),
            State::Trying(rung, until, Hold::Pause(at)) if now >= at => {
                self.state = State::Trying(rung, until, Hold::No);
                None
            }
            State::Resting(until) if now >= until => {
                // What brings pictures now is the rest.
                self.state = State::Idle;
                None
            }
            _ => None,
        }
    }

    fn rest_is_over(&mut self) {
        (self.state, self.rung, self.since) = (State::Idle, None, None);
    }

    /// The next rung that can be used. Nobody wants it: none.
    fn climb(&mut self, now: Mono, can: Can) -> Option<Step> {
        if !can.wanted {
            self.rest_is_over();
            if self.open {
                // It is being closed; should somebody want it before, it is looked at again.
                self.state = State::First(now + FIRST);
            }
            return None;
        }
        let last = self.rung.filter(|rung| *rung != Rung::Quarantine);
        let rung = Rung::ALL.into_iter().find(|rung| Some(*rung) > last && self.usable(*rung, can));
        let rung = rung.unwrap_or(Rung::Quarantine);
        self.rung = Some(rung);
        self.counts[rung as usize].tried += 1;
        let until = now + rung.budget();
        self.state = match rung {
            Rung::Restream => State::Trying(rung, until, Hold::No),
            Rung::Reopen if self.open => State::Trying(rung, until, Hold::Closing),
            Rung::Reopen => State::Trying(rung, until, Hold::No),
            Rung::Rebind | Rung::Reauthorize => State::Trying(rung, until, Hold::Helper),
            Rung::Quarantine => {
                let rest = REST.0.saturating_mul(2u32.saturating_pow(self.rests.min(16))).min(REST.1);
                self.rests = self.rests.saturating_add(1);
                State::Resting(now + rest)
            }
        };
        Some(Step::Climb(rung))
    }

    fn usable(&self, rung: Rung, can: Can) -> bool {
        match rung {
            Rung::Restream => self.open,
            Rung::Reopen | Rung::Quarantine => true,
            Rung::Rebind => can.rebind && !self.refused,
            Rung::Reauthorize => can.reauthorize && !self.refused,
        }
    }

    /// When [`Event::Tick`] is due.
    pub fn deadline(&self) -> Option<Mono> {
        match self.state {
            State::Idle | State::Flowing(_) => None,
            State::First(at) | State::Settling(at) | State::Resting(at) => Some(at),
            State::Trying(_, until, Hold::Pause(at)) => Some(until.min(at)),
            State::Trying(_, until, _) => Some(until),
        }
    }

    /// The device is to be closed, or to stay so.
    pub fn holds(&self) -> bool {
        match self.state {
            State::Settling(_) | State::Resting(_) => true,
            State::Trying(_, _, hold) => hold != Hold::No,
            State::Idle | State::First(_) | State::Flowing(_) => false,
        }
    }

    /// The rung it stands on, while there are no pictures.
    pub fn rung(&self) -> Option<Rung> {
        match self.state {
            State::Trying(rung, ..) => Some(rung),
            State::Resting(_) => Some(Rung::Quarantine),
            State::First(_) | State::Settling(_) if self.since.is_some() => self.rung,
            State::Idle | State::First(_) | State::Settling(_) | State::Flowing(_) => None,
        }
    }

    /// When the present rest ends.
    pub fn rests_until(&self) -> Option<Mono> {
        match self.state {
            State::Resting(until) => Some(until),
            _ => None,
        }
    }

    /// How often each rung was tried, and cured.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

#[cfg(test)]
mod tests;
