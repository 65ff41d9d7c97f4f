//! V4L2 cameras as they are plugged in and out: from nodes that come and go to numbers that stay.
//!
//! Owns the listening, the looking at what came, and the record of what makes each camera the same again.
//! Promises: one that is pulled out is out of [`Plugs`] before anything else is done, no file, database or
//! device in the way; one that comes is in it as soon as the judge has said that it is a camera; two never
//! have one number; a device that hangs holds nobody up; without a database known cameras are themselves, and
//! new ones wait. Costs one task, a socket, and a look through one folder every ten seconds in case the
//! kernel's word was lost.

mod handle;
mod look;
mod orders;
mod plugs;
mod table;
mod task;

pub use handle::{Hotplug, KnownCamera, Options, check_name, start};
pub use look::Judge;
pub use plugs::{Left, Plug, Plugs};

#[cfg(test)]
mod tests;
