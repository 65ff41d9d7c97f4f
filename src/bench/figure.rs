//! Figures, their goals, and how both are printed.

use std::io::Write;

use serde_json::{Value, json};

use crate::base::Result;
use crate::ctl;

/// What a figure counts in, and so which way is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    /// Milliseconds; less is better.
    Ms,
    /// MiB; less is better.
    MiB,
    /// KiB; less is better.
    KiB,
    /// Calls a second of processor time; more is better.
    CallsPerCpuSecond,
    /// A second; more is better.
    PerSecond,
    /// Percent of one processor; less is better.
    Percent,
    /// How often; less is better.
    Times,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Unit::Ms if value < 1.0 => format!("{value:.3} ms"),
            Unit::Ms if value < 100.0 => format!("{value:.1} ms"),
            Unit::Ms => format!("{value:.0} ms"),
            Unit::MiB => format!("{value:.1} MiB"),
            Unit::KiB => format!("{value:.1} KiB"),
            Unit::CallsPerCpuSecond => format!("{value:.0}/s"),
            Unit::PerSecond => format!("{value:.1}/s"),
            Unit::Percent => format!("{value:.1} %"),
            Unit::Times => format!("{value:.2}"),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Unit::Ms => "ms",
            Unit::MiB => "MiB",
            Unit::KiB => "KiB",
            Unit::CallsPerCpuSecond => "calls per CPU second",
            Unit::PerSecond => "per second",
            Unit::Percent => "percent of one processor",
            Unit::Times => "times",
        }
    }

    fn more_is_better(self) -> bool {
        matches!(self, Unit::CallsPerCpuSecond | Unit::PerSecond)
    }

    fn keeps(self, value: f64, limit: f64) -> bool {
        if self.more_is_better() { value >= limit } else { value <= limit }
    }
}

/// One measured figure.
#[derive(Clone, Debug)]
pub struct Figure {
    name: String,
    value: f64,
    unit: Unit,
    goal: Option<(f64, &'static str)>,
    bound: Option<f64>,
}

impl Figure {
    /// Without a goal.
    pub fn new(name: impl Into<String>, value: f64, unit: Unit) -> Figure {
        Figure { name: name.into(), value, unit, goal: None, bound: None }
    }

    /// With a goal and where it comes from.
    #[must_use]
    pub fn goal(mut self, limit: f64, source: &'static str) -> Figure {
        self.goal = Some((limit, source));
        self
    }

    /// A value that is still acceptable when the goal is missed.
    #[must_use]
    pub fn bound(mut self, limit: f64) -> Figure {
        self.bound = Some(limit);
        self
    }

    fn verdict(&self) -> &'static str {
        let keeps = |limit: f64| self.unit.keeps(self.value, limit);
        match (self.goal, self.bound) {
            (None, _) => "",
            (Some((goal, _)), _) if keeps(goal) => "met",
            (_, Some(bound)) if keeps(bound) => "within bound",
            _ => "MISSED",
        }
    }

    fn goal_text(&self) -> String {
        let Some((goal, source)) = self.goal else { return String::new() };
        let sign = if self.unit.more_is_better() { "≥" } else { "≤" };
        let bound = self.bound.map(|b| format!(", bound {}", self.unit.show(b))).unwrap_or_default();
        format!("{sign} {}{bound} ({source})", self.unit.show(goal))
    }
}

/// Everything measured in one run.
#[derive(Default)]
pub struct Report {
    figures: Vec<Figure>,
    failures: Vec<(&'static str, String)>,
}

impl Report {
    /// Takes what one part found, or that it could not be measured.
    pub fn take(&mut self, part: &'static str, found: Result<Vec<Figure>>) {
        match found {
            Ok(figures) => self.figures.extend(figures),
            Err(error) => self.failures.push((part, ctl::describe(&error))),
        }
    }

    /// Whether every part could be measured.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
    }

    /// Prints a table, or JSON.
    pub fn print(&self, as_json: bool) {
        let text = if as_json { self.json().to_string() } else { self.table() };
        let _ = writeln!(std::io::stdout().lock(), "{text}");
        if !as_json {
            for (part, why) in &self.failures {
                remark(&format!("{part} could not be measured: {why}"));
            }
        }
    }

    fn table(&self) -> String {
        let row =
            |f: &Figure| vec![f.name.clone(), f.unit.show(f.value), f.goal_text(), f.verdict().to_owned()];
        let rows: Vec<_> = self.figures.iter().map(row).collect();
        ctl::render(&["figure", "measured", "goal", "verdict"], &rows)
    }

    fn json(&self) -> Value {
        let figure = |f: &Figure| {
            json!({
                "figure": f.name, "measured": f.value, "unit": f.unit.word(), "goal": f.goal.map(|g| g.0),
                "source": f.goal.map(|g| g.1), "bound": f.bound, "verdict": f.verdict(),
            })
        };
        let failure = |(part, why): &(&str, String)| json!({ "part": part, "why": why });
        json!({
            "figures": self.figures.iter().map(figure).collect::<Vec<_>>(),
            "failures": self.failures.iter().map(failure).collect::<Vec<_>>(),
        })
    }
}

/// A line about the work, on standard error.
pub fn remark(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// The value that `percent` of the samples do not exceed (nearest rank). Zero without samples.
pub fn percentile(samples: &mut [f64], percent: f64) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    let rank = (percent / 100.0 * samples.len() as f64).ceil() as usize;
    samples.get(rank.clamp(1, samples.len().max(1)) - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let mut samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut samples, 50.0), 50.0);
        assert_eq!(percentile(&mut samples, 99.0), 99.0);
        assert_eq!(percentile(&mut [7.0], 50.0), 7.0);
        assert_eq!(percentile(&mut [], 50.0), 0.0);
    }

    #[test]
    fn a_verdict_knows_which_way_is_better() {
        let cold = |ms| Figure::new("x", ms, Unit::Ms).goal(200.0, "issue 3").bound(400.0);
        assert_eq!(cold(199.0).verdict(), "met");
        assert_eq!(cold(300.0).verdict(), "within bound");
        assert_eq!(cold(401.0).verdict(), "MISSED");
        let calls = Figure::new("x", 149_999.0, Unit::CallsPerCpuSecond).goal(150_000.0, "issue 3");
        assert_eq!(calls.verdict(), "MISSED");
    }
}
