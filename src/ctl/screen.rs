//! The tool's two streams. A reader that went away (`| head`) is not an error.

use std::io::{IsTerminal, Write, stderr, stdout};

/// A line of the result.
pub fn line(text: &str) {
    let _ = writeln!(stdout().lock(), "{text}");
}

/// A line about the work, not of the result.
pub fn remark(text: &str) {
    let _ = writeln!(stderr().lock(), "{text}");
}

/// Asks something on the same line.
pub fn prompt(text: &str) {
    let mut out = stderr().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Why it failed.
pub fn error_line(text: &str) {
    remark(text);
}

/// Whether a person watches the remarks.
pub fn is_watched() -> bool {
    stderr().is_terminal()
}
