//! Fieldcam.
pub mod auth;
pub mod base;
pub mod bench;
pub mod capture;
pub mod config;
pub mod ctl;
pub mod encoder;
pub mod log;
pub mod mediamtx;
pub mod notice;
pub mod pipeline;
pub mod recording;
pub mod snapshot;
pub mod store;
pub mod supervise;
