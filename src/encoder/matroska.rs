//! The live Matroska stream on FFmpeg's standard input: one track of pictures, one cluster a frame.
//!
//! A bare MJPEG pipe carries no time: a source that says 30 fps and gives 12 made 2.0 s of footage
//! out of 5.0 s. Here each cluster carries the capture time in microseconds, and because a cluster
//! holds a single block, the block's 16-bit offset is always 0.

use crate::base::Mono;
use crate::capture::FrameFormat;
use crate::v4l2::FourCc;

const EBML: u32 = 0x1A45_DFA3;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_A966;
const TRACKS: u32 = 0x1654_AE6B;
const CLUSTER: u32 = 0x1F43_B675;
const SIMPLE_BLOCK: u32 = 0xA3;
/// Track 1, offset 0, no lacing, and whether it is a keyframe.
const BLOCK_HEAD: [u8; 3] = [0x81, 0, 0];
const KEY: u8 = 0x80;

/// Writes the stream's parts around the pictures, which are never copied.
#[derive(Clone, Debug)]
pub struct MatroskaStream {
    width: u32,
    height: u32,
    frame_ns: u64,
    format: FrameFormat,
    first: Option<Mono>,
    last_us: Option<u64>,
}

impl MatroskaStream {
    /// A stream of `width`x`height` pictures, nominally `fps` a second (the encoder's rate control
    /// and the level it signals go by that; the time of each frame is its own).
    pub fn new(width: u32, height: u32, fps: u32, format: FrameFormat) -> Self {
        let frame_ns = 1_000_000_000 / u64::from(fps.max(1));
        Self { width, height, frame_ns, format, first: None, last_us: None }
    }

