//! How long the button is held: presses and releases with their times → whether it counts.

use std::time::Duration;

use crate::base::Mono;

/// So long, without a break.
pub(super) const HOLD: Duration = Duration::from_secs(10);

/// What is known of the button. One that has not been seen released does not count however long it is down: a key that
/// sticks, a pin that something else pulls down, or a box that came up with the button pressed would lose its footage
/// at each start.
#[derive(Debug, Default)]
pub(super) enum Button {
    /// Not seen released yet.
    #[default]
    Unknown,
    Released,
    Pressed(Mono),
}

impl Button {
    /// It is down or up at `now`. Saying the same twice changes nothing.
    pub fn step(&mut self, now: Mono, down: bool) {
        *self = match (&self, down) {
            (_, false) => Button::Released,
            (Button::Released, true) => Button::Pressed(now),
            (Button::Pressed(since), true) => Button::Pressed(*since),
            (Button::Unknown, true) => Button::Unknown,
        };
    }

    /// When it will have been held long enough; none: it is not down, or does not count.
    pub fn due(&self) -> Option<Mono> {
        if let Button::Pressed(since) = self { Some(*since + HOLD) } else { None }
    }

    /// Whether it has been held long enough.
    pub fn is_held(&self, now: Mono) -> bool {
        self.due().is_some_and(|due| now >= due)
    }

    /// This time it was of no use: it has to be released and held again.
    pub fn forget(&mut self) {
        *self = Button::Unknown;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: f64) -> Mono {
        Mono(0) + Duration::from_secs_f64(seconds)
    }

    /// Whether it counts at `end`, after these steps.
    fn held(steps: &[(f64, bool)], end: f64) -> bool {
        let mut button = Button::default();
        steps.iter().for_each(|(time, down)| button.step(at(*time), *down));
        button.is_held(at(end))
    }

    #[test]
    fn ten_seconds_without_a_break_count() {
        let pressed = [(0.0, false), (5.0, true)];
        assert!(!held(&pressed, 14.9) && held(&pressed, 15.0));
        assert!(!held(&[(0.0, false), (5.0, true), (14.9, false)], 60.0), "released in time");
        assert!(!held(&[(0.0, false), (1.0, true), (9.0, false), (9.1, true)], 19.0), "the time begins anew");
        assert!(held(&[(0.0, false), (5.0, true), (8.0, true)], 15.0), "a key that repeats");
        assert!(!held(&[(0.0, false)], 100.0) && !held(&[], 100.0));
    }

    #[test]
    fn one_that_was_down_from_the_beginning_has_to_be_released_first() {
        assert!(!held(&[(0.0, true), (1.0, true)], 1000.0));
        assert!(held(&[(0.0, true), (1.0, false), (2.0, true)], 12.0));
    }

    #[test]
    fn one_that_was_of_no_use_has_to_be_released_first() {
        let mut button = Button::default();
        button.step(at(0.0), false);
        button.step(at(1.0), true);
        assert_eq!(button.due(), Some(at(11.0)));
        button.forget();
        button.step(at(12.0), true);
        assert!(!button.is_held(at(100.0)) && button.due().is_none());
        button.step(at(101.0), false);
        button.step(at(102.0), true);
        assert!(button.is_held(at(112.0)));
    }

    proptest! {
        #[test]
        fn it_counts_only_after_a_press_that_was_held(steps in prop::collection::vec((0u32..8000, any::<bool>()), 0..40)) {
            let mut button = Button::default();
            let (mut now, mut released, mut since) = (0.0, false, None);
            for (wait, down) in steps {
                now += f64::from(wait) / 1000.0;
                button.step(at(now), down);
                since = if down && released { since.or(Some(now)) } else { None };
                released |= !down;
                // A millisecond to both sides of the border, for the sums of these.
                let held = since.map_or(-1.0, |since| now - since);
                if held > 10.001 {
                    prop_assert!(button.is_held(at(now)));
                } else if held < 9.999 {
                    prop_assert!(!button.is_held(at(now)));
                }
            }
        }
    }
}
