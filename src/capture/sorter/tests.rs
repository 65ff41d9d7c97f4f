use proptest::prelude::*;

use super::*;
use crate::v4l2::Lease;

fn mode(fourcc: FourCc) -> Mode {
    Mode { fourcc, width: 8, height: 4, rate: None }
}

fn filled(sequence: u32, bytes: &[u8]) -> Filled {
    Filled { bytes: Lease::of(bytes), captured: Mono::now(), sequence, damaged: false }
}

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 a picture \xff\xd9";

#[test]
fn lost_frames_are_counted_over_the_wrap_of_the_drivers_number() {
    let mut sorter = Sorter::new(mode(FourCc::MJPG), 0).unwrap();
    let mut seen = Vec::new();
    for number in [u32::MAX - 2, u32::MAX - 1, 1, 2, 5, 0, 1] {
        let (frame, lost) = sorter.sort(filled(number, JPEG));
        seen.push((frame.unwrap().sequence, lost));
    }
    // From the last but one on a driver that began anew.
    assert_eq!(seen, [(0, 0), (1, 0), (4, 2), (5, 0), (8, 2), (9, 0), (10, 0)]);
}

#[test]
fn what_is_no_whole_picture_is_never_forwarded() {
    let mut sorter = Sorter::new(mode(FourCc::MJPG), 0).unwrap();
    let mut sort = |bytes: &[u8]| sorter.sort(filled(0, bytes)).0.map(|f| f.data.to_vec());
    assert_eq!(sort(JPEG).unwrap(), JPEG);
    let filled_up = [JPEG, &[0; 300]].concat();
    assert_eq!(sort(&filled_up).unwrap(), JPEG);
    for bad in [&JPEG[..JPEG.len() - 1], &JPEG[1..], b"", &[0; 64], b"\xff\xd9\xff\xd8\xff"] {
        assert_eq!(sort(bad), Err(Fault::Corrupt), "{}", bad.escape_ascii());
    }
    let mut raw = Sorter::new(mode(FourCc::YUYV), 16).unwrap();
    assert_eq!(raw.sort(filled(0, &[7; 64])).0.unwrap().data.len(), 64);
    assert_eq!(raw.sort(filled(1, &[7; 80])).0.unwrap().data.len(), 64);
    assert_eq!(raw.sort(filled(2, &[7; 63])).0.unwrap_err(), Fault::Corrupt);
    let damaged = Filled { damaged: true, ..filled(3, &[7; 64]) };
    assert_eq!(raw.sort(damaged).0.unwrap_err(), Fault::Corrupt);
    assert!(Sorter::new(mode(FourCc(*b"BA81")), 0).is_none());
}

#[test]
fn h264_is_numbered_without_what_is_no_picture() {
    let mut sorter = Sorter::new(mode(FourCc::H264), 0).unwrap();
    let mut sort = |number, bytes: &[u8]| sorter.sort(filled(number, bytes)).0;
    let sets = b"\0\0\0\x01\x67\x42\x01\0\0\0\x01\x68\xce";
    assert_eq!(sort(7, sets).unwrap_err(), Fault::NoPicture);
    let first = sort(8, b"\0\0\0\x01\x65\x88").unwrap();
    assert_eq!((first.sequence, first.key.unwrap().missing()), (0, &sets[..]));
    let second = sort(9, b"\0\0\0\x01\x41\x9a").unwrap();
    assert_eq!((second.sequence, second.key), (1, None));
    assert_eq!(sort(10, b"\xff\xd8\xff\xd9").unwrap_err(), Fault::Corrupt);
    // That one is missing, and the next is no part of what can be decoded.
    assert_eq!(sort(11, b"\0\0\0\x01\x41\x9a").unwrap().sequence, 3);
    // So is one of a driver that began anew.
    assert_eq!(sort(0, b"\0\0\0\x01\x41\x9a").unwrap().sequence, 5);
}

#[test]
fn late_frames_and_those_whose_time_stands_still_are_not_forwarded() {
    let mut sorter = Sorter::new(mode(FourCc::GREY), 8).unwrap();
    let now = Mono::now();
    let mut at =
        |captured: Mono| sorter.sort(Filled { captured, ..filled(0, &[0; 32]) }).0.map(|f| f.captured);
    let long_ago = Mono(now.0.saturating_sub(5_000_000_000));
    assert_eq!(at(long_ago), Err(Fault::Late));
    assert_eq!(at(now), Ok(now));
    assert_eq!(at(now), Err(Fault::Late));
    assert_eq!(at(Mono(now.0 - 1)), Err(Fault::Late));
    assert_eq!(at(Mono(now.0 + 1)), Ok(Mono(now.0 + 1)));
}

#[test]
fn rows_are_packed_where_the_driver_pads_them() {
    let padded = |rows: usize, used: usize, row: usize, mark: u8| {
        (0..rows)
            .flat_map(move |n| (0..row).map(move |x| if x < used { mark + n as u8 } else { 0xee }))
            .collect()
    };
    let (luma, blue, red): (Vec<u8>, Vec<u8>, Vec<u8>) =
        (padded(4, 8, 16, 10), padded(2, 4, 8, 50), padded(2, 4, 8, 90));
    let mut sorter = Sorter::new(mode(FourCc::YU12), 16).unwrap();
    let whole = [luma, blue, red].concat();
    let frame = sorter.sort(filled(0, &whole)).0.unwrap();
    let wanted: Vec<u8> = [(8, [10, 11, 12, 13].as_slice()), (4, &[50, 51, 90, 91])]
        .into_iter()
        .flat_map(|(row, marks)| marks.iter().flat_map(move |mark| vec![*mark; row]))
        .collect();
    assert_eq!(&frame.data[..], wanted);
    assert_eq!(sorter.sort(filled(1, &whole[..whole.len() - 9])).0.unwrap_err(), Fault::Corrupt);
}

proptest! {
    #[test]
    fn no_bytes_of_a_device_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        row in 0u32..64,
        format in 0usize..7,
        width in 0u32..20,
        height in 0u32..20,
        sequence: u32,
    ) {
        use FourCc as F;
        let fourcc = [F::MJPG, F::YUYV, F::UYVY, F::NV12, F::YU12, F::GREY, F::H264][format];
        let mut sorter = Sorter::new(Mode { fourcc, width, height, rate: None }, row).unwrap();
        for n in [sequence, sequence.wrapping_add(1)] {
            if let (Ok(frame), _) = sorter.sort(filled(n, &bytes)) {
                prop_assert!(frame.data.len() <= bytes.len());
            }
        }
    }
}
