//! Bytes without a meaning, and the sum that tells torn ones from whole ones.

/// What no compressor makes smaller and no file system begins with; the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    // Knuth's generator for 64 bits; its upper bits are the good ones.
    let mut state = seed;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(step).collect()
}

/// The checksum in front of U-Boot's environments, as it stands there.
pub fn checksum(bytes: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}
