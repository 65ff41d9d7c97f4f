use super::*;
use crate::base::CameraId;
use crate::recording::card_reader;
use crate::recording::mp4::build;

const START: i64 = 1_700_000_000_000_000;

/// As the recorder names its files.
fn name(n: u32) -> String {
    format!("2023-11-14_22-13-{n:02}-000000.mp4")
}

fn folder_with(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, Places, Facts) {
    let data = tempfile::tempdir().unwrap();
    let places = Places::new(data.path());
    let mut facts = card_reader::unknown(CameraId(0), &"camera0_r".parse().unwrap());
    facts.row.start_us = START;
    let dir = places.recording(CameraId(0), &facts.row.name);
    folder::make(&dir).unwrap();
    for (name, bytes) in files {
        fs::write(dir.join(name), bytes).unwrap();
    }
    (data, places, facts)
}

fn closed(parts: u64, number: u64, start_us: i64) -> Vec<u8> {
    let mut bytes = build::segment(parts, number, start_us);
    build::close(&mut bytes, parts as u32 * 500);
    bytes
}

/// Mends twice: the second time finds nothing to do.
#[track_caller]
fn mended(places: &Places, known: &Facts) -> Facts {
    let found = mend(places, known, START).unwrap().facts;
    let again = mend(places, &found, START + 1).unwrap().facts;
    assert_eq!(again, found);
    assert!(difference(&found, &again).is_none());
    found
}

#[test]
fn torn_files_are_cut_and_hopeless_ones_put_away() {
    let mut torn = build::segment(3, 1, START + 2_000_000);
    torn.truncate(torn.len() - 7);
    let (data, places, known) = folder_with(&[
        (&name(1), closed(4, 0, START)),
        (&name(2), torn),
        (&name(3), Vec::new()),
        (&name(4), build::header(64, 64, 0, START)[..100].to_vec()),
        (&name(5), vec![b'x'; 999]),
        ("recording.new", vec![b'x'; 3]),
    ]);
    let facts = mended(&places, &known);
    assert_eq!(facts.segments.len(), 2);
    assert_eq!((facts.row.duration_ms, facts.row.start_us), (3000, START));
    assert!(facts.segments.iter().all(|s| s.closed));
    assert_eq!(facts.gaps, []);
    assert_eq!(facts.notes.len(), 4, "{:?}", facts.notes);
    assert_eq!(fs::read_dir(data.path().join("quarantine")).unwrap().count(), 6);
    let dir = places.recording(CameraId(0), &facts.row.name);
    assert_eq!(fs::metadata(dir.join(name(2))).unwrap().len(), facts.segments[1].size);
    assert!(!dir.join("recording.new").exists());
}

#[test]
fn damage_in_the_middle_keeps_what_follows_in_quarantine() {
    let mut bytes = build::segment(6, 0, START);
    let mut scan = Scan::new();
    let mut ends = Vec::new();
    scan.advance(&bytes[..], |f| ends.push((f.offset + f.size) as usize)).unwrap();
    bytes[ends[2]..ends[2] + 64].fill(0);
    let (data, places, known) = folder_with(&[("1.mp4", bytes.clone())]);
    let facts = mended(&places, &known);
    assert_eq!(facts.segments[0].duration_us, 1_500_000);
    let tail = data.path().join("quarantine/camera0_r__1.tail");
    assert_eq!(fs::metadata(tail).unwrap().len() as usize, bytes.len() - ends[2]);
}

#[test]
fn a_file_left_behind_by_a_crash_is_moved_to_its_continuation() {
    let (_data, places, mut known) = folder_with(&[]);
    let before: crate::base::RecordingName = "camera0_before".parse().unwrap();
    let from = places.recording(CameraId(0), &before);
    folder::make(&from).unwrap();
    fs::write(from.join("1.mp4"), build::segment(2, 0, START - 5)).unwrap();
    let other = [build::header(64, 64, 0, START), build::fragment(0, 15, 3000, 9)].concat();
    fs::write(from.join("2.mp4"), &other).unwrap();
    let mut scan = Scan::new();
    scan.advance(&other[..], |_| {}).unwrap();
    known.row.wanted = true;
    known.row.continues = Some(before);
    known.row.stsd = Some(scan.header().unwrap().stsd.clone());
    assert_eq!(mended(&places, &known).segments.len(), 1);
    assert!(from.join("1.mp4").exists() && !from.join("2.mp4").exists());
}

