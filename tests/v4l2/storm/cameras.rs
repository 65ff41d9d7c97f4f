//! The cameras of the storm, and what can happen to each sort of them.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Dice, Subject};
use crate::common::{Client, wait_within};
use crate::guest::{Guest, Loopback, MJPEG, Service};
use crate::machine::PATIENCE;
use crate::usbip::{PluggedIn, UvcCamera};
use crate::uvc::MODEST;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Damaged,
    NotPrepared,
    Broken,
    NotStarted,
    Disconnected,
    NoBuffers,
    Dropped,
    SequenceWraps,
    TimeWraps,
    Unbound,
    WriterStops,
    WriterDies,
    Deleted,
    Pulled,
    SwitchedOff,
    Mute,
}

impl Kind {
    pub fn words(self) -> &'static str {
        match self {
            Kind::Damaged => "vivid: a damaged picture (DQBUF)",
            Kind::NotPrepared => "vivid: a buffer is refused (QBUF)",
            Kind::Broken => "vivid: the stream breaks",
            Kind::NotStarted => "vivid: breaks, and STREAMON fails",
            Kind::Disconnected => "vivid: the device is gone (ENODEV)",
            Kind::NoBuffers => "vivid: gone, and REQBUFS fails",
            Kind::Dropped => "vivid: every picture lost for 2.5 to 5 s",
            Kind::SequenceWraps => "vivid: breaks, and its numbers wrap",
            Kind::TimeWraps => "vivid: breaks, and its time wraps",
            Kind::Unbound => "vivid: driver unbound and bound, all at once",
            Kind::WriterStops => "loopback: the writer stops for 2.5 to 6 s",
            Kind::WriterDies => "loopback: the writer dies, a new one comes",
            Kind::Deleted => "loopback: deleted and added",
            Kind::Pulled => "usb: pulled out and plugged in",
            Kind::SwitchedOff => "usb: authorization taken and given back",
            Kind::Mute => "usb: mute until it is configured anew",
        }
    }

    /// Whether pictures have to stay away, or the box has to do something.
    pub fn hurts(self) -> bool {
        self != Kind::Damaged
    }

    /// When what this is about happens, after its beginning.
    pub fn delay(self) -> Option<Duration> {
        match self {
            // 128 pictures before the end of its numbers, 16 s before the end of its time.
            Kind::SequenceWraps => Some(Duration::from_secs(26)),
            Kind::TimeWraps => Some(Duration::from_secs(16)),
            _ => None,
        }
    }
}

/// How often each is in the deck of a camera of vivid.
const OF_VIVID: [(Kind, usize); 10] = [
    (Kind::Damaged, 1),
    (Kind::NotPrepared, 4),
    (Kind::Broken, 5),
    (Kind::NotStarted, 5),
    (Kind::Disconnected, 5),
    (Kind::NoBuffers, 4),
    (Kind::Dropped, 2),
    (Kind::SequenceWraps, 1),
    (Kind::TimeWraps, 1),
    // Of the first one only: it takes all of them away.
    (Kind::Unbound, 1),
];
const OF_LOOPBACK: [(Kind, usize); 3] = [(Kind::WriterStops, 1), (Kind::WriterDies, 1), (Kind::Deleted, 1)];
const OF_USB: [(Kind, usize); 3] = [(Kind::Pulled, 2), (Kind::SwitchedOff, 2), (Kind::Mute, 1)];

/// vivid with so many cameras, until it is dropped.
pub struct Vivid<'a> {
    guest: &'a Guest,
    count: usize,
}

impl<'a> Vivid<'a> {
    #[track_caller]
    pub fn load(guest: &'a Guest, count: usize) -> Vivid<'a> {
        let types = vec!["0x1"; count].join(",");
        guest.ok(&format!("modprobe --remove vivid && modprobe vivid n_devs={count} node_types={types}"));
        Vivid { guest, count }
    }
}

impl Drop for Vivid<'_> {
    fn drop(&mut self) {
        let said = self.guest.run("modprobe --remove vivid && modprobe vivid && udevadm settle");
        assert!(said.status == 0 || std::thread::panicking(), "vivid is not as it was: {said:?}");
    }
}

