use std::sync::Arc;

use super::*;
use crate::device::tree::{PI4, Tree, XHCI};
use crate::usb::cameras::{BULK, C270, C920, Camera, ELP, Format, GRABBER, PURETHERMAL, RAW_ONLY};
use crate::v4l2::FourCc;

const SOFT: &str = "EHCI Host Controller";
const HARD: &str = "xHCI Host Controller";
const VGA: Wish = Wish { width: 640, height: 480, fps: 30, format: None, avoid: None, encodes: u64::MAX };
const RAW: Wish = Wish { format: Some(FourCc::YUYV), ..VGA };

/// A box and the account of its buses.
struct Buses {
    tree: Tree,
    kind: &'static str,
    controller: &'static str,
    account: Account,
}

impl Buses {
    fn new(kind: &'static str) -> Buses {
        let controller = XHCI;
        Buses { tree: Tree::new(), kind, controller, account: Account::default() }
    }

    fn id(number: u32) -> CameraId {
        format!("camera{number}").parse().unwrap()
    }

    /// Starts a camera at a port; answers with its mode, or why it has none.
    fn start(&mut self, number: u32, camera: &Camera, way: &str, wish: Wish) -> Result<String, String> {
        let node = camera.plug(&self.tree, self.kind, self.controller, way);
        let place = Place::read(self.tree.path(), &node).unwrap();
        let survey = camera.survey();
        let id = Buses::id(number);
        let asking = Asking { camera: id, survey: &survey, place: Some(&place), wish: &wish };
        let mode = decide(&self.account, &asking).map_err(|no| no.to_string())?;
        self.account.hold(id, Arc::new(survey), Arc::new(place), mode);
        Ok(format!("{} {}x{}@{}", mode.fourcc, mode.width, mode.height, mode.rate.unwrap().rounded()))
    }
}

#[test]
fn two_raw_vga_cameras_do_not_fit_on_one_usb_2_bus() {
    let mut buses = Buses::new(SOFT);
    assert_eq!(buses.start(0, &C920, "1-1", RAW).as_deref(), Ok("YUYV 640x480@30"));
    // The second one that may choose takes less.
    assert_eq!(buses.start(1, &RAW_ONLY, "1-2", VGA).as_deref(), Ok("YUYV 640x480@15"));
    assert_eq!(buses.start(2, &RAW_ONLY, "1-3", VGA).as_deref(), Ok("YUYV 320x240@30"));
    assert_eq!(
        buses.start(3, &RAW_ONLY, "1-4", VGA).unwrap_err(),
        "its USB bus (USB 2.0 at 0000:00:14.0) is full: YUYV 640x480 at 30 fps takes 54.2 of the 100 µs of each \
         microframe, camera0 has 54.2 (YUYV 640x480 at 30 fps), camera1 has 26.2 (YUYV 640x480 at 15 fps), camera2 \
         has 13.1 (YUYV 320x240 at 30 fps), 6.6 are left; together would fit camera0 as MJPG 640x480 at 10 fps, \
         camera1 as YUYV 640x480 at 15 fps, camera2 as YUYV 640x480 at 15 fps, camera3 as YUYV 640x480 at 15 fps; \
         use a port of another USB controller, or less resolution or frame rate"
    );
}

#[test]
fn a_format_that_is_insisted_on_is_refused_with_the_one_that_fits() {
    let mut buses = Buses::new(SOFT);
    buses.start(0, &ELP, "1-1", VGA).unwrap();
    let formats =
        &[Format(FourCc::YUYV, &[(640, 480, &[30])]), Format(FourCc::MJPG, &[(640, 480, &[30, 15])])];
    let why = buses.start(1, &Camera { formats, ..C270 }, "1-2", RAW).unwrap_err();
    assert!(why.contains("; MJPG 640x480 at 15 fps would fit; use"), "{why}");
}

#[test]
fn cameras_that_take_the_largest_setting_whatever_they_send_are_alone_on_a_bus() {
    let mut buses = Buses::new(SOFT);
    assert_eq!(buses.start(0, &ELP, "1-1", VGA).as_deref(), Ok("MJPG 640x480@30"));
    let why = buses.start(1, &ELP, "1-2", VGA).unwrap_err();
    assert!(why.contains("camera0 has 61.7 (MJPG 640x480 at 30 fps), 38.3 are left"), "{why}");
    // On another bus of the same box there is room.
    assert_eq!(buses.start(1, &ELP, "3-2", VGA).as_deref(), Ok("MJPG 640x480@30"));
}

#[test]
fn jpeg_is_tried_where_raw_surely_does_not_fit() {
    let mut buses = Buses::new(SOFT);
    buses.start(0, &C920, "1-1", RAW).unwrap();
    // Its descriptor's bit rate does not fit, but what it really asks for is known to its driver alone.
    assert_eq!(buses.start(1, &C270, "1-2", VGA).as_deref(), Ok("MJPG 640x480@30"));
    // Once it is seen that it takes little, a third one is no doubt.
    assert!(buses.account.saw(Buses::id(1), 1));
    assert_eq!(buses.start(2, &C270, "1-3", Wish { fps: 15, ..VGA }).as_deref(), Ok("MJPG 640x480@15"));
}

