//! What is plugged in, for those who use it.

use std::collections::BTreeMap;

use crate::base::{CameraId, Mono};
use crate::device::Node;

/// A camera that is plugged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plug {
    /// Its number for ever.
    pub camera: CameraId,
    /// What it is called for ever ([`crate::device::identity`]), without the word for its source.
    pub identity: String,
    /// Where it is, and what it says of itself.
    pub node: Node,
    /// When the kernel's word of it came, or it was found without.
    pub since: Mono,
    /// The kernel's number of that event; `None` = it was found without. Another plug of the same camera
    /// has another number or another `since`.
    pub event: Option<u64>,
}

/// How a camera went that was plugged in while the program ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// When the kernel's word of it came, or it was missed.
    pub at: Mono,
    /// The kernel's number of that event; `None` = it was missed.
    pub event: Option<u64>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plugs {
    /// Those that are plugged in.
    pub present: BTreeMap<CameraId, Plug>,
    /// Those that were.
    pub left: BTreeMap<CameraId, Left>,
    /// Everything that was there when the program started was looked at, or would not be looked at in time.
    /// Never false again.
    pub complete: bool,
}
