//! From numbers to a verdict (contract.md, "Health thresholds"). Pure.

use std::time::Duration;

use crate::disk::{Condition, Temporary};
use crate::pipeline::FfmpegState;

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Everything within its bounds.
    Healthy,
    /// Something needs attention.
    Degraded,
    /// The box cannot do its job, or will soon not be able to.
    Unhealthy,
}

impl Verdict {
    /// get_status' word.
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Healthy => "HEALTHY",
            Verdict::Degraded => "DEGRADED",
            Verdict::Unhealthy => "UNHEALTHY",
        }
    }

    /// The word of `/health`.
    pub const fn lower(self) -> &'static str {
        match self {
            Verdict::Healthy => "healthy",
            Verdict::Degraded => "degraded",
            Verdict::Unhealthy => "unhealthy",
        }
    }
}

/// A part of the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// It works.
    Running,
    /// It does not run and is not meant to.
    Stopped,
    /// It is meant to run and does not.
    Error,
    /// On its way up for the first time.
    Starting,
    /// On its way down.
    Stopping,
}

impl Component {
    /// The contract's word.
    pub const fn word(self) -> &'static str {
        match self {
            Component::Running => "RUNNING",
            Component::Stopped => "STOPPED",
            Component::Error => "ERROR",
            Component::Starting => "STARTING",
            Component::Stopping => "STOPPING",
        }
    }
}

/// The numbers behind a verdict; what cannot be told is none and counts as a failed check only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Whether MediaMTX answers.
    pub mediamtx: Component,
    /// Whether FFmpeg is there.
    pub ffmpeg: FfmpegState,
    /// Memory in use, of all there is.
    pub memory_percent: Option<f64>,
    /// Calls of the last minute that failed by our fault.
    pub error_percent: f64,
    /// Mean time to answer a call in the last minute.
    pub mean_response: Duration,
    /// Connections open, of the limit.
    pub connection_percent: f64,
    /// Free space on the data disk.
    pub free_percent: Option<f64>,
    /// Checks that failed one after the other.
    pub failed_in_a_row: u32,
    /// The data disk.
    pub disk: Condition,
    /// Why what is written is gone at the next start.
    pub temporary: Option<Temporary>,
    /// The database turned out to be damaged.
    pub database_damaged: bool,
}

/// Where attention and alarm begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Memory in use, percent: degraded from, unhealthy above.
    pub memory: (f64, f64),
    /// Failed calls, percent.
    pub errors: (f64, f64),
    /// Mean response.
    pub response: (Duration, Duration),
    /// Connections, percent of the limit.
    pub connections: (f64, f64),
    /// Free space, percent: degraded up to, unhealthy below.
    pub free: (f64, f64),
    /// Failed checks in a row: unhealthy from.
    pub failures: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            memory: (90.0, 95.0),
            errors: (5.0, 10.0),
            response: (Duration::from_secs(1), Duration::from_secs(2)),
            connections: (90.0, 95.0),
            free: (30.0, 15.0),
            failures: 5,
        }
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// How bad.
    pub verdict: Verdict,
    /// A word for programs.
    pub what: &'static str,
    /// For a person.
    pub text: String,
}

