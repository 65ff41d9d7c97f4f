//! What needs root to bring a camera back: a driver unbound and bound, a USB device authorized anew.
//!
//! Owns a process of its own (`fieldcam helper`, started by systemd when the daemon asks) and the way to it, so
//! that the daemon's own unit stays closed. Promises: two verbs, each with the name of one device, strictly read;
//! only devices that a camera hangs below; asked by nobody but root and the service's user; one request at a time,
//! each with a time limit. Costs nothing while nobody asks: it ends after a minute, and systemd keeps its socket.

mod ask;
mod request;
mod serve;
mod sysfs;

pub use ask::{SOCKET, ask, is_there};
pub use request::{Reach, Request};
pub use serve::{HelperArgs, run};