/// A camera of the storm.
pub enum Camera<'a> {
    Vivid(OfVivid<'a>),
    Loopback(OfLoopback<'a>),
    Usb(OfUsb<'a>),
}

pub struct OfVivid<'a> {
    guest: &'a Guest,
    name: String,
}

pub struct OfLoopback<'a> {
    guest: &'a Guest,
    number: u32,
    // In the order in which they go.
    writer: Option<Service<'a>>,
    device: Loopback<'a>,
}

pub struct OfUsb<'a> {
    guest: &'a Guest,
    port: u32,
    plugged: Option<PluggedIn<'a>>,
    camera: UvcCamera,
}

/// All cameras: those of vivid, so many loopback cameras, so many on USB.
pub fn plug_in<'a>(guest: &'a Guest, vivid: &Vivid<'_>, others: usize) -> Vec<Camera<'a>> {
    let mut all = Vec::new();
    for n in 0..vivid.count {
        all.push(Camera::Vivid(OfVivid { guest, name: format!("vivid-{n:03}-vid-cap") }));
    }
    for n in 0..others as u32 {
        let device = guest.loopback(20 + n, &name(20 + n));
        let writer = Some(device.feed(MJPEG));
        all.push(Camera::Loopback(OfLoopback { guest, number: 20 + n, device, writer }));
    }
    for n in 0..others as u32 {
        let camera = UvcCamera::new(&format!("FC570{n}A1"), MODEST);
        let plugged = Some(camera.plug(guest, n));
        all.push(Camera::Usb(OfUsb { guest, port: n, camera, plugged }));
    }
    all
}

fn name(number: u32) -> String {
    format!("Storm {number}")
}

impl Camera<'_> {
    /// What can happen to it, as often as it is to come before the next deck.
    pub fn deck(&self) -> Vec<Kind> {
        let kinds = match self {
            Camera::Vivid(camera) if camera.name.contains("000") => &OF_VIVID[..],
            Camera::Vivid(_) => &OF_VIVID[..OF_VIVID.len() - 1],
            Camera::Loopback(_) => &OF_LOOPBACK[..],
            Camera::Usb(_) => &OF_USB[..],
        };
        kinds.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count)).collect()
    }

    /// Whether it is this one of `list_devices`.
    pub fn is(&self, device: &Value) -> bool {
        match self {
            Camera::Vivid(OfVivid { name, .. }) => device["model"] == name.as_str(),
            Camera::Loopback(OfLoopback { number, .. }) => device["model"] == name(*number),
            Camera::Usb(OfUsb { camera, .. }) => device["serial"] == camera.serial,
        }
    }

    /// Lets it happen. Answers from when on the camera could give pictures again.
    pub fn suffer(&mut self, kind: Kind, dice: &mut Dice) -> Instant {
        match self {
            Camera::Vivid(camera) => camera.suffer(kind, dice),
            Camera::Loopback(camera) => camera.suffer(kind, dice),
            Camera::Usb(camera) => camera.suffer(kind, dice),
        }
    }

    /// Takes back what would go on.
    pub fn is_over(&self, kind: Kind) {
        if let Camera::Vivid(camera) = self {
            match kind {
                Kind::SequenceWraps => camera.set("wrap_sequence_number=0"),
                Kind::TimeWraps => camera.set("wrap_timestamp=0"),
                _ => {}
            }
        }
    }
}

/// What takes its time on purpose: something is away for so long.
fn stays_away(how_long: Duration) {
    std::thread::sleep(how_long);
}

