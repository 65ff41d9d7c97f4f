//! What stands before a JPEG's scan.

use super::Unfit;
use super::read::Decoder;
use super::tables::{Huffman, standard};

/// Larger than any camera's picture; a header that says more is damaged.
const MAX_SIDE: u16 = 8192;

/// A picture for this way.
pub(super) struct Header<'a> {
    pub width: u16,
    pub height: u16,
    /// One, or three in the order brightness and two of colour.
    pub components: Vec<Component>,
    /// Groups of blocks in the scan.
    pub units: u32,
    /// Units between two restart markers; 0: there are none.
    pub restart_interval: u32,
    /// From the scan's first bit to the end of the file.
    pub scan: &'a [u8],
}

pub(super) struct Component {
    pub id: u8,
    /// As the file has it: horizontal and vertical, four bits each.
    pub sampling: u8,
    /// Blocks in each unit.
    pub blocks: u8,
    /// Divisors in zigzag order.
    pub quant: [u16; 64],
    pub dc: Decoder,
    pub ac: Decoder,
}

/// A Huffman table's counts and symbols.
type Found<'a> = (&'a [u8; 16], &'a [u8]);

#[derive(Default)]
struct Tables<'a> {
    quants: [Option<[u16; 64]>; 4],
    /// DC, AC; two of each in baseline files.
    huffmans: [[Option<Found<'a>>; 2]; 2],
    restart_interval: u32,
    frame: Option<Frame<'a>>,
}

struct Frame<'a> {
    width: u16,
    height: u16,
    /// Id, sampling and quantisation table of each component.
    components: &'a [u8],
}

impl<'a> Header<'a> {
    pub fn read(jpeg: &'a [u8]) -> Result<Self, Unfit> {
        let mut rest = jpeg.strip_prefix(&[0xff, 0xd8]).ok_or(Unfit)?;
        let mut tables = Tables::default();
        loop {
            let (marker, after) = match rest {
                [0xff, 0xff, ..] => {
                    rest = &rest[1..];
                    continue;
                }
                [0xff, marker, after @ ..] => (*marker, after),
                _ => return Err(Unfit),
            };
            let length = usize::from(u16::from_be_bytes(*after.first_chunk().ok_or(Unfit)?));
            let body = after.get(2..length).ok_or(Unfit)?;
            rest = &after[length..];
            match marker {
                0xdb => tables.quantisation(body)?,
                0xc4 => tables.huffman(body)?,
                // Baseline, and sequential in 8 bits with more tables, which are refused one by one.
                0xc0 | 0xc1 => tables.frame(body)?,
                0xdd => {
                    let [high, low] = body else { return Err(Unfit) };
                    tables.restart_interval = u32::from(u16::from_be_bytes([*high, *low]));
                }
                // Adobe's mark tells of colours that may be others.
                0xee => return Err(Unfit),
                0xe0..=0xef | 0xfe => {}
                0xda => return tables.scan(body, rest),
                _ => return Err(Unfit),
            }
        }
    }
}

impl<'a> Tables<'a> {
    fn quantisation(&mut self, mut body: &[u8]) -> Result<(), Unfit> {
        while let [kind, rest @ ..] = body {
            let table = self.quants.get_mut(usize::from(kind & 15)).ok_or(Unfit)?;
            if kind >> 4 != 0 {
                return Err(Unfit);
            }
            let (values, after) = rest.split_first_chunk::<64>().ok_or(Unfit)?;
            if values.contains(&0) {
                return Err(Unfit);
            }
            *table = Some(values.map(u16::from));
            body = after;
        }
        Ok(())
    }

    fn huffman(&mut self, mut body: &'a [u8]) -> Result<(), Unfit> {
        while let [kind, rest @ ..] = body {
            let class = self.huffmans.get_mut(usize::from(kind >> 4)).ok_or(Unfit)?;
            let table = class.get_mut(usize::from(kind & 15)).ok_or(Unfit)?;
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(Unfit)?;
            let (symbols, after) =
                rest.split_at_checked(counts.iter().map(|c| usize::from(*c)).sum()).ok_or(Unfit)?;
            *table = Some((counts, symbols));
            body = after;
        }
        Ok(())
    }

    fn frame(&mut self, body: &'a [u8]) -> Result<(), Unfit> {
        let [8, h1, h0, w1, w0, count, components @ ..] = body else { return Err(Unfit) };
        let (width, height) = (u16::from_be_bytes([*w1, *w0]), u16::from_be_bytes([*h1, *h0]));
        let sides = 1..=MAX_SIDE;
        let fits = sides.contains(&width) && sides.contains(&height) && matches!(count, 1 | 3);
        if !fits || components.len() != usize::from(*count) * 3 || self.frame.is_some() {
            return Err(Unfit);
        }
        // Not brightness and colour.
        if [components[0], *components.get(3).unwrap_or(&0)] == [b'R', b'G'] {
            return Err(Unfit);
        }
        self.frame = Some(Frame { width, height, components });
        Ok(())
    }

    fn scan(&self, body: &[u8], scan: &'a [u8]) -> Result<Header<'a>, Unfit> {
        let frame = self.frame.as_ref().ok_or(Unfit)?;
        let listed: Vec<&[u8]> = frame.components.chunks(3).collect();
        let [count, choices @ ..] = body else { return Err(Unfit) };
        let (choices, [0, 63, 0]) = choices.split_last_chunk::<3>().ok_or(Unfit)? else { return Err(Unfit) };
        if usize::from(*count) != listed.len() || choices.len() != 2 * listed.len() {
            return Err(Unfit);
        }
        let (mut widest, mut highest) = (1, 1);
        let mut components = Vec::with_capacity(listed.len());
        for (component, choice) in listed.iter().zip(choices.chunks(2)) {
            let &[id, sampling, quant] = *component else { return Err(Unfit) };
            // One alone has one block in a unit, whatever it says.
            let sampling = if listed.len() == 1 { 0x11 } else { sampling };
            let (across, down) = (sampling >> 4, sampling & 15);
            if choice[0] != id || !(1..=4).contains(&across) || !(1..=4).contains(&down) {
                return Err(Unfit);
            }
            (widest, highest) = (widest.max(across), highest.max(down));
            let is_luma = components.is_empty();
            components.push(Component {
                id,
                sampling,
                blocks: across * down,
                quant: self.quants.get(usize::from(quant)).copied().flatten().ok_or(Unfit)?,
                dc: self.decoder(false, choice[1] >> 4, is_luma)?,
                ac: self.decoder(true, choice[1] & 15, is_luma)?,
            });
        }
        let across = u32::from(frame.width).div_ceil(8 * u32::from(widest));
        let down = u32::from(frame.height).div_ceil(8 * u32::from(highest));
        Ok(Header {
            width: frame.width,
            height: frame.height,
            components,
            units: across * down,
            restart_interval: self.restart_interval,
            scan,
        })
    }

    /// A table of the file; cameras that send motion JPEG leave out those that everybody knows.
    fn decoder(&self, ac: bool, number: u8, is_luma: bool) -> Result<Decoder, Unfit> {
        let class = &self.huffmans[usize::from(ac)];
        let found = *class.get(usize::from(number)).ok_or(Unfit)?;
        let none = self.huffmans.iter().flatten().all(Option::is_none);
        Decoder::new(match found {
            Some((counts, symbols)) => Huffman { counts, symbols },
            None if none => standard(ac, is_luma),
            None => return Err(Unfit),
        })
    }
}
