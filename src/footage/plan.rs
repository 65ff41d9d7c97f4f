//! Which bytes of which file make a film, and when each plays. Decided without I/O.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::cut::Cut;
use super::times::{begin, end_of, lead_scale, same_form, select, shifted, starts, to_us};
use crate::base::{Result, hex};
use crate::recording::mp4::{self, Front, Index, Reference, Split, rescale_up};

/// A change of how films are made makes other films.
const LAYOUT: &[u8] = b"film 2";

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

/// What one file gives to the film.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub part: Part,
    /// The first fragment taken, counted from 0 in the file; without its first half where that is split.
    pub first: u64,
    /// Its sequence number in the film.
    pub sequence: u32,
    /// When the segment's own time 0 plays, in ticks of the leading track.
    pub start: i64,
    /// The fragments that become two, in order.
    pub splits: Vec<SplitAt>,
}

/// A fragment that becomes two.
#[derive(Clone, Debug)]
pub(super) struct SplitAt {
    /// Counted from 0 in the file.
    pub number: u64,
    /// Of its `moof` in the file.
    pub offset: u64,
    /// Bytes of the whole fragment.
    pub size: u64,
    /// Where.
    pub split: Split,
    /// The film starts with its second half.
    pub only_second: bool,
}

/// A stretch of the film; it ends where the next one starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Where it starts in the film.
    pub at: u64,
    pub source: Source,
}

/// What a stretch is made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// The header and the index for players.
    Front,
    /// Bytes of a piece's file.
    File { piece: usize, offset: u64 },
    /// `moof` of the first half of a piece's split.
    First { piece: usize, split: usize },
    /// The same of the second half.
    Second { piece: usize, split: usize },
    /// A `free` box.
    Fill,
}

