use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::base::ErrorKind;
use crate::footage::cut::{Cut, Point};
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

/// Walks over every box, top level and inside `moof`; sizes must add up to the byte.
fn walk(film: &[u8]) -> (Vec<Shown>, Vec<(u64, u64)>, usize) {
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
                    .map(|r| (be(&r[..4]), be(&r[4..8])))
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

#[test]
fn segments_become_one_film_with_rising_numbers_and_times_without_a_hole() {
    let shelf = three();
    let bytes = whole(&shelf.film(Cut::WHOLE));
    let (shown, references, index_end) = walk(&bytes);
    assert_eq!(shown.len(), 12);
    for (n, s) in shown.iter().enumerate() {
        assert_eq!((s.sequence, s.base), (n as u64 + 1, n as u64 * 45_000));
    }
    assert_eq!(index_end, shown[0].at);
    assert_eq!(references.iter().map(|r| r.0).sum::<u64>(), (bytes.len() - index_end) as u64);
    assert_eq!(references.iter().map(|r| r.1).sum::<u64>(), 12 * 45_000);
    let mut at = index_end;
    for (size, _) in &references {
        assert!(shown.iter().any(|s| s.at == at), "a reference to {at}, where nothing starts");
        at += *size as usize;
    }
    // 6 s, in a movie time scale of milliseconds.
    let mvhd = bytes.windows(4).position(|w| w == b"mvhd").unwrap();
    assert_eq!(be(&bytes[mvhd + 20..mvhd + 24]), 6000);
}

#[test]
fn a_film_has_the_size_that_lists_announce() {
    let shelf = three();
    let bytes: u64 = shelf.parts.iter().map(|p| p.index.end).sum();
    let ms: u64 = shelf.parts.iter().map(|p| p.index.media_us()).sum::<u64>() / 1000;
    assert_eq!(shelf.film(Cut::WHOLE).size(), crate::footage::size_of(bytes, ms));
}

#[test]
fn only_the_fields_that_must_change_do() {
    let shelf = three();
    let film = whole(&shelf.film(Cut::WHOLE));
    let mut own = Vec::new();
    for (n, part) in shelf.parts.iter().enumerate() {
        let file = std::fs::read(&part.path).unwrap();
        own.extend_from_slice(if n == 0 { &file[part.index.header_len as usize..] } else { &file });
    }
    let front = shelf.film(Cut::WHOLE).plan.front_len as usize;
    let body = &film[front..front + own.len()];
    let changed = body.iter().zip(&own).filter(|(a, b)| a != b).count();
    // A sequence number and a time for each fragment, and the two headers that are not needed again.
    let headers: u64 = shelf.parts[1..].iter().map(|p| p.index.header_len).sum();
    assert!(changed as u64 <= 12 * (4 + 8) + headers, "{changed} bytes differ");
}

#[test]
fn a_part_starts_with_the_keyframe_before_it_and_plays_from_zero() {
    let shelf = three();
    let second = |n: f64| Some(Point::Position((n * 1e6) as u64));
    for (from, to, fragments, first) in [
        (second(0.7), second(1.2), 2, 1),
        (second(1.9), second(2.1), 2, 3),
        (None, second(0.0), 1, 0),
        (second(5.9), None, 1, 11),
        // In the gap: on with what follows it.
        (Some(Point::Moment(START + 5_000_000)), None, 5, 7),
        (Some(Point::Moment(START + 3_600_000)), Some(Point::Moment(START + 10_600_000)), 1, 7),
        (Some(Point::Moment(0)), Some(Point::Moment(START + 100_000_000)), 12, 0),
    ] {
        let film = shelf.film(Cut { from, to });
        let (shown, references, _) = walk(&whole(&film));
        assert_eq!(shown.len(), fragments, "{from:?} {to:?}");
        for (n, s) in shown.iter().enumerate() {
            assert_eq!((s.sequence, s.base), (n as u64 + 1, n as u64 * 45_000), "{from:?} {to:?}");
        }
        assert_eq!(references.iter().map(|r| r.1).sum::<u64>(), fragments as u64 * 45_000);
        let (position, _) = film.plan.cut.unwrap();
        assert_eq!(position, first * 500_000);
    }
}

#[test]
fn a_time_without_footage_is_refused_with_the_times_that_have_some() {
    let parts = three().parts;
    for (from, to) in [
        (Some(Point::Moment(START + 60_000_000)), None),
        (None, Some(Point::Moment(START - 1))),
        (Some(Point::Position(5_000_000)), Some(Point::Position(1_000_000))),
    ] {
        let e = Plan::new(parts.clone(), Cut { from, to }).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidParams);
        assert!(e.data()["hint"].as_str().unwrap().contains("2023-11-14T22:13:20.000Z"), "{e:?}");
    }
}

