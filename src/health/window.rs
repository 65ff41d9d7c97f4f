//! The last minute.

use std::collections::VecDeque;
use std::time::Duration;

use super::latencies::Counts;
use super::traffic::{Traffic, TrafficCount};
use crate::base::Mono;

/// Samples kept: twelve of five seconds.
const KEPT: usize = 12;
/// With fewer calls than this, one failed or slow call would turn the verdict of an idle box.
pub(super) const CALLS_MIN: u64 = 20;

/// Counters as they were, oldest first.
#[derive(Default)]
pub(super) struct Window(VecDeque<Mark>);

/// The counters at one moment.
struct Mark {
    at: Mono,
    count: TrafficCount,
    latencies: Counts,
    cpu_percent: Option<f64>,
}

/// What went on in the last minute, or since the start while that is less.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Minute {
    /// Calls answered.
    pub calls: u64,
    /// Calls answered in a second.
    pub calls_per_second: f64,
    /// Calls that failed by a fault of the box, percent; see [`Window::rates`].
    pub error_percent: f64,
    /// Mean time to answer a call.
    pub mean: Duration,
    /// Time that half of the calls did not exceed; zero without calls. Exact to an eighth.
    pub p50: Duration,
    /// The same of 95 %.
    pub p95: Duration,
    /// The same of 99 %.
    pub p99: Duration,
    /// Connections that were made.
    pub established: u64,
    /// Connections that were refused.
    pub refused: u64,
    /// Sockets that the box gave up.
    pub dropped: u64,
    /// Mean of the processors' load, 0–100; none before a whole minute was seen.
    pub cpu_percent: Option<f64>,
}

impl Window {
    /// Notes the counters as they are, and answers with the minute until now.
    pub(super) fn push(&mut self, at: Mono, traffic: &Traffic, cpu_percent: Option<f64>) -> Minute {
        let mark = Mark { at, count: traffic.count(), latencies: traffic.latencies(), cpu_percent };
        let minute = self.minute(&mark);
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(mark);
        minute
    }

    /// Percent of calls that failed, and the mean time of a call, since the oldest sample.
    pub(super) fn rates(&self, now: TrafficCount) -> (f64, Duration) {
        let then = self.0.front().map(|mark| mark.count).unwrap_or_default();
        let calls = now.calls.saturating_sub(then.calls);
        let faults = now.faults.saturating_sub(then.faults);
        let busy = now.busy.saturating_sub(then.busy);
        let percent = 100.0 * faults as f64 / calls.max(CALLS_MIN) as f64;
        (percent, busy.div_f64(calls.max(1) as f64))
    }

    fn minute(&self, now: &Mark) -> Minute {
        let Some(then) = self.0.front() else {
            return Minute::default();
        };
        let seconds = now.at.since(then.at).as_secs_f64().max(0.001);
        let (error_percent, mean) = self.rates(now.count);
        let at = |percent| now.latencies.percentile_since(&then.latencies, percent).unwrap_or(Duration::ZERO);
        let since = |of: fn(&TrafficCount) -> u64| of(&now.count).saturating_sub(of(&then.count));
        let calls = since(|c| c.calls);
        let loads: Vec<f64> =
            self.0.iter().chain([now]).skip(1).filter_map(|mark| mark.cpu_percent).collect();
        Minute {
            calls,
            calls_per_second: calls as f64 / seconds,
            error_percent,
            mean,
            p50: at(50.0),
            p95: at(95.0),
            p99: at(99.0),
            established: since(|c| c.established),
            refused: since(|c| c.refused),
            dropped: since(|c| c.dropped),
            cpu_percent: (loads.len() == KEPT).then(|| loads.iter().sum::<f64>() / loads.len() as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Mono {
        Mono((1000 + second) * 1_000_000_000)
    }

    #[test]
    fn only_the_last_minute_counts() {
        let (mut window, traffic) = (Window::default(), Traffic::default());
        assert_eq!(window.push(at(0), &traffic, None).calls, 0);
        traffic.answered(1000, 500, Duration::from_secs(5));
        for n in 0..KEPT as u64 {
            let minute = window.push(at(5 * n + 5), &traffic, Some(n as f64));
            assert_eq!(minute.cpu_percent.is_some(), n + 1 == KEPT as u64, "{n}");
        }
        traffic.answered(100, 10, Duration::from_millis(200));
        let (percent, mean) = window.rates(traffic.count());
        assert_eq!((percent, mean), (10.0, Duration::from_millis(2)));
        let minute = window.push(at(65), &traffic, Some(80.0));
        assert_eq!((minute.calls, minute.error_percent, minute.mean), (100, 10.0, Duration::from_millis(2)));
        assert_eq!(minute.calls_per_second, 100.0 / 60.0);
        // They came at once, so each took as long as all.
        assert!((200..=225).contains(&minute.p95.as_millis()), "{minute:?}");
        assert_eq!(minute.cpu_percent, Some(((1..12).sum::<u64>() as f64 + 80.0) / 12.0));
    }

    #[test]
    fn one_fault_on_an_idle_box_is_no_outage() {
        let (window, traffic) = (Window::default(), Traffic::default());
        assert_eq!(window.rates(traffic.count()), (0.0, Duration::ZERO));
        traffic.answered(1, 1, Duration::from_millis(10));
        assert_eq!(window.rates(traffic.count()).0, 5.0);
    }
}
