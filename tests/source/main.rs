//! The source beside what is said of it: the table of rooms, the configuration reference.
#![allow(clippy::unwrap_used, reason = "tests stop at what they did not expect")]

mod configuration_reference;
mod layering;
