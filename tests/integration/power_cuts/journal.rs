//! One line a cut, kept in a file so that a long run can be interrupted and taken up again.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use super::check::Found;

/// The lines so far.
pub struct Journal {
    file: Option<PathBuf>,
    pub lines: Vec<Line>,
}

/// What one cut showed.
pub struct Line {
    text: String,
    lost: Vec<f64>,
    pub fault: Option<String>,
}

impl Line {
    pub fn new(number: usize, found: Result<Found, String>, took: Duration) -> Line {
        let took = took.as_secs_f64();
        match found {
            Ok(found) => {
                let lost: Vec<f64> = found.lost.into_iter().flatten().collect();
                let shown: Vec<String> = lost.iter().map(|l| format!("{l:.3}")).collect();
                let Found { recordings, files, quarantined, .. } = found;
                let text = format!(
                    "cut {number}: lost {} s; {recordings} recordings, {files} files, {quarantined} put away; {took:.1} s",
                    shown.join(" ")
                );
                Line { text, lost, fault: None }
            }
            Err(fault) => {
                let fault = fault.replace('\n', " ");
                Line { text: format!("cut {number}: FAILED {fault}"), lost: Vec::new(), fault: Some(fault) }
            }
        }
    }

    fn parse(text: &str) -> Option<Line> {
        let (_, rest) = text.strip_prefix("cut ")?.split_once(": ")?;
        if let Some(fault) = rest.strip_prefix("FAILED ") {
            return Some(Line { text: text.into(), lost: Vec::new(), fault: Some(fault.into()) });
        }
        let (lost, _) = rest.strip_prefix("lost ")?.split_once(" s;")?;
        let lost = lost.split_whitespace().filter_map(|l| l.parse().ok()).collect();
        Some(Line { text: text.into(), lost, fault: None })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Journal {
    /// With what an earlier run left in `file`; without one nothing is kept.
    pub fn open(file: Option<PathBuf>) -> Journal {
        let text = file.as_ref().and_then(|f| fs::read_to_string(f).ok()).unwrap_or_default();
        Journal { file, lines: text.lines().filter_map(Line::parse).collect() }
    }

    /// Where more may be kept.
    pub fn folder(&self) -> Option<PathBuf> {
        self.file.as_ref().and_then(|f| f.parent()).map(ToOwned::to_owned)
    }

    pub fn add(&mut self, line: Line) {
        if let Some(file) = &self.file {
            let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
            writeln!(file, "{line}").unwrap();
        }
        self.lines.push(line);
    }

    /// Worst and median loss in seconds.
    pub fn losses(&self) -> (f64, f64) {
        let mut all: Vec<f64> = self.lines.iter().flat_map(|l| l.lost.iter().copied()).collect();
        all.sort_by(f64::total_cmp);
        (all.last().copied().unwrap_or_default(), all.get(all.len() / 2).copied().unwrap_or_default())
    }
}

#[test]
fn a_line_is_read_as_it_was_written() {
    let found = Found { lost: [Some(0.5), Some(1.25)], recordings: 3, files: 7, quarantined: 1 };
    for line in [
        Line::new(7, Ok(found), Duration::from_secs(3)),
        Line::new(8, Err("rows\nand files".into()), Duration::ZERO),
    ] {
        let again = Line::parse(&line.to_string()).unwrap();
        assert_eq!((again.lost, again.fault), (line.lost, line.fault));
    }
}
