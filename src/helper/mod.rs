//! What needs root: to bring a camera back (a driver unbound and bound, a USB device authorized anew), and to do with
//! the box what the daemon may not (mark a slot good, restart, set the clock, ask for a factory reset, give a port another
//! address).
//!
//! Owns two processes of its own (`fieldcam helper` and `fieldcam helper --box`, started by systemd when the daemon
//! asks, each in a sandbox of its own) and the ways to them, so that the daemon's own unit stays closed. Promises: a
//! few verbs, strictly read, and neither knows the other's; only devices that a camera hangs below; no word of the
//! asker reaches a command line; asked by nobody but root and the service's user; one request at a time, each with a
//! time limit. Costs nothing while nobody asks: they end after a minute, and systemd keeps their sockets.
//!
//! Beside them the button of a board (`fieldcam reset-button`), which needs no root: held for ten seconds, it asks the
//! box's helper for a factory reset.

mod ask;
mod button;
mod carry;
mod errand;
mod places;
mod request;
mod serve;
mod sysfs;
mod trial;

pub use ask::{BOX_SOCKET, SOCKET, ask, is_there, or_stopped};
pub use button::{ButtonArgs, watch as watch_button};
pub use errand::Errand;
pub use places::Slot;
pub use request::{Reach, Request};
pub use serve::{HelperArgs, run};
pub use trial::{TRIAL, TRIAL_FOLDER, Trial};
