//! The newest picture of a camera as JPEG, for whoever polls or follows it over HTTP.
//!
//! Owns, for each camera, the newest picture in each quality that somebody asked for, and the few
//! threads that make other qualities. Promises: every picture is decoded at most once and encoded at
//! most once per quality, however many ask; whoever waits gets the newest picture and nobody has a
//! queue; a reader that is slow holds none of the capture's buffers. Costs nothing while nobody asks:
//! no task, no thread, no copy; of a camera that was looked at, the last picture in each of at most
//! sixteen qualities stays in memory.

mod cache;
mod camera;
mod counters;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod jpeg;
mod makers;
mod requant;
mod source;

pub use camera::{Picture, Preview, Quality, Stamp};
pub use counters::{Encoded, Tally, Watching};
pub use makers::Makers;
pub use source::Following;

use crate::base::CameraId;

/// What one signed query opens: everything below it.
pub fn signed_path(camera: CameraId) -> String {
    format!("/cameras/{camera}/")
}
