//! WebSocket frames of one connection, in and out, without any I/O.
//!
//! Frame headers and close codes are tungstenite's; its message layer is not used, because it keeps
//! a 16 MiB buffer for the life of a socket that once received a large message, cannot say how much
//! an unfinished message holds, and loses the socket at the first text that is not UTF-8, which the
//! contract wants answered. Messages are handed out where they lie in the buffer.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// The largest message that is answered (contract.md).
pub(super) const MESSAGE_MAX: usize = 16 << 20;
/// What a quiet connection keeps.
const QUIET_BUFFER: usize = 4 << 10;
/// What one keeps that fills the quiet buffer with whole messages.
const BUSY_BUFFER: usize = 16 << 10;
const HEADER_MAX: usize = 14;
const CONTROL_MAX: u64 = 125;

/// Something complete that the peer sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// Text; not yet known to be UTF-8.
    Text(&'a [u8]),
    /// Binary data, which the contract has no use for.
    Binary,
    /// To be answered with the same bytes.
    Ping(&'a [u8]),
    /// An answer to our ping.
    Pong,
    /// The peer says goodbye, to be answered with this code.
    Close(CloseCode),
}

/// Why the connection has to be closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: CloseCode,
    pub(super) reason: &'static str,
}

const fn protocol(reason: &'static str) -> Fault {
    Fault { code: CloseCode::Protocol, reason }
}

const TOO_BIG: Fault = Fault { code: CloseCode::Size, reason: "a message may have 16 MiB" };

/// Bytes from the peer, and the message they are becoming.
pub(super) struct Reader {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes that the frame at `start` has in all, once its header is there.
    frame: usize,
    partial: Option<Partial>,
    /// The last message that came in pieces; handed out from here.
    whole: Vec<u8>,
    /// Data messages handed out.
    completed: u64,
}

struct Partial {
    text: bool,
    bytes: Vec<u8>,
}

impl Reader {
    /// `early` came in behind the HTTP request.
    pub(super) fn new(early: &[u8]) -> Self {
        let mut buffer = vec![0; QUIET_BUFFER.max(early.len())];
        buffer[..early.len()].copy_from_slice(early);
        Self { buffer, start: 0, end: early.len(), frame: 0, partial: None, whole: Vec::new(), completed: 0 }
    }

