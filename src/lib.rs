//! Fieldcam.
pub mod base;
pub mod pipeline;
pub mod supervise;
