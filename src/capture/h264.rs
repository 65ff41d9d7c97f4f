//! What one buffer of an H.264 camera holds: a picture that can be shown by itself, one that cannot, or none.
//!
//! ITU-T H.264: byte stream format in Annex B, types of NAL units in table 7-1. The units before the first slice are
//! all that is looked at. Parameter sets are kept, since cameras send them with their first picture only, and
//! whoever begins later needs them.

use std::sync::Arc;

/// Bytes of parameter sets that are kept; a stream has some 40.
const MAX_SETS: usize = 64 << 10;
const START_CODE: [u8; 4] = [0, 0, 0, 1];

const SLICE: u8 = 1;
const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;

/// What a picture that can be shown by itself is decoded with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The parameter sets of the stream, each behind a start code.
    pub sets: Arc<[u8]>,
    /// They stand in the picture's own bytes as well.
    pub has_own: bool,
}

impl Key {
    /// What has to stand before the picture's own bytes.
    pub fn missing(&self) -> &[u8] {
        if self.has_own { &[] } else { &self.sets }
    }
}

/// What a buffer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A picture; `Some` = it can be shown by itself.
    Picture(Option<Key>),
    /// Parameter sets and nothing to show.
    Sets,
    /// No H.264.
    Nothing,
}

/// The parameter sets of one stream.
#[derive(Clone, Debug, Default)]
pub struct Sets {
    known: Arc<[u8]>,
    has_sps: bool,
    has_pps: bool,
}

impl Sets {
    /// Looks at the next buffer of the stream, and keeps the parameter sets it brings.
    pub fn look(&mut self, bytes: &[u8]) -> Unit {
        if !bytes.starts_with(&START_CODE) && !bytes.starts_with(&START_CODE[1..]) {
            return Unit::Nothing;
        }
        let (mut own_sps, mut own_pps, mut first) = (false, false, None);
        let (mut fresh, mut is_new) = (Vec::new(), false);
        for unit in Units(bytes) {
            match unit.first().map(|head| head & 0x1f) {
                Some(kind @ (SPS | PPS)) => {
                    (own_sps, own_pps) = (own_sps || kind == SPS, own_pps || kind == PPS);
                    let is_known = Units(&self.known).any(|known| known == unit);
                    // A new SPS begins a new stream, and its PPS comes with it.
                    is_new |= kind == SPS && !is_known;
                    if (is_new || !is_known) && fresh.len() + unit.len() < MAX_SETS {
                        fresh.extend(START_CODE);
                        fresh.extend(unit);
                    }
                }
                Some(kind @ SLICE..=IDR) => {
                    first = Some(kind);
                    break;
                }
                _ => {}
            }
        }
        if !fresh.is_empty() {
            self.keep(&fresh, is_new);
        }
        (self.has_sps, self.has_pps) = (self.has_sps || own_sps, self.has_pps || own_pps);
        match first {
            Some(IDR) if self.has_sps && self.has_pps => {
                Unit::Picture(Some(Key { sets: self.known.clone(), has_own: own_sps && own_pps }))
            }
            Some(_) => Unit::Picture(None),
            None if own_sps || own_pps => Unit::Sets,
            None => Unit::Nothing,
        }
    }

    fn keep(&mut self, fresh: &[u8], is_new: bool) {
        let old: &[u8] = if is_new { &[] } else { &self.known };
        if old.len() + fresh.len() <= MAX_SETS {
            self.has_pps &= !is_new;
            self.known = [old, fresh].concat().into();
        }
    }
}

/// The NAL units of a byte stream, without start codes and the zeros that may end a unit.
struct Units<'a>(&'a [u8]);

