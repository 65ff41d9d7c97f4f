use super::*;
use crate::device::tree::{Tree, XHCI};
use crate::usb::cameras::{BULK, C270, C920, Camera, ELP, GRABBER, PURETHERMAL, mode};

fn place(camera: &Camera) -> Place {
    let tree = Tree::new();
    let node = camera.plug(&tree, "EHCI Host Controller", XHCI, "1-1.4");
    Place::read(tree.path(), &node).unwrap()
}

/// The setting that a mode probably takes, its bytes, and why.
fn takes(camera: &Camera, fourcc: FourCc, width: u32, height: u32, fps: u32) -> Option<(u8, u32, Basis)> {
    let need = need(&place(camera), &mode(fourcc, width, height, fps), None)?;
    Some((need.likely.number, need.likely.bytes, need.basis))
}

#[test]
fn raw_modes_take_the_smallest_setting_that_carries_them() {
    const YUYV: FourCc = FourCc::YUYV;
    // 640 × 480 × 2 × 30 / 8000 + 12 = 2316 bytes in each microframe.
    assert_eq!(takes(&C920, YUYV, 640, 480, 30), Some((10, 2688, Basis::Raw)));
    // uvcvideo says of its own estimate that it leaves room for two VGA cameras at 15 fps.
    assert_eq!(takes(&C270, YUYV, 640, 480, 15), Some((7, 1280, Basis::Raw)));
    assert_eq!(takes(&C270, YUYV, 320, 240, 30), Some((4, 640, Basis::Raw)));
    assert_eq!(takes(&C920, YUYV, 1280, 720, 10), Some((10, 2688, Basis::Raw)));
    assert_eq!(takes(&C920, YUYV, 1920, 1080, 5), Some((10, 2688, Basis::Raw)));
    assert_eq!(takes(&PURETHERMAL, FourCc::UYVY, 160, 120, 9), Some((1, 482, Basis::Raw)));
    assert_eq!(takes(&GRABBER, YUYV, 1920, 1080, 60), Some((2, 32_768, Basis::Raw)));
    // More than the camera can send at all.
    let too_much = need(&place(&C920), &mode(YUYV, 1920, 1080, 30), None).unwrap();
    assert_eq!((too_much.too_much, too_much.likely.number), (true, 11));
}

#[test]
fn compressed_modes_are_estimated_and_surely_take_only_the_smallest() {
    let need = |camera: &Camera, fps| need(&place(camera), &mode(FourCc::MJPG, 640, 480, fps), None).unwrap();
    // Their descriptors name the bit rate of the raw picture, at the highest rate.
    let (fast, slow) = (need(&C920, 30), need(&C920, 15));
    assert_eq!((fast.likely.bytes, fast.least.bytes, fast.basis), (2688, 192, Basis::BitRate));
    assert_eq!(slow.likely.bytes, 1280);
    // One that has nothing smaller.
    let elp = need(&ELP, 30);
    assert_eq!((elp.likely.bytes, elp.least.bytes), (3072, 3072));
}

#[test]
fn what_a_camera_was_seen_to_take_beats_every_estimate() {
    let seen = need(&place(&C920), &mode(FourCc::MJPG, 1920, 1080, 30), Some(6)).unwrap();
    assert_eq!((seen.likely.bytes, seen.least.bytes, seen.basis), (944, 944, Basis::Seen));
    let nonsense = need(&place(&C920), &mode(FourCc::MJPG, 1920, 1080, 30), Some(99)).unwrap();
    assert_eq!(nonsense.basis, Basis::BitRate);
}

#[test]
fn a_descriptor_that_says_no_bit_rate_is_taken_by_its_buffer_or_by_its_largest_setting() {
    let mut place = place(&C920);
    let frame = &mut place.streams[0].formats[1].frames[0];
    frame.max_bit_rate = 0;
    let vga = mode(FourCc::MJPG, 640, 480, 15);
    let by_buffer = need(&place, &vga, None).unwrap();
    assert_eq!((by_buffer.likely.bytes, by_buffer.basis), (1280, Basis::Buffer));
    place.streams[0].formats[1].frames[0].max_bytes = 0;
    let largest = need(&place, &vga, None).unwrap();
    assert_eq!((largest.likely.bytes, largest.basis), (3060, Basis::Largest));
    let unknown = Mode { rate: None, ..mode(FourCc::YUYV, 640, 480, 30) };
    assert_eq!(need(&place, &unknown, None).unwrap().basis, Basis::Largest);
}

#[test]
fn bulk_cameras_reserve_nothing() {
    assert_eq!(takes(&BULK, FourCc::YUYV, 640, 480, 30), None);
    let mut empty = place(&C920);
    empty.streams.clear();
    assert_eq!(need(&empty, &mode(FourCc::YUYV, 640, 480, 30), None), None);
}

#[test]
fn a_descriptor_with_the_largest_numbers_is_survived() {
    let mut place = place(&C920);
    for format in &mut place.streams[0].formats {
        for frame in &mut format.frames {
            (frame.max_bit_rate, frame.max_bytes, frame.interval) = (u32::MAX, u32::MAX, u32::MAX);
        }
    }
    for fourcc in [FourCc::MJPG, FourCc::YUYV] {
        for fps in [1, 1000, u32::MAX] {
            let _ = need(&place, &mode(fourcc, u32::MAX, u32::MAX, fps), None);
            let _ = need(&place, &mode(fourcc, 640, 480, fps), None);
        }
    }
}
