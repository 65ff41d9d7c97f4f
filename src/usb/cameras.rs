//! Cameras for tests: what their descriptors say, from public listings (`lsusb -v`), put into bytes as a device does.
//!
//! The alternate settings of Logitech's C920 and C270 (192 … 3 × 1020 bytes) and that their descriptors name the bit
//! rate of the uncompressed picture for MJPEG stand in the listings of linux-media (Sharp 2010 of a sister model) and
//! in kodinerds.net's of a C270; the requests for 1984 and 3060 bytes that uvcvideo logged for such cameras are those
//! of settings 9 and 11.

use crate::device::tree::{Device, Tree};
use crate::v4l2::{FourCc, Mode, Rate, Role, Size, Survey};

/// A camera: its speed in Mb/s, its settings, its formats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Camera {
    pub device: Device,
    pub speed: &'static str,
    /// Packets in a microframe, bytes of each; (0, n) = bulk with packets of n bytes.
    pub settings: &'static [(u8, u16)],
    pub formats: &'static [Format],
}

/// A format: its name, and width, height, rates of each size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format(pub FourCc, pub &'static [(u16, u16, &'static [u32])]);

const UVC: &[(u8, u32, &str)] = &[(0, 0, "UVC"), (0, 1, "UVC")];
const LOGITECH: &[(u8, u16)] = &[
    (1, 192),
    (1, 384),
    (1, 512),
    (1, 640),
    (1, 800),
    (1, 944),
    (2, 640),
    (2, 800),
    (2, 992),
    (3, 896),
    (3, 1020),
];
const SLOWING: &[u32] = &[30, 24, 20, 15, 10, 5];

pub(crate) const C920: Camera = Camera {
    device: Device(0x046d, 0x082d, "", "HD Pro Webcam C920", "7A4C2E1F", UVC),
    speed: "480",
    settings: LOGITECH,
    formats: &[
        Format(
            FourCc::YUYV,
            &[(640, 480, SLOWING), (320, 240, SLOWING), (1280, 720, &[10, 5]), (1920, 1080, &[5])],
        ),
        Format(
            FourCc::MJPG,
            &[(640, 480, SLOWING), (320, 240, SLOWING), (1280, 720, SLOWING), (1920, 1080, SLOWING)],
        ),
    ],
};

pub(crate) const C270: Camera = Camera {
    device: Device(0x046d, 0x0825, "", "C270 HD WEBCAM", "200901010001", UVC),
    speed: "480",
    settings: LOGITECH,
    formats: &[
        Format(FourCc::YUYV, &[(640, 480, SLOWING), (320, 240, SLOWING), (1280, 720, &[5])]),
        Format(FourCc::MJPG, &[(640, 480, SLOWING), (320, 240, SLOWING), (1280, 720, SLOWING)]),
    ],
};

/// A camera without JPEG, as the sister model of 2010 in its first format.
pub(crate) const RAW_ONLY: Camera = Camera {
    device: Device(0x0c45, 0x6368, "Sonix Technology Co., Ltd.", "USB 2.0 Camera", "", UVC),
    formats: &[Format(FourCc::YUYV, &[(640, 480, &[30, 15]), (320, 240, &[30, 15])])],
    ..C270
};

/// A camera whose only setting is the largest: it takes it whatever it sends.
pub(crate) const ELP: Camera = Camera {
    device: Device(0x32e4, 0x9230, "HD USB Camera", "HD USB Camera", "", UVC),
    speed: "480",
    settings: &[(3, 1024)],
    formats: &[Format(FourCc::MJPG, &[(1920, 1080, &[30]), (640, 480, &[60, 30])])],
};

/// A camera with bulk transfers, which reserve nothing.
pub(crate) const BULK: Camera = Camera { settings: &[(0, 512)], ..C270 };

/// A thermal camera with one setting at full speed (PureThermal 2: 482 bytes, raspberrypi/linux issue 3136).
pub(crate) const PURETHERMAL: Camera = Camera {
    device: Device(0x1e4e, 0x0100, "GroupGets", "PureThermal (fw:v1.3.0)", "", UVC),
    speed: "12",
    settings: &[(1, 482)],
    formats: &[Format(FourCc::UYVY, &[(160, 120, &[9])])],
};

/// A grabber at super speed, 48 KiB in each microframe: sixteen packets, three times.
pub(crate) const GRABBER: Camera = Camera {
    device: Device(0x0fd9, 0x0066, "Elgato", "Game Capture HD60 S+", "", UVC),
    speed: "5000",
    settings: &[(16, 1024), (32, 1024), (48, 1024)],
    formats: &[Format(FourCc::YUYV, &[(1920, 1080, &[60, 30])])],
};

