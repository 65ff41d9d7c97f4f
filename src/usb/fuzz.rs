//! What a USB camera says of itself as a fuzzer makes it.

use super::descriptors::streams;

/// A device's file `descriptors`.
pub fn descriptors(data: &[u8]) {
    for configuration in [None, Some(1)] {
        for setting in streams(data, configuration).iter().flat_map(|stream| &stream.settings) {
            assert!(setting.every.is_power_of_two(), "{setting:?}");
        }
    }
}
