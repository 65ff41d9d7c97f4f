//! `ftyp` and `moov`: what the file is, before its first fragment.

use super::Damage;
use super::boxes::{Boxes, Fields, need};

/// MediaMTX's private box: which recorder session wrote the file, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtxi {
    /// Random for each recorder session.
    pub stream: [u8; 16],
    /// Counts the files of that session from 0.
    pub number: u64,
    /// Time of the first frame on the stream's own clock, nanoseconds.
    pub dts_ns: i64,
    /// Wall-clock time of the first frame, nanoseconds since 1970 UTC.
    pub ntp_ns: i64,
}

impl Mtxi {
    /// Wall-clock time of the first frame, microseconds since 1970 UTC.
    pub fn start_us(&self) -> i64 {
        self.ntp_ns / 1000
    }
}

/// One track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Track {
    pub id: u32,
    /// Ticks a second, not 0.
    pub timescale: u32,
    pub video: bool,
    /// Samples are a sequence of NAL units, each after its length in four bytes.
    pub nal_units: bool,
}

/// What the header of a segment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of `ftyp` and `moov`: where the first fragment starts.
    pub len: u64,
    /// Bytes of `ftyp` alone.
    pub(super) ftyp_len: u64,
    /// Patched in when the recorder closes the file; 0 = in progress or crashed.
    pub duration_ms: u64,
    /// Such as `h264`, of the first video track (else of the first track).
    pub codec: String,
    /// Picture width, 0 without video.
    pub width: u32,
    /// Picture height, 0 without video.
    pub height: u32,
    /// The sample descriptions of all tracks, for equality only.
    pub stsd: Vec<u8>,
    /// Who wrote it and when.
    pub mtxi: Mtxi,
    pub(super) tracks: Vec<Track>,
    /// Where the duration stands, and whether in eight bytes.
    pub(super) duration_at: (u64, bool),
}

const MAX_TRACKS: usize = 16;

impl Header {
    /// `data` is `ftyp` and `moov`, whole, and nothing more.
    pub(super) fn parse(data: &[u8]) -> Result<Self, Damage> {
        let mut boxes = Boxes::new(data);
        let ftyp = boxes.next().ok_or(Damage("the file is empty"))??;
        let moov = boxes.next().ok_or(Damage("the file ends before its moov box"))??;
        if ftyp.kind != *b"ftyp" || moov.kind != *b"moov" || boxes.next().is_some() {
            return Err(Damage("the file does not start with ftyp and moov"));
        }
        let mut fields = Fields(need(moov.body, b"mvhd", "no mvhd box")?.body);
        let (long, timescale) = times(&mut fields)?;
        let at = data.len() - after(data, fields.0);
        let duration = if long { fields.u64()? } else { u64::from(fields.u32()?) };
        let mut header = Header {
            len: data.len() as u64,
            ftyp_len: ftyp.whole.len() as u64,
            duration_ms: scale(duration, 1000, timescale),
            codec: String::new(),
            width: 0,
            height: 0,
            stsd: Vec::new(),
            mtxi: mtxi(moov.body)?,
            tracks: Vec::new(),
            duration_at: (at as u64, long),
        };
        for found in Boxes::new(moov.body) {
            let found = found?;
            if found.kind == *b"trak" {
                header.add_track(found.body)?;
            }
        }
        if header.tracks.is_empty() {
            return Err(Damage("no track"));
        }
        Ok(header)
    }

    fn add_track(&mut self, trak: &[u8]) -> Result<(), Damage> {
        if self.tracks.len() == MAX_TRACKS {
            return Err(Damage("too many tracks"));
        }
        let mut fields = Fields(need(trak, b"tkhd", "no tkhd box")?.body);
        let (version, _) = fields.version_flags()?;
        fields.bytes(if version == 1 { 16 } else { 8 })?;
        let id = fields.u32()?;
        let mdia = need(trak, b"mdia", "no mdia box")?;
        let (_, timescale) = times(&mut Fields(need(mdia.body, b"mdhd", "no mdhd box")?.body))?;
        let mut fields = Fields(need(mdia.body, b"hdlr", "no hdlr box")?.body);
        fields.bytes(8)?;
        let video = fields.array::<4>()? == *b"vide";
        let minf = need(mdia.body, b"minf", "no minf box")?;
        let stbl = need(minf.body, b"stbl", "no stbl box")?;
        let stsd = need(stbl.body, b"stsd", "no stsd box")?;
        self.stsd.extend_from_slice(stsd.whole);
        let mut fields = Fields(stsd.body);
        // version, flags, number of entries
        fields.bytes(8)?;
        let entry = Boxes::new(fields.0).next().ok_or(Damage("no sample description"))??;
        let codec = codec_name(&entry.kind);
        let first_video = video && !self.tracks.iter().any(|t| t.video);
        if first_video {
            let mut fields = Fields(entry.body);
            fields.bytes(24)?;
            self.width = u32::from(fields.u16()?);
            self.height = u32::from(fields.u16()?);
        }
        let nal_units = matches!(codec.as_str(), "h264" | "h265");
        if first_video || self.tracks.is_empty() {
            self.codec = codec;
        }
        self.tracks.push(Track { id, timescale, video, nal_units });
        Ok(())
    }

    pub(super) fn track(&self, id: u32) -> Result<&Track, Damage> {
        self.tracks.iter().find(|t| t.id == id).ok_or(Damage("a fragment of an unknown track"))
    }
}

/// The front of `mvhd` and `mdhd`: whether times have eight bytes, and the time scale.
fn times(fields: &mut Fields<'_>) -> Result<(bool, u32), Damage> {
    let long = fields.version_flags()?.0 == 1;
    fields.bytes(if long { 16 } else { 8 })?;
    match fields.u32()? {
        0 => Err(Damage("a time scale of zero")),
        timescale => Ok((long, timescale)),
    }
}

/// Bytes of `data` from the start of its part `rest` on.
fn after(data: &[u8], rest: &[u8]) -> usize {
    data.as_ptr() as usize + data.len() - rest.as_ptr() as usize
}

fn mtxi(moov: &[u8]) -> Result<Mtxi, Damage> {
    let complaint = "not written by MediaMTX";
    let udta = need(moov, b"udta", complaint)?;
    let mut fields = Fields(need(udta.body, b"mtxi", complaint)?.body);
    if fields.version_flags()?.0 != 0 {
        return Err(Damage("an unknown version of the mtxi box"));
    }
    Ok(Mtxi {
        stream: fields.array()?,
        number: fields.u64()?,
        dts_ns: fields.u64()? as i64,
        ntp_ns: fields.u64()? as i64,
    })
}

fn codec_name(kind: &[u8; 4]) -> String {
    match kind {
        b"avc1" | b"avc3" => "h264".into(),
        b"hvc1" | b"hev1" => "h265".into(),
        b"av01" => "av1".into(),
        b"vp09" => "vp9".into(),
        b"mp4a" => "aac".into(),
        b"Opus" => "opus".into(),
        other => other.iter().map(|b| char::from(*b)).filter(char::is_ascii_alphanumeric).collect(),
    }
}

/// `ticks` of `1 / timescale` s in units of `1 / per_second` s; saturating.
pub(super) fn scale(ticks: u64, per_second: u32, timescale: u32) -> u64 {
    let scaled = u128::from(ticks) * u128::from(per_second) / u128::from(timescale.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}
