//! Frames from a camera into the process: source → fan-out → encoder, snapshot, later more.
//!
//! Owns the frame, its pooled buffer, the fan-out, the V4L2 and the synthetic source. Promises: every frame
//! carries the CLOCK_MONOTONIC time of its capture; a frame is whole or not there; a consumer that
//! is too slow loses its own oldest frame and nobody else's; no allocation per frame once the pool
//! is warm. Costs one task or thread per source, and one copy of each frame that comes through a pipe and of
//! each keyframe of H.264; any other frame of a V4L2 device stays in the driver's buffer.

mod device_end;
mod device_source;
mod fanout;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod h264;
mod huffman;
mod keying;
mod mpjpeg;
mod pattern;
mod sorter;
mod source_plan;
mod test_source;

pub use device_end::{Ended, device_words};
pub use device_source::{CaptureCounters, CaptureMeter, DevicePlan, DeviceSource, Restream};
pub use fanout::{Consumer, ConsumerCounters, ConsumerMeter, Fanout, FanoutCounters};
pub use frame::{Frame, FrameBuffer, FrameBytes, FrameFormat, FramePool};
pub use h264::Key;
pub use huffman::with_tables;
pub use mpjpeg::{MpjpegParser, Part};
pub use pattern::TestPlan;
pub use source_plan::{FilePlan, SourcePlan};
pub use test_source::{SourceEvent, TestSource};
