//! What the agent in a guest answers to a command.

use std::io::{self, BufRead, ErrorKind};

/// The program in the guest, a script for bash.
pub const AGENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/agent");

/// What a command in the guest said, and its exit status.
#[derive(Clone, Debug)]
pub struct Said {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Reads `STATUS BYTES BYTES`, then what was said on standard output and on standard error.
    pub fn read(line: &mut impl BufRead) -> io::Result<Said> {
        let mut head = String::new();
        line.read_line(&mut head)?;
        let numbers: Vec<usize> = head.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let [status, out, err] = numbers[..] else {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, format!("answered {head:?}")));
        };
        let mut text = |size: usize| -> io::Result<String> {
            let mut bytes = vec![0; size];
            line.read_exact(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        Ok(Said { status: status as i32, out: text(out)?, err: text(err)? })
    }
}
