//! Fieldcam.
pub mod base;
pub mod supervise;
