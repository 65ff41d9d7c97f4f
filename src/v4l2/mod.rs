//! The kernel's V4L2 calls, made safe: what a device can, which of its modes to use, and its buffers.
//!
//! Owns a node that is open. Promises: whatever a driver answers, lists are bounded, strings printable, and
//! nothing panics; a picture is never copied, its buffer goes back to the driver when the last reader lets
//! go. Every call may block for as long as the driver likes. Costs the kernel's buffers and one descriptor.

mod control;
mod driver;
mod format;
mod input;
mod mode;
mod stream;
mod survey;
mod wakeup;

pub use control::{
    Access, Control, Flag, Kind, Listing, Payload, Range, Refused, Value, Watch, apply_order, automatic_of,
    check, controls, settle,
};
pub use driver::{Device, Driver};
pub use format::{Format, FourCc, Rate, Size};
pub use input::{detected, signal};
pub use mode::{Carried, Mode, Refusal, Wish, choose};
pub use stream::{Filled, Lease, Stream};
pub use survey::{Role, Survey, role_at, survey};
pub use wakeup::Wakeup;
