//! The formats of pictures that a configuration may ask a camera for.

use super::rule::{Rule, Shape, unknown};

/// In which format a camera is to deliver its pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CameraFormat {
    /// What serves best, of what the camera has.
    #[default]
    Auto,
    /// This one and no other: four characters as V4L2 names it.
    Named([u8; 4]),
}

impl CameraFormat {
    const NAMES: [&'static str; 8] = ["auto", "MJPG", "H264", "YUYV", "UYVY", "NV12", "YU12", "GREY"];

    pub(super) fn rule() -> Rule<Self> {
        Rule::text(Shape::Text, Self::NAMES.map(|n| format!("\"{n}\"")).join(", "), |text| {
            let known = Self::NAMES.iter().find(|name| name.eq_ignore_ascii_case(text));
            match known.ok_or_else(|| unknown(text, &Self::NAMES))?.as_bytes() {
                [a, b, c, d] if !text.eq_ignore_ascii_case("auto") => Ok(Self::Named([*a, *b, *c, *d])),
                _ => Ok(Self::Auto),
            }
        })
    }
}
