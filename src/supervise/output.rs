//! What children say: read always (a full pipe would stop them), bounded, rate-limited in the log.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use crate::base::Mono;

/// Longest line kept; the rest of a longer one is thrown away.
const MAX_LINE: usize = 4096;

/// Reads lines until the end of the stream and hands each, without its line end and with bytes that
/// are not UTF-8 replaced, to `each`. Never holds more than 4 KiB of a line.
pub async fn drain_lines(stream: impl AsyncRead + Unpin, mut each: impl FnMut(&str)) {
    let mut reader = BufReader::with_capacity(MAX_LINE, stream);
    let mut line: Vec<u8> = Vec::new();
    loop {
        let (used, ended) = match reader.fill_buf().await {
            Ok([]) | Err(_) => break,
            Ok(chunk) => {
                // FFmpeg rewrites its status line with a carriage return.
                let end = chunk.iter().position(|b| matches!(b, b'\n' | b'\r'));
                let part = &chunk[..end.unwrap_or(chunk.len())];
                let room = MAX_LINE - line.len();
                line.extend_from_slice(&part[..part.len().min(room)]);
                (end.map_or(chunk.len(), |e| e + 1), end.is_some())
            }
        };
        reader.consume(used);
        if ended {
            if !line.is_empty() {
                each(&String::from_utf8_lossy(&line));
            }
            line.clear();
        }
    }
    if !line.is_empty() {
        each(&String::from_utf8_lossy(&line));
    }
}

/// The first lines a child said: what went wrong is nearly always among them.
#[derive(Clone, Debug, Default)]
pub struct FirstWords {
    lines: Vec<String>,
}

impl FirstWords {
    const KEPT: usize = 12;

    /// Keeps `line` if there is room.
    pub fn hear(&mut self, line: &str) {
        if self.lines.len() < Self::KEPT {
            self.lines.push(line.to_owned());
        }
    }

    /// The lines.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The lines, joined by `" | "`; empty when nothing was said.
    pub fn text(&self) -> String {
        self.lines.join(" | ")
    }
}

/// A limit on log lines: at most `burst` in each `period`; says how many were left out.
#[derive(Debug)]
pub struct LogRate {
    burst: u32,
    period: Duration,
    since: Mono,
    used: u32,
    dropped: u64,
}

impl LogRate {
    /// At most `burst` lines in each `period`.
    pub fn new(burst: u32, period: Duration) -> Self {
        Self { burst, period, since: Mono::now(), used: 0, dropped: 0 }
    }

    /// Whether one more line may be logged now; `Some(n)` = yes, and `n` were dropped before it.
    pub fn allow(&mut self, now: Mono) -> Option<u64> {
        if now.since(self.since) >= self.period {
            self.since = now;
            self.used = 0;
        }
        if self.used < self.burst {
            self.used += 1;
            Some(std::mem::take(&mut self.dropped))
        } else {
            self.dropped += 1;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_bounded_and_bad_bytes_replaced() {
        let mut input = vec![b'x'; 100_000];
        input.extend_from_slice(b"\nsecond\r\n\xff\xfe\nlast");
        let mut seen = Vec::new();
        drain_lines(&input[..], |l| seen.push(l.to_owned())).await;
        assert_eq!(seen[0].len(), MAX_LINE);
        assert_eq!(&seen[1..], ["second", "\u{fffd}\u{fffd}", "last"]);
    }

    #[test]
    fn rate_counts_what_it_drops() {
        let mut rate = LogRate::new(2, Duration::from_secs(1));
        let t = Mono::now();
        assert_eq!(rate.allow(t), Some(0));
        assert_eq!(rate.allow(t), Some(0));
        assert_eq!(rate.allow(t), None);
        assert_eq!(rate.allow(t), None);
        assert_eq!(rate.allow(t + Duration::from_secs(2)), Some(2));
    }
}
