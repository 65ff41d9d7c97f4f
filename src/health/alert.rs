//! Figures that want attention: when one begins to and when it stops. Pure.
//!
//! The thresholds are requirements.md's, [service] "Alert thresholds", and of connections [baseline]'s.

use super::window::{CALLS_MIN, Minute};

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Connections, percent of the limit.
    Connections,
    /// Time that 95 % of the calls of the last minute did not exceed, milliseconds.
    Response,
    /// Calls of the last minute that failed, percent.
    Errors,
    /// Memory, percent.
    Memory,
    /// Processors, percent, mean of the last minute.
    Cpu,
}

impl Subject {
    const ALL: [Subject; 5] =
        [Subject::Connections, Subject::Response, Subject::Errors, Subject::Memory, Subject::Cpu];

    /// A word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Subject::Connections => "connections",
            Subject::Response => "response",
            Subject::Errors => "errors",
            Subject::Memory => "memory",
            Subject::Cpu => "cpu",
        }
    }

    /// From where it is a warning, and critical.
    const fn thresholds(self) -> (f64, f64) {
        match self {
            Subject::Connections => (80.0, 95.0),
            Subject::Response => (200.0, 500.0),
            Subject::Errors => (1.0, 5.0),
            Subject::Memory => (80.0, 95.0),
            Subject::Cpu => (70.0, 90.0),
        }
    }

    fn text(self, value: f64) -> String {
        match self {
            Subject::Connections => format!("{value:.0} % of the connections are in use"),
            Subject::Response => format!("95 % of the calls of the last minute took up to {value:.0} ms"),
            Subject::Errors => format!("{value:.1} % of the calls of the last minute failed"),
            Subject::Memory => format!("{value:.0} % of the memory is in use"),
            Subject::Cpu => format!("the processors were busy for {value:.0} % of the last minute"),
        }
    }
}

/// How much attention it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Soon.
    Warning,
    /// Now.
    Critical,
}

impl Level {
    /// A word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Level::Warning => "warning",
            Level::Critical => "critical",
        }
    }
}

/// One figure above its threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Which.
    pub subject: Subject,
    /// How bad.
    pub level: Level,
    /// What it is now.
    pub value: f64,
    /// What it should stay below.
    pub threshold: f64,
    /// Since when, microseconds since 1970.
    pub since_us: i64,
    /// For a person.
    pub text: String,
}

/// Of fewer calls a single one would be 1 % and more.
const ERRORS_OF: u64 = 100;
/// It falls silent only this far below its threshold, so that a figure at it does not flutter.
const SILENT_BELOW: f64 = 0.9;

/// What a look at the figures changed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// It began, or became worse.
    Raised(Alert),
    /// It is over.
    Over(Subject),
}

/// Goes from the alerts there were to those there are, and says what is news.
pub(super) fn look(
    alerts: &mut Vec<Alert>,
    now_us: i64,
    value: impl Fn(Subject) -> Option<f64>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut next = Vec::new();
    for subject in Subject::ALL {
        let before = alerts.iter().find(|a| a.subject == subject);
        let level = value(subject).and_then(|v| level(subject, v, before.map(|a| a.level)));
        match (level, value(subject)) {
            (Some(level), Some(value)) => {
                let (warning, critical) = subject.thresholds();
                let threshold = if level == Level::Critical { critical } else { warning };
                let since_us = before.map_or(now_us, |a| a.since_us);
                let alert = Alert { subject, level, value, threshold, since_us, text: subject.text(value) };
                if before.is_none_or(|before| before.level < level) {
                    changes.push(Change::Raised(alert.clone()));
                }
                next.push(alert);
            }
            _ if before.is_some() => changes.push(Change::Over(subject)),
            _ => {}
        }
    }
    *alerts = next;
    changes
}

fn level(subject: Subject, value: f64, before: Option<Level>) -> Option<Level> {
    let (warning, critical) = subject.thresholds();
    let holds = |level: Level, threshold: f64| {
        value >= threshold || (before >= Some(level) && value >= threshold * SILENT_BELOW)
    };
    if holds(Level::Critical, critical) {
        Some(Level::Critical)
    } else {
        holds(Level::Warning, warning).then_some(Level::Warning)
    }
}

/// The value of each subject, from the minute and what is looked at in the moment.
pub(super) fn value(
    subject: Subject,
    minute: &Minute,
    connection_percent: f64,
    memory_percent: Option<f64>,
) -> Option<f64> {
    match subject {
        Subject::Connections => Some(connection_percent),
        // One slow call on an idle box is no trouble.
        Subject::Response => (minute.calls >= CALLS_MIN).then_some(minute.p95.as_secs_f64() * 1000.0),
        Subject::Errors => (minute.calls >= ERRORS_OF).then_some(minute.error_percent),
        Subject::Memory => memory_percent,
        Subject::Cpu => minute.cpu_percent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(alerts: &mut Vec<Alert>, at: i64, percent: f64) -> Vec<Change> {
        look(alerts, at, |subject| (subject == Subject::Connections).then_some(percent))
    }

    #[test]
    fn an_alert_is_raised_once_grows_and_ends_below_its_threshold() {
        let mut alerts = Vec::new();
        assert_eq!(connections(&mut alerts, 1, 79.9), []);
        let [Change::Raised(raised)] = &connections(&mut alerts, 2, 80.0)[..] else { panic!() };
        assert_eq!((raised.level, raised.threshold, raised.since_us), (Level::Warning, 80.0, 2));
        assert_eq!(connections(&mut alerts, 3, 85.0), []);
        assert_eq!(alerts[0].value, 85.0, "it shows what is now");
        let [Change::Raised(worse)] = &connections(&mut alerts, 4, 95.0)[..] else { panic!() };
        assert_eq!((worse.level, worse.since_us), (Level::Critical, 2));
        assert_eq!(connections(&mut alerts, 5, 90.0), []);
        assert_eq!(alerts[0].level, Level::Critical, "it does not flutter");
        assert_eq!(connections(&mut alerts, 6, 75.0), []);
        assert_eq!(alerts[0].level, Level::Warning);
        assert_eq!(connections(&mut alerts, 7, 71.0), [Change::Over(Subject::Connections)]);
        assert_eq!(connections(&mut alerts, 8, 71.0), []);
    }

    #[test]
    fn what_cannot_be_told_raises_nothing_and_ends_what_there_was() {
        let mut alerts = Vec::new();
        assert_eq!(look(&mut alerts, 1, |_| Some(1000.0)).len(), Subject::ALL.len());
        assert_eq!(look(&mut alerts, 2, |_| None).len(), Subject::ALL.len());
        assert!(alerts.is_empty());
    }

    #[test]
    fn a_few_slow_calls_are_no_trouble() {
        let slow = Minute { p95: std::time::Duration::from_secs(3), calls: 19, ..Minute::default() };
        assert_eq!(value(Subject::Response, &slow, 0.0, None), None);
        let busy = Minute { calls: 20, ..slow };
        assert_eq!(value(Subject::Response, &busy, 0.0, None), Some(3000.0));
        let failed = Minute { error_percent: 50.0, ..busy };
        assert_eq!(value(Subject::Errors, &failed, 0.0, None), None);
    }
}