impl Camera {
    /// What its file `descriptors` holds.
    pub fn descriptors(&self) -> Vec<u8> {
        let Device(vendor, product, ..) = self.device;
        let mut all = vec![18, 1, 0, 2, 0xef, 2, 1, 64];
        for word in [vendor, product, 0x10] {
            all.extend(word.to_le_bytes());
        }
        all.extend([1, 2, 0, 1]);
        all.extend([9, 2, 0, 0, 2, 1, 0, 0x80, 250]);
        all.extend([8, 11, 0, 2, 14, 3, 0, 0]);
        all.extend(interface(0, 0, 1));
        all.extend([13, 0x24, 1, 0, 1, 13, 0, 0x80, 0x8d, 0x5b, 0, 1, 1]);
        all.extend(interface(1, 0, 2));
        all.extend([14, 0x24, 1, self.formats.len() as u8, 0, 0, 0x81, 0, 3, 0, 0, 0, 1, 0]);
        for (index, format) in self.formats.iter().enumerate() {
            format.put(index as u8 + 1, &mut all);
        }
        for (at, (packets, packet)) in self.settings.iter().enumerate() {
            let isochronous = *packets > 0;
            if isochronous {
                all.extend(interface(1, at as u8 + 1, 2));
            }
            let super_speed = self.speed.len() > 3;
            let size = match packets {
                0 => *packet,
                _ if super_speed => *packet,
                more => *packet | u16::from(more - 1) << 11,
            };
            all.extend([7, 5, 0x81, if isochronous { 5 } else { 2 }]);
            all.extend(size.to_le_bytes());
            all.push(u8::from(isochronous));
            if super_speed {
                all.extend([6, 0x30, 15, 0]);
                all.extend((u16::from(*packets) * packet).to_le_bytes());
            }
        }
        all
    }

    /// What its driver says of it.
    pub fn survey(&self) -> Survey {
        let formats = self.formats.iter().map(|Format(fourcc, sizes)| {
            let size = |(width, height, rates): &(u16, u16, &[u32])| Size {
                width: (*width).into(),
                height: (*height).into(),
                rates: rates.iter().map(|fps| Rate::fps(*fps)).collect(),
            };
            crate::v4l2::Format { fourcc: *fourcc, sizes: sizes.iter().map(size).collect(), any: None }
        });
        Survey {
            driver: "uvcvideo".into(),
            card: self.device.3.into(),
            bus: "usb-0000:00:14.0-1".into(),
            role: Role::Camera,
            formats: formats.collect(),
            oddities: Vec::new(),
        }
    }

    /// Plugs it in below a controller of this kind (`xHCI Host Controller`, `EHCI Host Controller`, …). Answers with
    /// its node's path in sysfs.
    pub fn plug(&self, tree: &Tree, kind: &str, controller: &str, way: &str) -> String {
        let node = tree.usb(controller, way, &self.device).remove(0);
        let bus = way.split('-').next().unwrap();
        let fast = if self.speed == "12" { "480" } else { self.speed };
        let mut place = format!("{controller}/usb{bus}");
        tree.put(&format!("{place}/product"), kind);
        tree.put(&format!("{place}/speed"), fast);
        for (at, _) in way.match_indices('.').chain([(way.len(), "")]) {
            place = format!("{place}/{}", &way[..at]);
            tree.put(&format!("{place}/speed"), fast);
        }
        tree.put(&format!("{place}/speed"), self.speed);
        tree.put(&format!("{place}/bConfigurationValue"), "1");
        std::fs::write(
            tree.path().join(place.trim_start_matches('/')).join("descriptors"),
            self.descriptors(),
        )
        .unwrap();
        node
    }
}

impl Format {
    fn put(&self, index: u8, all: &mut Vec<u8>) {
        let Format(fourcc, sizes) = self;
        let count = sizes.len() as u8;
        let jpeg = fourcc.is_jpeg();
        if jpeg {
            all.extend([11, 0x24, 6, index, count, 1, 1, 0, 0, 0, 0]);
        } else {
            all.extend([27, 0x24, 4, index, count]);
            let name = if *fourcc == FourCc::YUYV { *b"YUY2" } else { fourcc.0 };
            all.extend(name);
            // The rest of such a GUID.
            all.extend([0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);
            all.extend([16, 1, 0, 0, 0, 0]);
        }
        for (at, (width, height, rates)) in sizes.iter().enumerate() {
            let bytes = u32::from(*width) * u32::from(*height) * 2;
            let bits = |fps: Option<&u32>| bytes * 8 * fps.unwrap();
            all.extend([26 + 4 * rates.len() as u8, 0x24, if jpeg { 7 } else { 5 }, at as u8 + 1, 0]);
            all.extend(width.to_le_bytes());
            all.extend(height.to_le_bytes());
            let intervals: Vec<u32> = rates.iter().map(|fps| 10_000_000 / fps).collect();
            for number in [bits(rates.iter().min()), bits(rates.iter().max()), bytes, intervals[0]] {
                all.extend(number.to_le_bytes());
            }
            all.push(rates.len() as u8);
            for interval in intervals {
                all.extend(interval.to_le_bytes());
            }
        }
        all.extend([6, 0x24, 13, 1, 1, 4]);
    }
}

fn interface(number: u8, setting: u8, subclass: u8) -> [u8; 9] {
    [9, 4, number, setting, 1, 14, subclass, 0, 0]
}

/// A mode.
pub(crate) fn mode(fourcc: FourCc, width: u32, height: u32, fps: u32) -> Mode {
    Mode { fourcc, width, height, rate: Some(Rate::fps(fps)) }
}
