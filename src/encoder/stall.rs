//! When an encoder that is fed gives nothing back, as pure code.

use std::time::Duration;

use crate::base::Mono;

/// Frames went in for this long and none came out: it hangs.
const PATIENCE: Duration = Duration::from_secs(2);
/// FFmpeg has to start and to log in to MediaMTX first. A busy small processor needed more than 5 s for that, and
/// was ended and started again without end (seen in the emulated guest).
const START: Duration = Duration::from_secs(10);
/// Without frames for this long, the wait for their output starts anew.
const PAUSE: Duration = Duration::from_secs(1);

/// Watches one encoder.
#[derive(Clone, Copy, Debug, Default)]
pub struct StallWatch {
    unanswered: Option<Mono>,
    last_fed: Option<Mono>,
    writing: Option<Mono>,
    frames: u64,
}

impl StallWatch {
    /// A frame was offered to the encoder.
    pub fn fed(&mut self, now: Mono) {
        // FFmpeg reports while it reads, so the last frame before a pause is answered only after it.
        let resumed = self.last_fed.is_some_and(|last| now.since(last) >= PAUSE);
        if self.unanswered.is_none() || resumed {
            self.unanswered = Some(now);
        }
        self.last_fed = Some(now);
        self.writing = Some(now);
    }

    /// It has read that frame.
    pub fn taken(&mut self) {
        self.writing = None;
    }

    /// It reported so many frames in all.
    pub fn reported(&mut self, frames: u64) {
        if frames > self.frames {
            self.frames = frames;
            self.unanswered = None;
        }
    }

    /// Whether it hangs.
    pub fn is_stalled(&self, now: Mono) -> bool {
        let patience = if self.frames == 0 { START } else { PATIENCE };
        let still_fed = self.last_fed.is_some_and(|last| now.since(last) < PAUSE);
        let waits = |since: Option<Mono>| since.is_some_and(|since| now.since(since) >= patience);
        waits(self.writing) || still_fed && waits(self.unanswered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono(1_000_000_000) + Duration::from_millis(ms)
    }

    /// Feeds every 40 ms from `from` to `to`; `answer` says what is reported then.
    fn run(
        watch: &mut StallWatch,
        from: u64,
        to: u64,
        mut answer: impl FnMut(u64) -> Option<u64>,
    ) -> Option<u64> {
        for ms in (from..to).step_by(40) {
            watch.fed(at(ms));
            watch.taken();
            if let Some(frames) = answer(ms) {
                watch.reported(frames);
            }
            if watch.is_stalled(at(ms)) {
                return Some(ms);
            }
        }
        None
    }

    #[test]
    fn one_that_works_is_left_alone() {
        let mut watch = StallWatch::default();
        let reports = |ms: u64| (ms.is_multiple_of(480) && ms > 900).then_some(ms / 40);
        assert_eq!(run(&mut watch, 0, 20_000, reports), None);
    }

    #[test]
    fn one_that_stops_answering_is_caught_after_two_seconds() {
        let mut watch = StallWatch::default();
        assert_eq!(run(&mut watch, 0, 4_000, |ms| Some(ms / 40 + 1)), None);
        let caught = run(&mut watch, 4_000, 20_000, |_| Some(100)).unwrap();
        assert!((6_000..6_100).contains(&caught), "{caught}");
    }

    #[test]
    fn one_that_never_starts_is_caught_after_ten() {
        let caught = run(&mut StallWatch::default(), 0, 20_000, |_| Some(0)).unwrap();
        assert!((10_000..10_100).contains(&caught), "{caught}");
    }

    #[test]
    fn one_that_does_not_read_is_caught_although_nothing_more_can_be_fed() {
        let mut watch = StallWatch::default();
        assert_eq!(run(&mut watch, 0, 4_000, |ms| Some(ms / 40 + 1)), None);
        watch.fed(at(4_000));
        assert!(!watch.is_stalled(at(5_900)));
        assert!(watch.is_stalled(at(6_000)));
    }

    #[test]
    fn a_silent_camera_is_not_a_stalled_encoder() {
        let mut watch = StallWatch::default();
        run(&mut watch, 0, 4_000, |ms| (ms < 3_900).then_some(ms / 40 + 1));
        assert!((4_000..12_000).all(|ms| !watch.is_stalled(at(ms))));
        assert_eq!(run(&mut watch, 12_000, 13_000, |ms| (ms > 12_600).then_some(ms)), None);
    }
}
