//! Pictures as a fuzzer makes them.

use super::jpeg;

/// A picture of a camera, made again in another quality.
pub fn picture(data: &[u8]) {
    let _ = jpeg::reencode(data, 50, &mut Vec::new(), &mut Vec::new());
}
