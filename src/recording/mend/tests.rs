use proptest::prelude::*;

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
fn damage_in_the_middle_costs_only_what_it_hit_and_is_told_with_its_time() {
    let mut bytes = build::segment(6, 0, START);
    let mut scan = Scan::new();
    let mut ends = Vec::new();
    scan.advance(&bytes[..], |f| ends.push((f.offset + f.size) as usize)).unwrap();
    bytes[ends[2]..ends[2] + 64].fill(0);
    let (data, places, known) = folder_with(&[("1.mp4", bytes.clone())]);
    let facts = mended(&places, &known);
    let segment = &facts.segments[0];
    assert_eq!((segment.duration_us, segment.size), (3_000_000, bytes.len() as u64));
    let [gap] = &facts.gaps[..] else { panic!("{:?}", facts.gaps) };
    assert_eq!((gap.start_us, gap.duration_us), (START + 1_500_000, 500_000));
    assert_eq!((gap.number, gap.cause.as_str()), (1, "file_damaged"));
    let kept = fs::read(data.path().join("quarantine/camera0_r__1.damaged")).unwrap();
    assert!(kept == bytes[ends[2]..ends[3]]);
}

#[test]
fn damage_that_nothing_sound_follows_is_kept_in_quarantine() {
    let mut bytes = build::segment(4, 0, START);
    let mut scan = Scan::new();
    let mut ends = Vec::new();
    scan.advance(&bytes[..], |f| ends.push((f.offset + f.size) as usize)).unwrap();
    bytes[ends[2]..].fill(7);
    let (data, places, known) = folder_with(&[("1.mp4", bytes.clone())]);
    let facts = mended(&places, &known);
    assert_eq!((facts.segments[0].duration_us, facts.gaps.len()), (1_500_000, 0));
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

/// What happens to a file, by someone or something.
#[derive(Clone, Debug)]
enum Harm {
    Cut(usize),
    Empty,
    Remove,
    Fill(usize, usize, u8),
    Append(usize),
    Folder,
    Copy,
}

fn harms() -> impl Strategy<Value = Vec<(usize, Harm)>> {
    let harm = prop_oneof![
        4 => (0usize..4000).prop_map(Harm::Cut),
        1 => Just(Harm::Empty),
        1 => Just(Harm::Remove),
        6 => (0usize..4000, 1usize..120, any::<u8>()).prop_map(|(at, n, value)| Harm::Fill(at, n, value)),
        2 => (1usize..300).prop_map(Harm::Append),
        1 => Just(Harm::Folder),
        1 => Just(Harm::Copy),
    ];
    proptest::collection::vec((0usize..3, harm), 0..7)
}

impl Harm {
    fn strike(&self, path: &Path, n: usize) {
        let Ok(mut bytes) = fs::read(path) else { return };
        match self {
            Harm::Cut(at) => bytes.truncate(*at),
            Harm::Empty => bytes.clear(),
            Harm::Fill(at, length, value) => {
                let at = at % bytes.len().max(1);
                let end = (at + length).min(bytes.len());
                bytes[at..end].fill(*value);
            }
            Harm::Append(length) => bytes.extend(vec![0x77; *length]),
            Harm::Remove => return fs::remove_file(path).unwrap(),
            Harm::Folder => {
                fs::remove_file(path).unwrap();
                return fs::create_dir(path).unwrap();
            }
            Harm::Copy => return fs::write(path.with_file_name(name(10 + n as u32)), bytes).unwrap(),
        }
        fs::write(path, bytes).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn whatever_happens_to_files_is_settled_once_and_costs_no_whole_fragment(
        harms in harms(), known_before: bool, open: bool,
    ) {
        let files: Vec<(String, Vec<u8>)> =
            (0..3).map(|n| (name(n), closed(4, u64::from(n), START + i64::from(n) * 2_000_000))).collect();
        let given: Vec<(&str, Vec<u8>)> = files.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
        let (_data, places, mut known) = folder_with(&given);
        if known_before {
            known = mended(&places, &known);
            if open {
                known.segments[2].closed = false;
            }
        }
        let dir = places.recording(CameraId(0), &known.row.name);
        for (n, (file, harm)) in harms.iter().enumerate() {
            harm.strike(&dir.join(&files[*file].0), n);
        }
        let struck: Vec<Option<Vec<u8>>> = files.iter().map(|(n, _)| fs::read(dir.join(n)).ok()).collect();
        let facts = mended(&places, &known);
        for ((name, whole), struck) in files.iter().zip(struck) {
            let Some(struck) = struck else { continue };
            let mut places = Vec::new();
            let mut scan = Scan::new();
            scan.advance(&whole[..], |f| places.push(f.offset as usize..(f.offset + f.size) as usize)).unwrap();
            let header = places[0].start;
            if struck.get(..header) != Some(&whole[..header]) {
                continue;
            }
            let left: Vec<_> = places.into_iter().filter(|p| struck.get(p.clone()) == Some(&whole[p.clone()])).collect();
            let now = fs::read(dir.join(name)).unwrap_or_default();
            for place in &left {
                prop_assert!(now.get(place.clone()) == Some(&whole[place.clone()]), "{name}: {place:?} is gone");
            }
            let row = facts.segments.iter().find(|s| s.file == *name);
            prop_assert!(left.is_empty() || row.is_some_and(|r| !r.lost && r.size as usize >= left[left.len() - 1].end));
        }
    }
}
