//! From frames to a published H.264 stream: plan → FFmpeg arguments, its process and its progress.
//!
//! Owns the argument lists, the Matroska stream FFmpeg reads and the FFmpeg process of one camera.
//! Promises: each frame goes in whole, with its capture time in microseconds, or not at all;
//! capture never waits for the encoder; an encoder that takes frames and gives nothing for two
//! seconds is ended. Costs one FFmpeg and three small tasks for each camera that is streaming.

mod feed;
mod matroska;
mod nodelay;
mod plan;
mod process;
mod progress;
mod select;
mod stall;
mod trial;
mod words;

pub use matroska::MatroskaStream;
pub use plan::{EncodePlan, Plan, repack};
pub use process::{Encoder, EncoderCounters, EncoderEvent, EncoderSpec, Prepared};
pub use progress::{Progress, ProgressParser};
pub use select::{Chosen, Selection, Trial, Trials, Way};
pub use stall::StallWatch;
pub use trial::Encoders;
