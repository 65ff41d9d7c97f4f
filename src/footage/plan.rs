//! Which bytes of which file make a film, and when each plays. Decided without I/O.

use std::ops::Range;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::cut::{Cut, Point};
use crate::base::clock::iso8601;
use crate::base::{Error, Result};
use crate::recording::mp4::{self, Front, Index, Reference, rescale_up};

/// A change of how films are made makes other films.
const LAYOUT: &[u8] = b"film 1";

/// A segment and its index.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub path: PathBuf,
    pub file: String,
    /// Its place in the recording, from 1.
    pub number: u32,
    /// Recorder session, and the number within it.
    pub stream: ([u8; 16], u64),
    /// First frame, microseconds since 1970 UTC.
    pub start_us: i64,
    pub index: Index,
}

/// A stretch of one file within the film.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub part: Part,
    /// These bytes of the file.
    pub take: Range<u64>,
    /// Where they start in the film.
    pub at: u64,
    /// The first fragment taken, counted from 0 in the file.
    pub first: u64,
    /// Its sequence number in the film.
    pub sequence: u32,
    /// When the segment's own time 0 plays, in ticks of the leading track.
    pub start: i64,
}

/// A film.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub pieces: Vec<Piece>,
    /// Bytes of the front: one header and the index for players.
    pub front_len: u64,
    /// Bytes in all.
    pub len: u64,
    /// Strong: the same tag, the same bytes.
    pub tag: String,
    /// When the last sample ends, in ticks of the leading track.
    pub end: u64,
    /// Position of the cut in the whole film, microseconds; `None` = whole.
    pub cut: Option<(u64, u64)>,
    length_ms: u64,
}

/// One end of a cut: part, fragment in it.
type At = (usize, u64);

impl Plan {
    /// `parts` in order, at least one.
    pub(super) fn new(parts: Vec<Part>, cut: Cut) -> Result<Plan> {
        let starts = starts(&parts);
        let (from, to) = if cut.is_whole() {
            let last = parts.len() - 1;
            ((0, 0), (last, parts[last].index.count))
        } else {
            select(&parts, &starts, cut)?
        };
        let taken = from.0..=to.0;
        same_form(&parts[taken.clone()])?;
        let length_ms = parts[taken.clone()].iter().map(|p| p.index.media_us()).sum::<u64>() / 1000;
        let header = parts[from.0].index.header_len;
        let mut pieces: Vec<Piece> = Vec::new();
        let (mut at, mut sequence) = (header + mp4::added(length_ms), 1u32);
        let front_len = at;
        let (mut zero, mut position, mut end) = (0, 0, 0);
        for (n, part) in parts.into_iter().enumerate().filter(|(n, _)| taken.contains(n)) {
            let first = if n == from.0 { from.1 } else { 0 };
            let until = if n == to.0 { to.1 } else { part.index.count };
            let edges = edges(&part.index, first, until);
            let lead_us = |ticks: i64| to_us(ticks, lead_scale(&part.index));
            if n == from.0 {
                zero = if cut.is_whole() { 0 } else { starts[n] + edges.start };
                position = lead_us(zero);
            }
            end = (starts[n] + edges.end - zero).max(0);
            let begin = if n == from.0 { edges.offset } else { 0 };
            let take = begin..edges.until;
            let (len, count) = (take.end - take.start, until - first);
            pieces.push(Piece { take, at, first, sequence, start: starts[n] - zero, part });
            at += len;
            sequence = sequence.wrapping_add(count as u32);
        }
        let scale = lead_scale(&pieces[0].part.index);
        let cut = (!cut.is_whole()).then(|| (position, position + to_us(end, scale)));
        let tag = tag(&pieces);
        Ok(Plan { pieces, front_len, len: at, tag, end: end.unsigned_abs(), cut, length_ms })
    }

