//! What a camera sends over RTSP, cut into messages and frames as MediaMTX's client cuts it, as pure code.
//!
//! That client (gortsplib) follows a redirect wherever it leads, and no setting keeps it from doing so. Here
//! a redirect is seen before its last byte is passed on. What two readers might cut differently is refused,
//! so that none can be hidden in what one of them takes for something else.

/// A message's head; gortsplib takes 255 lines of 2 KiB, cameras send some hundred bytes.
const HEAD_MAX: usize = 16 << 10;
/// A message's body, as gortsplib has it.
const BODY_MAX: usize = 128 << 10;

/// What may be done with the bytes that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They may go on.
    Pass,
    /// The camera sends elsewhere.
    Moved,
    /// It is no RTSP as everybody reads it.
    Broken,
}

/// One direction of one connection.
#[derive(Debug, Default)]
pub(super) struct Framing(State);

#[derive(Debug, Default)]
enum State {
    /// Between two of them.
    #[default]
    Start,
    /// In the four bytes before a frame of media.
    Frame(Vec<u8>),
    /// In the head of a message.
    Head(Vec<u8>),
    /// In a body or a frame, with so much left.
    Skip(usize),
}

impl State {
    fn skip(length: usize) -> Self {
        if length == 0 { State::Start } else { State::Skip(length) }
    }
}

impl Framing {
    /// Looks at the next bytes. After anything but [`Verdict::Pass`] nothing more may pass, these included.
    pub(super) fn look(&mut self, mut bytes: &[u8]) -> Verdict {
        while let Some(&first) = bytes.first() {
            match &mut self.0 {
                State::Start if first == b'$' => self.0 = State::Frame(Vec::with_capacity(4)),
                State::Start => self.0 = State::Head(Vec::new()),
                State::Skip(left) => {
                    let taken = (*left).min(bytes.len());
                    bytes = &bytes[taken..];
                    let left = *left - taken;
                    self.0 = State::skip(left);
                }
                State::Frame(head) => {
                    let taken = (4 - head.len()).min(bytes.len());
                    head.extend_from_slice(&bytes[..taken]);
                    bytes = &bytes[taken..];
                    if let Ok([_, _, high, low]) = <[u8; 4]>::try_from(head.as_slice()) {
                        self.0 = State::skip(usize::from(u16::from_be_bytes([high, low])));
                    }
                }
                State::Head(head) => {
                    head.push(first);
                    bytes = &bytes[1..];
                    if head.ends_with(b"\r\n\r\n") {
                        match read_head(head) {
                            Ok(length) => self.0 = State::skip(length),
                            Err(verdict) => return verdict,
                        }
                    } else if head.len() == HEAD_MAX {
                        return Verdict::Broken;
                    }
                }
            }
        }
        Verdict::Pass
    }
}

