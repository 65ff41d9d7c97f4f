//! What USB cameras reserve of their bus, and who has how much of it.
//!
//! Owns the reading of a camera's descriptors, the arithmetic of periodic transfers, and the one account of what
//! is reserved. Promises: nothing that a device says of itself is believed, nothing panics; a mode that surely
//! cannot fit is refused before the driver is asked, and one that only may not fit is tried. Costs two small
//! reads of sysfs for a camera that is plugged in, and one when it starts.
//!
//! How sure one can be: an uncompressed picture has to be carried, so its mode takes at least the smallest
//! alternate setting that does; what a camera asks for a compressed one only the driver hears (it is the answer
//! to its probe), so the descriptors' bit rate is an estimate, and the setting that is seen on a camera that
//! runs takes its place. A controller that keeps its schedule in software shares one budget among all its ports;
//! an xHCI decides by itself, and only what hangs on one port of it surely shares one.

mod account;
mod budget;
mod buses;
mod decide;
mod descriptors;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod need;
mod place;
mod words;

pub use buses::{Reserved, UsbBuses};
pub use decide::{Full, No};
pub use place::Place;

#[cfg(test)]
pub(crate) mod cameras;
