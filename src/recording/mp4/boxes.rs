//! Boxes in a byte slice, each checked against the slice that holds it.

use super::Damage;

/// Four letters.
pub(super) type Kind = [u8; 4];

/// One box inside a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub kind: Kind,
    /// Without its header.
    pub body: &'a [u8],
    /// With its header.
    pub whole: &'a [u8],
}

/// The boxes of a slice in order; ends after the first damaged one.
pub(super) struct Boxes<'a> {
    rest: &'a [u8],
}

impl<'a> Boxes<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = Result<Found<'a>, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (rest, found) = match split(self.rest) {
            Ok((found, rest)) => (rest, Ok(found)),
            Err(damage) => (&[][..], Err(damage)),
        };
        self.rest = rest;
        Some(found)
    }
}

fn split(data: &[u8]) -> Result<(Found<'_>, &[u8]), Damage> {
    let head = Head::parse(data)?;
    let size = usize::try_from(head.size).map_err(|_| Damage("a box larger than memory"))?;
    if size > data.len() {
        return Err(Damage("a box reaches beyond the one around it"));
    }
    let (whole, rest) = data.split_at(size);
    Ok((Found { kind: head.kind, body: &whole[head.len..], whole }, rest))
}

/// The first bytes of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub kind: Kind,
    /// Of the whole box.
    pub size: u64,
    /// Of this header: 8, or 16 with a long size.
    pub len: usize,
}

impl Head {
    /// Bytes that are always enough for [`Head::parse`].
    pub(super) const MAX_LEN: usize = 16;

    pub(super) fn parse(data: &[u8]) -> Result<Self, Damage> {
        let mut fields = Fields(data);
        let short = fields.u32()?;
        let kind = fields.array::<4>()?;
        let (size, len) = match short {
            1 => (fields.u64()?, 16),
            n => (u64::from(n), 8),
        };
        // Size 0, "to the end of the file", cannot tell a whole box from a torn one.
        if size < len as u64 {
            return Err(Damage("a box smaller than its own header"));
        }
        Ok(Self { kind, size, len })
    }
}

/// Big-endian fields, read from the front.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn bytes(&mut self, n: usize) -> Result<&'a [u8], Damage> {
        if n > self.0.len() {
            return Err(Damage("a box is shorter than its fields"));
        }
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        Ok(self.bytes(N)?.try_into().expect("bytes() answers with as many as asked"))
    }

    pub(super) fn u16(&mut self) -> Result<u16, Damage> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Damage> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Damage> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Version and flags of a full box.
    pub(super) fn version_flags(&mut self) -> Result<(u8, u32), Damage> {
        let word = self.u32()?;
        Ok(((word >> 24) as u8, word & 0x00ff_ffff))
    }
}

/// The first child of `kind` in `data`, where it has to be there; damage before it counts.
pub(super) fn need<'a>(data: &'a [u8], kind: &Kind, complaint: &'static str) -> Result<Found<'a>, Damage> {
    for found in Boxes::new(data) {
        let found = found?;
        if found.kind == *kind {
            return Ok(found);
        }
    }
    Err(Damage(complaint))
}