/// The verdict, and every reason for it, worst first.
pub fn judge(s: &Sample, t: &Thresholds) -> (Verdict, Vec<Reason>) {
    let mut reasons = Vec::new();
    let mut note = |verdict, what, text: String| {
        if verdict != Verdict::Healthy {
            reasons.push(Reason { verdict, what, text });
        }
    };
    let rising = |value: f64, (attention, alarm): (f64, f64)| {
        if value > alarm {
            Verdict::Unhealthy
        } else if value >= attention {
            Verdict::Degraded
        } else {
            Verdict::Healthy
        }
    };
    let mediamtx = match s.mediamtx {
        Component::Running => Verdict::Healthy,
        Component::Starting => Verdict::Degraded,
        Component::Stopped | Component::Error | Component::Stopping => Verdict::Unhealthy,
    };
    note(mediamtx, "mediamtx", format!("MediaMTX is {}", s.mediamtx.word().to_lowercase()));
    if !s.disk.is_fine() {
        // Nothing is recorded and nothing can be looked up: the job is not done.
        note(Verdict::Unhealthy, "storage", format!("{}: {}", s.disk.text(), s.disk.advice()));
    }
    if let Some(why) = s.temporary {
        // Live video works; what the box is for, to keep footage, does not.
        note(Verdict::Unhealthy, "storage", format!("{}: {}", why.message(), why.suggestion()));
    }
    if s.database_damaged {
        let text = "the database is damaged; Fieldcam starts again to make it anew".into();
        note(Verdict::Unhealthy, "database", text);
    }
    let ffmpeg = match s.ffmpeg {
        FfmpegState::There => Verdict::Healthy,
        FfmpegState::Missing => Verdict::Degraded,
        FfmpegState::Needed => Verdict::Unhealthy,
    };
    note(ffmpeg, "ffmpeg", "FFmpeg was not found; install it or correct ffmpeg.binary".into());
    if let Some(memory) = s.memory_percent {
        note(rising(memory, t.memory), "memory", format!("{memory:.0} % of the memory is in use"));
    }
    if let Some(free) = s.free_percent {
        let (attention, alarm) = t.free;
        let verdict = if free < alarm {
            Verdict::Unhealthy
        } else if free <= attention {
            Verdict::Degraded
        } else {
            Verdict::Healthy
        };
        note(verdict, "storage", format!("{free:.0} % of the data disk is free"));
    }
    note(
        rising(s.error_percent, t.errors),
        "errors",
        format!("{:.0} % of the calls of the last minute failed", s.error_percent),
    );
    note(
        rising(s.mean_response.as_secs_f64(), (t.response.0.as_secs_f64(), t.response.1.as_secs_f64())),
        "response",
        format!("calls of the last minute took {} ms on average", s.mean_response.as_millis()),
    );
    note(
        rising(s.connection_percent, t.connections),
        "connections",
        format!("{:.0} % of the connections are in use", s.connection_percent),
    );
    if s.failed_in_a_row >= t.failures {
        note(
            Verdict::Unhealthy,
            "checks",
            format!("{} checks failed one after the other", s.failed_in_a_row),
        );
    }
    reasons.sort_by_key(|r| std::cmp::Reverse(r.verdict));
    (reasons.first().map_or(Verdict::Healthy, |r| r.verdict), reasons)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Sample = Sample {
        mediamtx: Component::Running,
        ffmpeg: FfmpegState::There,
        memory_percent: Some(50.0),
        error_percent: 0.0,
        mean_response: Duration::from_millis(1),
        connection_percent: 1.0,
        free_percent: Some(60.0),
        failed_in_a_row: 0,
        disk: Condition::Fine,
        temporary: None,
        database_damaged: false,
    };

    #[test]
    fn each_threshold_of_the_contract() {
        use Verdict::{Degraded, Healthy, Unhealthy};
        let ms = Duration::from_millis;
        let table: Vec<(Sample, Verdict)> = vec![
            (GOOD, Healthy),
            (Sample { mediamtx: Component::Error, ..GOOD }, Unhealthy),
            (Sample { mediamtx: Component::Stopped, ..GOOD }, Unhealthy),
            (Sample { mediamtx: Component::Starting, ..GOOD }, Degraded),
            (Sample { ffmpeg: FfmpegState::Missing, ..GOOD }, Degraded),
            (Sample { ffmpeg: FfmpegState::Needed, ..GOOD }, Unhealthy),
            (Sample { memory_percent: Some(89.9), ..GOOD }, Healthy),
            (Sample { memory_percent: Some(90.0), ..GOOD }, Degraded),
            (Sample { memory_percent: Some(95.0), ..GOOD }, Degraded),
            (Sample { memory_percent: Some(95.1), ..GOOD }, Unhealthy),
            (Sample { memory_percent: None, ..GOOD }, Healthy),
            (Sample { disk: Condition::Gone, ..GOOD }, Unhealthy),
            (Sample { disk: Condition::ReadOnly, ..GOOD }, Unhealthy),
            (Sample { temporary: Some(Temporary::Missing), ..GOOD }, Unhealthy),
            (Sample { database_damaged: true, ..GOOD }, Unhealthy),
            (Sample { error_percent: 4.9, ..GOOD }, Healthy),
            (Sample { error_percent: 5.0, ..GOOD }, Degraded),
            (Sample { error_percent: 10.1, ..GOOD }, Unhealthy),
            (Sample { mean_response: ms(999), ..GOOD }, Healthy),
            (Sample { mean_response: ms(1000), ..GOOD }, Degraded),
            (Sample { mean_response: ms(2001), ..GOOD }, Unhealthy),
            (Sample { connection_percent: 89.9, ..GOOD }, Healthy),
            (Sample { connection_percent: 90.0, ..GOOD }, Degraded),
            (Sample { connection_percent: 95.1, ..GOOD }, Unhealthy),
            (Sample { free_percent: Some(30.1), ..GOOD }, Healthy),
            (Sample { free_percent: Some(30.0), ..GOOD }, Degraded),
            (Sample { free_percent: Some(15.0), ..GOOD }, Degraded),
            (Sample { free_percent: Some(14.9), ..GOOD }, Unhealthy),
            (Sample { free_percent: None, ..GOOD }, Healthy),
            (Sample { failed_in_a_row: 4, ..GOOD }, Healthy),
            (Sample { failed_in_a_row: 5, ..GOOD }, Unhealthy),
        ];
        for (sample, want) in table {
            let (verdict, reasons) = judge(&sample, &Thresholds::default());
            assert_eq!(verdict, want, "{sample:?}");
            assert_eq!(reasons.is_empty(), want == Healthy, "{sample:?}");
        }
    }

    #[test]
    fn the_worst_reason_comes_first() {
        let sample = Sample { memory_percent: Some(92.0), free_percent: Some(5.0), ..GOOD };
        let (verdict, reasons) = judge(&sample, &Thresholds::default());
        assert_eq!(verdict, Verdict::Unhealthy);
        assert_eq!(reasons.iter().map(|r| r.what).collect::<Vec<_>>(), ["storage", "memory"]);
    }
}