/// The length of the body that follows a head.
fn read_head(head: &[u8]) -> Result<usize, Verdict> {
    let text = String::from_utf8_lossy(head);
    let text = text.strip_suffix("\r\n\r\n").ok_or(Verdict::Broken)?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    // A camera may ask too; its requests have heads of the same form.
    if first.starts_with("RT") {
        let status = first.strip_prefix("RTSP/1.0 ").ok_or(Verdict::Broken)?;
        let code: u16 = status.split(' ').next().unwrap_or_default().parse().map_err(|_| Verdict::Broken)?;
        if (300..=399).contains(&code) {
            return Err(Verdict::Moved);
        }
    }
    let mut length = None;
    for line in std::iter::once(first).chain(lines.clone()) {
        if line.contains(['\r', '\n']) {
            return Err(Verdict::Broken);
        }
    }
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Verdict::Broken)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(Verdict::Broken);
        }
        if name.eq_ignore_ascii_case("content-length") {
            let digits = value.trim_start_matches(' ');
            let is_number = digits.bytes().all(|b| b.is_ascii_digit());
            let number = digits.parse().ok().filter(|n| is_number && *n <= BODY_MAX);
            if length.replace(number.ok_or(Verdict::Broken)?).is_some() {
                return Err(Verdict::Broken);
            }
        }
    }
    Ok(length.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPTIONS: &str = "RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE, SETUP\r\n\r\n";
    const DESCRIBE: &str = "RTSP/1.0 200 OK\r\nCSeq: 2\r\ncontent-length:   12\r\n\r\nv=0\r\n\r\nRTSP/";
    const ASKS: &str = "OPTIONS rtsp://box/ RTSP/1.0\r\nCSeq: 9\r\n\r\n";
    const MOVED: &str = "RTSP/1.0 302 Found\r\nCSeq: 3\r\nLocation: rtsp://127.0.0.1/\r\n\r\n";

    /// Looks at it in pieces of `size` bytes; how many bytes passed, and the verdict.
    fn pieces(bytes: &[u8], size: usize) -> (usize, Verdict) {
        let mut framing = Framing::default();
        let mut passed = 0;
        for piece in bytes.chunks(size) {
            match framing.look(piece) {
                Verdict::Pass => passed += piece.len(),
                verdict => return (passed, verdict),
            }
        }
        (passed, Verdict::Pass)
    }

    #[test]
    fn a_conversation_passes_whole_however_it_is_cut() {
        let mut all = format!("{OPTIONS}{DESCRIBE}").into_bytes();
        all.extend(b"$\x00\x00\x05RTSP/$\x01\x00\x00");
        all.extend(ASKS.as_bytes());
        all.extend(OPTIONS.as_bytes());
        for size in 1..=all.len() {
            assert_eq!(pieces(&all, size), (all.len(), Verdict::Pass), "pieces of {size}");
        }
    }

    #[test]
    fn a_redirect_never_passes_whole() {
        let before = format!("{OPTIONS}{DESCRIBE}");
        for code in ["300", "301", "302", "305", "399", "0302", "+302"] {
            let all = format!("{before}{}", MOVED.replace("302", code));
            for size in 1..=all.len() {
                let (passed, verdict) = pieces(all.as_bytes(), size);
                assert_eq!(verdict, Verdict::Moved, "{code} in pieces of {size}");
                assert!(passed < all.len());
            }
        }
    }

    #[test]
    fn what_could_hide_a_redirect_is_refused() {
        let length = |line: &str| format!("RTSP/1.0 200 OK\r\n{line}\r\n\r\n{MOVED}");
        for bad in [
            length("Content-Length: 5\r\nContent-Length: 0"),
            length("Content-Length: 5\r\ncontent-length: 5"),
            length("Content-Length : 99"),
            length("Content-Length: 9 9"),
            length("Content-Length: +99"),
            length("Content-Length: -1"),
            length("Content-Length: 0x20"),
            length("Content-Length:"),
            length("Content-Length: 131073"),
            length("Content-Length: 99999999999999999999"),
            length("no colon"),
            length(" folded: 1"),
            length("a\n: b"),
            length("a: b\rc"),
            format!("RTSP/2.0 200 OK\r\n\r\n{MOVED}"),
            format!("RTSP/1.0  302 OK\r\n\r\n{MOVED}"),
            format!("RTxP\r\n\r\n{MOVED}"),
            format!("\r\n{MOVED}"),
            format!("RTSP/1.0 200 OK\r\nX: {}", "x".repeat(HEAD_MAX)),
        ] {
            let (_, verdict) = pieces(bad.as_bytes(), 7);
            assert_ne!(verdict, Verdict::Pass, "{bad:.80}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), size in 1usize..64) {
            let _ = pieces(&bytes, size);
        }

        #[test]
        fn the_cut_makes_no_difference_to_the_verdict(
            parts in proptest::collection::vec(0usize..6, 0..12),
            size in 1usize..64,
        ) {
            let part = |n: &usize| [OPTIONS, DESCRIBE, ASKS, "$\u{1}\u{0}\u{3}abc", MOVED, "x\r\n"][*n].as_bytes().to_vec();
            let all: Vec<u8> = parts.iter().flat_map(part).collect();
            prop_assert_eq!(pieces(&all, size).1, pieces(&all, 1).1);
            let first_bad = parts.iter().position(|n| *n == 4);
            if first_bad.is_some() && !parts.contains(&5) {
                prop_assert_eq!(pieces(&all, size).1, Verdict::Moved);
            }
        }
    }
}
