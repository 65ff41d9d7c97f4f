//! A moving bar for a person, single lines for a log.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::screen;
use crate::base::units::show_size;

/// Progress of one piece of work, on standard error.
pub struct Progress {
    bar: Option<ProgressBar>,
    what: String,
    total: u64,
    told: u64,
    unit: Unit,
}

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Bytes,
    Seconds,
    Percent,
}

impl Progress {
    /// Of bytes.
    pub fn bytes(what: &str, total: u64) -> Progress {
        Progress::new(
            what,
            total,
            Unit::Bytes,
            "{msg}  [{bar:30}]  {bytes}/{total_bytes}  {bytes_per_sec}  {eta}",
        )
    }

    /// Of seconds; `total` 0 when nobody knows the end.
    pub fn seconds(what: &str, total: u64) -> Progress {
        let form = if total == 0 { "{spinner} {msg}" } else { "{msg}  [{bar:30}]  {pos}/{len} s" };
        Progress::new(what, total, Unit::Seconds, form)
    }

    /// Of a hundred.
    pub fn percent(what: &str) -> Progress {
        Progress::new(what, 100, Unit::Percent, "{msg}  [{bar:30}]  {pos} %")
    }

    fn new(what: &str, total: u64, unit: Unit, form: &str) -> Progress {
        let bar = screen::is_watched().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            bar.set_style(
                ProgressStyle::with_template(form)
                    .unwrap_or_else(|_| ProgressStyle::default_bar())
                    .progress_chars("=> "),
            );
            bar.set_message(what.to_owned());
            bar
        });
        if bar.is_none() {
            screen::remark(what);
        }
        Progress { bar, what: what.to_owned(), total, told: 0, unit }
    }

    /// The end is known (better) now.
    pub fn set_total(&mut self, total: u64) {
        self.total = total;
        if let Some(bar) = &self.bar {
            bar.set_length(total);
        }
    }

    /// How far it is; `note` is appended for a person.
    pub fn set(&mut self, done: u64, note: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            if !note.is_empty() {
                bar.set_message(format!("{}  {note}", self.what));
            }
            return;
        }
        // A log gets a line for each quarter, or each minute when there is no end.
        let mark = match self.unit {
            Unit::Seconds if self.total == 0 => done / 60,
            _ => (done * 4).checked_div(self.total).unwrap_or(0),
        };
        if mark > self.told {
            self.told = mark;
            let shown = |n| match self.unit {
                Unit::Bytes => show_size(n),
                Unit::Seconds => format!("{n} s"),
                Unit::Percent => format!("{n} %"),
            };
            let end = if self.total > 0 { format!(" of {}", shown(self.total)) } else { String::new() };
            let note = if note.is_empty() { String::new() } else { format!("  {note}") };
            screen::remark(&format!("{}: {}{end}{note}", self.what, shown(done)));
        }
    }

    /// A remark that does not tear the bar.
    pub fn remark(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| screen::remark(text)),
            None => screen::remark(text),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