    /// What the front of the film says. Walks over all of its fragments.
    pub(super) fn front(&self) -> Front {
        let index = &self.pieces[0].part.index;
        let lead = index.tracks[index.lead()];
        let most = mp4::references(self.length_ms) as usize;
        // Never more often than the front has room for.
        let mut spacing = (self.end / (most as u64).max(1)).max(u64::from(lead.timescale) * 4 / 5);
        let mut references = self.references(spacing);
        while references.len() > most {
            spacing = spacing.saturating_mul(2);
            references = self.references(spacing);
        }
        let fits = |r: &(u64, u64)| r.0 < 1 << 31 && u32::try_from(r.1).is_ok();
        let references = if references.iter().all(fits) { references } else { Vec::new() };
        Front {
            duration_us: to_us(self.end as i64, lead.timescale),
            length_ms: self.length_ms,
            track: lead.id,
            timescale: lead.timescale,
            start: 0,
            references: references
                .into_iter()
                .map(|(size, ticks)| Reference { size: size as u32, duration: ticks as u32 })
                .collect(),
        }
    }

    /// Bytes and ticks of stretches that start with a keyframe and are `spacing` ticks long at least.
    fn references(&self, spacing: u64) -> Vec<(u64, u64)> {
        let mut found = Vec::new();
        let (mut offset, mut time) = (self.front_len, 0);
        for piece in &self.pieces {
            let lead = piece.part.index.lead();
            let mut entries = piece.part.index.entries();
            let mut n = 0;
            while let Some(e) = entries.next() {
                n += 1;
                let taken = n > piece.first && e.offset < piece.take.end;
                let Some(traf) = e.trafs.iter().find(|t| t.track == lead && e.keyframe && taken) else {
                    continue;
                };
                let (here, now) = (piece.at + (e.offset - piece.take.start), shifted(traf.base, piece.start));
                if now.saturating_sub(time) >= spacing {
                    found.push((here - offset, now - time));
                    (offset, time) = (here, now);
                }
            }
        }
        found.push((self.len - offset, self.end.saturating_sub(time)));
        found
    }
}

fn shifted(base: u64, by: i64) -> u64 {
    base.checked_add_signed(by).unwrap_or(0)
}

fn lead_scale(index: &Index) -> u32 {
    index.tracks[index.lead()].timescale
}

fn to_us(ticks: i64, scale: u32) -> u64 {
    let us = i128::from(ticks.max(0)) * 1_000_000 / i128::from(scale.max(1));
    u64::try_from(us).unwrap_or(u64::MAX)
}

/// When each segment's own time 0 plays, in ticks of the leading track: behind the segment before it.
/// Within one recorder session the pictures follow each other without a tick between them; after a
/// gap the film goes on when the longest track has ended.
fn starts(parts: &[Part]) -> Vec<i64> {
    let mut all = Vec::with_capacity(parts.len());
    let mut start = 0u64;
    for (n, part) in parts.iter().enumerate() {
        all.push(start as i64);
        let follows = parts.get(n + 1).is_some_and(|next| {
            next.stream.0 == part.stream.0 && part.stream.1.checked_add(1) == Some(next.stream.1)
        });
        let index = &part.index;
        let length = if follows { index.tracks[index.lead()].end } else { index.end_in_lead() };
        // Ends are below 2^56 each; a film of a century is far from that.
        start = start.saturating_add(length).min(1 << 60);
    }
    all
}

struct Edges {
    /// Of the first fragment in the file.
    offset: u64,
    /// Of the end of the last one.
    until: u64,
    /// In ticks of the leading track.
    start: i64,
    end: i64,
}

/// Where fragments `first..until` of a segment stand, in bytes and in time.
fn edges(index: &Index, first: u64, until: u64) -> Edges {
    let mut out =
        Edges { offset: index.header_len, until: index.end, start: 0, end: index.end_in_lead() as i64 };
    let lead = lead_scale(index);
    let mut entries = index.entries();
    let mut n = 0;
    while let Some(e) = entries.next() {
        // Rounded down: nothing may start before the film does.
        let earliest = e.trafs.iter().map(|t| {
            let scaled = u128::from(t.base) * u128::from(lead) / u128::from(index.tracks[t.track].timescale);
            i64::try_from(scaled).unwrap_or(i64::MAX)
        });
        if n == first {
            out.offset = e.offset;
            if first > 0 {
                out.start = earliest.clone().min().unwrap_or(0);
            }
        }
        if n == until {
            out.until = e.offset;
            out.end = earliest.max().unwrap_or(0);
            break;
        }
        n += 1;
    }
    out
}