    /// What comes before the first frame. Of H.264, `sets` are its parameter sets in Annex B, which FFmpeg takes for
    /// CodecPrivate as well as what the specification wants there (`ff_avc_write_annexb_extradata`); the frames may
    /// have start codes then.
    pub fn header(&self, sets: &[u8]) -> Vec<u8> {
        let mut ebml = Vec::new();
        for (id, value) in [(0x4286, 1), (0x42F7, 1), (0x42F2, 4), (0x42F3, 8)] {
            uint(&mut ebml, id, value);
        }
        element(&mut ebml, 0x4282, b"matroska");
        uint(&mut ebml, 0x4287, 4);
        uint(&mut ebml, 0x4285, 2);

        let mut info = Vec::new();
        // Timestamps in microseconds.
        uint(&mut info, 0x2A_D7B1, 1000);
        element(&mut info, 0x4D80, b"fieldcam");
        element(&mut info, 0x5741, b"fieldcam");

        let mut video = Vec::new();
        uint(&mut video, 0xB0, u64::from(self.width));
        uint(&mut video, 0xBA, u64::from(self.height));
        let codec: &[u8] = match self.format {
            FrameFormat::Mjpeg => b"V_MJPEG",
            FrameFormat::H264 => b"V_MPEG4/ISO/AVC",
            FrameFormat::Raw(pixels) => {
                element(&mut video, 0x2E_B524, &colour_space(pixels));
                b"V_UNCOMPRESSED"
            }
        };
        let mut track = Vec::new();
        for (id, value) in [(0xD7, 1), (0x73C5, 1), (0x83, 1), (0x9C, 0), (0x23_E383, self.frame_ns)] {
            uint(&mut track, id, value);
        }
        element(&mut track, 0x86, codec);
        if !sets.is_empty() {
            element(&mut track, 0x63A2, sets);
        }
        element(&mut track, 0xE0, &video);
        let mut tracks = Vec::new();
        element(&mut tracks, 0xAE, &track);

        let mut out = Vec::with_capacity(192);
        element(&mut out, EBML, &ebml);
        // A live segment: its size is unknown.
        id(&mut out, SEGMENT);
        out.extend([0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        element(&mut out, INFO, &info);
        element(&mut out, TRACKS, &tracks);
        out
    }

    /// Whether a frame is of the kind that the header named.
    pub fn takes(&self, format: FrameFormat, width: u32, height: u32) -> bool {
        (self.format, self.width, self.height) == (format, width, height)
    }

    /// Puts into `head` what comes before a picture of `size` bytes captured at `captured`; `is_key`: it can be
    /// shown by itself. False: the
    /// frame must be left out, it is not later than the one before.
    pub fn frame_head(&mut self, captured: Mono, size: usize, is_key: bool, head: &mut Vec<u8>) -> bool {
        let first = *self.first.get_or_insert(captured);
        let us = u64::try_from(captured.since(first).as_micros()).unwrap_or(u64::MAX);
        if self.last_us.is_some_and(|last| us <= last) {
            return false;
        }
        self.last_us = Some(us);
        let block = BLOCK_HEAD.len() + 1 + size;
        head.clear();
        id(head, CLUSTER);
        // Timestamp: 10 bytes; block: id 1, size 8.
        size_of(head, 10 + 9 + block);
        head.extend([0xE7, 0x88]);
        head.extend(us.to_be_bytes());
        id(head, SIMPLE_BLOCK);
        size_of(head, block);
        head.extend(BLOCK_HEAD);
        head.push(if is_key { KEY } else { 0 });
        true
    }
}

/// FFmpeg's name of a pixel format where it is not V4L2's (`libavcodec/raw.c`).
fn colour_space(pixels: FourCc) -> [u8; 4] {
    match pixels {
        FourCc::YUYV => *b"YUY2",
        FourCc::YU12 => *b"I420",
        FourCc::GREY => *b"Y800",
        other => other.0,
    }
}

fn id(out: &mut Vec<u8>, id: u32) {
    let bytes = id.to_be_bytes();
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    out.extend(&bytes[zeros..]);
}

/// Always eight bytes: the length of a header does not depend on the picture.
fn size_of(out: &mut Vec<u8>, size: usize) {
    out.extend(((size as u64) | 1 << 56).to_be_bytes());
}

fn element(out: &mut Vec<u8>, name: u32, content: &[u8]) {
    id(out, name);
    size_of(out, content.len());
    out.extend(content);
}

fn uint(out: &mut Vec<u8>, name: u32, value: u64) {
    element(out, name, &value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads one element: id, content, rest.
    fn read(bytes: &[u8]) -> (u32, &[u8], &[u8]) {
        let width = bytes[0].leading_zeros() as usize + 1;
        let name = bytes[..width].iter().fold(0, |acc, b| acc << 8 | u32::from(*b));
        let rest = &bytes[width..];
        assert_eq!(rest[0], 1, "eight-byte size");
        let size = rest[1..8].iter().fold(0u64, |acc, b| acc << 8 | u64::from(*b));
        let rest = &rest[8..];
        if size == (1 << 56) - 1 {
            (name, rest, &[])
        } else {
            (name, &rest[..size as usize], &rest[size as usize..])
        }
    }

    #[test]
    fn the_header_names_one_track_and_what_it_is_made_of() {
        let raw = MatroskaStream::new(64, 32, 30, FrameFormat::Raw(FourCc::YUYV)).header(&[]);
        let stands = |text: &[u8]| raw.windows(text.len()).any(|w| w == text);
        assert!(stands(b"V_UNCOMPRESSED") && stands(b"YUY2") && !stands(b"V_MJPEG"));
        let h264 = MatroskaStream::new(64, 32, 30, FrameFormat::H264).header(b"sets");
        assert!(
            [&b"V_MPEG4/ISO/AVC"[..], b"sets"]
                .iter()
                .all(|text| h264.windows(text.len()).any(|w| w == *text))
        );
        let header = MatroskaStream::new(1280, 720, 30, FrameFormat::Mjpeg).header(&[]);
        let (name, _, rest) = read(&header);
        assert_eq!(name, EBML);
        let (name, segment, _) = read(rest);
        assert_eq!(name, SEGMENT);
        let (name, info, rest) = read(segment);
        assert_eq!(name, INFO);
        assert_eq!(read(info).1, 1000u64.to_be_bytes());
        let (name, tracks, rest) = read(rest);
        assert_eq!((name, rest.len()), (TRACKS, 0));
        let mut track = read(tracks).1;
        let mut seen = Vec::new();
        while !track.is_empty() {
            let (name, content, rest) = read(track);
            seen.push((name, content.to_vec()));
            track = rest;
        }
        assert!(seen.contains(&(0x86, b"V_MJPEG".to_vec())));
        assert!(seen.contains(&(0x23_E383, 33_333_333u64.to_be_bytes().to_vec())));
        assert_eq!(read(&seen.last().unwrap().1).1, 1280u64.to_be_bytes());
    }

    proptest! {
        #[test]
        fn every_cluster_holds_one_block_and_its_time(
            steps in proptest::collection::vec((0u64..5_000_000, 0usize..500), 1..50),
        ) {
            let mut stream = MatroskaStream::new(640, 480, 30, FrameFormat::Mjpeg);
            let mut head = Vec::new();
            let start = 7_000_000_000u64;
            let (mut at, mut last) = (start, None);
            for (step_us, size) in steps {
                at += if last.is_some() { step_us * 1000 } else { 0 };
                let kept = stream.frame_head(Mono(at), size, size % 2 == 0, &mut head);
                prop_assert_eq!(kept, last.is_none_or(|last| at > last));
                if !kept { continue; }
                last = Some(at);
                let mut bytes = head.clone();
                bytes.resize(head.len() + size, 0xAA);
                let (name, cluster, rest) = read(&bytes);
                prop_assert_eq!((name, rest.len()), (CLUSTER, 0));
                // The timestamp's size has one byte.
                prop_assert_eq!(&cluster[..2], &[0xE7, 0x88]);
                let stamp = u64::from_be_bytes(cluster[2..10].try_into().unwrap());
                prop_assert_eq!(stamp, (at - start) / 1000);
                let (name, block, rest) = read(&cluster[10..]);
                prop_assert_eq!((name, rest.len()), (SIMPLE_BLOCK, 0));
                prop_assert_eq!(block.len(), size + 4);
                prop_assert_eq!(&block[..4], &[0x81, 0, 0, if size % 2 == 0 { 0x80 } else { 0 }]);
            }
        }
    }
}
