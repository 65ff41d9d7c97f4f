//! When each fragment of a recording plays, and which of them a cut takes. Decided without I/O.

use super::cut::{Cut, Point};
use super::plan::Part;
use crate::base::clock::iso8601;
use crate::base::{Error, Result};
use crate::recording::mp4::Index;

/// One end of a cut: part, fragment in it.
pub(super) type At = (usize, u64);

pub(super) fn shifted(base: u64, by: i64) -> u64 {
    base.checked_add_signed(by).unwrap_or(0)
}

pub(super) fn lead_scale(index: &Index) -> u32 {
    index.tracks[index.lead()].timescale
}

pub(super) fn to_us(ticks: i64, scale: u32) -> u64 {
    let us = i128::from(ticks.max(0)) * 1_000_000 / i128::from(scale.max(1));
    u64::try_from(us).unwrap_or(u64::MAX)
}

/// When each segment's own time 0 plays, in ticks of the leading track: behind the segment before it.
/// Within one recorder session the pictures follow each other without a tick between them; after a
/// gap the film goes on when the longest track has ended.
pub(super) fn starts(parts: &[Part]) -> Vec<i64> {
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

/// When a film that starts with this fragment starts, in ticks of the leading track: nothing of it may
/// be earlier than that.
pub(super) fn begin(index: &Index, fragment: u64) -> i64 {
    let (lead, scale) = (index.lead(), lead_scale(index));
    let mut entries = index.entries();
    let mut number = 0;
    while let Some(e) = entries.next() {
        // Bridged damage has no time of its own.
        if number >= fragment && !e.trafs.is_empty() {
            let after = e.split.map_or(0, |s| s.after);
            let times = e.trafs.iter().map(|t| {
                let ticks = if t.track == lead { t.base.saturating_add(after) } else { t.base };
                // Rounded down.
                let scaled =
                    u128::from(ticks) * u128::from(scale) / u128::from(index.tracks[t.track].timescale);
                i64::try_from(scaled).unwrap_or(i64::MAX)
            });
            return times.min().unwrap_or(0);
        }
        number += 1;
    }
    0
}

/// When the fragment before this one ends, in ticks of the leading track.
pub(super) fn end_of(index: &Index, fragment: u64) -> i64 {
    let lead = index.lead();
    let mut entries = index.entries();
    let mut number = 0;
    while let Some(e) = entries.next() {
        if number >= fragment
            && let Some(traf) = e.trafs.iter().find(|t| t.track == lead)
        {
            return traf.base as i64;
        }
        number += 1;
    }
    index.end_in_lead() as i64
}

/// The fragments that hold the cut.
pub(super) fn select(parts: &[Part], starts: &[i64], cut: Cut) -> Result<(At, At)> {
    let (mut from, mut to): (Option<At>, Option<At>) = (None, None);
    let mut keyframe: At = (0, 0);
    let mut span: Option<(i64, i64)> = None;
    for (n, part) in parts.iter().enumerate() {
        let (lead, scale) = (part.index.lead(), lead_scale(&part.index));
        let end_us = to_us(part.index.end_in_lead() as i64, scale);
        let mut entries = part.index.entries();
        let mut before: Option<(u64, u64)> = None;
        // The newest keyframe, and the one that is reached within the fragment being judged.
        let mut next_keyframe: Option<(At, u64)> = None;
        let mut fragment = 0;
        // Each fragment ends where the next one starts, so it is judged then.
        let mut judge = |fragment: u64, start: u64, end: u64, inside: Option<(At, u64)>| {
            let position = to_us(starts[n], scale);
            let is_after = |point: Point, us: u64| match point {
                Point::Moment(moment) => part.start_us.saturating_add_unsigned(us) > moment,
                Point::Position(wanted) => position.saturating_add(us) > wanted,
            };
            if let Some((place, us)) = inside
                && (fragment == 0 || cut.from.is_some_and(|p| !is_after(p, us)))
            {
                keyframe = place;
            }
            if from.is_none() && cut.from.is_none_or(|p| is_after(p, end)) {
                from = Some(keyframe);
            }
            if let Some((place, _)) = inside {
                keyframe = place;
            }
            if cut.to.is_none_or(|p| !is_after(p, start)) {
                to = Some((n, fragment + 1));
            }
        };
        while let Some(e) = entries.next() {
            let traf = e.trafs.iter().find(|t| t.track == lead);
            let start = traf.map(|t| to_us(t.base as i64, scale)).or(before.map(|b| b.1)).unwrap_or(0);
            if let Some((number, begun)) = before {
                judge(number, begun, start, next_keyframe);
            }
            let after = if e.keyframe || fragment == 0 { Some(0) } else { e.split.map(|s| s.after) };
            let at = |after| traf.map_or(start, |t| to_us(t.base.saturating_add(after) as i64, scale));
            next_keyframe = after.map(|after| ((n, fragment), at(after)));
            before = Some((fragment, start));
            fragment += 1;
        }
        if let Some((number, begun)) = before {
            judge(number, begun, end_us, next_keyframe);
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
pub(super) fn same_form(parts: &[Part]) -> Result<()> {
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
