//! A full bus in words: what was asked, who has what, what would fit, and what to do.

use std::fmt;

use super::budget::Speed;
use super::decide::{Full, No};
use crate::v4l2::{Mode, Rate};

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            No::Mode(refusal) => refusal.fmt(f),
            No::Full(full) => full.fmt(f),
        }
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bus = match self.speed {
            Speed::Full => "USB 1.1 (12 Mb/s)",
            Speed::High => "USB 2.0",
            Speed::Super(_) => "USB 3",
        };
        let (budget, tick) = (Micros(self.speed.budget()), self.speed.tick());
        write!(f, "its USB bus ({bus} at {}) is full: ", self.controller)?;
        write!(f, "{} takes {} of the {budget} µs of each {tick}", Said(&self.asked), Micros(self.asks))?;
        for (camera, mode, time) in &self.held {
            write!(f, ", {camera} has {} ({})", Micros(*time), Said(mode))?;
        }
        write!(f, ", {} are left", Micros(self.left))?;
        if let Some(mode) = &self.instead {
            write!(f, "; {} would fit", Said(mode))?;
        }
        for (at, (camera, mode)) in self.mix.iter().enumerate() {
            let before = if at == 0 { "; together would fit " } else { ", " };
            write!(f, "{before}{camera} as {}", Said(mode))?;
        }
        f.write_str("; use a port of another USB controller, or less resolution or frame rate")
    }
}

struct Said<'a>(&'a Mode);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mode { fourcc, width, height, rate } = self.0;
        write!(f, "{fourcc} {width}x{height}")?;
        rate.map_or(Ok(()), |rate| write!(f, " at {} fps", Rate::rounded(rate)))
    }
}

/// Nanoseconds, as microseconds with one digit.
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 + 50) / 100;
        match tenths % 10 {
            0 => write!(f, "{}", tenths / 10),
            digit => write!(f, "{}.{digit}", tenths / 10),
        }
    }
}
