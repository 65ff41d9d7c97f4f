//! The video encoders that a configuration may name.

use super::rule::{Rule, Shape, unknown};

/// What turns a camera's pictures into H.264.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VideoEncoder {
    /// In software, on every box.
    #[default]
    Libx264,
}

impl VideoEncoder {
    const ALL: [VideoEncoder; 1] = [VideoEncoder::Libx264];
    const NAMES: [&'static str; 1] = [VideoEncoder::Libx264.name()];

    /// FFmpeg's name, which is the configuration's too.
    pub const fn name(self) -> &'static str {
        match self {
            VideoEncoder::Libx264 => "libx264",
        }
    }

    pub(super) fn rule() -> Rule<Self> {
        Rule::text(Shape::Text, Self::NAMES.map(|n| format!("\"{n}\"")).join(" or "), |text| {
            let named = Self::ALL.into_iter().find(|e| e.name() == text);
            named.ok_or_else(|| unknown(text, &Self::NAMES))
        })
    }
}
