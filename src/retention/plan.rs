//! Which closed segments go, decided without I/O.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{CameraId, RecordingName};

/// A recording.
#[derive(Clone, Debug)]
pub(super) struct Reel {
    pub name: RecordingName,
    pub camera: CameraId,
    /// Nothing of it goes.
    pub protected: bool,
    /// Its newest segment stays, and so does the recording.
    pub running: bool,
    /// Somebody reads it: only the floor takes of it.
    pub leased: bool,
    /// When it began, as far as that can be judged.
    pub start_us: i64,
    /// In order.
    pub pieces: Vec<Piece>,
}

/// A segment. Its times are those that it is judged by: never later than those of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub number: u32,
    pub start_us: i64,
    pub end_us: i64,
    pub size: u64,
    /// Nothing will be added to it.
    pub closed: bool,
}

/// What has to go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    /// Everything that ended before.
    pub before_us: Option<i64>,
    /// This many bytes of all recordings.
    pub total: u64,
    /// This many bytes of a camera's recordings.
    pub cameras: BTreeMap<CameraId, u64>,
    /// This many bytes whoever reads them, so that recording goes on.
    pub floor: u64,
}

impl Need {
    /// Whether bytes have to go.
    pub(super) fn wants_bytes(&self) -> bool {
        self.total > 0 || self.floor > 0 || self.cameras.values().any(|n| *n > 0)
    }

    /// Something of a camera is gone.
    pub(super) fn freed(&mut self, camera: CameraId, bytes: u64) {
        self.total = self.total.saturating_sub(bytes);
        self.floor = self.floor.saturating_sub(bytes);
        if let Some(left) = self.cameras.get_mut(&camera) {
            *left = left.saturating_sub(bytes);
        }
    }
}

/// What goes of one recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub name: RecordingName,
    pub camera: CameraId,
    pub numbers: BTreeSet<u32>,
    /// Nothing is left: the recording goes too.
    pub whole: bool,
    /// Whoever reads it.
    pub anyway: bool,
    pub bytes: u64,
}

/// Decides. For bytes no segment is taken that begins after `horizon_us`: recordings that are not among
/// `reels` begin then or later. Answers with the cuts in the order in which they are to be made, and what
/// is still needed then.
pub(super) fn plan(reels: &[Reel], need: &Need, horizon_us: i64) -> (Vec<Cut>, Need) {
    let mut order: Vec<(i64, usize, usize)> = Vec::new();
    for (r, reel) in reels.iter().enumerate().filter(|(_, reel)| !reel.protected) {
        let most = reel.pieces.len().saturating_sub(usize::from(reel.running));
        let free = reel.pieces.iter().take(most).take_while(|p| p.closed);
        order.extend(free.enumerate().map(|(p, piece)| (piece.start_us, r, p)));
    }
    order.sort_unstable();
    let mut work = Work { reels, need: need.clone(), taken: vec![0; reels.len()], anyway: BTreeSet::new() };
    if let Some(before_us) = need.before_us {
        work.pass(&order, |reel, piece, _| !reel.leased && piece.end_us < before_us);
    }
    let near = |piece: &Piece| piece.start_us <= horizon_us;
    work.pass(&order, |_, piece, need| need.floor > 0 && near(piece));
    work.pass(&order, |reel, piece, need| {
        let camera = need.cameras.get(&reel.camera).is_some_and(|n| *n > 0);
        !reel.leased && near(piece) && (need.total > 0 || camera)
    });
    work.cuts(&order)
}

struct Work<'a> {
    reels: &'a [Reel],
    need: Need,
    /// How many pieces of each reel, from its beginning.
    taken: Vec<usize>,
    /// Reels that are read.
    anyway: BTreeSet<usize>,
}

impl Work<'_> {
    fn pass(&mut self, order: &[(i64, usize, usize)], goes: impl Fn(&Reel, &Piece, &Need) -> bool) {
        for &(_, r, p) in order {
            let reel = &self.reels[r];
            let piece = &reel.pieces[p];
            // What comes before it stays, so it stays.
            if p == self.taken[r] && goes(reel, piece, &self.need) {
                self.taken[r] += 1;
                self.need.freed(reel.camera, piece.size);
                if reel.leased {
                    self.anyway.insert(r);
                }
            }
        }
    }

    fn cuts(self, order: &[(i64, usize, usize)]) -> (Vec<Cut>, Need) {
        let mut cuts = Vec::new();
        for (r, reel) in self.reels.iter().enumerate() {
            let empty = reel.pieces.is_empty()
                && self.need.before_us.is_some_and(|before| reel.start_us < before)
                && !(reel.running || reel.protected || reel.leased);
            if empty {
                cuts.push((reel.start_us, self.cut(r)));
            }
        }
        cuts.extend(
            order
                .iter()
                .filter(|(_, r, p)| *p == 0 && self.taken[*r] > 0)
                .map(|(at, r, _)| (*at, self.cut(*r))),
        );
        cuts.sort_by_key(|(at, _)| *at);
        (cuts.into_iter().map(|(_, cut)| cut).collect(), self.need)
    }

    fn cut(&self, r: usize) -> Cut {
        let reel = &self.reels[r];
        let gone = &reel.pieces[..self.taken[r]];
        Cut {
            name: reel.name.clone(),
            camera: reel.camera,
            numbers: gone.iter().map(|p| p.number).collect(),
            whole: !reel.running && gone.len() == reel.pieces.len(),
            anyway: self.anyway.contains(&r),
            bytes: gone.iter().map(|p| p.size).sum(),
        }
    }
}

#[cfg(test)]
mod tests;
