//! `moof`: when a fragment starts, how long it is, whether one can start to play with it.

use super::Damage;
use super::boxes::{Boxes, Fields, need};
use super::header::{Header, Track, scale};

/// A whole fragment of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Of its `moof` in the file.
    pub offset: u64,
    /// Of `moof` and `mdat`.
    pub size: u64,
    /// Its first frame after the segment's first, microseconds.
    pub start_us: u64,
    /// Up to the end of its last frame, microseconds.
    pub duration_us: u64,
    /// Its video starts with a keyframe (or it holds no video).
    pub keyframe: bool,
    /// Video frames.
    pub frames: u32,
    /// The longest time that one video frame stands, microseconds, and where it starts after the
    /// segment's first frame: a camera that fell silent inside a session shows here.
    pub longest_us: (u64, u64),
}

/// What a `moof` says, before its place in the file is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub start_us: u64,
    pub end_us: u64,
    pub keyframe: bool,
    pub frames: u32,
    /// Duration and start.
    pub longest_us: (u64, u64),
    /// How far into the `moof` + `mdat` pair its samples reach.
    pub reach: u64,
}

/// One run of samples.
pub(super) struct Run<'a> {
    pub track: &'a Track,
    /// Decode time of the first sample, in the track's ticks.
    pub base: u64,
    /// First byte of the first sample after the start of the `moof`.
    pub data_at: u64,
    /// What the file claims; never allocated for.
    pub count: u32,
    first_flags: Option<u32>,
    defaults: Defaults,
    flags: u32,
    entries: Fields<'a>,
}

#[derive(Clone, Copy, Default)]
struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

const NON_SYNC: u32 = 1 << 16;
const DATA_OFFSET: u32 = 0x1;
const FIRST_FLAGS: u32 = 0x4;
const DURATION: u32 = 0x100;
const SIZE: u32 = 0x200;
const FLAGS: u32 = 0x400;
const COMPOSITION: u32 = 0x800;

/// One sample.
pub(super) struct Sample {
    pub duration: u32,
    pub size: u32,
    pub keyframe: bool,
}

/// A run's sums; times in the track's ticks.
#[derive(Default)]
struct Totals {
    duration: u64,
    size: u64,
    /// The first sample is one.
    keyframe: bool,
    /// Duration and start after the run's first sample.
    longest: (u32, u64),
}

impl Run<'_> {
    fn totals(&mut self) -> Result<Totals, Damage> {
        if self.flags & (DURATION | SIZE | FLAGS | COMPOSITION) == 0 {
            // No walk: nothing in the file stands behind the count.
            let count = u64::from(self.count);
            let d = self.defaults;
            let first = self.first_flags.unwrap_or(d.flags);
            return Ok(Totals {
                duration: count * u64::from(d.duration),
                size: count * u64::from(d.size),
                keyframe: first & NON_SYNC == 0,
                longest: (d.duration, 0),
            });
        }
        let mut sums = Totals::default();
        for n in 0..self.count {
            let sample = self.sample(n)?;
            if sample.duration > sums.longest.0 {
                sums.longest = (sample.duration, sums.duration);
            }
            sums.duration += u64::from(sample.duration);
            sums.size += u64::from(sample.size);
            sums.keyframe |= n == 0 && sample.keyframe;
        }
        Ok(sums)
    }

    /// Sample `n`; to be called in order.
    pub(super) fn sample(&mut self, n: u32) -> Result<Sample, Damage> {
        let (present, defaults) = (self.flags, self.defaults);
        let mut take = |flag: u32, default: u32| {
            if present & flag != 0 { self.entries.u32() } else { Ok(default) }
        };
        let duration = take(DURATION, defaults.duration)?;
        let size = take(SIZE, defaults.size)?;
        let mut flags = take(FLAGS, defaults.flags)?;
        take(COMPOSITION, 0)?;
        if let (0, Some(first)) = (n, self.first_flags) {
            flags = first;
        }
        Ok(Sample { duration, size, keyframe: flags & NON_SYNC == 0 })
    }
}

/// Hands every run of a `moof`'s body to `each`.
pub(super) fn runs<'a>(
    body: &'a [u8],
    header: &'a Header,
    mut each: impl FnMut(Run<'a>) -> Result<(), Damage>,
) -> Result<(), Damage> {
    need(body, b"mfhd", "no mfhd box")?;
    for traf in Boxes::new(body) {
        let traf = traf?;
        if traf.kind == *b"traf" {
            each(run(traf.body, header)?)?;
        }
    }
    Ok(())
}

/// How long the samples of a `traf`'s body last, in ticks of its track.
pub(super) fn duration_of(traf: &[u8], header: &Header) -> Result<u64, Damage> {
    Ok(run(traf, header)?.totals()?.duration)
}

fn run<'a>(traf: &'a [u8], header: &'a Header) -> Result<Run<'a>, Damage> {
    let mut fields = Fields(need(traf, b"tfhd", "no tfhd box")?.body);
    let (_, flags) = fields.version_flags()?;
    // Offsets count from the moof; anything else is not MediaMTX's.
    if flags & 0x1 != 0 || flags & 0x02_0000 == 0 {
        return Err(Damage("fragment offsets do not count from the fragment"));
    }
    let track = header.track(fields.u32()?)?;
    if flags & 0x2 != 0 {
        fields.u32()?;
    }
    let mut defaults = Defaults::default();
    for (flag, field) in
        [(0x8, &mut defaults.duration), (0x10, &mut defaults.size), (0x20, &mut defaults.flags)]
    {
        if flags & flag != 0 {
            *field = fields.u32()?;
        }
    }
    let mut fields = Fields(need(traf, b"tfdt", "no tfdt box")?.body);
    let base = match fields.version_flags()?.0 {
        0 => u64::from(fields.u32()?),
        _ => fields.u64()?,
    };
    let mut fields = Fields(need(traf, b"trun", "no trun box")?.body);
    let (_, flags) = fields.version_flags()?;
    let count = fields.u32()?;
    if flags & DATA_OFFSET == 0 {
        return Err(Damage("a run of samples without its offset"));
    }
    let data_at = fields.u32()?;
    if data_at > i32::MAX as u32 {
        return Err(Damage("a run of samples before its fragment"));
    }
    let first_flags = if flags & FIRST_FLAGS != 0 { Some(fields.u32()?) } else { None };
    Ok(Run { track, base, data_at: u64::from(data_at), count, first_flags, defaults, flags, entries: fields })
}

/// What a `moof`'s body says.
pub(super) fn contents(body: &[u8], header: &Header) -> Result<Contents, Damage> {
    let mut all = Contents { start_us: u64::MAX, keyframe: true, ..Contents::default() };
    runs(body, header, |mut run| {
        let sums = run.totals()?;
        let timescale = run.track.timescale;
        all.start_us = all.start_us.min(scale(run.base, 1_000_000, timescale));
        all.end_us = all.end_us.max(scale(run.base.saturating_add(sums.duration), 1_000_000, timescale));
        all.reach = all.reach.max(run.data_at.saturating_add(sums.size));
        if run.track.video {
            all.keyframe &= sums.keyframe;
            let longest = scale(u64::from(sums.longest.0), 1_000_000, timescale);
            if longest > all.longest_us.0 {
                let start = run.base.saturating_add(sums.longest.1);
                all.longest_us = (longest, scale(start, 1_000_000, timescale));
            }
            all.frames = all.frames.saturating_add(run.count);
        }
        Ok(())
    })?;
    if all.start_us == u64::MAX {
        return Err(Damage("a fragment without a track"));
    }
    Ok(all)
}
