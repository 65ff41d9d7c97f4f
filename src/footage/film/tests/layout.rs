//! Where each byte of a film stands and what it says.

use super::*;

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
    assert_eq!(references.iter().map(|r| r.size).sum::<u64>(), (bytes.len() - index_end) as u64);
    assert_eq!(references.iter().map(|r| r.ticks).sum::<u64>(), 12 * 45_000);
    // Each fragment is listed.
    assert_eq!(references.len(), shown.len());
    let mut at = index_end;
    for (listed, shown) in references.iter().zip(&shown) {
        assert_eq!(at, shown.at);
        at += listed.size as usize;
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
    assert_eq!(references.iter().filter(|r| r.point).count(), 21);
    assert_eq!(references.len(), shown.len());
    let (mut at, mut listed_at) = (index_end, 0);
    for (listed, shown) in references.iter().zip(&shown) {
        assert_eq!(at, shown.at);
        assert!(!listed.point || frames(&bytes, at).0, "no keyframe at {at}");
        // Whoever looks for the last one that is not too late finds a point: it lasts as long as all that
        // follow up to the next.
        assert!(if listed.point { shown.base == listed_at } else { listed_at > shown.base }, "{at}");
        (at, listed_at) = (at + listed.size as usize, listed_at + listed.ticks);
    }
    assert_eq!(at, bytes.len());
    assert_eq!(references.iter().map(|r| r.ticks).sum::<u64>(), time);
    let size: u64 = shelf.parts.iter().map(|p| p.index.end).sum();
    assert_eq!(film.size(), crate::footage::size_of(size, 640 * 100 / 3));
}
