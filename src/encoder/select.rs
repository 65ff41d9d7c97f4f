//! Which encoder a camera gets, and when one is given up: decided here from what was tried.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{H264Encoder, VideoEncoder};

/// Deaths after which an encoder is given up for the next one.
const DEATHS: u32 = 3;
/// One that has run so long since its last death is forgiven.
const FORGIVEN: Duration = Duration::from_secs(600);

/// What came of trying an encoder on this box; `Err` says why it does not work.
pub type Trial = Result<(), String>;

/// What was tried so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trials(pub BTreeMap<H264Encoder, Trial>);

/// An encoder, and why this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// It.
    pub encoder: H264Encoder,
    /// For people.
    pub reason: String,
}

/// How a camera's pictures become H.264.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// They are H.264 as they come from the camera, and are passed on.
    Copy,
    /// By an encoder.
    Encode(H264Encoder),
}

impl Way {
    /// FFmpeg's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Way::Copy => "copy",
            Way::Encode(encoder) => encoder.name(),
        }
    }
}

/// What one camera asks for and what has happened to it.
#[derive(Clone, Debug)]
pub struct Selection {
    wish: VideoEncoder,
    deaths: u32,
    given_up: Vec<Way>,
}

impl Selection {
    /// Nothing has happened yet.
    pub fn new(wish: VideoEncoder) -> Self {
        Self { wish, deaths: 0, given_up: Vec::new() }
    }

    /// Those that died too often here.
    pub fn given_up(&self) -> &[Way] {
        &self.given_up
    }

    /// Whether H.264 from the camera may be passed on: it was not found to be none that can be.
    pub fn copies(&self) -> bool {
        !self.given_up.contains(&Way::Copy)
    }

    fn has_given_up(&self, encoder: H264Encoder) -> bool {
        self.given_up.contains(&Way::Encode(encoder))
    }

    /// The one to start next: what is asked for, else the best that was tried with success. Libx264 is never
    /// given up.
    pub fn choose(&self, trials: &Trials) -> Chosen {
        let mut against = Vec::new();
        let named = match self.wish {
            VideoEncoder::Named(encoder) => Some(encoder),
            VideoEncoder::Auto => None,
        };
        if let Some(encoder) = named {
            if encoder == H264Encoder::Libx264 || !self.has_given_up(encoder) {
                return Chosen { encoder, reason: "the configuration names it".into() };
            }
            against.push(gave_up(encoder));
        }
        for encoder in H264Encoder::BEST_FIRST {
            if encoder == H264Encoder::Libx264 || Some(encoder) == named {
                continue;
            }
            match trials.0.get(&encoder) {
                _ if self.has_given_up(encoder) => against.push(gave_up(encoder)),
                Some(Ok(())) => {
                    let works = "it works on this box".to_owned();
                    against.insert(0, works);
                    return Chosen { encoder, reason: against.join("; ") };
                }
                Some(Err(why)) => against.push(format!("{}: {why}", encoder.name())),
                None => against.push(format!("{}: not tried yet", encoder.name())),
            }
        }
        Chosen { encoder: H264Encoder::Libx264, reason: against.join("; ") }
    }

    /// What went this way ended unasked after it `ran`. Answers whether it is given up now.
    pub fn died(&mut self, way: Way, ran: Duration) -> bool {
        if way == Way::Encode(H264Encoder::Libx264) {
            return false;
        }
        self.deaths = if ran >= FORGIVEN { 1 } else { self.deaths + 1 };
        let is_enough = self.deaths >= DEATHS && !self.given_up.contains(&way);
        if is_enough {
            self.deaths = 0;
            self.given_up.push(way);
        }
        is_enough
    }
}

