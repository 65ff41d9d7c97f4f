//! What every other room stands on: error kinds, ids, clock, backoff, secrets, units.
//!
//! Owns no task and no file. Everything here is plain data or pure code, except [`clock`], the one
//! place that asks the kernel for the time. Costs nothing at run time.

pub mod backoff;
pub mod clock;
pub mod error;
pub mod hex;
pub mod id;
pub mod peer;
pub mod query;
pub mod secret;
pub mod socket;
pub mod units;

pub use clock::{Clock, Mono};
pub use error::{Error, ErrorKind, Result};
pub use hex::hex;
pub use id::{CameraId, RecordingName};
pub use secret::Secret;
