//! Stills: from the newest frame of a camera in the frame path, or decoded from a network camera's
//! newest keyframe.
//!
//! Owns the snapshot folder and its rows, the reader that keeps a network camera's newest keyframe,
//! and the FFmpeg that waits to decode one. Promises: a still is complete or not there, and none is
//! ever overwritten; no picture is passed off as newer than it is (`frame_age_ms`). Costs one reader
//! task and one keyframe of memory for each network camera, and one waiting FFmpeg for each codec.

mod decoder;
mod keyframe;
mod picture;
mod pixels;
mod reader;
mod reconcile;
mod stills;

pub use decoder::Decoder;
pub use keyframe::{Assembler, Codec};
pub use picture::one_picture;
pub use pixels::jpeg_of_pixels;
pub use reader::{Keyframe, Keyframes};
pub use stills::{SnapshotInfo, Snapshots};
