//! Reading a scan: bits, Huffman symbols, values.

use super::Unfit;
use super::tables::Huffman;

/// Codes up to this length are found at the first look.
const FAST: u32 = 9;

/// A Huffman table ready to be read with.
pub(super) struct Decoder {
    /// For the next bits: the symbol, and the length of its code; 0 where it is longer than they are.
    fast: [(u8, u8); 1 << FAST],
    /// One above the last code of each length, all shifted to 16 bits; 0 where there is none.
    ends: [u32; 17],
    /// What to add to a code of that length to find its symbol.
    offsets: [i32; 17],
    symbols: [u8; 256],
}

impl Decoder {
    pub fn new(table: Huffman<'_>) -> Result<Self, Unfit> {
        let mut all = Self { fast: [(0, 0); 1 << FAST], ends: [0; 17], offsets: [0; 17], symbols: [0; 256] };
        let wanted = table.symbols.len();
        if wanted > 256 || table.counts.iter().map(|c| usize::from(*c)).sum::<usize>() != wanted {
            return Err(Unfit);
        }
        all.symbols[..wanted].copy_from_slice(table.symbols);
        let (mut code, mut index) = (0u32, 0usize);
        for (length, count) in (1u32..).zip(table.counts) {
            let count = u32::from(*count);
            if code + count > 1 << length {
                return Err(Unfit);
            }
            // At most 256 and 65536.
            all.offsets[length as usize] = index as i32 - code as i32;
            for n in 0..count {
                if length <= FAST {
                    let first = ((code + n) << (FAST - length)) as usize;
                    let entry = (table.symbols[index + n as usize], length as u8);
                    all.fast[first..first + (1 << (FAST - length))].fill(entry);
                }
            }
            code += count;
            index += count as usize;
            if count > 0 {
                all.ends[length as usize] = code << (16 - length);
            }
            code <<= 1;
        }
        Ok(all)
    }
}

/// The bits of a scan. Behind its end there are none.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, the first one highest; below `filled` they are zeros.
    bits: u64,
    filled: u32,
}

impl<'a> BitReader<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, bits: 0, filled: 0 }
    }

    /// The next symbol.
    pub fn symbol(&mut self, table: &Decoder) -> Result<u8, Unfit> {
        if self.filled < 16 {
            self.fill();
        }
        let (symbol, length) = table.fast[(self.bits >> (64 - FAST)) as usize];
        if length > 0 {
            self.take(u32::from(length))?;
            return Ok(symbol);
        }
        let next = (self.bits >> 48) as u32;
        for length in FAST + 1..=16 {
            if next < table.ends[length as usize] {
                self.take(length)?;
                let index = (next >> (16 - length)) as i32 + table.offsets[length as usize];
                return usize::try_from(index).ok().and_then(|i| table.symbols.get(i)).copied().ok_or(Unfit);
            }
        }
        Err(Unfit)
    }

    /// A value of `size` (at most 11) bits, as coefficients are written.
    pub fn value(&mut self, size: u8) -> Result<i32, Unfit> {
        if size == 0 {
            return Ok(0);
        }
        let size = u32::from(size);
        if self.filled < size {
            self.fill();
        }
        let raw = (self.bits >> (64 - size)) as i32;
        self.take(size)?;
        // Those with a leading zero are negative.
        Ok(if raw >> (size - 1) == 0 { raw - (1 << size) + 1 } else { raw })
    }

    /// Passes a restart marker.
    pub fn restart(&mut self) -> Result<(), Unfit> {
        // What is filled are padding bits, if the data are whole: markers are never filled in.
        if self.filled >= 8 {
            return Err(Unfit);
        }
        (self.bits, self.filled) = (0, 0);
        match self.data.get(self.at..self.at + 2) {
            Some([0xff, 0xd0..=0xd7]) => self.at += 2,
            _ => return Err(Unfit),
        }
        Ok(())
    }

    fn take(&mut self, count: u32) -> Result<(), Unfit> {
        if count > self.filled {
            return Err(Unfit);
        }
        self.bits <<= count;
        self.filled -= count;
        Ok(())
    }

    fn fill(&mut self) {
        while self.filled <= 56 {
            let byte = match self.data[self.at.min(self.data.len())..] {
                [0xff, 0, ..] => {
                    self.at += 2;
                    0xff
                }
                // A marker, or the end.
                [0xff, ..] | [] => return,
                [byte, ..] => {
                    self.at += 1;
                    byte
                }
            };
            self.bits |= u64::from(byte) << (56 - self.filled);
            self.filled += 8;
        }
    }
}
