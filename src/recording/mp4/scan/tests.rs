use super::*;
use crate::recording::mp4::build;
use crate::recording::mp4::verify::last_sound_end;
use proptest::prelude::*;

fn scan(bytes: &[u8]) -> (Scan, Vec<Fragment>) {
    let mut scan = Scan::new();
    let mut seen = Vec::new();
    scan.advance(bytes, |f| seen.push(*f)).unwrap();
    (scan, seen)
}

#[test]
fn a_segment_is_read_whole() {
    let mut bytes = build::segment(4, 3, 1_700_000_000_123_456);
    let (mut done, seen) = scan(&bytes);
    let header = done.header().unwrap();
    assert_eq!((header.codec.as_str(), header.width, header.height), ("h264", 1280, 720));
    assert_eq!((header.mtxi.number, header.mtxi.start_us()), (3, 1_700_000_000_123_456));
    assert_eq!(header.duration_ms, 0);
    assert_eq!((done.media_us(), done.fragments(), done.is_torn()), (2_000_000, 4, false));
    assert!(seen.iter().all(|f| f.keyframe && f.duration_us == 500_000 && f.frames == 15));
    assert_eq!((seen[3].start_us, seen[3].longest_us), (1_500_000, (33_333, 1_500_000)));
    build::close(&mut bytes, 2000);
    assert_eq!(done.refresh_duration(&bytes[..]).unwrap(), 2000);
    assert_eq!(scan(&bytes).0.header().unwrap().duration_ms, 2000);
}

#[test]
fn another_size_gives_another_sample_description() {
    let one = build::header(1280, 720, 0, 0);
    let other = build::header(640, 480, 0, 0);
    let stsd = |b: &[u8]| scan(b).0.header().unwrap().stsd.clone();
    assert_eq!(stsd(&one), stsd(&build::header(1280, 720, 5, 77)));
    assert_ne!(stsd(&one), stsd(&other));
}

#[test]
fn a_page_of_zeros_inside_the_last_fragment_is_found() {
    let bytes = build::segment(3, 0, 0);
    let mut torn = bytes.clone();
    let n = torn.len();
    torn[n - 100..].fill(0);
    let (whole, damage) = last_sound_end(&bytes[..], 0, true).unwrap();
    assert_eq!((whole.end(), damage), (n as u64, None));
    let (sound, damage) = last_sound_end(&torn[..], 0, true).unwrap();
    assert!(damage.is_some());
    assert_eq!((sound.fragments(), sound.media_us()), (2, 1_000_000));
}

#[test]
fn a_sample_count_without_samples_costs_nothing() {
    let mut bytes = build::header(64, 64, 0, 0);
    let mut tfhd = vec![0, 2, 0, 0x38, 0, 0, 0, 1];
    tfhd.extend([0xff; 12]);
    let trun = [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 99];
    let traf =
        [build::mp4_box(b"tfhd", &tfhd), build::mp4_box(b"tfdt", &[0; 8]), build::mp4_box(b"trun", &trun)];
    let moof = [build::mp4_box(b"mfhd", &[0; 8]), build::mp4_box(b"traf", &traf.concat())].concat();
    bytes.extend(build::mp4_box(b"moof", &moof));
    bytes.extend(build::mp4_box(b"mdat", &[]));
    let (done, _) = scan(&bytes);
    assert_eq!(done.damage(), Some(Damage("samples outside of their fragment")));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let (done, _) = scan(&bytes);
        prop_assert!(done.end() <= done.file_size());
    }

    #[test]
    fn a_changed_byte_is_survived(at in 0usize..4000, value: u8) {
        let mut bytes = build::segment(4, 0, 0);
        let at = at % bytes.len();
        bytes[at] = value;
        let (done, seen) = scan(&bytes);
        prop_assert!(done.end() <= done.file_size());
        prop_assert!(seen.len() <= 4);
        let _ = last_sound_end(&bytes[..], 0, true).unwrap();
    }

    #[test]
    fn a_cut_file_ends_with_its_last_whole_fragment(cut in 0usize..4000) {
        let whole = build::segment(4, 0, 0);
        let (_, all) = scan(&whole);
        let cut = cut % (whole.len() + 1);
        let (done, seen) = scan(&whole[..cut]);
        prop_assert_eq!(done.damage(), None);
        let expected = all.iter().filter(|f| f.offset + f.size <= cut as u64).count();
        prop_assert_eq!(seen.len(), expected);
    }

    #[test]
    fn growing_in_any_steps_gives_the_same(steps in proptest::collection::vec(1usize..700, 1..40)) {
        let whole = build::segment(4, 0, 0);
        let mut grown = Scan::new();
        let mut seen = Vec::new();
        let mut at = 0;
        for step in steps {
            at = (at + step).min(whole.len());
            grown.advance(&whole[..at], |f| seen.push(*f)).unwrap();
        }
        grown.advance(&whole[..], |f| seen.push(*f)).unwrap();
        let (once, all) = scan(&whole);
        prop_assert_eq!(seen, all);
        prop_assert_eq!(grown.end(), once.end());
    }
}