#[test]
fn what_the_driver_refused_is_not_tried_again_before_there_is_more_room() {
    let mut buses = Buses::new(SOFT);
    buses.start(0, &C920, "1-1", RAW).unwrap();
    buses.start(1, &C270, "1-2", VGA).unwrap();
    buses.account.no_space(Buses::id(1));
    // Now its estimates are believed.
    assert_eq!(buses.start(1, &C270, "1-2", VGA).as_deref(), Ok("MJPG 640x480@24"));
    buses.account.free(Buses::id(0), 1);
    assert_eq!(buses.start(1, &C270, "1-2", VGA).as_deref(), Ok("MJPG 640x480@30"));
}

#[test]
fn ports_of_an_xhci_are_one_budget_only_once_it_has_said_so() {
    let mut buses = Buses::new(HARD);
    assert_eq!(buses.start(0, &RAW_ONLY, "1-1", VGA).as_deref(), Ok("YUYV 640x480@30"));
    assert_eq!(buses.start(1, &RAW_ONLY, "1-2", VGA).as_deref(), Ok("YUYV 640x480@30"));
    buses.account.no_space(Buses::id(1));
    assert_eq!(buses.start(1, &RAW_ONLY, "1-2", VGA).as_deref(), Ok("YUYV 640x480@15"));
    // Behind one hub there is no doubt: all ports of a Pi 4.
    let mut pi = Buses { controller: PI4, ..Buses::new(HARD) };
    assert_eq!(pi.start(0, &RAW_ONLY, "1-1.1", VGA).as_deref(), Ok("YUYV 640x480@30"));
    assert_eq!(pi.start(1, &RAW_ONLY, "1-1.2", VGA).as_deref(), Ok("YUYV 640x480@15"));
}

#[test]
fn bulk_super_speed_and_another_bus_leave_usb_2_alone() {
    let mut buses = Buses::new(SOFT);
    buses.start(0, &ELP, "1-1", VGA).unwrap();
    assert_eq!(buses.start(1, &BULK, "1-2", RAW).as_deref(), Ok("YUYV 640x480@30"));
    let hd = Wish { width: 1920, height: 1080, fps: 60, format: None, avoid: None, encodes: u64::MAX };
    assert_eq!(buses.start(2, &GRABBER, "2-1", hd).as_deref(), Ok("YUYV 1920x1080@60"));
}

#[test]
fn a_full_speed_camera_takes_its_translator_and_little_of_the_bus() {
    let mut buses = Buses::new(SOFT);
    let wish = Wish { width: 160, height: 120, fps: 9, format: None, avoid: None, encodes: u64::MAX };
    assert_eq!(buses.start(0, &PURETHERMAL, "1-1.1", wish).as_deref(), Ok("UYVY 160x120@9"));
    assert_eq!(buses.start(1, &PURETHERMAL, "1-1.2", wish).as_deref(), Ok("UYVY 160x120@9"));
    let why = buses.start(2, &PURETHERMAL, "1-1.3", wish).unwrap_err();
    assert!(why.contains("USB 1.1 (12 Mb/s)") && why.contains("of the 900 µs of each frame"), "{why}");
    // Behind another hub there is room, and a VGA camera beside them.
    assert_eq!(buses.start(2, &PURETHERMAL, "1-2.1", wish).as_deref(), Ok("UYVY 160x120@9"));
    assert_eq!(buses.start(3, &RAW_ONLY, "1-3", VGA).as_deref(), Ok("YUYV 640x480@30"));
}

#[test]
fn without_descriptors_raw_pictures_beyond_usb_2_are_the_last_resort() {
    let account = Account::default();
    let mut survey = C920.survey();
    let decide = |survey: &Survey, wish| {
        decide(&account, &Asking { camera: Buses::id(0), survey, place: None, wish: &wish }).unwrap().fourcc
    };
    survey.formats[0].sizes.push(crate::v4l2::Size { width: 1600, height: 896, rates: vec![Rate::fps(30)] });
    let wish = Wish { width: 1600, height: 896, ..VGA };
    assert_eq!(decide(&survey, wish), FourCc::MJPG);
    survey.bus = "platform:vivid-000".into();
    assert_eq!(decide(&survey, wish), FourCc::YUYV);
}

#[test]
fn what_would_fit_together_does() {
    let mut buses = Buses::new(SOFT);
    let way = |n| format!("1-{n}");
    buses.start(0, &RAW_ONLY, &way(1), VGA).unwrap();
    for number in 1..4 {
        if let Err(why) = buses.start(number, &RAW_ONLY, &way(number + 1), VGA) {
            assert!(why.contains("; together would fit camera0 as YUYV 320x240"), "{why}");
            assert!(why.contains(&format!("camera{number} as YUYV 320x240")), "{why}");
            return;
        }
    }
    panic!("there was room for all");
}