/// A film.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub pieces: Vec<Piece>,
    pub spans: Vec<Span>,
    /// Bytes of the front.
    pub front_len: u64,
    /// Bytes in all.
    pub len: u64,
    /// Strong: the same tag, the same bytes.
    pub tag: String,
    /// Position of the cut in the whole film, microseconds; `None` = whole.
    pub cut: Option<(u64, u64)>,
    /// When the last sample ends, in ticks of the leading track.
    end: u64,
    length_ms: u64,
    /// Where players can jump to: place in the film, and ticks.
    points: Vec<(u64, u64)>,
    /// Where the other fragments start in the film.
    others: Vec<u64>,
}

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
        let scale = lead_scale(&parts[from.0].index);
        let range = |n: usize, part: &Part| {
            let first = if n == from.0 { from.1 } else { 0 };
            first..if n == to.0 { to.1 } else { part.index.count }
        };
        let zero = if cut.is_whole() { 0 } else { starts[from.0] + begin(&parts[from.0].index, from.1) };
        let last = &parts[to.0].index;
        let end = (starts[to.0] + end_of(last, range(to.0, &parts[to.0]).end) - zero).max(0);
        let length_us = if cut.is_whole() {
            // As the index of recordings counts it, so that lists know the size.
            parts.iter().map(|p| p.index.media_us()).sum::<u64>()
        } else {
            to_us(end, scale)
        };
        let length_ms = length_us / 1000;
        let mut pieces: Vec<Piece> = Vec::new();
        for (n, part) in parts.into_iter().enumerate().filter(|(n, _)| taken.contains(n)) {
            let fragments = range(n, &part);
            let start = starts[n] - zero;
            pieces.push(Piece { first: fragments.start, sequence: 0, start, splits: Vec::new(), part });
        }
        let cut = (!cut.is_whole()).then(|| (to_us(zero, scale), to_us(zero + end, scale)));
        let mut plan = Plan {
            front_len: pieces[0].part.index.header_len + mp4::front_added(length_ms),
            spans: Vec::new(),
            len: 0,
            tag: String::new(),
            end: end.unsigned_abs(),
            cut,
            length_ms,
            points: Vec::new(),
            others: Vec::new(),
            pieces,
        };
        let half = plan.cut.is_some();
        let most = mp4::points(length_ms) as usize;
        // Never more often than the front has room for.
        let mut spacing = (plan.end / most as u64).max(u64::from(scale) * 4 / 5);
        let mut jumps = plan.jumps(to.1, spacing);
        while jumps.len() > most {
            spacing = spacing.saturating_mul(2);
            jumps = plan.jumps(to.1, spacing);
        }
        plan.lay_out(to.1, &jumps, half);
        plan.tag = tag(&plan);
        Ok(plan)
    }

    /// The fragments with a keyframe to jump to, `spacing` ticks apart at least: piece, fragment, time.
    /// The first is where the film starts.
    fn jumps(&self, until: u64, spacing: u64) -> Vec<(usize, u64, u64)> {
        let mut found: Vec<(usize, u64, u64)> = vec![(0, self.pieces[0].first, 0)];
        let mut time = 0;
        for (n, piece) in self.pieces.iter().enumerate() {
            let lead = piece.part.index.lead();
            let end = if n + 1 == self.pieces.len() { until } else { piece.part.index.count };
            let mut entries = piece.part.index.entries();
            let mut number = 0;
            while let Some(e) = entries.next() {
                let taken = (piece.first..end).contains(&number) && (n, number) != (0, piece.first);
                number += 1;
                let after = if e.keyframe { Some(0) } else { e.split.map(|s| s.after) };
                let (true, Some(after)) = (taken, after) else { continue };
                let Some(traf) = e.trafs.iter().find(|t| t.track == lead) else { continue };
                let now = shifted(traf.base.saturating_add(after), piece.start);
                if now.saturating_sub(time) >= spacing {
                    found.push((n, number - 1, now));
                    time = now;
                }
            }
        }
        found
    }

    /// Places everything; `half`: the first fragment starts with its second half where it can.
    fn lay_out(&mut self, until: u64, jumps: &[(usize, u64, u64)], half: bool) {
        let mut at = self.front_len;
        let mut spans = vec![Span { at: 0, source: Source::Front }];
        let (mut points, mut sequence, mut extra) = (Vec::with_capacity(jumps.len()), 1u32, 0);
        let mut others = Vec::new();
        let pieces = self.pieces.len();
        for (n, piece) in self.pieces.iter_mut().enumerate() {
            piece.sequence = sequence;
            let end = if n + 1 == pieces { until } else { piece.part.index.count };
            // The header of a later file comes along, as a box that players pass over.
            let mut from = if n == 0 { None } else { Some(0) };
            let mut file_end = piece.part.index.header_len;
            let (mut number, mut splits) = (0, Vec::new());
            let mut entries = piece.part.index.entries();
            while let Some(e) = entries.next() {
                if number >= end {
                    break;
                }
                number += 1;
                if number <= piece.first {
                    continue;
                }
                let from = from.get_or_insert(e.offset);
                file_end = e.offset + e.size;
                sequence = sequence.wrapping_add(1);
                let Some((_, _, time)) = jumps.get(points.len()).filter(|j| (j.0, j.1 + 1) == (n, number))
                else {
                    others.push(at + (e.offset - *from));
                    continue;
                };
                let start = (n, number - 1) == (0, piece.first);
                let Some(split) = e.split.filter(|_| !start || half) else {
                    points.push((at + (e.offset - *from), *time));
                    continue;
                };
                let split_at =
                    SplitAt { number: number - 1, offset: e.offset, size: e.size, split, only_second: start };
                let this = splits.len();
                if e.offset > *from {
                    spans.push(Span { at, source: Source::File { piece: n, offset: *from } });
                    at += e.offset - *from;
                }
                let data = e.offset + split.moof_len + 8;
                if !start {
                    others.push(at);
                    spans.push(Span { at, source: Source::First { piece: n, split: this } });
                    at += split.first_len + 8;
                    spans.push(Span { at, source: Source::File { piece: n, offset: data } });
                    at += split.data_before;
                    sequence = sequence.wrapping_add(1);
                    extra += split.added();
                }
                points.push((at, *time));
                spans.push(Span { at, source: Source::Second { piece: n, split: this } });
                at += split.second_len + 8;
                *from = data + split.data_before;
                splits.push(split_at);
            }
            piece.splits = splits;
            let from = from.unwrap_or(file_end);
            if file_end > from {
                spans.push(Span { at, source: Source::File { piece: n, offset: from } });
                at += file_end - from;
            }
        }
        spans.push(Span { at, source: Source::Fill });
        self.len = at + (mp4::added(self.length_ms) - mp4::front_added(self.length_ms)).saturating_sub(extra);
        (self.spans, self.points, self.others) = (spans, points, others);
    }

    /// What the front of the film says.
    pub(super) fn front(&self) -> Front {
        let index = &self.pieces[0].part.index;
        let lead = index.tracks[index.lead()];
        Front {
            duration_us: to_us(self.end as i64, lead.timescale),
            length_ms: self.length_ms,
            track: lead.id,
            timescale: lead.timescale,
            start: 0,
            // One that cannot be told makes the whole index useless.
            references: self.references().unwrap_or_default(),
        }
    }

    /// The points, and the fragments between them where there is room for all.
    ///
    /// FFmpeg's reader, which is Chromium's too, goes astray behind a jump among fragments that are not
    /// listed: it reads one twice, and the pictures up to the next keyframe are built on the wrong ones.
    /// It jumps to the last reference that does not start later than what is asked for. So a point lasts
    /// until just before the next one and all the fragments between lie there; players take their times
    /// from the fragments themselves.
    fn references(&self) -> Option<Vec<Reference>> {
        let all = self.points.len() + self.others.len();
        let others = if all as u64 <= mp4::references(self.length_ms) { &self.others[..] } else { &[] };
        let mut others = others.iter().copied().peekable();
        let mut references = Vec::with_capacity(all);
        let ends = self.points.iter().skip(1).copied().chain([(self.len, self.end)]);
        for ((at, time), (end, end_time)) in self.points.iter().copied().zip(ends) {
            let ticks = u32::try_from(end_time.saturating_sub(time)).ok()?;
            let mut starts = vec![at];
            while let Some(other) = others.next_if(|other| *other < end) {
                starts.push(other);
            }
            for (n, from) in starts.iter().enumerate() {
                let to = starts.get(n + 1).copied();
                let size = u32::try_from(to.unwrap_or(end) - from).ok().filter(|s| *s < 1 << 31)?;
                let duration = match (n, to) {
                    (0, None) => ticks,
                    (0, Some(_)) => ticks.saturating_sub(1),
                    (_, None) => ticks.min(1),
                    (_, Some(_)) => 0,
                };
                references.push(Reference { size, duration, keyframe: n == 0 });
            }
        }
        Some(references)
    }
}

/// File names hold the microsecond of their first frame and files only ever grow, so name, session
/// and bytes taken say what the bytes are.
fn tag(plan: &Plan) -> String {
    let mut hash = Sha256::new();
    hash.update(LAYOUT);
    for p in &plan.pieces {
        hash.update(p.part.file.as_bytes());
        hash.update(p.part.stream.0);
        for n in [p.part.file.len() as u64, p.part.stream.1, p.part.index.end, p.first, p.start as u64] {
            hash.update(n.to_be_bytes());
        }
    }
    for n in [plan.len, plan.end, plan.length_ms, plan.spans.len() as u64] {
        hash.update(n.to_be_bytes());
    }
    let digest = hash.finalize();
    format!("\"{}\"", hex(&digest[..16]))
}

/// When a track's fragment of `base` plays, in ticks of that track.
pub(super) fn film_time(piece: &Piece, track: usize, base: u64) -> u64 {
    let index = &piece.part.index;
    let (lead, own) = (lead_scale(index), index.tracks[track].timescale);
    let scaled = rescale_up(piece.start.unsigned_abs(), lead, own);
    let by = i64::try_from(scaled).unwrap_or(i64::MAX);
    shifted(base, if piece.start < 0 { -by } else { by })
}