#[test]
fn segments_of_two_formats_make_no_film_but_each_side_does() {
    let mut shelf = three();
    let start_us = START + 60_000_000;
    let other = [build::header(640, 480, 0, start_us), build::fragment(0, 15, 3000, 40)].concat();
    shelf.put(other, 4, 3, 0, start_us);
    let e = Plan::new(shelf.parts.clone(), Cut::WHOLE).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidState);
    assert!(
        e.message().contains("segment 4") && e.data()["suggestion"].as_str().unwrap().contains("?segment=4")
    );
    let to = Some(Point::Moment(START + 13_000_000));
    assert_eq!(walk(&whole(&shelf.film(Cut { from: None, to }))).0.len(), 12);
    let from = Some(Point::Moment(start_us));
    assert_eq!(walk(&whole(&shelf.film(Cut { from, to: None }))).0.len(), 1);
}

#[test]
fn a_film_stays_the_same_when_the_recorder_closes_a_file_of_it() {
    let shelf = three();
    let film = shelf.film(Cut::WHOLE);
    let before = whole(&film);
    for part in &shelf.parts {
        let mut file = std::fs::read(&part.path).unwrap();
        build::close(&mut file, 1234);
        std::fs::write(&part.path, file).unwrap();
    }
    assert!(whole(&shelf.film(Cut::WHOLE)) == before);
}

#[test]
fn another_part_or_a_grown_recording_has_another_tag() {
    let mut shelf = three();
    let first = shelf.film(Cut::WHOLE).tag().to_owned();
    assert_eq!(shelf.film(Cut::WHOLE).tag(), first);
    let from = Some(Point::Position(600_000));
    assert_ne!(shelf.film(Cut { from, to: None }).tag(), first);
    shelf.add(1, 2, 0);
    assert_ne!(shelf.film(Cut::WHOLE).tag(), first);
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

#[test]
fn a_keyframe_inside_of_a_fragment_becomes_the_start_of_one() {
    let mut shelf = Shelf::new();
    // 320 frames each: keyframes at 0, 30, 60, …, most of them inside of a fragment of 16.
    shelf.add_drifting(20);
    shelf.add_drifting(20);
    let film = shelf.film(Cut::WHOLE);
    let bytes = whole(&film);
    let (shown, references, index_end) = walk(&bytes);
    let mut time = 0;
    let mut data = Vec::new();
    for (n, s) in shown.iter().enumerate() {
        let (_, duration, frames) = frames(&bytes, s.at);
        assert_eq!((s.sequence, s.base), (n as u64 + 1, time), "{n}");
        time += duration;
        data.extend_from_slice(frames);
    }
    assert_eq!(time, 640 * 3000);
    let own: Vec<u8> = shelf
        .parts
        .iter()
        .flat_map(|p| {
            let file = std::fs::read(&p.path).unwrap();
            let mut entries = p.index.entries();
            let mut own = Vec::new();
            while let Some(e) = entries.next() {
                own.extend_from_slice(frames(&file, e.offset as usize).2);
            }
            own
        })
        .collect();
    assert!(data == own, "a frame differs");
    // 11 keyframes a file, and players can jump to each of them but the start of the second file, which
    // comes 0.67 s after the last keyframe of the first one.
    assert_eq!(references.len(), 21);
    let mut at = index_end;
    for (size, _) in &references {
        assert!(frames(&bytes, at).0, "no keyframe at {at}");
        at += *size as usize;
    }
    assert_eq!(at, bytes.len());
    assert_eq!(references.iter().map(|r| r.1).sum::<u64>(), time);
    let size: u64 = shelf.parts.iter().map(|p| p.index.end).sum();
    assert_eq!(film.size(), crate::footage::size_of(size, 640 * 100 / 3));
}

#[test]
fn a_part_starts_with_a_keyframe_wherever_that_stands() {
    let mut shelf = Shelf::new();
    shelf.add_drifting(20);
    for (from, first) in [(0.0, 0), (0.99, 0), (1.0, 30), (1.5, 30), (3.99, 90), (4.05, 120), (10.6, 300)] {
        let from_us = (from * 1e6) as u64;
        let film = shelf.film(Cut { from: Some(Point::Position(from_us)), to: None });
        let bytes = whole(&film);
        let (shown, ..) = walk(&bytes);
        assert!(frames(&bytes, shown[0].at).0, "{from}");
        assert_eq!((shown[0].base, shown[0].sequence), (0, 1));
        let all: u64 = shown.iter().map(|s| frames(&bytes, s.at).1 / 3000).sum();
        assert_eq!(320 - all, first, "{from}");
        assert_eq!(film.plan.cut.unwrap().0, first * 1_000_000 / 30);
    }
}

static READ: AtomicU64 = AtomicU64::new(0);

struct Counted(File);

impl ReadAt for Counted {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn fill_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        READ.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.0.fill_at(buffer, offset)
    }
}

