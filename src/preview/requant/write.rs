//! Writing a JPEG: its head, and the bits of its scan.

use super::header::Header;
use super::tables::{Coder, standard};

/// JFIF 1.1, square pixels.
const OPENING: &[u8] = &[0xff, 0xd8, 0xff, 0xe0, 0, 16, b'J', b'F', b'I', b'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0];

/// Everything before the scan's bits; `quants` in zigzag order, one for each component.
pub(super) fn write_head(header: &Header<'_>, quants: &[[u16; 64]], out: &mut Vec<u8>) {
    out.extend_from_slice(OPENING);
    // Both of colour nearly always have the same one. Numbers here are one digit each.
    let first = |n: usize| quants.iter().position(|q| *q == quants[n]).unwrap_or(n);
    for (n, quant) in quants.iter().enumerate().filter(|(n, _)| first(*n) == *n) {
        segment(out, 0xdb, 65);
        out.push(n as u8);
        out.extend(quant.iter().map(|q| *q as u8));
    }
    let components = &header.components;
    segment(out, 0xc0, 6 + 3 * components.len());
    out.push(8);
    out.extend_from_slice(&header.height.to_be_bytes());
    out.extend_from_slice(&header.width.to_be_bytes());
    out.push(components.len() as u8);
    for (n, component) in components.iter().enumerate() {
        out.extend_from_slice(&[component.id, component.sampling, first(n) as u8]);
    }
    for table in 0..components.len().min(2) {
        for ac in [false, true] {
            let huffman = standard(ac, table == 0);
            segment(out, 0xc4, 17 + huffman.symbols.len());
            out.push(u8::from(ac) << 4 | table as u8);
            out.extend_from_slice(huffman.counts);
            out.extend_from_slice(huffman.symbols);
        }
    }
    segment(out, 0xda, 4 + 2 * components.len());
    out.push(components.len() as u8);
    for (n, component) in components.iter().enumerate() {
        out.extend_from_slice(&[component.id, if n == 0 { 0 } else { 0x11 }]);
    }
    out.extend_from_slice(&[0, 63, 0]);
}

/// What stands after the scan.
pub(super) fn write_end(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xff, 0xd9]);
}

fn segment(out: &mut Vec<u8>, marker: u8, length: usize) {
    // At most 162 symbols and 17 bytes more.
    out.extend_from_slice(&[0xff, marker]);
    out.extend_from_slice(&((length + 2) as u16).to_be_bytes());
}

/// The bits of a scan.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// The last bits, not written yet; the newest one lowest.
    bits: u64,
    filled: u32,
}

impl<'a> BitWriter<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, bits: 0, filled: 0 }
    }

    /// A symbol without a value.
    pub fn symbol(&mut self, table: &Coder, symbol: u8) {
        let (code, length) = table.codes[usize::from(symbol)];
        self.push(u32::from(code), u32::from(length));
    }

    /// A value: the symbol made of `high` and its size, then its bits. |value| < 2048.
    pub fn put(&mut self, table: &Coder, high: u8, value: i32) {
        let size = 32 - value.unsigned_abs().leading_zeros();
        self.symbol(table, high | size as u8);
        let raw = if value < 0 { value - 1 } else { value };
        self.push(raw as u32 & ((1 << size) - 1), size);
    }

    /// Fills the last byte with ones.
    pub fn finish(mut self) {
        let pad = (8 - self.filled % 8) % 8;
        self.push((1 << pad) - 1, pad);
        while self.filled > 0 {
            self.byte();
        }
    }

    fn push(&mut self, bits: u32, count: u32) {
        self.bits = self.bits << count | u64::from(bits);
        self.filled += count;
        if self.filled >= 32 {
            let word = ((self.bits >> (self.filled - 32)) as u32).to_be_bytes();
            if word.contains(&0xff) {
                while self.filled >= 8 {
                    self.byte();
                }
            } else {
                self.out.extend_from_slice(&word);
                self.filled -= 32;
            }
        }
    }

    fn byte(&mut self) {
        self.filled -= 8;
        let byte = (self.bits >> self.filled) as u8;
        self.out.push(byte);
        if byte == 0xff {
            self.out.push(0);
        }
    }
}
