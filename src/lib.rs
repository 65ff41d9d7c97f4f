//! Fieldcam.
pub mod auth;
pub mod base;
pub mod pipeline;
pub mod supervise;
