//! The video encoders that a configuration may name.

use super::rule::{Rule, Shape, unknown};

/// What turns a camera's pictures into H.264.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VideoEncoder {
    /// The best that works on this box, found by trying.
    #[default]
    Auto,
    /// This one, as long as it works.
    Named(H264Encoder),
}

/// An encoder of FFmpeg's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum H264Encoder {
    /// The kernel's memory-to-memory encoders: Raspberry Pi 4 and others.
    V4l2M2m,
    /// NVIDIA's multimedia API on Jetson, in an FFmpeg that was built with it.
    Nvmpi,
    /// In software, on every box.
    #[default]
    Libx264,
}

impl H264Encoder {
    /// In the order in which they are worth having.
    pub const BEST_FIRST: [H264Encoder; 3] = [H264Encoder::V4l2M2m, H264Encoder::Nvmpi, H264Encoder::Libx264];

    /// FFmpeg's name, which is the configuration's too.
    pub const fn name(self) -> &'static str {
        match self {
            H264Encoder::V4l2M2m => "h264_v4l2m2m",
            H264Encoder::Nvmpi => "h264_nvmpi",
            H264Encoder::Libx264 => "libx264",
        }
    }
}

impl VideoEncoder {
    const NAMES: [&'static str; 4] = [
        VideoEncoder::Auto.name(),
        H264Encoder::V4l2M2m.name(),
        H264Encoder::Nvmpi.name(),
        H264Encoder::Libx264.name(),
    ];

    /// The configuration's word.
    pub const fn name(self) -> &'static str {
        match self {
            VideoEncoder::Auto => "auto",
            VideoEncoder::Named(encoder) => encoder.name(),
        }
    }

    pub(super) fn rule() -> Rule<Self> {
        Rule::text(Shape::Text, Self::NAMES.map(|n| format!("\"{n}\"")).join(", "), |text| {
            let named = H264Encoder::BEST_FIRST.into_iter().find(|e| e.name() == text);
            match text {
                "auto" => Ok(VideoEncoder::Auto),
                _ => named.map(VideoEncoder::Named).ok_or_else(|| unknown(text, &Self::NAMES)),
            }
        })
    }
}
