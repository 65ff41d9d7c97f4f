//! Which V4L2 devices are plugged in, and what makes each the same camera again.
//!
//! Owns the reading of the tree of devices, the kernel's events ([`Devices`]), and the rule that tells a camera
//! by its serial number or its port ([`recognise`]). Promises: nothing is concluded from a node's name or
//! number where there is anything else; what a device says of itself is data, however hostile. Opens no
//! device. Costs one socket, and some dozen small reads of sysfs for each device that comes.

mod devices;
mod identity;
#[cfg(target_env = "gnu")]
mod libudev;
mod node;
mod place;
mod recognise;
#[cfg(test)]
mod recorded;
mod sysfs;
#[cfg(test)]
pub(crate) mod tree;
mod uevent;

pub use devices::{Devices, Heard, Listed, Listen, of_this_machine};
pub use identity::{SOURCE, identity};
#[cfg(target_env = "gnu")]
pub use libudev::Libudev;
pub use node::{Node, Usb, plain};
pub use recognise::{Known, Placed, recognise};
pub use sysfs::Sysfs;
pub use uevent::{Event, What};
