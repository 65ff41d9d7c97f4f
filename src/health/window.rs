//! The last minute of traffic.

use std::collections::VecDeque;
use std::time::Duration;

use super::traffic::TrafficCount;

/// Samples kept: twelve of five seconds.
const KEPT: usize = 12;
/// With fewer calls than this, one failed call would turn the verdict of an idle box.
const CALLS_MIN: u64 = 20;

/// Counters as they were, oldest first.
#[derive(Default)]
pub(super) struct Window(VecDeque<TrafficCount>);

impl Window {
    pub(super) fn push(&mut self, count: TrafficCount) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(count);
    }

    /// Percent of calls that failed, and the mean time of a call, since the oldest sample.
    pub(super) fn rates(&self, now: TrafficCount) -> (f64, Duration) {
        let then = self.0.front().copied().unwrap_or_default();
        let calls = now.calls.saturating_sub(then.calls);
        let faults = now.faults.saturating_sub(then.faults);
        let busy = now.busy.saturating_sub(then.busy);
        let percent = 100.0 * faults as f64 / calls.max(CALLS_MIN) as f64;
        (percent, busy.div_f64(calls.max(1) as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(calls: u64, faults: u64, busy_ms: u64) -> TrafficCount {
        TrafficCount { calls, faults, busy: Duration::from_millis(busy_ms), ..TrafficCount::default() }
    }

    #[test]
    fn only_the_last_minute_counts() {
        let mut window = Window::default();
        window.push(count(0, 0, 0));
        for _ in 0..KEPT {
            window.push(count(1000, 500, 5000));
        }
        let (percent, mean) = window.rates(count(1100, 510, 5200));
        assert_eq!(percent, 10.0);
        assert_eq!(mean, Duration::from_millis(2));
    }

    #[test]
    fn one_fault_on_an_idle_box_is_no_outage() {
        let window = Window::default();
        assert_eq!(window.rates(count(1, 1, 10)).0, 5.0);
        assert_eq!(window.rates(count(0, 0, 0)), (0.0, Duration::ZERO));
    }
}
