//! One camera from source to stream: its pure state machine and the actor that runs it.

mod local;
mod network;
mod view;

pub use view::{
    CameraStatus, CameraView, EncoderView, StreamPhase, StreamStarted, StreamStopped, StreamView, Validation,
};