    /// The next message, if all of it is there. Frames that only add to one are used up silently.
    pub(super) fn next(&mut self) -> Result<Option<Message<'_>>, Fault> {
        self.whole = Vec::new();
        loop {
            let mut cursor = Cursor::new(&self.buffer[self.start..self.end]);
            let parsed = FrameHeader::parse(&mut cursor).map_err(|_| protocol("unknown opcode"))?;
            let Some((header, length)) = parsed else {
                self.frame = 0;
                return Ok(None);
            };
            let head = usize::try_from(cursor.position()).expect("a header has 14 bytes at most");
            let length = self.judge(&header, length)?;
            self.frame = head + length;
            if self.end - self.start < self.frame {
                return Ok(None);
            }
            let body = self.start + head..self.start + self.frame;
            self.start = body.end;
            self.frame = 0;
            // `judge` has refused frames without a mask.
            unmask(&mut self.buffer[body.clone()], header.mask.unwrap_or_default());
            let last = header.is_final;
            if last && matches!(header.opcode, OpCode::Data(_)) {
                self.completed += 1;
            }
            match header.opcode {
                OpCode::Control(Control::Ping) => return Ok(Some(Message::Ping(&self.buffer[body]))),
                OpCode::Control(Control::Pong) => return Ok(Some(Message::Pong)),
                OpCode::Control(_) => {
                    return Ok(Some(Message::Close(close_code(&self.buffer[body])?)));
                }
                OpCode::Data(Data::Text) if last => return Ok(Some(Message::Text(&self.buffer[body]))),
                OpCode::Data(Data::Binary) if last => return Ok(Some(Message::Binary)),
                OpCode::Data(Data::Continue) => {
                    let partial = self.partial.as_mut().ok_or(protocol("nothing to continue"))?;
                    partial.bytes.extend_from_slice(&self.buffer[body]);
                    if last && let Some(done) = self.partial.take() {
                        self.whole = done.bytes;
                        return Ok(Some(if done.text {
                            Message::Text(&self.whole)
                        } else {
                            Message::Binary
                        }));
                    }
                }
                OpCode::Data(kind) => {
                    let bytes = self.buffer[body].to_vec();
                    self.partial = Some(Partial { text: kind == Data::Text, bytes });
                }
            }
        }
    }

    /// Refuses what RFC 6455 forbids, as early as the header is known.
    fn judge(&self, header: &FrameHeader, length: u64) -> Result<usize, Fault> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(protocol("reserved bits are set"));
        }
        if header.mask.is_none() {
            return Err(protocol("frames to a server are masked"));
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final || length > CONTROL_MAX => {
                return Err(protocol("a control frame is whole and has 125 bytes at most"));
            }
            OpCode::Data(Data::Continue) if self.partial.is_none() => {
                return Err(protocol("nothing to continue"));
            }
            OpCode::Data(Data::Text | Data::Binary) if self.partial.is_some() => {
                return Err(protocol("the message before is not finished"));
            }
            _ => {}
        }
        let before = match header.opcode {
            OpCode::Data(_) => self.partial.as_ref().map_or(0, |p| p.bytes.len()),
            OpCode::Control(_) => 0,
        };
        usize::try_from(length).ok().filter(|l| *l <= MESSAGE_MAX - before).ok_or(TOO_BIG)
    }

    /// Memory held for what is not finished, as it will be after the next [`Self::space`].
    pub(super) fn held_after_growth(&self) -> usize {
        let partial = self.partial.as_ref().map_or(0, |p| p.bytes.capacity());
        self.next_size() + partial
    }

    /// The size the buffer needs for the next read to make progress.
    fn next_size(&self) -> usize {
        let used = self.end - self.start;
        if used == 0 && self.partial.is_none() {
            self.buffer.len().min(BUSY_BUFFER)
        } else if used < self.buffer.len() {
            // Room for a part; no more is taken on the word of a header alone.
            self.buffer.len()
        } else {
            self.frame.min(2 * used).max(used + HEADER_MAX)
        }
    }

    /// Room for the next read, never empty.
    pub(super) fn space(&mut self) -> &mut [u8] {
        let size = self.next_size();
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > size {
                // Gives a large message's memory back.
                self.buffer = vec![0; size];
            }
        } else if self.buffer.len() - self.end < self.buffer.len() / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if size > self.buffer.len() {
            self.buffer.resize(size, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// `count` bytes were read into [`Self::space`].
    pub(super) fn filled(&mut self, count: usize) {
        self.end += count;
        debug_assert!(self.end <= self.buffer.len());
        if self.end == self.buffer.len() && self.start == 0 && self.buffer.len() < BUSY_BUFFER {
            self.buffer.resize(BUSY_BUFFER, 0);
        }
    }

    /// Nothing came for a while: back to the small buffer.
    pub(super) fn rest(&mut self) {
        if self.start == self.end && self.buffer.len() > QUIET_BUFFER {
            (self.start, self.end) = (0, 0);
            self.buffer = vec![0; QUIET_BUFFER];
        }
    }

    /// Data messages handed out so far.
    pub(super) fn completed(&self) -> u64 {
        self.completed
    }

    /// Whether a message has begun and is not finished.
    pub(super) fn is_amid(&self) -> bool {
        self.partial.is_some() || self.start != self.end
    }
}

fn close_code(body: &[u8]) -> Result<CloseCode, Fault> {
    match body {
        [] => Ok(CloseCode::Normal),
        [a, b, reason @ ..] => {
            let code = CloseCode::from(u16::from_be_bytes([*a, *b]));
            if code.is_allowed() && std::str::from_utf8(reason).is_ok() {
                Ok(code)
            } else {
                Err(protocol("a close code that nobody may send"))
            }
        }
        _ => Err(protocol("half a close code")),
    }
}

fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// Frames on their way to the peer.
#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    sent: usize,
    /// In all.
    taken: u64,
}

