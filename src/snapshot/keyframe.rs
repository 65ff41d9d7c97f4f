//! RTP payloads of H.264 and H.265 → the access unit of the newest keyframe, as pure code.
//!
//! Only parameter sets and keyframe slices are kept; everything else is passed over as it comes, so
//! a stream costs next to nothing between two keyframes. Bounded: 8 MiB of slices, 64 KiB of
//! parameter sets. A keyframe with a hole in it is not one.

const MAX_SLICES: usize = 8 << 20;
const MAX_SETS: usize = 64 << 10;
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// The codecs a network camera's picture can be decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// H.264.
    H264,
    /// H.265.
    H265,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Set { is_sps: bool },
    KeySlice,
    Other,
}

impl Codec {
    fn kind(self, header: u8) -> Kind {
        match self {
            Codec::H264 => match header & 0x1f {
                5 => Kind::KeySlice,
                7 => Kind::Set { is_sps: true },
                8 => Kind::Set { is_sps: false },
                _ => Kind::Other,
            },
            Codec::H265 => match header >> 1 & 0x3f {
                16..=21 => Kind::KeySlice,
                33 => Kind::Set { is_sps: true },
                32 | 34 => Kind::Set { is_sps: false },
                _ => Kind::Other,
            },
        }
    }
}

/// Collects the payloads of one stream.
pub struct Assembler {
    codec: Codec,
    /// The stream's parameter sets, Annex B.
    sets: Vec<u8>,
    fresh_sets: Vec<u8>,
    fresh_sps: bool,
    slices: Vec<u8>,
    timestamp: Option<i64>,
    fragment: Option<Kind>,
    broken: bool,
}

impl Assembler {
    /// An assembler; `sets` are the parameter sets of the stream's description, if it had any.
    pub fn new<'a>(codec: Codec, sets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut this = Self {
            codec,
            sets: Vec::new(),
            fresh_sets: Vec::new(),
            fresh_sps: false,
            slices: Vec::new(),
            timestamp: None,
            fragment: None,
            broken: false,
        };
        for set in sets {
            if this.sets.len() + set.len() <= MAX_SETS {
                this.sets.extend(START_CODE);
                this.sets.extend(set);
            }
        }
        this
    }

    /// Takes one RTP payload. `lost`: packets are missing before it; `marker`: it ends its picture.
    /// Answers with a keyframe's access unit (Annex B, parameter sets first) when one is complete.
    pub fn push(&mut self, timestamp: i64, marker: bool, lost: bool, payload: &[u8]) -> Option<Vec<u8>> {
        let mut done = None;
        if self.timestamp != Some(timestamp) {
            // Some cameras set no marker: the next picture ends the one before. With a loss in
            // between nobody knows whether that one was whole.
            self.broken |= lost;
            done = self.finish();
            self.timestamp = Some(timestamp);
        }
        self.broken |= lost;
        self.take(payload);
        if marker {
            done = self.finish().or(done);
            self.timestamp = None;
        }
        done
    }

    fn take(&mut self, payload: &[u8]) {
        match self.codec {
            Codec::H264 => match payload.first().map(|header| header & 0x1f) {
                Some(24) => self.aggregate(&payload[1..]),
                Some(28) => {
                    let [indicator, fu, body @ ..] = payload else { return };
                    let header = indicator & 0xe0 | fu & 0x1f;
                    self.fragment(*fu, &[header], body);
                }
                Some(1..=23) => self.unit(payload),
                _ => {}
            },
            Codec::H265 => {
                let [first, second, body @ ..] = payload else { return };
                match first >> 1 & 0x3f {
                    48 => self.aggregate(body),
                    49 => {
                        let [fu, body @ ..] = body else { return };
                        let header = [first & 0x81 | (fu & 0x3f) << 1, *second];
                        self.fragment(*fu, &header, body);
                    }
                    0..=47 => self.unit(payload),
                    _ => {}
                }
            }
        }
    }

    /// Several units in one payload, each behind its 16-bit length.
    fn aggregate(&mut self, mut rest: &[u8]) {
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            let Some((unit, after)) = after.split_at_checked(length) else {
                self.broken = true;
                return;
            };
            self.unit(unit);
            rest = after;
        }
    }

    fn unit(&mut self, unit: &[u8]) {
        self.fragment = None;
        if let Some(header) = unit.first() {
            self.begin(self.codec.kind(*header));
            self.add(self.codec.kind(*header), unit);
        }
    }

    /// One part of a unit; bit 7 of `fu` marks its first, bit 6 its last.
    fn fragment(&mut self, fu: u8, header: &[u8], body: &[u8]) {
        if fu & 0x80 != 0 {
            let kind = self.codec.kind(header[0]);
            self.begin(kind);
            self.add(kind, header);
            self.fragment = Some(kind);
        }
        match self.fragment {
            Some(kind) => self.add(kind, body),
            // Its beginning is missing.
            None => self.broken |= self.codec.kind(header[0]) != Kind::Other,
        }
        if fu & 0x40 != 0 {
            self.fragment = None;
        }
    }

    fn begin(&mut self, kind: Kind) {
        self.add(kind, &START_CODE);
    }

    fn add(&mut self, kind: Kind, bytes: &[u8]) {
        let (target, limit) = match kind {
            Kind::Set { is_sps } => {
                self.fresh_sps |= is_sps;
                (&mut self.fresh_sets, MAX_SETS)
            }
            Kind::KeySlice => (&mut self.slices, MAX_SLICES),
            Kind::Other => return,
        };
        if target.len() + bytes.len() > limit {
            self.broken = true;
        } else {
            target.extend(bytes);
        }
    }

    fn finish(&mut self) -> Option<Vec<u8>> {
        // A unit that was begun and not ended is cut.
        let broken = std::mem::take(&mut self.broken) || self.fragment.take().is_some();
        let fresh = std::mem::take(&mut self.fresh_sets);
        let fresh_sps = std::mem::take(&mut self.fresh_sps);
        let slices = std::mem::take(&mut self.slices);
        if broken {
            return None;
        }
        if fresh_sps {
            self.sets = fresh;
        } else if self.sets.len() + fresh.len() <= MAX_SETS && !contains(&self.sets, &fresh) {
            self.sets.extend(fresh);
        }
        if slices.is_empty() || self.sets.is_empty() {
            return None;
        }
        Some([&self.sets[..], &slices[..]].concat())
    }
}

