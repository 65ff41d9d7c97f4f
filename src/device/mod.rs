//! Which V4L2 devices are plugged in, and what makes each the same camera again.
//!
//! Owns the reading of sysfs, the kernel's events, and the rule that tells a camera by its serial number or
//! its port ([`recognise`]). Promises: nothing is concluded from a node's name or number; what a device says
//! of itself is data, however hostile. Opens no device. Costs one socket, and some dozen small reads of
//! sysfs for each device that comes.

mod identity;
mod node;
mod recognise;
mod sysfs;
mod uevent;

pub use identity::{SOURCE, identity};
pub use node::{Node, Usb};
pub use recognise::{Known, Placed, recognise};
pub use sysfs::scan;
pub use uevent::{Event, Events, What};
