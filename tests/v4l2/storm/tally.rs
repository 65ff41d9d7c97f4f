//! What came of the faults, in figures.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::MEDIAN;
use super::cameras::Kind;

/// What came of one fault.
pub struct Outcome {
    pub camera: String,
    /// How long it took; `None` = the camera did not come back by itself.
    pub after: Option<Duration>,
    /// Pictures stayed away, or something was done about it.
    pub felt: bool,
}

/// What came of all of them.
#[derive(Default)]
pub struct Tally(BTreeMap<Kind, Vec<Outcome>>);

impl Tally {
    pub fn add(&mut self, kind: Kind, outcome: Outcome) {
        eprintln!("{}, {}: {:?}, felt {}", outcome.camera, kind.words(), outcome.after, outcome.felt);
        self.0.entry(kind).or_default().push(outcome);
    }

    /// Kind and camera of those that did not come back.
    pub fn not_recovered(&self) -> Vec<(&'static str, &str)> {
        let all = self.0.iter().flat_map(|(kind, all)| all.iter().map(|outcome| (*kind, outcome)));
        let lost = all.filter(|(_, outcome)| outcome.after.is_none());
        lost.map(|(kind, outcome)| (kind.words(), outcome.camera.as_str())).collect()
    }

    /// Of those of all kinds that came back.
    pub fn median(&self) -> Duration {
        quantile(&times(self.0.values().flatten()), 50)
    }

    /// Kinds that should have been felt and never were.
    pub fn never_felt(&self) -> Vec<&'static str> {
        let silent = self.0.iter().filter(|(kind, all)| kind.hurts() && !all.iter().any(|one| one.felt));
        silent.map(|(kind, _)| kind.words()).collect()
    }
}

/// In order.
fn times<'a>(all: impl Iterator<Item = &'a Outcome>) -> Vec<Duration> {
    let mut times: Vec<Duration> = all.filter_map(|outcome| outcome.after).collect();
    times.sort_unstable();
    times
}

/// The smallest time that so many of a hundred do not exceed.
pub fn quantile(times: &[Duration], percent: usize) -> Duration {
    let at = (times.len() * percent).div_ceil(100).max(1) - 1;
    times.get(at).copied().unwrap_or_default()
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, what: &str, all: &[&Outcome]| {
            let times = times(all.iter().copied());
            let felt = all.iter().filter(|one| one.felt).count();
            write!(f, "{what:44} {:>5} {felt:>5} {:>9}", all.len(), times.len())?;
            for percent in [50, 95, 100] {
                write!(f, " {:>8.2} s", quantile(&times, percent).as_secs_f64())?;
            }
            writeln!(f)
        };
        writeln!(
            f,
            "{:44} {:>5} {:>5} {:>9} {:>10} {:>10} {:>10}",
            "fault", "count", "felt", "recovered", "median", "p95", "worst"
        )?;
        for (kind, all) in &self.0 {
            row(f, kind.words(), &all.iter().collect::<Vec<_>>())?;
        }
        row(f, "all", &self.0.values().flatten().collect::<Vec<_>>())?;
        write!(f, "required: 99 % recovered, median below {MEDIAN:?}; the processor is emulated here")
    }
}
