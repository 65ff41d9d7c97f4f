//! The size of pictures that a configuration may ask a camera for.

use std::str::FromStr;

/// A picture's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resolution {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

impl Resolution {
    pub(super) const EXPECTS: &'static str =
        "\"WIDTHxHEIGHT\" in even numbers from \"160x120\" to \"4096x4096\"";
}

impl std::fmt::Display for Resolution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Resolution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |s: &str| s.bytes().all(|b| b.is_ascii_digit()).then(|| s.parse::<u32>().ok()).flatten();
        text.split_once('x')
            .and_then(|(w, h)| Some((number(w)?, number(h)?)))
            // H.264 with 4:2:0 halves both; 4096 is as large as hardware encoders take.
            .filter(|(w, h)| (160..=4096).contains(w) && (120..=4096).contains(h) && w % 2 == 0 && h % 2 == 0)
            .map(|(width, height)| Self { width, height })
            .ok_or_else(|| format!("is {text:?}"))
    }
}
