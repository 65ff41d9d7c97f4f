//! What a camera that delivers H.264 gives, as a fuzzer makes it.

use super::h264::{Sets, Unit};

/// Buffers of a stream: the first byte says how long each is, in tens of bytes.
pub fn h264(data: &[u8]) {
    let Some((step, rest)) = data.split_first() else { return };
    let mut sets = Sets::default();
    for buffer in rest.chunks(usize::from(*step).max(1) * 10) {
        if let Unit::Picture(Some(key)) = sets.look(buffer) {
            assert!(key.sets.starts_with(&[0, 0, 0, 1]) && key.missing().len() <= key.sets.len());
        }
    }
}
