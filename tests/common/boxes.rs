//! A strict walk over an MP4 that a download brought: every size has to add up.

/// One fragment of a film.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Where its `moof` stands.
    pub at: usize,
    pub sequence: u64,
    /// Decode time of its first frame, in ticks of its track.
    pub base: u64,
    /// How long its frames last, in the same ticks.
    pub duration: u64,
    pub frames: u64,
    /// Its `mdat`'s contents.
    pub data: std::ops::Range<usize>,
}

/// One reference of the index for players.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    pub bytes: u64,
    pub ticks: u64,
    /// One can start to play there.
    pub point: bool,
}

/// A film with one track.
#[derive(Clone, Debug, Default)]
pub struct Film {
    pub fragments: Vec<Shown>,
    /// What the index for players lists, from `indexed_from` on.
    pub references: Vec<Listed>,
    pub indexed_from: usize,
    pub duration_ms: u64,
    /// Kinds of the boxes at top level.
    pub kinds: Vec<String>,
}

fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// The boxes of a slice: kind and where the whole box stands.
#[track_caller]
fn boxes(bytes: &[u8], mut at: usize, end: usize) -> Vec<(String, std::ops::Range<usize>)> {
    let mut found = Vec::new();
    while at < end {
        assert!(end - at >= 8, "{} bytes at {at} are no box", end - at);
        let size = be(&bytes[at..at + 4]) as usize;
        let kind = String::from_utf8_lossy(&bytes[at + 4..at + 8]).into_owned();
        assert!(size >= 8 && at + size <= end, "{kind:?} of {size} bytes at {at} ends beyond {end}");
        found.push((kind, at..at + size));
        at += size;
    }
    found
}

#[track_caller]
fn child(bytes: &[u8], of: &std::ops::Range<usize>, kind: &str) -> std::ops::Range<usize> {
    let inside = boxes(bytes, of.start + 8, of.end);
    let found = inside.iter().find(|(k, _)| k == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {inside:?}")).1.clone()
}

/// Walks over all of it; anything that does not fit fails the test.
#[track_caller]
pub fn walk(bytes: &[u8]) -> Film {
    let top = boxes(bytes, 0, bytes.len());
    let mut film = Film { kinds: top.iter().map(|(k, _)| k.clone()).collect(), ..Film::default() };
    assert_eq!(film.kinds[..2], ["ftyp", "moov"], "{:?}", film.kinds);
    for (n, (kind, place)) in top.iter().enumerate() {
        match kind.as_str() {
            "moov" => {
                let mvhd = child(bytes, place, "mvhd");
                assert_eq!(be(&bytes[mvhd.start + 20..mvhd.start + 24]), 1000, "ticks of the movie");
                film.duration_ms = be(&bytes[mvhd.start + 24..mvhd.start + 28]);
                let mehd = child(bytes, &child(bytes, place, "mvex"), "mehd");
                assert_eq!(be(&bytes[mehd.start + 12..mehd.end]), film.duration_ms);
            }
            "sidx" => {
                let count = be(&bytes[place.start + 38..place.start + 40]) as usize;
                assert_eq!(place.len(), 40 + 12 * count);
                film.indexed_from = place.end + be(&bytes[place.start + 28..place.start + 36]) as usize;
                let rows = (0..count).map(|n| place.start + 40 + 12 * n);
                let listed = |at: usize| Listed {
                    bytes: be(&bytes[at..at + 4]),
                    ticks: be(&bytes[at + 4..at + 8]),
                    point: bytes[at + 8] == 0x90,
                };
                film.references = rows.map(listed).collect();
            }
            "moof" => {
                let (next, mdat) = top.get(n + 1).expect("a fragment has its data");
                assert_eq!(next, "mdat");
                film.fragments.push(fragment(bytes, place, mdat));
            }
            "mdat" => assert_eq!(top[n - 1].0, "moof"),
            "ftyp" | "free" => {}
            other => panic!("{other:?} at {place:?}"),
        }
    }
    film
}

/// Where the contents of each `mdat` of a file stand.
#[track_caller]
pub fn data_of(file: &[u8]) -> Vec<std::ops::Range<usize>> {
    let top = boxes(file, 0, file.len());
    top.into_iter().filter(|(k, _)| k == "mdat").map(|(_, place)| place.start + 8..place.end).collect()
}

#[track_caller]
fn fragment(bytes: &[u8], moof: &std::ops::Range<usize>, mdat: &std::ops::Range<usize>) -> Shown {
    let mfhd = child(bytes, moof, "mfhd");
    let traf = child(bytes, moof, "traf");
    let (tfdt, trun) = (child(bytes, &traf, "tfdt"), child(bytes, &traf, "trun"));
    assert_eq!(bytes[tfdt.start + 8], 1, "times have eight bytes");
    let flags = be(&bytes[trun.start + 9..trun.start + 12]);
    assert_eq!(flags & 0x301, 0x301, "each frame has its duration and size");
    let frames = be(&bytes[trun.start + 12..trun.start + 16]);
    assert_eq!(be(&bytes[trun.start + 16..trun.start + 20]) as usize, mdat.start + 8 - moof.start);
    let step = 4 * (flags >> 8 & 0xf).count_ones() as usize;
    let rows = trun.start + 20 + 4 * usize::from(flags & 4 != 0);
    assert_eq!(trun.end - rows, frames as usize * step, "the frames' table");
    let (mut duration, mut size) = (0, 0);
    for at in (rows..trun.end).step_by(step) {
        duration += be(&bytes[at..at + 4]);
        size += be(&bytes[at + 4..at + 8]);
    }
    assert_eq!(size as usize, mdat.len() - 8, "the frames are all of their data");
    Shown {
        at: moof.start,
        sequence: be(&bytes[mfhd.start + 12..mfhd.end]),
        base: be(&bytes[tfdt.start + 12..tfdt.end]),
        duration,
        frames,
        data: mdat.start + 8..mdat.end,
    }
}

impl Film {
    /// Asserts that fragments are numbered from 1 without a hole and that each starts when the one
    /// before it ends, within `slack` ticks.
    #[track_caller]
    pub fn assert_continuous(&self, slack: u64) {
        for (n, f) in self.fragments.iter().enumerate() {
            assert_eq!(f.sequence, n as u64 + 1);
        }
        assert_eq!(self.fragments[0].base, 0);
        for pair in self.fragments.windows(2) {
            let end = pair[0].base + pair[0].duration;
            assert!(pair[1].base.abs_diff(end) <= slack, "{pair:?}");
        }
    }

    /// Asserts that the index for players lists each fragment, and covers every byte and every tick.
    #[track_caller]
    pub fn assert_indexed(&self, size: usize) {
        assert_eq!(self.indexed_from, self.fragments[0].at);
        assert_eq!(self.references.len(), self.fragments.len());
        let mut at = self.indexed_from;
        for (listed, fragment) in self.references.iter().zip(&self.fragments) {
            assert_eq!(at, fragment.at);
            at += listed.bytes as usize;
        }
        assert_eq!(at, size);
        let last = self.fragments.last().unwrap();
        let ticks: u64 = self.references.iter().map(|r| r.ticks).sum();
        assert_eq!(ticks, last.base + last.duration);
    }

    /// All frames.
    pub fn frames(&self) -> u64 {
        self.fragments.iter().map(|f| f.frames).sum()
    }
}
