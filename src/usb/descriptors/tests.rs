use proptest::prelude::*;

use super::*;
use crate::usb::cameras::{BULK, C270, C920, Camera, ELP, GRABBER, PURETHERMAL};

#[test]
fn a_cameras_settings_and_formats_are_read() {
    let all = streams(&C920.descriptors(), Some(1));
    let [stream] = &all[..] else { panic!("{all:?}") };
    assert_eq!((stream.interface, stream.control), (1, 0));
    let bytes: Vec<_> = stream.settings.iter().map(|s| (s.number, s.packet, s.bytes)).collect();
    assert_eq!((bytes.len(), bytes[0], bytes[9]), (11, (1, 192, 192), (10, 896, 2688)));
    assert_eq!(bytes[10], (11, 1020, 3060));
    assert!(stream.settings.iter().all(|s| s.isochronous && s.every == 1));
    assert_eq!(stream.formats.len(), 2);
    assert_eq!((stream.formats[0].kind, stream.formats[1].kind), (Kind::Uncompressed(*b"YUY2"), Kind::Mjpeg));
    let vga = &stream.formats[1].frames[0];
    let expected =
        Frame { width: 640, height: 480, max_bit_rate: 147_456_000, max_bytes: 614_400, interval: 333_333 };
    assert_eq!(*vga, expected);
    assert!(!streams(&BULK.descriptors(), None)[0].settings[0].isochronous);
    assert_eq!(streams(&GRABBER.descriptors(), None)[0].settings[2].bytes, 49_152);
    assert_eq!(streams(&PURETHERMAL.descriptors(), None)[0].settings[0].bytes, 482);
}

#[test]
fn the_configuration_in_use_counts() {
    let mut two = C920.descriptors();
    let mut second = ELP.descriptors()[18..].to_vec();
    second[5] = 2;
    two.extend(second);
    let settings = |which| streams(&two, which)[0].settings.len();
    assert_eq!((settings(Some(1)), settings(Some(2)), settings(None), settings(Some(9))), (11, 1, 11, 11));
}

#[test]
fn torn_and_endless_descriptors_are_read_as_far_as_they_make_sense() {
    assert_eq!(streams(&[], None), []);
    assert_eq!(streams(&[0; 4096], None), []);
    assert_eq!(streams(&[1; 4096], None), []);
    let whole = C920.descriptors();
    assert_eq!(streams(&whole[..whole.len() - 3], None)[0].settings.len(), 10);
    // A device that says the same interface again and again, and a frame that claims 255 intervals.
    let endless = [&whole[..], &whole[18..].repeat(100)].concat();
    assert!(streams(&endless, None)[0].settings.len() <= MOST_SETTINGS);
    let mut long = whole.clone();
    let frame = long.windows(3).position(|w| w[1..] == [0x24, 7]).unwrap();
    long[frame + 25] = 255;
    assert_eq!(streams(&long, None)[0].formats[1].frames[0].interval, 333_333);
}

proptest! {
    #[test]
    fn whatever_a_device_says_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = streams(&bytes, None);
    }

    #[test]
    fn changed_descriptors_are_survived_and_bounded(
        which in 0usize..5,
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..20),
        end in any::<usize>(),
    ) {
        let cameras: [Camera; 5] = [C920, C270, ELP, GRABBER, PURETHERMAL];
        let mut bytes = cameras[which].descriptors();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(end % (2 * bytes.len()));
        for stream in streams(&bytes, Some(1)) {
            prop_assert!(stream.settings.len() <= MOST_SETTINGS && stream.formats.len() <= MOST_LISTED);
            prop_assert!(stream.settings.iter().all(|s| s.every.is_power_of_two() && s.bytes <= 65_535));
        }
    }
}