impl<'a> Iterator for Units<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let code = |bytes: &[u8]| bytes.windows(3).position(|w| w == [0, 0, 1]);
        let from = code(self.0)? + 3;
        let rest = &self.0[from..];
        // A slice is the last that anybody asks for, and it is long.
        let is_slice = rest.first().is_some_and(|head| (SLICE..=IDR).contains(&(head & 0x1f)));
        let end = if is_slice { rest.len() } else { code(rest).unwrap_or(rest.len()) };
        self.0 = &rest[end..];
        let unit = &rest[..end];
        let kept =
            if is_slice { unit.len() } else { unit.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1) };
        Some(&unit[..kept])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A_SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1e, 0x11];
    const A_PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];
    const KEY: &[u8] = &[0x65, 0x88, 0x84];
    const DELTA: &[u8] = &[0x41, 0x9a, 0x02];
    const AUD: &[u8] = &[0x09, 0x10];

    fn stream(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&START_CODE[..], unit].concat()).collect()
    }

    fn key(unit: Unit) -> Key {
        match unit {
            Unit::Picture(Some(key)) => key,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sets_are_kept_for_keyframes_that_come_without() {
        let mut sets = Sets::default();
        assert_eq!(sets.look(&stream(&[KEY])), Unit::Picture(None), "nobody could decode it");
        let first = key(sets.look(&stream(&[AUD, A_SPS, A_PPS, KEY])));
        assert_eq!((&*first.sets, first.has_own), (&*stream(&[A_SPS, A_PPS]), true));
        assert!(first.missing().is_empty());
        assert_eq!(sets.look(&stream(&[AUD, DELTA])), Unit::Picture(None));
        let later = key(sets.look(&stream(&[KEY])));
        assert_eq!(later.missing(), stream(&[A_SPS, A_PPS]));
        assert!(Arc::ptr_eq(&later.sets, &first.sets), "kept, not made anew");
        // A known set beside a new one is kept, and half of them is not enough.
        let second = [0x68, 0xee];
        sets.look(&stream(&[A_SPS, &second]));
        assert_eq!(key(sets.look(&stream(&[KEY]))).missing(), stream(&[A_SPS, A_PPS, &second]));
        assert!(!key(sets.look(&stream(&[A_PPS, KEY]))).has_own);
    }

    #[test]
    fn sets_in_a_buffer_of_their_own_are_no_picture() {
        let mut sets = Sets::default();
        assert_eq!(sets.look(&stream(&[A_SPS, A_PPS])), Unit::Sets);
        // Start codes of three bytes, and zeros after a set, are allowed.
        let bare = [&[0, 0, 1][..], KEY].concat();
        assert_eq!(key(sets.look(&bare)).missing(), stream(&[A_SPS, A_PPS]));
        let padded = [&stream(&[A_SPS])[..], &[0, 0], &stream(&[A_PPS])].concat();
        assert_eq!(sets.look(&padded), Unit::Sets);
        assert_eq!(key(sets.look(&bare)).missing(), stream(&[A_SPS, A_PPS]));
    }

    #[test]
    fn a_new_sps_begins_anew() {
        let mut sets = Sets::default();
        sets.look(&stream(&[A_SPS, A_PPS, KEY]));
        let other = [0x67, 0x64, 0, 0x28];
        assert_eq!(sets.look(&stream(&[&other])), Unit::Sets);
        assert_eq!(
            sets.look(&stream(&[A_PPS, KEY])),
            Unit::Picture(Some(Key { sets: stream(&[&other, A_PPS]).into(), has_own: false }))
        );
        let second = [0x68, 0xee];
        assert_eq!(sets.look(&stream(&[&second])), Unit::Sets);
        assert_eq!(key(sets.look(&stream(&[KEY]))).missing(), stream(&[&other, A_PPS, &second]));
    }

    #[test]
    fn what_is_no_h264_is_nothing() {
        let mut sets = Sets::default();
        for bytes in
            [&[][..], &[0, 0, 0, 1], &[0, 0, 0, 2, 0x65], &[0xff, 0xd8, 0xff], &[0, 0, 1, 0x09, 0x10]]
        {
            assert_eq!(sets.look(bytes), Unit::Nothing, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_and_memory_is_bounded(
            buffers in proptest::collection::vec(
                proptest::collection::vec(
                    prop_oneof![Just(0u8), Just(1), Just(0x65), Just(0x67), Just(0x68), any::<u8>()], 0..200),
                0..40),
        ) {
            let mut sets = Sets::default();
            for bytes in buffers {
                let bytes = [&START_CODE[..], &bytes].concat();
                if let Unit::Picture(Some(key)) = sets.look(&bytes) {
                    prop_assert!(key.sets.starts_with(&START_CODE));
                }
                prop_assert!(sets.known.len() <= MAX_SETS);
            }
        }
    }
}
