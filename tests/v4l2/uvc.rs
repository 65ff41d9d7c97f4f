//! What the emulated camera says of itself and to requests: USB Video Class 1.0, one MJPEG size, one control.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI16, Ordering};

pub const WIDTH: u16 = 320;
pub const HEIGHT: u16 = 180;
/// How much of the bus a camera can take (wMaxPacketSize of each alternate setting), and how many bytes of each
/// microframe it asks for.
#[derive(Clone, Copy, Debug)]
pub struct Bandwidth(pub &'static [u16], pub u16);

/// The settings of Logitech's cameras up to the sixth, which it asks for, and their largest.
pub const MODEST: Bandwidth = Bandwidth(&[192, 384, 512, 640, 800, 944, 0x13fc], 944);
/// Three packets of 1024 bytes, or nothing.
pub const GREEDY: Bandwidth = Bandwidth(&[0x1400], 3072);
/// Between pictures, 100 ns.
const INTERVAL: u32 = 2_000_000;
const PICTURE: u32 = WIDTH as u32 * HEIGHT as u32 * 2;
/// The unit that has its controls.
const PROCESSING: u8 = 2;

const SET_CUR: u8 = 1;
const GET_CUR: u8 = 0x81;
const GET_LEN: u8 = 0x85;
const GET_INFO: u8 = 0x86;

/// The bytes of its descriptors.
pub struct Descriptors {
    device: Vec<u8>,
    configuration: Vec<u8>,
    serial: String,
}

impl Descriptors {
    pub fn new(vendor: u16, product: u16, serial: &str, bandwidth: Bandwidth) -> Descriptors {
        let mut device = vec![18, 1, 0, 2, 0xef, 2, 1, 64];
        for word in [vendor, product, 0x10] {
            device.extend(word.to_le_bytes());
        }
        device.extend([1, 2, if serial.is_empty() { 0 } else { 3 }, 1]);
        let mut all = vec![8, 11, 0, 2, 14, 3, 0, 2];
        // Control: the sensor, its processing, the way out.
        let units: Vec<u8> = [
            &[18, 0x24, 2, 1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0][..],
            &[11, 0x24, 5, PROCESSING, 1, 0, 0, 2, 1, 0, 0],
            &[9, 0x24, 3, 3, 1, 1, 0, PROCESSING, 0],
        ]
        .concat();
        all.extend(interface(0, 0, 0, 1));
        all.extend([13, 0x24, 1, 0, 1, 13 + units.len() as u8, 0, 0, 0x6c, 0xdc, 2, 1, 1]);
        all.extend(units);
        // Pictures.
        let mut format = vec![11, 0x24, 6, 1, 1, 1, 1, 0, 0, 0, 0];
        format.extend([30, 0x24, 7, 1, 0]);
        format.extend(WIDTH.to_le_bytes());
        format.extend(HEIGHT.to_le_bytes());
        for number in [PICTURE * 8, PICTURE * 8 * 5, PICTURE, INTERVAL] {
            format.extend(number.to_le_bytes());
        }
        format.push(1);
        format.extend(INTERVAL.to_le_bytes());
        format.extend([6, 0x24, 13, 1, 1, 4]);
        all.extend(interface(1, 0, 0, 2));
        all.extend([14, 0x24, 1, 1, 14 + format.len() as u8, 0, 0x81, 0, 3, 0, 0, 0, 1, 0]);
        all.extend(format);
        for (at, size) in bandwidth.0.iter().enumerate() {
            all.extend(interface(1, at as u8 + 1, 1, 2));
            all.extend([7, 5, 0x81, 5, size.to_le_bytes()[0], size.to_le_bytes()[1], 1]);
        }
        let whole = (9 + all.len() as u16).to_le_bytes();
        let configuration = [&[9, 2, whole[0], whole[1], 2, 1, 0, 0x80, 250][..], &all].concat();
        Descriptors { device, configuration, serial: serial.into() }
    }

    fn descriptor(&self, kind: u8, index: u8) -> Option<Vec<u8>> {
        match (kind, index) {
            (1, _) => Some(self.device.clone()),
            (2, 0) => Some(self.configuration.clone()),
            (3, 0) => Some(vec![4, 3, 9, 4]),
            (3, 1) => Some(text("Fieldcam Test")),
            (3, 2) => Some(text("Emulated Camera")),
            (3, 3) => Some(text(&self.serial)),
            _ => None,
        }
    }
}

fn interface(number: u8, setting: u8, endpoints: u8, subclass: u8) -> [u8; 9] {
    [9, 4, number, setting, endpoints, 14, subclass, 0, 0]
}

fn text(said: &str) -> Vec<u8> {
    let units: Vec<u8> = said.encode_utf16().flat_map(u16::to_le_bytes).collect();
    [&[2 + units.len() as u8, 3][..], &units].concat()
}

/// The device's side of its control endpoint.
pub struct Device {
    descriptors: Descriptors,
    asks: u16,
    brightness: Arc<AtomicI16>,
    mute: Arc<AtomicBool>,
}

impl Device {
    pub fn new(
        descriptors: Descriptors,
        bandwidth: Bandwidth,
        brightness: Arc<AtomicI16>,
        mute: Arc<AtomicBool>,
    ) -> Device {
        Device { descriptors, asks: bandwidth.1, brightness, mute }
    }

    /// What it answers to a request; `None` = it refuses.
    pub fn control(&mut self, setup: [u8; 8], data: &[u8]) -> Option<Vec<u8>> {
        let [kind, request, value, selector, interface, entity, ..] = setup;
        if kind & 0x60 == 0 {
            return match request {
                6 => self.descriptors.descriptor(selector, value),
                0 => Some(vec![0, 0]),
                8 => Some(vec![1]),
                // Configured: it begins anew.
                9 => {
                    self.mute.store(false, Ordering::SeqCst);
                    Some(Vec::new())
                }
                _ => Some(Vec::new()),
            };
        }
        match (interface, entity, selector) {
            // What it will deliver, asked and settled.
            (1, 0, 1 | 2) => match request {
                SET_CUR => Some(Vec::new()),
                GET_LEN => Some(vec![26, 0]),
                GET_INFO => Some(vec![3]),
                _ => Some(probe(self.asks)),
            },
            (0, PROCESSING, 2) => {
                let number = match request {
                    SET_CUR => {
                        let value = i16::from_le_bytes(data.try_into().ok()?);
                        self.brightness.store(value, Ordering::SeqCst);
                        return Some(Vec::new());
                    }
                    GET_INFO => return Some(vec![3]),
                    GET_LEN => 2,
                    GET_CUR => self.brightness.load(Ordering::SeqCst),
                    // Least, most, step, what it is at first.
                    0x82 => 0,
                    0x83 => 255,
                    0x84 => 1,
                    _ => 128,
                };
                Some(number.to_le_bytes().to_vec())
            }
            _ => None,
        }
    }
}

fn probe(asks: u16) -> Vec<u8> {
    let mut all = vec![1, 0, 1, 1];
    all.extend(INTERVAL.to_le_bytes());
    all.extend([0; 10]);
    all.extend(PICTURE.to_le_bytes());
    all.extend(u32::from(asks).to_le_bytes());
    all
}
