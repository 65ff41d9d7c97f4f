//! A USB device's descriptors, as its file `descriptors` in sysfs has them: read, never believed.
//!
//! Layouts: USB 2.0 §9.6, USB 3.2 §9.6.7, USB Video Class 1.5 §3.9.2 and its documents for MJPEG, uncompressed and
//! frame-based payloads; which of two meanings of a field counts is uvcvideo's choice (`uvc_parse_format`).

/// The kernel's own bound of one configuration is 64 KiB; the file has all of them.
const MOST_BYTES: usize = 256 << 10;
/// Streams of one device; real ones have up to four.
const MOST_STREAMS: usize = 16;
/// Alternate settings of one interface: their number is a byte.
const MOST_SETTINGS: usize = 256;
/// Formats of one stream, frames of one format: their numbers are bytes.
const MOST_LISTED: usize = 255;

const DEVICE_CONFIGURATION: u8 = 2;
const INTERFACE: u8 = 4;
const ENDPOINT: u8 = 5;
const SUPER_SPEED_COMPANION: u8 = 0x30;
const CLASS_INTERFACE: u8 = 0x24;
const VIDEO: u8 = 14;
const VIDEO_CONTROL: u8 = 1;
const VIDEO_STREAMING: u8 = 2;

/// A picture stream of a camera.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Streaming {
    /// bInterfaceNumber.
    pub interface: u8,
    /// That of the VideoControl interface it belongs to: the parent of its node in sysfs.
    pub control: u8,
    /// bEndpointAddress of its pictures.
    endpoint: u8,
    pub formats: Vec<Format>,
    /// Those with the endpoint of its pictures, in the device's order.
    pub settings: Vec<Setting>,
}

/// An alternate setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// bAlternateSetting.
    pub number: u8,
    /// Whether it reserves time on the bus; bulk transfers take what is left.
    pub isochronous: bool,
    /// Bytes of a packet.
    pub packet: u32,
    /// Bytes of one service interval: some packets.
    pub bytes: u32,
    /// Of how many frames (full speed) or microframes one is a service interval: a power of two.
    pub every: u32,
}

/// A format of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub kind: Kind,
    pub frames: Vec<Frame>,
}

/// What a format is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first four bytes of its GUID, a name like V4L2's.
    Uncompressed([u8; 4]),
    Mjpeg,
    /// As above: H.264 and others.
    FrameBased([u8; 4]),
}

/// A size of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub width: u32,
    pub height: u32,
    /// dwMaxBitRate: at the shortest interval; 0 = it does not say.
    pub max_bit_rate: u32,
    /// dwMaxVideoFrameBufferSize; 0 = it does not say.
    pub max_bytes: u32,
    /// The shortest time between two frames, 100 ns; 0 = it does not say.
    pub interval: u32,
}

/// The picture streams of the configuration that is in use, or of the first.
pub(super) fn streams(bytes: &[u8], configuration: Option<u8>) -> Vec<Streaming> {
    let bytes = &bytes[..bytes.len().min(MOST_BYTES)];
    let has = |n: u8| each(bytes).any(|d| d[1] == DEVICE_CONFIGURATION && byte(d, 5) == n);
    let wanted = configuration.filter(|n| has(*n));
    let mut reader = Reader::default();
    let mut inside = false;
    let mut seen = false;
    for descriptor in each(bytes) {
        if descriptor[1] == DEVICE_CONFIGURATION {
            inside = wanted.map_or(!seen, |n| byte(descriptor, 5) == n);
            seen = true;
        } else if inside {
            reader.take(descriptor);
        }
    }
    reader.streams
}

/// One after another, until one is torn: each has at least its length and its type.
fn each(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(*rest.first()?);
        let whole = rest.get(..length).filter(|d| d.len() >= 2)?;
        rest = &rest[length..];
        Some(whole)
    })
}

fn byte(d: &[u8], at: usize) -> u8 {
    d.get(at).copied().unwrap_or(0)
}

fn short(d: &[u8], at: usize) -> u32 {
    u32::from(byte(d, at)) | u32::from(byte(d, at + 1)) << 8
}

fn long(d: &[u8], at: usize) -> u32 {
    short(d, at) | short(d, at + 2) << 16
}