/// Room for the longest header of an unmasked frame.
const GAP: usize = 10;
/// What a connection keeps for its next answers.
const KEEP: usize = 4 << 10;

impl Writer {
    /// A text frame with what `write` appends.
    pub(super) fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.frame(OpCode::Data(Data::Text), write);
    }

    /// As [`Self::text`]; leaves no trace when `write` answers that nothing is to be sent after all.
    pub(super) fn text_unless(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let start = self.bytes.len();
        let mut not = false;
        self.frame(OpCode::Data(Data::Text), |out| not = write(out));
        if not {
            self.bytes.truncate(start);
        }
    }

    /// The answer to a ping.
    pub(super) fn pong(&mut self, payload: &[u8]) {
        self.frame(OpCode::Control(Control::Pong), |out| out.extend_from_slice(payload));
    }

    /// Asks whether the peer is there.
    pub(super) fn ping(&mut self) {
        self.frame(OpCode::Control(Control::Ping), |_| {});
    }

    /// Goodbye.
    pub(super) fn close(&mut self, code: CloseCode, reason: &str) {
        self.frame(OpCode::Control(Control::Close), |out| {
            out.extend_from_slice(&u16::from(code).to_be_bytes());
            out.extend_from_slice(reason.as_bytes());
        });
    }

    fn frame(&mut self, opcode: OpCode, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.bytes.resize(start + GAP, 0);
        write(&mut self.bytes);
        let length = self.bytes.len() - start - GAP;
        let header = FrameHeader { opcode, ..FrameHeader::default() };
        let mut head = [0; GAP];
        let head_length = header.len(length as u64);
        header.format(length as u64, &mut &mut head[..]).expect("ten bytes hold an unmasked header");
        self.bytes[start..start + head_length].copy_from_slice(&head[..head_length]);
        if head_length < GAP {
            self.bytes.copy_within(start + GAP.., start + head_length);
            self.bytes.truncate(start + head_length + length);
        }
    }

    /// What is still to be written.
    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Bytes that were taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// The peer's kernel has taken `count` bytes.
    pub(super) fn wrote(&mut self, count: usize) {
        self.sent += count;
        self.taken += count as u64;
        if self.sent == self.bytes.len() {
            self.sent = 0;
            self.bytes.clear();
            if self.bytes.capacity() > BUSY_BUFFER {
                self.bytes.shrink_to(KEEP);
            }
        } else if self.sent >= BUSY_BUFFER && self.sent >= self.bytes.len() / 2 {
            // A peer that is always a little behind would let this grow for ever.
            let (start, _) = self.under_way();
            self.bytes.drain(..start);
            self.sent -= start;
        }
    }

    /// Forgets the frames of which nothing was sent yet. One that was begun stays: without its end the
    /// peer could make nothing of what follows.
    pub(super) fn cut(&mut self) {
        let (start, end) = self.under_way();
        self.bytes.truncate(if start == self.sent { start } else { end });
    }

    /// Where the frame begins and ends that `sent` is in, or before.
    fn under_way(&self) -> (usize, usize) {
        let mut start = 0;
        loop {
            let mut cursor = Cursor::new(&self.bytes[start..]);
            let Ok(Some((header, length))) = FrameHeader::parse(&mut cursor) else {
                return (start, self.bytes.len());
            };
            let head = header.len(length);
            let end = start + head + usize::try_from(length).expect("it is in memory");
            if end > self.sent {
                return (start, end);
            }
            start = end;
        }
    }

    /// Nothing came for a while: keeps no memory.
    pub(super) fn rest(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests;
