//! How long a periodic transfer takes, and how much of a bus periodic transfers may take.
//!
//! USB 2.0 §5.11.3 (times), §5.7.4 (80 % of a microframe at high speed), §5.6.4 (90 % of a frame at full speed);
//! the kernel computes with the same formulas (`usb_calc_bus_time`, `HS_USECS_ISO`). What a super-speed bus carries
//! is xHCI's figure: 3906 blocks of 16 bytes in 125 µs, of which 10 % stay free, 8 blocks for each packet and 32 for
//! each burst (`drivers/usb/host/xhci.h`).

/// How fast a device or a bus is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Speed {
    /// 12 Mb/s.
    Full,
    /// 480 Mb/s.
    High,
    /// 5 Gb/s for each step.
    Super(u32),
}

impl Speed {
    /// From the file `speed` of sysfs, Mb/s.
    pub fn of(megabits: &str) -> Option<Speed> {
        match megabits {
            "12" => Some(Speed::Full),
            "480" => Some(Speed::High),
            fast => match fast.parse::<u32>().ok()? {
                n @ 5000..=80_000 => Some(Speed::Super(n / 5000)),
                _ => None,
            },
        }
    }

    /// What periodic transfers may take of one frame or microframe, ns.
    pub fn budget(self) -> u64 {
        match self {
            Speed::Full => 900_000,
            Speed::High => 100_000,
            Speed::Super(_) => 112_500,
        }
    }

    /// Frames or microframes a second.
    pub fn ticks(self) -> u64 {
        match self {
            Speed::Full => 1000,
            Speed::High | Speed::Super(_) => 8000,
        }
    }

    /// What one is called.
    pub fn tick(self) -> &'static str {
        match self {
            Speed::Full => "frame",
            Speed::High | Speed::Super(_) => "microframe",
        }
    }

    /// The time that an isochronous transfer to the host takes, ns.
    pub fn time(self, bytes: u32, packet: u32) -> u64 {
        let packet = packet.max(1);
        match self {
            Speed::Full => full(bytes),
            Speed::High => {
                let (whole, rest) = (u64::from(bytes / packet), bytes % packet);
                whole * high(packet) + if rest > 0 { high(rest) } else { 0 }
            }
            Speed::Super(steps) => {
                let packets = u64::from(bytes.div_ceil(packet));
                let blocks = 32 + packets * 8 + u64::from(bytes.div_ceil(16));
                blocks * 32 / u64::from(steps.max(1))
            }
        }
    }
}

/// Bits with those that are stuffed in, at worst one in six.
fn bits(bytes: u32) -> u64 {
    u64::from(bytes) * 8 * 7 / 6
}

/// 7268 ns + 83.54 ns × ⌊3.167 + bits⌋, and what the host takes (the kernel says 1 µs).
fn full(bytes: u32) -> u64 {
    7268 + 1000 + 8354 * (3 + bits(bytes)) / 100
}

/// 38 × 8 × 2.083 ns + 2.083 ns × ⌊3.167 + bits⌋, and what the host takes (the kernel says 5 ns).
fn high(bytes: u32) -> u64 {
    (38 * 8 * 2083 + 2083 * (3 + bits(bytes))) / 1000 + 5
}

/// What a full-speed transfer takes of each microframe of the high-speed bus above its hub, ns: one that starts
/// a piece and one that fetches a piece of at most 188 bytes (USB 2.0 §11.18.1).
pub(super) fn split(bytes: u32) -> u64 {
    high(0) + high(bytes.min(188))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_figures_are_those_of_the_specification() {
        // USB 2.0 table 5-5 has seven transfers of 1024 bytes in a microframe, before bits are stuffed in; of the
        // largest reservation (three of them) one fits into 80 %.
        assert_eq!(125_000 / Speed::High.time(1024, 1024), 6);
        let largest = Speed::High.time(3072, 1024);
        assert!((61_000..62_500).contains(&largest), "{largest}");
        // The largest of full speed, 1023 bytes, takes most of the frame.
        let full = Speed::Full.time(1023, 1023);
        assert!((780_000..830_000).contains(&full), "{full}");
        // 500 MB/s.
        let one = Speed::Super(1).time(1024, 1024);
        assert!((2048..4096).contains(&one), "{one}");
        assert_eq!(Speed::of("10000"), Some(Speed::Super(2)));
        assert_eq!((Speed::of("1.5"), Speed::of(""), Speed::of("99999999999")), (None, None, None));
    }

    proptest! {
        #[test]
        fn more_takes_longer(a in 0u32..70_000, b in 0u32..70_000, packet in 0u32..2048) {
            let (less, more) = (a.min(b), a.max(b));
            for speed in [Speed::Full, Speed::High, Speed::Super(1), Speed::Super(4)] {
                prop_assert!(speed.time(less, packet) <= speed.time(more, packet) + high(0));
            }
            prop_assert!(split(less) <= split(more));
        }
    }
}
