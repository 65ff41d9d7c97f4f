//! Which of the known cameras is it?
//!
//! The rule, strongest first. A camera is of a kind: vendor, product and function on USB, bus and name
//! elsewhere.
//!
//! 1. The same kind with the same serial number, or both without one, at the same port: the same camera.
//! 2. The same kind with the same serial number at another port: the same camera, moved, unless several
//!    could be meant (a maker that gives one serial number to all).
//! 3. The same kind without a serial number at another port: the same camera, moved, when exactly one such
//!    camera is missing and exactly one such device is new, and the camera is not pinned to its port.
//! 4. Anything else is a camera of its own.
//!
//! So two alike that swap ports while the box looks away are told by the port: nothing else is known of
//! them. A pinned camera is whatever of its kind is plugged in at its port.

use std::collections::BTreeMap;

use super::node::Node;
use crate::base::CameraId;

/// What is remembered of a camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its number.
    pub id: CameraId,
    /// [`Node::kind`].
    pub kind: String,
    /// Its serial number, when it can tell two devices apart.
    pub serial: Option<String>,
    /// Where it was plugged in last.
    pub port: String,
    /// It is whatever of its kind is plugged in there.
    pub pinned: bool,
}

/// Which camera a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// The one that was last seen there.
    Same(CameraId),
    /// One that was plugged in elsewhere.
    Moved(CameraId),
    /// One never seen before.
    New,
}

/// Answers for each of `present`, which is everything that is plugged in, in order. Each known camera is
/// at most one of them.
pub fn recognise(present: &[Node], known: &[Known]) -> Vec<Placed> {
    let kinds: Vec<String> = present.iter().map(Node::kind).collect();
    let mut placed = vec![Placed::New; present.len()];
    let mut taken = vec![false; known.len()];

    let mut same = |fits: &dyn Fn(&Known, usize) -> bool, placed: &mut [Placed]| {
        for (n, node) in present.iter().enumerate() {
            let here = |k: &Known| k.kind == kinds[n] && k.port == node.port && fits(k, n);
            if placed[n] == Placed::New
                && let Some(at) = (0..known.len()).find(|&at| !taken[at] && here(&known[at]))
            {
                taken[at] = true;
                placed[n] = Placed::Same(known[at].id);
            }
        }
    };
    same(&|k, _| k.pinned, &mut placed);
    same(&|k, n| k.serial.as_deref() == present[n].serial(), &mut placed);

    // Those left over of one kind and serial number: one and one is a move, anything else a guess.
    let mut left: BTreeMap<_, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for n in (0..present.len()).filter(|&n| placed[n] == Placed::New) {
        left.entry((kinds[n].as_str(), present[n].serial())).or_default().0.push(n);
    }
    for at in (0..known.len()).filter(|&at| !taken[at] && !known[at].pinned) {
        let known = &known[at];
        left.entry((known.kind.as_str(), known.serial.as_deref())).or_default().1.push(at);
    }
    for (new, missing) in left.into_values() {
        if let ([n], [at]) = (&new[..], &missing[..]) {
            placed[*n] = Placed::Moved(known[*at].id);
        }
    }
    placed
}

#[cfg(test)]
mod tests;