#[test]
fn a_file_that_is_gone_is_lost_and_found_when_it_comes_back() {
    let files: Vec<(String, Vec<u8>)> =
        (0..3).map(|n| (name(n), closed(4, u64::from(n), START + i64::from(n) * 2_000_000))).collect();
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    let (_data, places, known) = folder_with(&files);
    let whole = mended(&places, &known);
    let dir = places.recording(CameraId(0), &known.row.name);
    fs::rename(dir.join(name(1)), dir.join("elsewhere")).unwrap();
    let mut lost = mended(&places, &whole);
    assert_eq!(lost.segments.iter().map(|s| s.lost).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!((lost.row.duration_ms, lost.notes.len()), (4000, 1));
    // Where a link shows the way the footage is there.
    std::os::unix::fs::symlink(dir.join("elsewhere"), dir.join(name(1))).unwrap();
    let back = mended(&places, &lost);
    assert_eq!((back.row.duration_ms, back.row.size), (whole.row.duration_ms, whole.row.size));
    fs::remove_file(dir.join(name(1))).unwrap();
    fs::rename(dir.join("elsewhere"), dir.join(name(1))).unwrap();
    lost.notes.clear();
    assert_eq!(mended(&places, &lost).segments, whole.segments);
    // The whole folder is gone.
    fs::remove_dir_all(&dir).unwrap();
    let none = mended(&places, &whole);
    assert!(none.segments.iter().all(|s| s.lost) && none.row.size == 0 && none.row.start_us == START);
}

#[test]
fn what_an_operator_put_there_is_left_alone() {
    let (data, places, known) = folder_with(&[
        (&name(1), closed(4, 0, START)),
        ("holiday.mp4", vec![b'x'; 99]),
        ("empty.mp4", Vec::new()),
        ("notes.txt", b"mine".to_vec()),
    ]);
    let dir = places.recording(CameraId(0), &known.row.name);
    fs::create_dir(dir.join("folder.mp4")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", dir.join(name(2))).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.join("socket.mp4")).unwrap();
    let before = fs::read_dir(&dir).unwrap().count();
    let found = mend(&places, &known, START).unwrap();
    assert_eq!((found.facts.segments.len(), found.facts.notes.len()), (1, 0));
    assert_eq!(found.foreign.len(), 6, "{:?}", found.foreign);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), before);
    assert!(!data.path().join("quarantine").exists());
}

#[test]
fn a_known_segment_of_another_size_is_read_again() {
    let (_data, places, known) = folder_with(&[(&name(1), closed(4, 0, START))]);
    let whole = mended(&places, &known);
    let path = places.recording(CameraId(0), &known.row.name).join(name(1));
    let half = whole.segments[0].size / 2;
    File::options().write(true).open(&path).unwrap().set_len(half).unwrap();
    let cut = mended(&places, &whole);
    assert_eq!((cut.segments[0].number, cut.segments[0].lost), (1, false));
    assert!(cut.segments[0].size <= half && cut.row.duration_ms < 2000);
    fs::write(&path, "").unwrap();
    let gone = mended(&places, &whole);
    assert!(gone.segments[0].lost && !path.exists());
}

#[test]
fn thousands_of_empty_files_make_few_notes() {
    let names: Vec<String> = (0..60).map(name).collect();
    let files: Vec<(&str, Vec<u8>)> = names.iter().map(|n| (n.as_str(), Vec::new())).collect();
    let (data, places, known) = folder_with(&files);
    let facts = mended(&places, &known);
    assert_eq!(facts.notes.len(), MAX_NOTES + 1);
    assert_eq!(fs::read_dir(data.path().join("quarantine")).unwrap().count(), 120);
}
