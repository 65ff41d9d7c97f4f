//! Makes the index of a segment's fragments, also of one that still grows.

use std::io;

use sha2::{Digest, Sha256};

use super::Damage;
use super::boxes::{Boxes, Fields, Found, need};
use super::fragment::duration_of;
use super::header::Header;
use super::index::{BROKEN, Entry, Index, LAYOUT, MAX_FRAGMENTS, MAX_TRAFS, Traf};
use super::scan::{ReadAt, Scan};
use super::split;
use super::verify::Front;

/// Makes an index, of a file that may still grow.
#[derive(Clone, Debug, Default)]
pub struct IndexBuilder {
    scan: Scan,
    entries: Vec<u8>,
    count: u64,
    bases: [u64; MAX_TRAFS],
    ends: [u64; MAX_TRAFS],
    /// Where the last fragment ended; 0 before the first.
    at: u64,
    refused: Option<Damage>,
}

impl IndexBuilder {
    /// Reads what is new, up to byte `until`.
    pub fn advance(&mut self, file: &(impl ReadAt + ?Sized), until: u64) -> io::Result<()> {
        let mut scan = std::mem::take(&mut self.scan);
        let front = Front { file, len: until };
        let done = scan.advance_raw(&front, |fragment, moof, header| {
            if self.refused.is_some() {
                return;
            }
            let entry = Entry { offset: fragment.offset, size: fragment.size, ..Entry::default() };
            if let Err(damage) = self.put(entry, fragment.keyframe, moof, header) {
                self.refused = Some(damage);
            }
        });
        self.scan = scan;
        done
    }

    fn put(&mut self, mut entry: Entry, keyframe: bool, moof: &[u8], header: &Header) -> Result<(), Damage> {
        let inside = |field: &[u8]| (field.as_ptr() as usize - moof.as_ptr() as usize) as u64;
        let outer = Boxes::new(moof).next().ok_or(BROKEN)??;
        let mut fields = Fields(need(outer.body, b"mfhd", "no mfhd box")?.body);
        fields.version_flags()?;
        entry.sequence_at = inside(fields.0);
        fields.u32()?;
        let mut leads = false;
        let lead = header.tracks.iter().position(|t| t.video).unwrap_or(0);
        for traf in Boxes::new(outer.body) {
            let Found { kind, body, .. } = traf?;
            if kind != *b"traf" {
                continue;
            }
            let mut fields = Fields(need(body, b"tfhd", "no tfhd box")?.body);
            fields.version_flags()?;
            let id = fields.u32()?;
            let track = header.tracks.iter().position(|t| t.id == id).ok_or(BROKEN)?;
            let mut fields = Fields(need(body, b"tfdt", "no tfdt box")?.body);
            if fields.version_flags()?.0 != 1 {
                return Err(Damage("fragment times of four bytes"));
            }
            let base_at = inside(fields.0);
            let base = fields.u64()?;
            let end = base.checked_add(duration_of(body, header)?).ok_or(BROKEN)?;
            if end > 1 << 56 || entry.trafs.len() == MAX_TRAFS {
                return Err(Damage("fragment times beyond all reason"));
            }
            self.ends[track] = self.ends[track].max(end);
            leads |= track == lead;
            entry.trafs.push(Traf { track, base, base_at });
        }
        // What lies between fragments is an entry of its own, without a track.
        let before = if self.at == 0 { header.len } else { self.at };
        if entry.offset > before {
            self.count += 1;
            for n in [entry.offset - before, 0, 8] {
                number(&mut self.entries, n);
            }
        }
        self.at = entry.offset.saturating_add(entry.size);
        self.count += 1;
        if self.count > MAX_FRAGMENTS {
            return Err(Damage("more fragments than a segment of ours has"));
        }
        let out = &mut self.entries;
        number(out, entry.size);
        let keyframe = keyframe && leads;
        let split = if keyframe { None } else { split::find(moof, header, lead) };
        let split = split.filter(|s| s.fits(entry.size));
        number(out, (entry.trafs.len() as u64) << 2 | u64::from(split.is_some()) << 1 | u64::from(keyframe));
        number(out, entry.sequence_at);
        if let Some(s) = split {
            for n in [s.after, s.moof_len, s.first_len, s.second_len, s.data_before] {
                number(out, n);
            }
        }
        for t in &entry.trafs {
            number(out, t.track as u64);
            number(out, t.base_at);
            // Both are below 2^56, so the difference is one of i64.
            number(out, zigzag(t.base as i64 - self.bases[t.track] as i64));
            self.bases[t.track] = t.base;
        }
        Ok(())
    }

    /// Whole fragments so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What is indexed so far.
    pub fn finish(&self) -> Result<Index, Damage> {
        if let Some(damage) = self.refused.or(self.scan.damage()) {
            return Err(damage);
        }
        let header = self.scan.header().ok_or(Damage("it has no whole header"))?;
        let mut out = vec![LAYOUT];
        number(&mut out, header.ftyp_len);
        number(&mut out, header.len);
        number(&mut out, self.count);
        out.extend_from_slice(&form(header));
        number(&mut out, header.tracks.len() as u64);
        for (track, end) in header.tracks.iter().zip(self.ends) {
            number(&mut out, track.id.into());
            number(&mut out, track.timescale.into());
            out.push(track.video.into());
            number(&mut out, end);
        }
        out.extend_from_slice(&self.entries);
        Index::parse(out)
    }
}

fn form(header: &Header) -> [u8; 16] {
    let mut hash = Sha256::new();
    for track in &header.tracks {
        hash.update(track.id.to_be_bytes());
        hash.update(track.timescale.to_be_bytes());
        hash.update([u8::from(track.video)]);
    }
    hash.update(&header.stsd);
    let digest: [u8; 32] = hash.finalize().into();
    *digest.first_chunk().expect("32 bytes have 16")
}

fn number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

const fn zigzag(n: i64) -> u64 {
    (n << 1 ^ n >> 63) as u64
}