/// Whether `part` is there already: many streams repeat one set before every keyframe.
fn contains(whole: &[u8], part: &[u8]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPS: &[u8] = &[0x67, 1, 2];
    const PPS: &[u8] = &[0x68, 3];

    fn annex_b(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&START_CODE[..], unit].concat()).collect()
    }

    #[test]
    fn a_keyframe_in_one_packet_gets_the_descriptions_sets() {
        let mut assembler = Assembler::new(Codec::H264, [SPS, PPS]);
        let unit = assembler.push(0, true, false, &[0x65, 9, 9]);
        assert_eq!(unit, Some(annex_b(&[SPS, PPS, &[0x65, 9, 9]])));
        assert_eq!(assembler.push(3000, true, false, &[0x41, 9]), None);
    }

    #[test]
    fn a_fragmented_keyframe_with_sets_of_its_own() {
        let mut assembler = Assembler::new(Codec::H264, []);
        // SPS and PPS in one aggregate, then the slice in three parts.
        let aggregate = [&[0x18, 0, 3][..], SPS, &[0, 2], PPS].concat();
        assert_eq!(assembler.push(0, false, false, &aggregate), None);
        assert_eq!(assembler.push(0, false, false, &[0x7c, 0x85, 1]), None);
        assert_eq!(assembler.push(0, false, false, &[0x7c, 0x05, 2]), None);
        let unit = assembler.push(0, true, false, &[0x7c, 0x45, 3]);
        assert_eq!(unit, Some(annex_b(&[SPS, PPS, &[0x65, 1, 2, 3]])));
        // Later keyframes may come without.
        let unit = assembler.push(9, true, false, &[0x65, 7]);
        assert_eq!(unit, Some(annex_b(&[SPS, PPS, &[0x65, 7]])));
    }

    #[test]
    fn h265_in_fragments() {
        let mut assembler = Assembler::new(Codec::H265, []);
        let (vps, sps, pps) = ([0x40, 1, 1], [0x42, 1, 2], [0x44, 1, 3]);
        for set in [&vps, &sps, &pps] {
            assert_eq!(assembler.push(0, false, false, set), None);
        }
        // IDR_W_RADL (19) in two parts.
        assert_eq!(assembler.push(0, false, false, &[0x62, 1, 0x93, 5]), None);
        let unit = assembler.push(0, true, false, &[0x62, 1, 0x53, 6]);
        assert_eq!(unit, Some(annex_b(&[&vps, &sps, &pps, &[0x26, 1, 5, 6]])));
    }

    #[test]
    fn a_keyframe_with_a_hole_is_none_and_the_next_is_whole() {
        let mut assembler = Assembler::new(Codec::H264, [SPS, PPS]);
        assert_eq!(assembler.push(0, false, false, &[0x7c, 0x85, 1]), None);
        assert_eq!(assembler.push(0, true, true, &[0x7c, 0x45, 3]), None);
        assert_eq!(assembler.push(1, true, false, &[0x7c, 0x45, 3]), None, "no beginning");
        assert_eq!(assembler.push(2, true, false, &[0x7c, 0x85, 1]), None, "no end");
        assert!(assembler.push(3, true, false, &[0x65, 1]).is_some());
    }

    #[test]
    fn without_markers_the_next_picture_ends_the_one_before() {
        let mut assembler = Assembler::new(Codec::H264, [SPS, PPS]);
        assert_eq!(assembler.push(0, false, false, &[0x65, 1]), None);
        assert_eq!(assembler.push(1, false, false, &[0x41, 1]), Some(annex_b(&[SPS, PPS, &[0x65, 1]])));
    }

    #[test]
    fn memory_is_bounded() {
        let mut assembler = Assembler::new(Codec::H264, [SPS, PPS]);
        let part = [&[0x7c, 0x05][..], &[1; 60_000]].concat();
        assembler.push(0, false, false, &[0x7c, 0x85, 1]);
        for _ in 0..300 {
            assembler.push(0, false, false, &part);
            assert!(assembler.slices.capacity() <= 2 * MAX_SLICES);
        }
        for _ in 0..100_000 {
            assembler.push(0, false, false, SPS);
        }
        assert!(assembler.fresh_sets.capacity() <= 2 * MAX_SETS);
        assert_eq!(assembler.push(0, true, false, &[0x65, 1]), None);
    }

    proptest! {
        #[test]
        fn no_packets_make_it_panic(
            h265: bool,
            packets in proptest::collection::vec(
                (0i64..3, any::<bool>(), any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40)),
                0..60,
            ),
        ) {
            let codec = if h265 { Codec::H265 } else { Codec::H264 };
            let mut assembler = Assembler::new(codec, []);
            for (timestamp, marker, lost, payload) in packets {
                if let Some(unit) = assembler.push(timestamp, marker, lost, &payload) {
                    prop_assert!(unit.starts_with(&START_CODE));
                }
            }
        }
    }
}
