//! FFmpeg's `mpjpeg` stream, parsed as it arrives: a boundary line, header lines with
//! `Content-length`, an empty line, that many bytes of JPEG.
//!
//! Bounded: a line has at most 256 bytes and a picture 16 MiB. Whatever breaks these rules is an
//! error after which the stream cannot be trusted; a picture that is not a whole JPEG is only
//! counted and left out.

use crate::base::Mono;

use super::frame::{FrameBuffer, FrameBytes, FramePool};

const MAX_LINE: usize = 256;
const MAX_PICTURE: usize = 16 << 20;

/// One picture of the stream.
pub struct Part {
    /// A JPEG from SOI to EOI.
    pub data: FrameBytes,
    /// When the first byte of its header arrived.
    pub arrived: Mono,
}

/// The parser with the buffers it fills.
pub struct MpjpegParser {
    state: State,
    line: Vec<u8>,
    length: Option<usize>,
    arrived: Option<Mono>,
    pool: FramePool,
    corrupt: u64,
    starved: u64,
}

enum State {
    Boundary,
    Headers,
    Body {
        buffer: FrameBuffer,
        left: usize,
    },
    /// All buffers are still being read: this picture is passed over.
    Skip {
        left: usize,
    },
}

impl MpjpegParser {
    /// A parser at the start of a stream.
    pub fn new(pool: FramePool) -> Self {
        Self {
            state: State::Boundary,
            line: Vec::with_capacity(MAX_LINE),
            length: None,
            arrived: None,
            pool,
            corrupt: 0,
            starved: 0,
        }
    }

    /// Pictures left out because they were not whole JPEGs.
    pub fn corrupt(&self) -> u64 {
        self.corrupt
    }

    /// Pictures left out because readers held every buffer.
    pub fn starved(&self) -> u64 {
        self.starved
    }

    /// Takes the bytes that arrived at `now` and hands on each picture they complete.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        now: Mono,
        mut each: impl FnMut(Part),
    ) -> Result<(), &'static str> {
        while !bytes.is_empty() {
            bytes = match &mut self.state {
                State::Boundary | State::Headers => self.take_line(bytes, now)?,
                State::Body { buffer, left } => {
                    let (part, rest) = bytes.split_at(bytes.len().min(*left));
                    buffer.bytes_mut().extend_from_slice(part);
                    *left -= part.len();
                    if *left == 0 {
                        self.finish(now, &mut each);
                    }
                    rest
                }
                State::Skip { left } => {
                    let passed = bytes.len().min(*left);
                    *left -= passed;
                    if *left == 0 {
                        self.starved += 1;
                        self.state = State::Boundary;
                    }
                    &bytes[passed..]
                }
            };
        }
        Ok(())
    }

    fn take_line<'a>(&mut self, bytes: &'a [u8], now: Mono) -> Result<&'a [u8], &'static str> {
        if matches!(self.state, State::Headers) {
            self.arrived.get_or_insert(now);
        }
        let end = bytes.iter().position(|b| *b == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        if self.line.len() + part.len() > MAX_LINE {
            return Err("a header line is too long");
        }
        self.line.extend_from_slice(part);
        let Some(end) = end else { return Ok(&[]) };
        let outcome = self.end_line();
        self.line.clear();
        outcome?;
        Ok(&bytes[end + 1..])
    }

    fn end_line(&mut self) -> Result<(), &'static str> {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        if matches!(self.state, State::Boundary) {
            if line.starts_with(b"--") {
                self.length = None;
                self.arrived = None;
                self.state = State::Headers;
            } else if !line.is_empty() {
                return Err("a boundary line is missing");
            }
            return Ok(());
        }
        if line.is_empty() {
            let left = self.length.ok_or("a picture has no length")?;
            self.state = match self.pool.take(left) {
                Some(buffer) => State::Body { buffer, left },
                None => State::Skip { left },
            };
        } else if let Some(value) = header_value(line, b"content-length") {
            self.length = Some(value.ok_or("a picture's length is not a number within bounds")?);
        }
        Ok(())
    }

    fn finish(&mut self, now: Mono, each: &mut impl FnMut(Part)) {
        let State::Body { mut buffer, .. } = std::mem::replace(&mut self.state, State::Boundary) else {
            return;
        };
        if is_whole_jpeg(buffer.bytes_mut()) {
            let data = self.pool.seal(buffer);
            each(Part { data, arrived: self.arrived.take().unwrap_or(now) });
        } else {
            self.corrupt += 1;
            self.pool.give_back(buffer);
        }
    }
}

