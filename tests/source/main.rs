//! The source beside what is said of it: the table of rooms, the configuration reference, the API document.
#![allow(clippy::unwrap_used, reason = "tests stop at what they did not expect")]

#[path = "../common/document.rs"]
#[allow(dead_code, reason = "what a box says is judged by the integration tests")]
mod document;

mod api_document;
mod configuration_reference;
mod crates;
mod layering;
mod trees;
