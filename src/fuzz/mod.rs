//! Everything that comes from outside, at the mercy of a fuzzer.
//!
//! Owns the list of what is fuzzed; each room has its own way in (`fuzz.rs`), which is not part of a
//! shipped binary. `scripts/fuzz` lets libFuzzer look for a panic with the compiler's help; the test
//! here tries the corpus (`tests/fuzz/TARGET`) and some thousand changes of it.

use crate::base::Mono;
use crate::capture::{FramePool, MpjpegParser};
use crate::config::{Loaded, report_effective};
use crate::encoder::ProgressParser;
use crate::{auth, capture, external, http, mediamtx, preview, recording, rpc, usb};

/// A name, and the way in.
pub type Target = (&'static str, fn(&[u8]));

/// What is fuzzed.
pub const TARGETS: &[Target] = &[
    ("message", rpc::fuzz::message),
    ("params", rpc::fuzz::params),
    ("http", http::fuzz::request),
    ("token", auth::fuzz::token),
    ("link", auth::fuzz::link),
    ("toml", toml),
    ("mp4", recording::fuzz::segment),
    ("ffmpeg", ffmpeg),
    ("mediamtx", mediamtx::fuzz::said),
    ("jpeg", preview::fuzz::picture),
    ("network", external::fuzz::answered),
    ("usb", usb::fuzz::descriptors),
    ("h264", capture::fuzz::h264),
];

/// A configuration file. Panics when a mistake comes without a hint.
fn toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Loaded::from_text(text) {
        Ok(loaded) => drop(report_effective(&loaded)),
        Err(found) => assert!(found.iter().all(|m| !m.hint.is_empty() && !m.what.is_empty())),
    }
}

/// What FFmpeg writes: lines of progress, and pictures in a row, in pieces of any size.
fn ffmpeg(data: &[u8]) {
    let mut progress = ProgressParser::default();
    for line in String::from_utf8_lossy(data).lines() {
        if let Some(report) = progress.line(line) {
            assert!(report.fps.is_finite());
        }
    }
    let Some((step, rest)) = data.split_first() else { return };
    let mut pictures = MpjpegParser::new(FramePool::new(2));
    for (n, piece) in rest.chunks(usize::from(*step).max(1)).enumerate() {
        if pictures.push(piece, Mono(n as u64), drop).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rand::rngs::StdRng;
    use rand::seq::{IndexedRandom, SliceRandom};
    use rand::{Rng, SeedableRng};

    use super::*;

    /// Changed inputs of each target.
    const CHANGES: u64 = 3000;

    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(target);
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files.iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    /// One to four changes of the kinds that break parsers.
    fn changed(corpus: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
        let mut bytes = corpus.choose(random).unwrap().clone();
        for _ in 0..random.random_range(1..=4) {
            let at = random.random_range(0..=bytes.len());
            let until = random.random_range(at..=bytes.len().min(at + 16));
            match random.random_range(0..7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
                1 => bytes.truncate(at),
                2 => drop(bytes.drain(at..until)),
                3 => bytes.insert(at, *[0, 0xFF, b'"', b'{', b'\n', b'%', b'-'].choose(random).unwrap()),
                4 => bytes[at..until].shuffle(random),
                5 => bytes[at..until].fill(0xFF),
                _ => {
                    let other = corpus.choose(random).unwrap();
                    let from = random.random_range(0..=other.len());
                    bytes.splice(at..until, other[from..].iter().copied());
                    bytes.truncate(1 << 16);
                }
            }
        }
        bytes
    }

    #[test]
    fn nothing_from_outside_panics() {
        for (name, run) in TARGETS {
            let corpus = corpus(name);
            assert!(!corpus.is_empty(), "{name} has no corpus");
            corpus.iter().for_each(|input| run(input));
            let mut random = StdRng::seed_from_u64(5);
            for _ in 0..CHANGES {
                let input = changed(&corpus, &mut random);
                if std::panic::catch_unwind(|| run(&input)).is_err() {
                    panic!("{name} panics on {}", input.escape_ascii());
                }
            }
        }
    }
}