fn gave_up(encoder: H264Encoder) -> String {
    format!("{} died {DEATHS} times", encoder.name())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::H264Encoder::{Libx264, Nvmpi, V4l2M2m};
    use super::*;
    use Way::{Copy, Encode};

    const QUICK: Duration = Duration::from_secs(1);

    fn trials(v4l2m2m: &str, nvmpi: &str) -> Trials {
        let trial = |text: &str| if text == "works" { Ok(()) } else { Err(text.to_owned()) };
        Trials([(V4l2M2m, trial(v4l2m2m)), (Nvmpi, trial(nvmpi))].into())
    }

    /// What a trial says on each board, by what is known of their kernels and FFmpegs (docs/hardware.md).
    #[test]
    fn each_board_gets_the_best_it_has() {
        let none = "FFmpeg is built without it";
        let no_device = "it fails: Could not find a valid device";
        for (board, v4l2m2m, nvmpi, expected) in [
            ("Raspberry Pi 4, vendor kernel: bcm2835-codec", "works", none, V4l2M2m),
            ("Raspberry Pi 4, Debian kernel: no encoder driver", no_device, none, Libx264),
            ("Raspberry Pi 5: no encoder in the chip", no_device, none, Libx264),
            ("Jetson Orin NX: NVENC behind NVIDIA's API", no_device, "works", Nvmpi),
            ("Jetson Orin Nano: no NVENC in the chip", no_device, "it fails", Libx264),
            ("i.MX 8M Plus with an encoder driver", "works", none, V4l2M2m),
            ("PC without cameras", "there is no V4L2 device", none, Libx264),
        ] {
            let chosen = Selection::new(VideoEncoder::Auto).choose(&trials(v4l2m2m, nvmpi));
            assert_eq!(chosen.encoder, expected, "{board}: {}", chosen.reason);
            assert!(!chosen.reason.is_empty(), "{board}");
        }
    }

    #[test]
    fn the_third_death_in_a_row_gives_it_up_for_the_next() {
        let trials = trials("works", "works");
        let mut selection = Selection::new(VideoEncoder::Auto);
        assert!(!selection.died(Encode(V4l2M2m), QUICK) && !selection.died(Encode(V4l2M2m), QUICK));
        assert_eq!(selection.choose(&trials).encoder, V4l2M2m);
        assert!(!selection.died(Encode(V4l2M2m), FORGIVEN), "it had run long enough");
        assert!(!selection.died(Encode(V4l2M2m), QUICK) && selection.died(Encode(V4l2M2m), QUICK));
        let chosen = selection.choose(&trials);
        assert_eq!(
            (chosen.encoder, &*chosen.reason),
            (Nvmpi, "it works on this box; h264_v4l2m2m died 3 times")
        );
        assert!(
            !selection.died(Encode(Nvmpi), QUICK)
                && !selection.died(Encode(Nvmpi), QUICK)
                && selection.died(Encode(Nvmpi), QUICK)
        );
        assert_eq!(selection.choose(&trials).encoder, Libx264);
    }

    #[test]
    fn a_named_one_is_taken_untried_and_given_up_like_any_other() {
        let mut selection = Selection::new(VideoEncoder::Named(V4l2M2m));
        assert_eq!(selection.choose(&Trials::default()).encoder, V4l2M2m);
        for _ in 0..3 {
            selection.died(Encode(V4l2M2m), QUICK);
        }
        let chosen = selection.choose(&trials("works", "FFmpeg is built without it"));
        assert_eq!(chosen.encoder, Libx264);
        assert_eq!(chosen.reason, "h264_v4l2m2m died 3 times; h264_nvmpi: FFmpeg is built without it");
        assert_eq!(selection.given_up(), [Encode(V4l2M2m)]);
    }

    #[test]
    fn h264_that_cannot_be_passed_on_is_given_up_like_an_encoder() {
        let mut selection = Selection::new(VideoEncoder::Auto);
        assert!(selection.copies());
        assert!(!selection.died(Copy, QUICK) && !selection.died(Copy, QUICK) && selection.died(Copy, QUICK));
        assert!(!selection.copies());
        assert_eq!(selection.choose(&trials("works", "works")).encoder, V4l2M2m);
    }

    proptest! {
        #[test]
        fn whatever_happens_there_is_an_encoder_that_was_not_given_up(
            deaths in proptest::collection::vec((0usize..3, 0u64..1000), 0..40),
            works in any::<[bool; 2]>(),
        ) {
            let word = |works| if works { "works" } else { "it fails" };
            let trials = trials(word(works[0]), word(works[1]));
            let mut selection = Selection::new(VideoEncoder::Auto);
            for (which, ran) in deaths {
                selection.died(Encode(H264Encoder::BEST_FIRST[which]), Duration::from_secs(ran));
                prop_assert!(!selection.given_up().contains(&Encode(selection.choose(&trials).encoder)));
            }
            prop_assert!(!selection.given_up().contains(&Encode(Libx264)));
        }
    }
}
