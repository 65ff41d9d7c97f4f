//! What a camera sends over RTSP, cut into messages and frames as MediaMTX's client cuts it, as pure code.
//!
//! That client (gortsplib 5.6) follows a redirect wherever it leads, and no setting keeps it from doing so.
//! Here a redirect is seen before its last byte is passed on. What two readers might cut differently is
//! refused, so that none can be hidden in what one of them takes for something else; bytes between messages
//! are passed over by its own rule, because some cameras send them.

/// A message's head; gortsplib takes 255 lines of 2 KiB, cameras send some hundred bytes.
const HEAD_MAX: usize = 16 << 10;
/// A message's body, as gortsplib has it.
const BODY_MAX: usize = 128 << 10;

/// The first two bytes of what the client takes for an answer (`RT`) or a request.
const BEGINNINGS: [&[u8; 2]; 10] = [b"RT", b"AN", b"DE", b"GE", b"OP", b"PA", b"PL", b"RE", b"SE", b"TE"];

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
    /// After one byte that may begin a message, or be left over from something.
    One(u8),
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
                State::Start => {
                    self.0 = State::One(first);
                    bytes = &bytes[1..];
                }
                State::One(before) if BEGINNINGS.contains(&&[*before, first]) => {
                    self.0 = State::Head(vec![*before, first]);
                    bytes = &bytes[1..];
                }
                // The byte before is dropped by the client, and this one may be the first of a message.
                State::One(_) => self.0 = State::Start,
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
    read_first(lines.next().unwrap_or_default())?;
    let mut length = None;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Verdict::Broken)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(plain) || value.contains(['\r', '\n']) {
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

/// Judges the first line: an answer's, or a request's, for a camera may ask too.
fn read_first(line: &str) -> Result<(), Verdict> {
    let broken = Err(Verdict::Broken);
    if line.contains(['\r', '\n']) {
        return broken;
    }
    if line.starts_with("RT") {
        let Some(status) = line.strip_prefix("RTSP/1.0 ") else { return broken };
        return match status.split(' ').next().unwrap_or_default().parse::<u16>() {
            Ok(300..=399) => Err(Verdict::Moved),
            Ok(_) => Ok(()),
            Err(_) => broken,
        };
    }
    let parts: Vec<_> = line.split(' ').collect();
    match parts[..] {
        [method, target, "RTSP/1.0"]
            if method.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
                && !target.is_empty()
                && target.bytes().all(|b| b.is_ascii_graphic()) =>
        {
            Ok(())
        }
        _ => broken,
    }
}

#[cfg(test)]
mod tests;