impl OfVivid<'_> {
    /// Its node, which the kernel may number anew.
    fn node(&self) -> String {
        format!("/dev/$(grep -lx {} /sys/class/video4linux/*/name | cut -d/ -f5)", self.name)
    }

    /// The helper may have taken the driver away for the sake of another of its cameras: for all or none of them.
    #[track_caller]
    fn set(&self, controls: &str) {
        self.guest.wait("it is set", &format!("v4l2-ctl -d {} --set-ctrl={controls}", self.node()));
    }

    fn suffer(&self, kind: Kind, dice: &mut Dice) -> Instant {
        let begun = Instant::now();
        match kind {
            Kind::Damaged => self.set("inject_v4l2_buf_flag_error=1"),
            Kind::NotPrepared => self.set("inject_vidioc_qbuf_error=1"),
            Kind::Broken => self.set("inject_fatal_streaming_error=1"),
            Kind::NotStarted => self.set("inject_vidioc_streamon_error=1,inject_fatal_streaming_error=1"),
            Kind::Disconnected => self.set("disconnect=1"),
            Kind::NoBuffers => self.set("inject_vidioc_reqbufs_error=1,disconnect=1"),
            Kind::SequenceWraps => self.set("wrap_sequence_number=1,inject_fatal_streaming_error=1"),
            Kind::TimeWraps => self.set("wrap_timestamp=1,inject_fatal_streaming_error=1"),
            Kind::Dropped => {
                self.set("percentage_of_dropped_buffers=100");
                stays_away(dice.pause(2500, 5000));
                self.set("percentage_of_dropped_buffers=0");
                return Instant::now();
            }
            Kind::Unbound => {
                let driver = "/sys/bus/platform/drivers/vivid";
                self.guest.ok(&format!("echo vivid.0 >{driver}/unbind"));
                stays_away(dice.pause(0, 3000));
                self.guest.ok(&format!("echo vivid.0 >{driver}/bind"));
                return Instant::now();
            }
            _ => unreachable!("{kind:?}"),
        }
        begun
    }
}

impl<'a> OfLoopback<'a> {
    fn suffer(&mut self, kind: Kind, dice: &mut Dice) -> Instant {
        match kind {
            Kind::WriterStops => {
                let writer = self.writer.as_ref().unwrap();
                writer.signal("STOP");
                stays_away(dice.pause(2500, 6000));
                writer.signal("CONT");
                return Instant::now();
            }
            Kind::WriterDies => {
                self.writer = None;
                stays_away(dice.pause(0, 3000));
            }
            Kind::Deleted => {
                self.writer = None;
                // Refused while the box has it open.
                wait_within(PATIENCE, "the box lets go of it", || self.device.delete().ok());
                stays_away(dice.pause(0, 3000));
                self.device = self.guest.loopback(self.number, &name(self.number));
            }
            _ => unreachable!("{kind:?}"),
        }
        self.writer = Some(self.device.feed(MJPEG));
        Instant::now()
    }
}

impl OfUsb<'_> {
    fn suffer(&mut self, kind: Kind, dice: &mut Dice) -> Instant {
        match kind {
            Kind::Pulled => {
                self.plugged = None;
                stays_away(dice.pause(0, 3000));
                // The other port of this camera.
                self.port = (self.port + 4) % 8;
                self.plugged = Some(self.camera.plug(self.guest, self.port));
            }
            Kind::SwitchedOff => {
                let plugged = self.plugged.as_ref().unwrap();
                plugged.authorize(false);
                stays_away(dice.pause(0, 3000));
                if let Err(why) = plugged.try_authorize() {
                    eprintln!("{}: {why}", self.camera.serial);
                    wait_within(PATIENCE, "it can be authorized", || plugged.try_authorize().ok());
                }
            }
            Kind::Mute => {
                let begun = Instant::now();
                self.camera.mute();
                return begun;
            }
            _ => unreachable!("{kind:?}"),
        }
        Instant::now()
    }
}

/// What is set on a number reaches the device that had it at first.
#[track_caller]
pub fn are_who_they_are(guest: &Guest, client: &mut Client, subjects: &[Subject<'_>]) {
    for (at, subject) in subjects.iter().enumerate() {
        if matches!(subject.camera, Camera::Loopback(_)) {
            continue;
        }
        let value = 20 + at as i64;
        let params = json!({ "device": subject.id, "control": "brightness", "value": value });
        client.ok("set_camera_control", params);
        let has = match &subject.camera {
            Camera::Vivid(camera) => {
                let said = guest.ok(&format!("v4l2-ctl -d {} --get-ctrl=brightness", camera.node()));
                said.strip_prefix("brightness: ").and_then(|n| n.parse().ok())
            }
            Camera::Usb(usb) => Some(usb.camera.brightness.load(Ordering::SeqCst).into()),
            Camera::Loopback(_) => None,
        };
        assert_eq!(has, Some(value), "{} is another camera", subject.id);
    }
}
