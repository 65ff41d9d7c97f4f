//! When a camera that delivers H.264 is asked for a keyframe, decided as pure code.
//!
//! Cameras make one every second or so by themselves; some only every ten, and none when a viewer comes.

use std::time::Duration;

use crate::base::Mono;

/// Without one for so long the camera is asked: what we encode has one a second, and a camera that has one a second
/// itself is never asked.
const LONGEST: Duration = Duration::from_millis(1500);
/// Whoever needs one is served by the one that was just asked for.
const AGAIN: Duration = Duration::from_millis(300);

/// The keyframes of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Keying {
    last: Mono,
    asked: Option<Mono>,
    able: bool,
}

impl Keying {
    /// Of a stream that begins, which it does with a keyframe.
    pub fn new(now: Mono) -> Self {
        Self { last: now, asked: None, able: true }
    }

    /// A frame has come: whether the camera is to be asked now. `wanted`: somebody waits for a keyframe.
    pub fn asks(&mut self, now: Mono, is_key: bool, wanted: bool) -> bool {
        if is_key {
            (self.last, self.asked) = (now, None);
            return false;
        }
        let is_due = wanted || now.since(self.last) >= LONGEST;
        let is_asked = self.asked.is_some_and(|at| now.since(at) < if wanted { AGAIN } else { LONGEST });
        let asks = self.able && is_due && !is_asked;
        if asks {
            self.asked = Some(now);
        }
        asks
    }

    /// The camera has no such control.
    pub fn cannot(&mut self) {
        self.able = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds at which a camera is asked that has a keyframe every `every` ms and serves no request, 25 frames
    /// a second over five seconds; somebody wants one at these.
    fn asked(every: u64, wants: &[u64]) -> Vec<u64> {
        let start = Mono(7_000_000_000);
        let mut keying = Keying::new(start);
        let frames = (0..125).map(|n| n * 40);
        frames
            .filter(|ms| {
                let now = start + Duration::from_millis(*ms);
                keying.asks(now, ms.is_multiple_of(every), wants.contains(ms))
            })
            .collect()
    }

    #[test]
    fn a_camera_with_a_keyframe_each_second_is_asked_for_viewers_only() {
        assert_eq!(asked(1000, &[]), [0; 0]);
        assert_eq!(asked(1000, &[400, 480, 800, 1000]), [400, 800]);
    }

    #[test]
    fn a_camera_that_makes_few_is_asked_for_more() {
        assert_eq!(asked(10_000, &[]), [1520, 3040, 4560]);
    }

    #[test]
    fn one_that_cannot_is_not_asked_again() {
        let mut keying = Keying::new(Mono(1));
        assert!(keying.asks(Mono(2), false, true));
        keying.cannot();
        assert!(!keying.asks(Mono(9_000_000_000), false, true));
    }
}