/// The fragments that hold the cut.
fn select(parts: &[Part], starts: &[i64], cut: Cut) -> Result<(At, At)> {
    let (mut from, mut to): (Option<At>, Option<At>) = (None, None);
    let mut keyframe: At = (0, 0);
    let mut span: Option<(i64, i64)> = None;
    for (n, part) in parts.iter().enumerate() {
        let (lead, scale) = (part.index.lead(), lead_scale(&part.index));
        let end_us = to_us(part.index.end_in_lead() as i64, scale);
        let mut entries = part.index.entries();
        let mut before: Option<(u64, u64)> = None;
        let mut fragment = 0;
        // Each fragment ends where the next one starts, so it is judged then.
        let mut judge = |fragment: u64, start: u64, end: u64, keyframe: At| {
            let position = to_us(starts[n], scale);
            let is_after = |point: Point, us: u64| match point {
                Point::Moment(moment) => part.start_us.saturating_add_unsigned(us) > moment,
                Point::Position(wanted) => position.saturating_add(us) > wanted,
            };
            if from.is_none() && cut.from.is_none_or(|p| is_after(p, end)) {
                from = Some(keyframe);
            }
            if cut.to.is_none_or(|p| !is_after(p, start)) {
                to = Some((n, fragment + 1));
            }
        };
        while let Some(e) = entries.next() {
            let base = e.trafs.iter().find(|t| t.track == lead).map(|t| to_us(t.base as i64, scale));
            let start = base.or(before.map(|b| b.1)).unwrap_or(0);
            if let Some((number, begun)) = before {
                judge(number, begun, start, keyframe);
            }
            if fragment == 0 || e.keyframe {
                keyframe = (n, fragment);
            }
            before = Some((fragment, start));
            fragment += 1;
        }
        if let Some((number, begun)) = before {
            judge(number, begun, end_us, keyframe);
        }
        let (first, last) = (part.start_us, part.start_us.saturating_add_unsigned(end_us));
        span = Some(span.map_or((first, last), |s: (i64, i64)| (s.0.min(first), s.1.max(last))));
    }
    match (from, to) {
        (Some(from), Some(to)) if from < to => Ok((from, to)),
        _ => {
            let (first, last) = span.unwrap_or_default();
            let hint = format!("the recording has footage from {} to {}", iso8601(first), iso8601(last));
            Err(Error::param("from/to", "must hold a part of the recording", hint))
        }
    }
}

/// One header stands for all of a film, so what it describes must be the same.
fn same_form(parts: &[Part]) -> Result<()> {
    let first = &parts[0];
    let Some(other) = parts.iter().find(|p| p.index.form != first.index.form) else { return Ok(()) };
    let text = format!(
        "the picture or sound format changes with segment {}, so they do not make one file",
        other.number
    );
    Err(Error::state(text, "MIXED_FORMATS", &["ONE_FORMAT"]).with(
        "suggestion",
        format!(
            "get them one by one: ?segment={} to ?segment={}",
            first.number,
            parts[parts.len() - 1].number
        ),
    ))
}

/// File names hold the microsecond of their first frame and files only ever grow, so name, session
/// and bytes taken say what the bytes are.
fn tag(pieces: &[Piece]) -> String {
    let mut hash = Sha256::new();
    hash.update(LAYOUT);
    for p in pieces {
        hash.update(p.part.file.as_bytes());
        hash.update(p.part.stream.0);
        for n in [p.part.file.len() as u64, p.part.stream.1, p.take.start, p.take.end, p.start as u64] {
            hash.update(n.to_be_bytes());
        }
    }
    let digest = hash.finalize();
    let hex: String = digest.iter().take(16).map(|b| format!("{b:02x}")).collect();
    format!("\"{hex}\"")
}

/// When a track's fragment of `base` plays, in ticks of that track.
pub(super) fn film_time(piece: &Piece, track: usize, base: u64) -> u64 {
    let index = &piece.part.index;
    let (lead, own) = (lead_scale(index), index.tracks[track].timescale);
    let scaled = rescale_up(piece.start.unsigned_abs(), lead, own);
    let by = i64::try_from(scaled).unwrap_or(i64::MAX);
    shifted(base, if piece.start < 0 { -by } else { by })
}