#[test]
fn a_part_of_a_film_costs_the_disk_that_part_only() {
    let shelf = three();
    let film = shelf.film(Cut::WHOLE).opened_by(|path| Ok(Arc::new(Counted(File::open(path)?))));
    let reading = Reading::default();
    let read = |offset: u64, length: usize| {
        let before = READ.load(Ordering::Relaxed);
        film.read(&reading, offset, length).unwrap();
        READ.load(Ordering::Relaxed) - before
    };
    let (size, front) = (film.size(), film.plan.front_len);
    let fill = film.plan.spans.last().unwrap().at;
    assert_eq!(read(size / 2, 1000), 1000);
    assert_eq!(read(front, 1), 1);
    assert_eq!(read(front + 500, size as usize), fill - front - 500);
    assert_eq!(read(fill, 1000), 0);
    // The first bytes cost the first header, once.
    let header = film.plan.pieces[0].part.index.header_len;
    assert_eq!(read(0, 10), header);
    assert_eq!(read(0, front as usize), 0);
}

#[test]
fn a_file_that_is_gone_breaks_off_where_it_is_missing() {
    let shelf = three();
    let film = shelf.film(Cut::WHOLE);
    std::fs::remove_file(&shelf.parts[1].path).unwrap();
    let second = |s: &&crate::footage::plan::Span| matches!(s.source, Source::File { piece: 1, .. });
    let end_of_first = film.plan.spans.iter().find(second).unwrap().at;
    assert!(film.read(&Reading::default(), 0, end_of_first as usize).is_ok());
    assert!(film.read(&Reading::default(), end_of_first - 5, 10).is_err());
}

proptest! {
    #[test]
    fn any_partition_of_ranges_is_the_whole(
        cuts in proptest::collection::vec(0usize..20_000, 0..12),
        from in proptest::option::of(0u64..10_000_000),
    ) {
        let cut = Cut { from: from.map(Point::Position), to: None };
        let mut shelf = three();
        shelf.add_drifting(9);
        let bytes = whole(&shelf.film(cut));
        let mut edges: Vec<usize> = cuts.into_iter().map(|c| c % bytes.len()).collect();
        edges.extend([0, bytes.len()]);
        edges.sort_unstable();
        let fresh = shelf.film(cut);
        let mut joined = Vec::new();
        for pair in edges.windows(2) {
            joined.extend(fresh.read(&Reading::default(), pair[0] as u64, pair[1] - pair[0]).unwrap());
        }
        prop_assert!(joined == bytes);
    }

    #[test]
    fn any_cut_is_a_film_or_refused(from in any::<i64>(), to in any::<u64>()) {
        let shelf = three();
        let cut = Cut { from: Some(Point::Moment(from)), to: Some(Point::Position(to)) };
        if let Ok(plan) = Plan::new(shelf.parts.clone(), cut) {
            walk(&whole(&Film::new(&"camera0_x".parse().unwrap(), plan, None)));
        }
    }
}
