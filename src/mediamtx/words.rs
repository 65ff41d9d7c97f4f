//! What MediaMTX says, as lines of our log.
//!
//! Its JSON is not quite JSON (control characters are escaped the Go way), and its first words come
//! before the format is set. A viewer's every connection is INFO there and DEBUG here; its ERROR is
//! WARN here, since a camera that is switched off makes one every five seconds.

use std::time::Duration;

use serde::Deserialize;

use crate::base::{Mono, Secret};
use crate::supervise::LogRate;

/// MediaMTX's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// One line, understood as far as possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub level: Level,
    pub message: String,
}

#[derive(Deserialize)]
struct Structured {
    level: String,
    message: String,
}

fn level(word: &str) -> Level {
    match word {
        "DEB" => Level::Debug,
        "WAR" => Level::Warn,
        "ERR" => Level::Error,
        _ => Level::Info,
    }
}

/// Reads a line in any of its forms.
pub(super) fn parse(line: &str) -> Line {
    if let Ok(s) = serde_json::from_str::<Structured>(line) {
        return Line { level: level(&s.level), message: s.message };
    }
    if let Some((head, message)) = line.split_once(r#","message":""#) {
        let word = head.rsplit_once(r#""level":""#).map_or("INF", |(_, l)| l.trim_end_matches('"'));
        let message = message.strip_suffix(r#""}"#).unwrap_or(message);
        return Line { level: level(word), message: message.to_owned() };
    }
    // Before its logger is up, or a Go panic on standard error.
    match line.strip_prefix("ERR: ") {
        Some(message) => Line { level: Level::Error, message: message.to_owned() },
        None => Line { level: Level::Warn, message: line.to_owned() },
    }
}

/// Takes user and password out of every URL, and our callback's secret wherever it stands.
pub(super) fn redact(message: &str, secret: &Secret) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end = tail.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(tail.len());
        // The last @ before the path ends the user part, whatever stands before it; a password with
        // a raw slash is hidden with it.
        match tail[..end].rfind('@') {
            Some(sign) => {
                out.push_str("<hidden>");
                rest = &tail[sign..];
            }
            None => rest = tail,
        }
    }
    out.push_str(rest);
    if secret.expose().is_empty() { out } else { out.replace(secret.expose(), "<secret>") }
}

/// The path whose pull failed and why, from a line like `[path camera2] [RTSP source] bad status
/// code: 401 (Unauthorized)`.
pub(super) fn source_failure(line: &Line) -> Option<(&str, &str)> {
    if !matches!(line.level, Level::Warn | Level::Error) {
        return None;
    }
    let (path, rest) = line.message.strip_prefix("[path ")?.split_once("] ")?;
    let why = rest.strip_prefix("[RTSP source] ")?;
    Some((path, why))
}

/// Whether a line tells that a path's state changed, so that the list is worth reading at once.
pub(super) fn tells_of_change(message: &str) -> bool {
    message.contains("stream is available")
        || message.contains("is publishing to path")
        || message.contains("is reading from path")
        || message.contains("] destroyed: ")
        || message.contains("[RTSP source]")
}

/// HLS says for every picture that came a little late that players of one maker mind.
fn is_jitter(message: &str) -> bool {
    message.starts_with("[HLS] ") && message.contains(" duration changed from ")
}

/// Puts lines into our log, a bounded number of them.
pub(super) struct Writer {
    loud: LogRate,
    quiet: LogRate,
    secret: Secret,
}

impl Writer {
    pub(super) fn new(secret: Secret) -> Self {
        let period = Duration::from_secs(10);
        Self { loud: LogRate::new(20, period), quiet: LogRate::new(200, period), secret }
    }

    /// Logs one line.
    pub(super) fn write(&mut self, line: &Line) {
        // Each question of ours about a path that is not there (yet) is an error to MediaMTX.
        let ours = line.message.starts_with("[API] ") || is_jitter(&line.message);
        let loud = matches!(line.level, Level::Warn | Level::Error) && !ours;
        if !loud && !tracing::enabled!(target: "fieldcam::mediamtx", tracing::Level::DEBUG) {
            return;
        }
        let rate = if loud { &mut self.loud } else { &mut self.quiet };
        let Some(dropped) = rate.allow(Mono::now()) else { return };
        if dropped > 0 {
            tracing::warn!(target: "fieldcam::mediamtx", dropped, "too many lines; some were left out");
        }
        let message = redact(&line.message, &self.secret);
        match line.level {
            Level::Debug => tracing::trace!(target: "fieldcam::mediamtx", "{message}"),
            Level::Info => tracing::debug!(target: "fieldcam::mediamtx", "{message}"),
            Level::Warn | Level::Error if ours => tracing::debug!(target: "fieldcam::mediamtx", "{message}"),
            Level::Warn | Level::Error => tracing::warn!(target: "fieldcam::mediamtx", "{message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_jitter_of_a_camera_is_no_warning() {
        assert!(is_jitter(
            "[HLS] [muxer camera0] part duration changed from 233ms to 234ms - this will cause"
        ));
        assert!(!is_jitter("[HLS] [muxer camera0] destroyed: not used anymore"));
    }

    #[test]
    fn a_failed_pull_is_told_with_its_path() {
        let line = |level, message: &str| Line { level, message: message.into() };
        let text = "[path camera2] [RTSP source] bad status code: 401 (Unauthorized)";
        assert_eq!(
            source_failure(&line(Level::Error, text)),
            Some(("camera2", "bad status code: 401 (Unauthorized)"))
        );
        assert_eq!(source_failure(&line(Level::Info, text)), None);
        assert_eq!(source_failure(&line(Level::Error, "[path camera2] closed")), None);
    }

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_form_of_line() {
        let json = r#"{"timestamp":"2026-08-22T10:00:00Z","level":"WAR","message":"[path x] slow"}"#;
        assert_eq!(parse(json), Line { level: Level::Warn, message: "[path x] slow".into() });
        let go = r#"{"timestamp":"t","level":"ERR","message":"bad \x1b[31m byte"}"#;
        assert_eq!(parse(go), Line { level: Level::Error, message: r"bad \x1b[31m byte".into() });
        assert_eq!(parse("ERR: no").level, Level::Error);
        assert_eq!(parse("panic: boom").level, Level::Warn);
    }

    #[test]
    fn no_password_passes() {
        let s = Secret::new("c0ffee");
        for (line, clean) in [
            (
                r#"Post "http://127.0.0.1:1/c0ffee": timeout"#,
                r#"Post "http://127.0.0.1:1/<secret>": timeout"#,
            ),
            ("rtsp://admin:pw@cam/x and rtsp://b:p@q@d/", "rtsp://<hidden>@cam/x and rtsp://<hidden>@d/"),
            ("dial rtsp://cam:554/x: refused", "dial rtsp://cam:554/x: refused"),
            ("rtsp://u:a/b@cam/", "rtsp://<hidden>@cam/"),
        ] {
            assert_eq!(redact(line, &s), clean);
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in ".*", secret in ".*") {
            let parsed = parse(&line);
            let _ = redact(&parsed.message, &Secret::new(secret));
            let _ = tells_of_change(&parsed.message);
            let _ = parse(&format!(r#"{{"level":"{line}","message":"{line}"}}"#));
        }

        #[test]
        fn a_password_in_a_url_never_passes(user in "[a-z]{1,8}", password in "[!#-&(-~]{12,20}") {
            let line = format!("x rtsp://{user}:{password}@cam.local/s: refused");
            prop_assert!(!redact(&line, &Secret::new("zzz")).contains(&password));
        }
    }
}
