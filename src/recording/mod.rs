//! Recordings.
pub mod mp4;