#[derive(Default)]
struct Reader {
    streams: Vec<Streaming>,
    control: u8,
    /// bAlternateSetting of the interface that is being read, when it is one of the last stream's.
    setting: Option<u8>,
    /// An endpoint of the last stream came last: a companion belongs to it.
    fresh: bool,
}

impl Reader {
    fn take(&mut self, d: &[u8]) {
        let fresh = std::mem::take(&mut self.fresh);
        match d[1] {
            INTERFACE => self.interface(d),
            CLASS_INTERFACE => self.class(d),
            ENDPOINT => self.endpoint(d),
            SUPER_SPEED_COMPANION if fresh => {
                if let Some(setting) = self.streams.last_mut().and_then(|s| s.settings.last_mut()) {
                    // wBytesPerInterval, as uvcvideo takes it (`uvc_endpoint_max_bpi`).
                    setting.bytes = short(d, 4);
                }
            }
            _ => {}
        }
    }

    fn interface(&mut self, d: &[u8]) {
        self.setting = None;
        let (number, setting) = (byte(d, 2), byte(d, 3));
        if byte(d, 5) != VIDEO {
            return;
        }
        match byte(d, 6) {
            VIDEO_CONTROL => self.control = number,
            VIDEO_STREAMING => {
                let known = self.streams.iter().position(|s| s.interface == number);
                match known {
                    // Settings of one interface need not stand together.
                    Some(at) => {
                        let stream = self.streams.remove(at);
                        self.streams.push(stream);
                    }
                    None if self.streams.len() < MOST_STREAMS => {
                        let control = self.control;
                        self.streams.push(Streaming { interface: number, control, ..Streaming::default() });
                    }
                    None => return,
                }
                self.setting = Some(setting);
            }
            _ => {}
        }
    }

    fn endpoint(&mut self, d: &[u8]) {
        let (Some(number), Some(stream)) = (self.setting, self.streams.last_mut()) else { return };
        if byte(d, 2) != stream.endpoint || stream.settings.len() >= MOST_SETTINGS {
            return;
        }
        let isochronous = byte(d, 3) & 3 == 1;
        let size = short(d, 4);
        // Bits 11 and 12: more packets in the same microframe; 3 is reserved.
        let packets = 1 + (size >> 11 & 3).min(2);
        let packet = size & 0x7ff;
        let every = 1 << (u32::from(byte(d, 6)).clamp(1, 16) - 1);
        stream.settings.push(Setting { number, isochronous, packet, bytes: packet * packets, every });
        self.fresh = true;
    }

    fn class(&mut self, d: &[u8]) {
        if self.setting.is_none() {
            return;
        }
        let Some(stream) = self.streams.last_mut() else { return };
        let name = [byte(d, 5), byte(d, 6), byte(d, 7), byte(d, 8)];
        let kind = match byte(d, 2) {
            1 => {
                stream.endpoint = byte(d, 6);
                return;
            }
            4 => Kind::Uncompressed(name),
            6 => Kind::Mjpeg,
            0x10 => Kind::FrameBased(name),
            which @ (5 | 7 | 0x11) => {
                let frames = stream.formats.last_mut().map(|f| &mut f.frames);
                if let Some(frames) = frames.filter(|f| f.len() < MOST_LISTED) {
                    frames.extend(frame(d, which == 0x11));
                }
                return;
            }
            _ => return,
        };
        if stream.formats.len() < MOST_LISTED {
            stream.formats.push(Format { kind, frames: Vec::new() });
        }
    }
}

fn frame(d: &[u8], frame_based: bool) -> Option<Frame> {
    let (width, height) = (short(d, 5), short(d, 7));
    // Without intervals in a list there are three: shortest, longest, step.
    let count = match byte(d, if frame_based { 21 } else { 25 }) {
        0 => 1,
        n => usize::from(n),
    };
    let intervals = (0..count).map(|n| 26 + 4 * n).take_while(|at| at + 4 <= d.len()).map(|at| long(d, at));
    (width > 0 && height > 0).then(|| Frame {
        width,
        height,
        max_bit_rate: long(d, 13),
        max_bytes: if frame_based { 0 } else { long(d, 17) },
        interval: intervals.filter(|i| *i > 0).min().unwrap_or(0),
    })
}

#[cfg(test)]
mod tests;