/// `None`: another header; `Some(None)`: this one with a value that cannot be used.
fn header_value(line: &[u8], name: &[u8]) -> Option<Option<usize>> {
    let (head, value) = line.split_at_checked(name.len())?;
    let value = value.strip_prefix(b":").filter(|_| head.eq_ignore_ascii_case(name))?;
    let number = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse::<usize>().ok());
    Some(number.filter(|length| (1..=MAX_PICTURE).contains(length)))
}

fn is_whole_jpeg(bytes: &[u8]) -> bool {
    bytes.len() > 4 && bytes.starts_with(&[0xff, 0xd8, 0xff]) && bytes.ends_with(&[0xff, 0xd9])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn jpeg(size: usize) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0];
        bytes.resize(size.max(4), b'\n');
        bytes.extend([0xff, 0xd9]);
        bytes
    }

    fn stream(pictures: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"--ffmpeg\r\n".to_vec();
        for picture in pictures {
            bytes.extend(
                format!("Content-type: image/jpeg\r\nContent-length: {}\r\n\r\n", picture.len()).bytes(),
            );
            bytes.extend(picture);
            bytes.extend(b"\r\n--ffmpeg\r\n");
        }
        bytes
    }

    fn parse(chunks: &[&[u8]]) -> Result<Vec<(Vec<u8>, u64)>, &'static str> {
        let mut parser = MpjpegParser::new(FramePool::new(4));
        let mut seen = Vec::new();
        for (n, chunk) in chunks.iter().enumerate() {
            parser.push(chunk, Mono(n as u64), |part| seen.push((part.data.to_vec(), part.arrived.0)))?;
        }
        Ok(seen)
    }

    #[test]
    fn a_picture_is_stamped_when_its_first_byte_arrives() {
        let bytes = stream(&[jpeg(10), jpeg(20)]);
        // The boundary after the first picture is written with it, long before the second comes.
        let first = 10 + 48 + jpeg(10).len() + 12;
        let seen =
            parse(&[&bytes[..15], &bytes[15..first], &bytes[first..first + 1], &bytes[first + 1..]]).unwrap();
        assert_eq!(seen.iter().map(|(_, at)| *at).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn what_is_no_whole_jpeg_is_counted_and_left_out() {
        let mut parser = MpjpegParser::new(FramePool::new(4));
        let cut = jpeg(30)[..20].to_vec();
        let mut seen = 0;
        parser.push(&stream(&[jpeg(5), cut, jpeg(6)]), Mono(1), |_| seen += 1).unwrap();
        assert_eq!((seen, parser.corrupt()), (2, 1));
    }

    #[test]
    fn pictures_are_passed_over_while_every_buffer_is_read() {
        let mut parser = MpjpegParser::new(FramePool::new(2));
        let mut held = Vec::new();
        parser
            .push(&stream(&[jpeg(5), jpeg(6), jpeg(7), jpeg(8)]), Mono(1), |part| held.push(part.data))
            .unwrap();
        assert_eq!((held.len(), parser.starved()), (2, 2));
        held.clear();
        let more = stream(&[jpeg(9)]);
        parser.push(&more[10..], Mono(1), |part| held.push(part.data)).unwrap();
        assert_eq!(held[0].to_vec(), jpeg(9));
    }

    #[test]
    fn broken_framing_is_an_error() {
        for bad in [
            &b"hello\n"[..],
            b"--x\r\n\r\n",
            b"--x\r\nContent-length: -1\r\n",
            b"--x\r\nContent-length: 99999999999999999999\r\n",
            b"--x\r\nContent-length: 0\r\n",
            &[b'-'; 300],
        ] {
            assert!(parse(&[bad]).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            sizes in proptest::collection::vec(4usize..3000, 1..4),
            cuts in proptest::collection::vec(1usize..700, 1..40),
        ) {
            let pictures: Vec<_> = sizes.into_iter().map(jpeg).collect();
            let bytes = stream(&pictures);
            let mut chunks = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (chunk, after) = rest.split_at((*cut).min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            let seen: Vec<_> = parse(&chunks).unwrap().into_iter().map(|(picture, _)| picture).collect();
            prop_assert_eq!(seen, pictures);
        }

        #[test]
        fn no_bytes_make_it_panic(
            chunks in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(any::<u8>(), 0..200),
                    Just(b"--ffmpeg\r\n".to_vec()),
                    Just(b"Content-length: 7\r\n\r\n".to_vec()),
                    Just(b"Content-length: ".to_vec()),
                ],
                0..20,
            ),
        ) {
            let chunks: Vec<_> = chunks.iter().map(Vec::as_slice).collect();
            let _ = parse(&chunks);
        }
    }
}
