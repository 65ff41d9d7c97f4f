//! Who has reserved how much, as pure code.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::need::{Need, need, time};
use super::place::{Line, Place, Share};
use crate::base::CameraId;
use crate::v4l2::{Mode, Survey};

/// Modes of which something is remembered. A box uses a handful; more come only from a camera that lies.
const MOST_LEARNT: usize = 512;

/// A camera that runs, or is about to.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub mode: Mode,
    pub survey: Arc<Survey>,
    pub place: Arc<Place>,
    need: Option<Need>,
    number: u64,
}

/// The driver said that the bus is full.
#[derive(Debug, Default)]
struct Refused {
    /// What it was asked for.
    modes: BTreeSet<Mode>,
    /// What was left by our account, ns.
    left: u64,
}

/// Whether a mode fits beside what is reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Fits,
    /// Only the attempt tells.
    Perhaps,
    /// The camera cannot send so much, whatever else is on the bus.
    TooMuch,
    /// There is not enough left of this line.
    Full(Line),
}

/// What is reserved, and what was learnt of cameras and controllers.
#[derive(Debug, Default)]
pub(super) struct Account {
    held: BTreeMap<CameraId, Held>,
    /// The alternate setting that a camera took when it ran in a mode.
    seen: BTreeMap<(CameraId, Mode), u8>,
    refused: BTreeMap<CameraId, Refused>,
    /// Budgets that turned out to be shared.
    shared: BTreeSet<Line>,
    last: u64,
}

impl Account {
    /// The time that a mode will probably take of a line, and the time that it surely takes, ns.
    pub fn asks(&self, camera: CameraId, place: &Place, mode: &Mode, share: &Share) -> (u64, u64) {
        let need = need(place, mode, self.seen.get(&(camera, *mode)).copied());
        need.map_or((0, 0), |n| (time(&n.likely, share), time(&n.least, share)))
    }

    /// What a camera that runs has of a line: probably, surely.
    pub fn has(held: &Held, line: &Line) -> (u64, u64) {
        let Some(need) = held.need else { return (0, 0) };
        let share = held.place.shares.iter().find(|s| s.line == *line);
        share.map_or((0, 0), |s| (time(&need.likely, s), time(&need.least, s)))
    }

    /// Those that have something of a line, this one left out.
    pub fn others(&self, line: &Line, camera: CameraId) -> impl Iterator<Item = (CameraId, &Held)> {
        let all = self.held.iter().map(|(id, held)| (*id, held)).filter(move |(id, _)| *id != camera);
        all.filter(move |(_, held)| held.place.shares.iter().any(|s| s.line == *line))
    }

    /// What is left of a line for a camera: probably, and at most.
    pub fn left(&self, line: &Line, camera: CameraId) -> (u64, u64) {
        let sum = self.others(line, camera).map(|(_, held)| Account::has(held, line));
        let (likely, least) = sum.fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
        let budget = line.speed.budget();
        (budget.saturating_sub(likely), budget.saturating_sub(least))
    }

    /// Whether a mode of a camera fits.
    pub fn fit(&self, camera: CameraId, place: &Place, mode: &Mode) -> Fit {
        let seen = self.seen.get(&(camera, *mode)).copied();
        let Some(need) = need(place, mode, seen) else { return Fit::Fits };
        let refused = self.refused.get(&camera);
        let mut doubt = false;
        for share in &place.shares {
            let line = &share.line;
            let (left, left_at_most) = self.left(line, camera);
            if share.sure || self.shared.contains(line) {
                if time(&need.least, share) > left_at_most {
                    return Fit::Full(line.clone());
                }
                // What the driver refused once it refuses until there is more; and whoever was wrong about one
                // mode hopes for no other.
                let hopeless = |r: &Refused| r.modes.contains(mode) || time(&need.likely, share) > left;
                if refused.is_some_and(|r| left <= r.left && hopeless(r)) {
                    return Fit::Full(line.clone());
                }
            }
            doubt |= time(&need.likely, share) > left;
        }
        match (need.too_much, doubt) {
            (true, _) => Fit::TooMuch,
            (false, true) => Fit::Perhaps,
            (false, false) => Fit::Fits,
        }
    }

    /// The camera is about to run in a mode; what it had before is over. Answers with the number of this run.
    pub fn hold(&mut self, camera: CameraId, survey: Arc<Survey>, place: Arc<Place>, mode: Mode) -> u64 {
        let need = need(&place, &mode, self.seen.get(&(camera, mode)).copied());
        self.last += 1;
        self.held.insert(camera, Held { mode, survey, place, need, number: self.last });
        self.last
    }

    /// This run ended.
    pub fn free(&mut self, camera: CameraId, number: u64) {
        if self.held.get(&camera).is_some_and(|held| held.number == number) {
            self.held.remove(&camera);
        }
    }

    /// The stream of a camera that runs, if it has reserved something.
    pub fn interface(&self, camera: CameraId) -> Option<u8> {
        Some(self.held.get(&camera)?.need?.interface)
    }

    /// The camera runs, with this alternate setting. Answers whether there is more left than was thought.
    pub fn saw(&mut self, camera: CameraId, setting: u8) -> bool {
        let Some(held) = self.held.get_mut(&camera) else { return false };
        let Some(new) = need(&held.place, &held.mode, Some(setting)) else { return false };
        let before = held.need.replace(new);
        let mode = held.mode;
        if let Some(refused) = self.refused.get_mut(&camera) {
            refused.modes.remove(&mode);
        }
        if self.seen.len() >= MOST_LEARNT {
            self.seen.clear();
        }
        self.seen.insert((camera, mode), setting);
        before.is_some_and(|before| {
            before.likely.bytes > new.likely.bytes || before.least.bytes > new.least.bytes
        })
    }

    /// The driver said that the bus is full: it is not tried again before there is more left, and what was not
    /// sure to be one budget is one.
    pub fn no_space(&mut self, camera: CameraId) {
        let Some(Held { mode, place, .. }) = self.held.get(&camera).cloned() else { return };
        for share in &place.shares {
            if self.others(&share.line, camera).next().is_some() {
                self.shared.insert(share.line.clone());
            }
        }
        let left = place.shares.iter().map(|s| self.left(&s.line, camera).0).max();
        let refused = self.refused.entry(camera).or_default();
        if refused.modes.len() >= MOST_LEARNT {
            refused.modes.clear();
        }
        refused.modes.insert(mode);
        refused.left = refused.left.max(left.unwrap_or(u64::MAX));
    }

    /// What was refused once says nothing of now: it was unplugged since, or a device that is no camera of ours
    /// may have left the bus.
    pub fn forget_refusals(&mut self, camera: CameraId) {
        self.refused.remove(&camera);
    }
}
