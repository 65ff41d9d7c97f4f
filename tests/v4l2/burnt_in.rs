//! The frame counter that vivid writes into its picture, read back.
//!
//! Its first line of text stands at 16,16 in letters of 8x16: ` HH:MM:SS:mmm COUNTER`. What a digit looks like is
//! learned from pictures whose counter is known: the first ten of a stream that is captured as it is.

use crate::guest::Guest;

/// The only size that is read here.
pub const WIDTH: usize = 320;
pub const HEIGHT: usize = 180;
/// Bytes of a picture in grey.
pub const PICTURE: usize = WIDTH * HEIGHT;

const LEFT: usize = 16;
const TOP: usize = 16;
/// Letters before the counter, and before each part of the time.
const COUNTER: usize = 14;
const TIME: [(usize, usize, u64); 4] = [(1, 2, 3_600_000), (4, 2, 60_000), (7, 2, 1000), (10, 3, 1)];

/// What one picture says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The driver's number of the frame.
    pub counter: u64,
    /// Milliseconds since the driver's stream began.
    pub time: u64,
}

/// One letter: a bit for each of its pixels.
type Letter = u128;

/// What the ten digits look like.
pub struct Digits([Letter; 10]);

/// Pixels that the encoder may get wrong. What is no digit differs in more.
const BLURRED: u32 = 12;

impl Digits {
    /// Learns them from a camera that nobody else reads.
    #[track_caller]
    pub fn learn(guest: &Guest, node: &str) -> Digits {
        let format = format!("--set-fmt-video=width={WIDTH},height={HEIGHT},pixelformat=GREY --set-parm=10");
        let to = "/run/digits";
        guest.ok(&format!("v4l2-ctl -d {node} {format} --stream-mmap --stream-count=10 --stream-to={to}"));
        let raw = guest.read(to);
        assert_eq!(raw.len(), 10 * PICTURE);
        let mut digits = raw.chunks_exact(PICTURE).map(|picture| letter(picture, COUNTER));
        let digits = Digits(std::array::from_fn(|_| digits.next().unwrap()));
        for (n, one) in digits.0.iter().enumerate() {
            assert!(!digits.0[..n].contains(one), "{n} looks like another: {:x?}", digits.0);
        }
        digits
    }

    /// What a grey picture says; `None` = it cannot be made out.
    pub fn read(&self, picture: &[u8]) -> Option<Shown> {
        let digit = |at: usize| {
            let seen = letter(picture, at);
            let differs = |n: &usize| (self.0[*n] ^ seen).count_ones();
            (0..10).min_by_key(differs).filter(|n| differs(n) <= BLURRED).map(|n| n as u64)
        };
        let number = |from: usize, length: usize| {
            (from..from + length).try_fold(0, |number, at| Some(number * 10 + digit(at)?))
        };
        let time = TIME
            .iter()
            .try_fold(0, |sum, (from, length, unit)| Some(sum + unit * number(*from, *length)?))?;
        // The picture itself begins right behind the counter.
        let length = (1..=10).take_while(|length| number(COUNTER, *length).is_some()).last()?;
        Some(Shown { counter: number(COUNTER, length)?, time })
    }
}

fn letter(picture: &[u8], at: usize) -> Letter {
    let pixel = |n: usize| picture[(TOP + n / 8) * WIDTH + LEFT + at * 8 + n % 8] > 127;
    (0..128).fold(0, |bits, n| bits << 1 | Letter::from(pixel(n)))
}
