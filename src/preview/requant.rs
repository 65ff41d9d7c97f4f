//! JPEG → JPEG of a lower quality without making pixels: the coefficients are read, divided more
//! coarsely and written again. What the eye sees is what decoding and encoding would give, less its
//! rounding; the camera's own colour sampling stays. 150 pictures of 320x180 a second took 18 % of a
//! processor over pixels, and 4 % this way.
//!
//! Only for what cameras send: baseline, 8 bits, Huffman, all components in one scan. Whatever else
//! there is, damage included, is [`Unfit`] and left to the way over pixels.

mod header;
mod read;
mod tables;
mod write;

use header::Header;
use read::BitReader;
use tables::{Coder, scaled};
use write::{BitWriter, write_end, write_head};

/// Not for this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfit;

/// How one component's coefficients become others.
struct Step {
    /// Factor of each coefficient, in zigzag order.
    factors: [f32; 64],
    dc: Coder,
    ac: Coder,
    last_in: i32,
    last_out: i32,
}

/// Appends `jpeg` with `quality` (1 to 100) to `out`; a coefficient that is coarser already stays as it
/// is. After `Err`, `out` holds rubbish behind its former end.
pub(super) fn requantise(jpeg: &[u8], quality: u8, out: &mut Vec<u8>) -> Result<(), Unfit> {
    let header = Header::read(jpeg)?;
    let mut quants = Vec::with_capacity(3);
    let mut steps = Vec::with_capacity(3);
    for (n, component) in header.components.iter().enumerate() {
        let is_luma = n == 0;
        let (old, wanted) = (&component.quant, scaled(is_luma, quality));
        let new: [u16; 64] = std::array::from_fn(|k| old[k].max(wanted[k]));
        if new.iter().any(|q| *q > 255) {
            return Err(Unfit);
        }
        steps.push(Step {
            factors: std::array::from_fn(|k| f32::from(old[k]) / f32::from(new[k])),
            dc: Coder::dc(is_luma),
            ac: Coder::ac(is_luma),
            last_in: 0,
            last_out: 0,
        });
        quants.push(new);
    }
    write_head(&header, &quants, out);
    let mut reader = BitReader::new(header.scan);
    let mut writer = BitWriter::new(out);
    let mut left = header.restart_interval;
    for _ in 0..header.units {
        if header.restart_interval > 0 {
            if left == 0 {
                reader.restart()?;
                steps.iter_mut().for_each(|s| s.last_in = 0);
                left = header.restart_interval;
            }
            left -= 1;
        }
        for (component, step) in header.components.iter().zip(&mut steps) {
            for _ in 0..component.blocks {
                step.block(&component.dc, &component.ac, &mut reader, &mut writer)?;
            }
        }
    }
    writer.finish();
    write_end(out);
    Ok(())
}

impl Step {
    fn block(
        &mut self,
        dc: &read::Decoder,
        ac: &read::Decoder,
        reader: &mut BitReader<'_>,
        writer: &mut BitWriter<'_>,
    ) -> Result<(), Unfit> {
        let size = reader.symbol(dc)?;
        // Larger ones do not occur in 8 bits.
        if size > 11 {
            return Err(Unfit);
        }
        self.last_in += reader.value(size)?;
        if self.last_in.abs() > 1 << 15 {
            return Err(Unfit);
        }
        let level = divide(self.last_in, self.factors[0]).clamp(-1024, 1023);
        writer.put(&self.dc, 0, level - self.last_out);
        self.last_out = level;

        let (mut at, mut run) = (1usize, 0u8);
        while at < 64 {
            let symbol = reader.symbol(ac)?;
            let (zeros, size) = (symbol >> 4, symbol & 15);
            if size == 0 {
                if zeros < 15 {
                    // The rest is zero.
                    break;
                }
                (at, run) = (at + 16, run + 16);
                continue;
            }
            at += usize::from(zeros);
            if at > 63 || size > 10 {
                return Err(Unfit);
            }
            let level = divide(reader.value(size)?, self.factors[at]);
            run += zeros;
            at += 1;
            if level == 0 {
                run += 1;
                continue;
            }
            while run > 15 {
                writer.symbol(&self.ac, 0xf0);
                run -= 16;
            }
            writer.put(&self.ac, run << 4, level);
            run = 0;
        }
        if at > 64 {
            return Err(Unfit);
        }
        // Zeros at the end, read or made.
        if at < 64 || run > 0 {
            writer.symbol(&self.ac, 0);
        }
        Ok(())
    }
}

/// To the nearest, halves away from zero.
fn divide(level: i32, factor: f32) -> i32 {
    let size = (level.unsigned_abs() as f32 * factor + 0.5) as i32;
    if level < 0 { -size } else { size }
}

#[cfg(test)]
mod tests;
