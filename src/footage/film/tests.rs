//! Films of files made here: their bytes, their parts, what reading them costs.

mod layout;
mod parts;
mod reading;

use super::*;
use crate::footage::cut::Cut;
use crate::footage::plan::Part;
use crate::recording::mp4::{Index, build};

const START: i64 = 1_700_000_000_000_000;

/// Files in a folder as MediaMTX leaves them: fragments of half a second at 30 frames a second.
struct Shelf {
    dir: tempfile::TempDir,
    parts: Vec<Part>,
}

impl Shelf {
    fn new() -> Self {
        Shelf { dir: tempfile::tempdir().unwrap(), parts: Vec::new() }
    }

    /// A segment of `fragments`, `after_ms` after the end of the one before it.
    fn add(&mut self, fragments: u64, session: u8, after_ms: i64) {
        let number = self.parts.len() as u32 + 1;
        let start_us =
            self.parts.last().map_or(START, |p| p.start_us + p.index.media_us() as i64 + after_ms * 1000);
        let before = self.parts.last().filter(|p| p.stream.0[0] == session).map_or(0, |p| p.stream.1 + 1);
        self.put(build::segment(fragments, before, start_us), number, session, before, start_us);
    }

    /// A segment whose keyframes stand inside of fragments: every 30 frames, fragments of 16.
    fn add_drifting(&mut self, fragments: u64) {
        let number = self.parts.len() as u32 + 1;
        let start_us = START + i64::from(number) * 60_000_000;
        self.put(build::drifting(fragments, 0, start_us), number, number as u8, 0, start_us);
    }

    fn put(&mut self, bytes: Vec<u8>, number: u32, session: u8, count: u64, start_us: i64) {
        let file = format!("{number}.mp4");
        let path = self.dir.path().join(&file);
        std::fs::write(&path, &bytes).unwrap();
        let index = Index::of_file(&bytes[..], bytes.len() as u64).unwrap().unwrap();
        self.parts.push(Part { path, file, number, stream: ([session; 16], count), start_us, index });
    }

    fn film(&self, cut: Cut) -> Film {
        let name = "camera0_x".parse().unwrap();
        Film::new(&name, Plan::new(self.parts.clone(), cut).unwrap(), None)
    }
}

fn three() -> Shelf {
    let mut shelf = Shelf::new();
    shelf.add(4, 1, 0);
    shelf.add(3, 1, 0);
    shelf.add(5, 2, 7000);
    shelf
}

fn whole(film: &Film) -> Vec<u8> {
    let bytes = film.read(&Reading::default(), 0, film.size() as usize + 100).unwrap();
    assert_eq!(bytes.len() as u64, film.size());
    bytes
}

fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// What a strict player needs to know of one fragment.
#[derive(Debug, PartialEq)]
struct Shown {
    sequence: u64,
    base: u64,
    at: usize,
}

/// One reference of the index for players.
struct Listed {
    size: u64,
    ticks: u64,
    /// One can start to play there.
    point: bool,
}

/// Walks over every box, top level and inside `moof`; sizes must add up to the byte.
fn walk(film: &[u8]) -> (Vec<Shown>, Vec<Listed>, usize) {
    let (mut at, mut shown, mut references, mut index_end) = (0, Vec::new(), Vec::new(), 0);
    let mut kinds = Vec::new();
    while at < film.len() {
        let size = be(&film[at..at + 4]) as usize;
        assert!(size >= 8 && at + size <= film.len(), "a box of {size} at {at} of {}", film.len());
        let kind = &film[at + 4..at + 8];
        kinds.push(String::from_utf8(kind.to_vec()).unwrap());
        match kind {
            b"sidx" => {
                let count = be(&film[at + 38..at + 40]) as usize;
                assert_eq!(size, 40 + 12 * count);
                index_end = at + size + be(&film[at + 28..at + 36]) as usize;
                references = (0..count)
                    .map(|n| &film[at + 40 + 12 * n..at + 52 + 12 * n])
                    .map(|r| Listed { size: be(&r[..4]), ticks: be(&r[4..8]), point: r[8] == 0x90 })
                    .collect();
            }
            b"moof" => {
                let (mut inner, end) = (at + 8, at + size);
                let (mut sequence, mut base) = (0, 0);
                let mut stack = vec![end];
                while let Some(end) = stack.pop() {
                    while inner < end {
                        let size = be(&film[inner..inner + 4]) as usize;
                        assert!(size >= 8 && inner + size <= end);
                        match &film[inner + 4..inner + 8] {
                            b"mfhd" => sequence = be(&film[inner + 12..inner + 16]),
                            b"tfdt" => base = be(&film[inner + 12..inner + 20]),
                            b"traf" => {
                                stack.push(end);
                                stack.push(inner + size);
                                inner += 8;
                                break;
                            }
                            _ => {}
                        }
                        inner += size;
                    }
                }
                shown.push(Shown { sequence, base, at });
            }
            _ => {}
        }
        at += size;
    }
    assert_eq!(kinds[..2], ["ftyp", "moov"]);
    assert!(kinds[2..].iter().all(|k| ["sidx", "free", "moof", "mdat"].contains(&&**k)), "{kinds:?}");
    (shown, references, index_end)
}

/// The frames of the fragment at `at`: whether the first is a keyframe, how long all are, their bytes.
fn frames(film: &[u8], at: usize) -> (bool, u64, &[u8]) {
    let trun = at + 68;
    assert_eq!(&film[trun + 4..trun + 8], b"trun");
    let count = be(&film[trun + 12..trun + 16]) as usize;
    let row = |n: usize| &film[trun + 20 + 12 * n..trun + 32 + 12 * n];
    let duration = (0..count).map(|n| be(&row(n)[..4])).sum();
    let size: u64 = (0..count).map(|n| be(&row(n)[4..8])).sum();
    let data = at + be(&film[trun + 16..trun + 20]) as usize;
    assert_eq!((&film[data - 4..data], be(&film[data - 8..data - 4])), (&b"mdat"[..], size + 8));
    (be(&row(0)[8..]) == 0, duration, &film[data..data + size as usize])
}
