//! How much memory MediaMTX may plan with (`GOMEMLIMIT`).
//!
//! A quarter of what the box (or a control group that we are in) has, between 256 MiB and 2 GiB. Measured: 64 readers of
//! 64 streams need 127 MiB of live heap, and a limit below the live heap makes the collector eat
//! more than a core; so the limit is a ceiling for bursts, never a diet.

use crate::machine;

const FLOOR_MIB: u64 = 256;
const CEILING_MIB: u64 = 2048;

/// The value for `GOMEMLIMIT`.
pub(super) fn go_memory_limit() -> String {
    format!("{}MiB", quarter(machine::memory_limit()))
}

fn quarter(bytes: Option<u64>) -> u64 {
    (bytes.unwrap_or(0) / 4 / (1 << 20)).clamp(FLOOR_MIB, CEILING_MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_within_bounds() {
        assert_eq!(quarter(Some(4 << 30)), 1024);
        assert_eq!(quarter(Some(512 << 20)), FLOOR_MIB);
        assert_eq!(quarter(None), FLOOR_MIB);
        assert_eq!(quarter(Some(u64::MAX)), CEILING_MIB);
    }
}
