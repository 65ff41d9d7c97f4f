//! The room on trees of devices in a temporary folder, with the kernel's word given by hand.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::broadcast;

use super::*;
use crate::base::{CameraId, Clock, ErrorKind};
use crate::device::tree::{Device, Tree, XHCI};
use crate::device::{Devices, Event, Heard, Listed, Listen, Node, What};
use crate::store::Store;
use crate::supervise::Phases;

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A camera with a node for its metadata.
const CAMERA: Device =
    Device(0x46d, 0x82d, "", "HD Pro Webcam C920", "7A4C2E1F", &[(0, 0, "C920"), (0, 1, "Meta")]);
const NO_SERIAL: Device = Device(0xc45, 0x6368, "", "USB 2.0 Camera", "", &[(0, 0, "USB 2.0 Camera")]);
const HANGS: Device = Device(0xbad, 0xbad, "", "Stuck", "57AC", &[(0, 0, "Hang")]);

/// Sysfs, with events by hand.
struct Machine {
    tree: Tree,
    heard: broadcast::Sender<Option<Event>>,
    number: AtomicU64,
}

struct Ear(broadcast::Receiver<Option<Event>>);

impl Devices for Machine {
    fn list(&self) -> io::Result<Vec<Listed>> {
        self.tree.devices().list()
    }

    fn read(&self, devpath: &str) -> Option<Node> {
        self.tree.devices().read(devpath)
    }

    fn listen(&self) -> io::Result<Box<dyn Listen>> {
        Ok(Box::new(Ear(self.heard.subscribe())))
    }
}

impl Listen for Ear {
    fn next(&mut self) -> Heard<'_> {
        Box::pin(async { self.0.recv().await.map_err(io::Error::other) })
    }
}

impl Machine {
    fn tell(&self, what: What, devpath: &str) -> u64 {
        let number = 1 + self.number.fetch_add(1, Ordering::Relaxed);
        let _ = self.heard.send(Some(Event { what, devpath: devpath.into(), number }));
        number
    }

    /// Plugs in; answers with the first node and the number of its event.
    fn plug(&self, way: &str, device: &Device) -> (String, u64) {
        let nodes = self.tree.usb(XHCI, way, device);
        let numbers: Vec<u64> = nodes.iter().map(|node| self.tell(What::Added, node)).collect();
        (nodes[0].clone(), numbers[0])
    }

    fn unplug(&self, way: &str) -> u64 {
        let place = format!("{XHCI}/usb1/{way}");
        let nodes = self.tree.scan().into_iter().filter(|n| n.devpath.starts_with(&place));
        let nodes: Vec<String> = nodes.map(|n| n.devpath).collect();
        self.tree.unplug(&place);
        nodes.iter().map(|node| self.tell(What::Removed, node)).min().unwrap()
    }
}

/// The room, and the world around it.
struct Rig {
    machine: Arc<Machine>,
    hang: Arc<Mutex<()>>,
    store: Store,
    room: Option<(Phases, Hotplug)>,
    dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let (heard, _) = broadcast::channel(64);
        let tree = Tree::new();
        tree.on("pci", XHCI);
        let machine = Arc::new(Machine { tree, heard, number: AtomicU64::new(0) });
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        Rig { machine, hang: Arc::default(), store, room: None, dir }
    }

    fn start(&mut self) -> Hotplug {
        let (names, hang) = (self.machine.tree.path().join("class/video4linux"), self.hang.clone());
        let judge: Judge = Arc::new(move |path: &Path| {
            let name = std::fs::read_to_string(names.join(path.file_name().unwrap()).join("name"))?;
            if name.contains("Hang") {
                drop(hang.lock().unwrap());
            }
            Ok(!name.contains("Meta"))
        });
        let mut phases = Phases::default();
        let group = phases.add("devices");
        let (devices, store) = (self.machine.clone(), self.store.clone());
        let room = start(Options { devices, judge, store, clock: Clock::new() }, &group);
        self.room = Some((phases, room.clone()));
        room
    }

    async fn stop(&mut self) {
        let (phases, _) = self.room.take().unwrap();
        assert_eq!(phases.shutdown(PATIENCE).await, []);
    }

    async fn until(&self, what: &str, is: impl Fn(&Plugs) -> bool) -> Plugs {
        let mut plugs = self.room.as_ref().unwrap().1.plugs();
        let waited = tokio::time::timeout(PATIENCE, plugs.wait_for(|p| is(p))).await;
        let plugs = waited.map(|p| p.unwrap().clone());
        plugs.unwrap_or_else(|_| panic!("{what}: {:?}", self.room.as_ref().unwrap().1.plugs().borrow()))
    }

    async fn until_present(&self, ids: &[u32]) -> Plugs {
        let ids: Vec<CameraId> = ids.iter().map(|id| CameraId(*id)).collect();
        self.until(&format!("{ids:?}"), |p| p.complete && p.present.keys().eq(&ids)).await
    }

    fn database(&self) -> PathBuf {
        self.dir.path().join("t.db")
    }

    /// What hangs, hangs as long as this is kept.
    fn hold(&self) -> MutexGuard<'_, ()> {
        self.hang.lock().unwrap()
    }
}

#[tokio::test]
async fn a_camera_is_told_with_the_event_that_brought_it_and_its_metadata_is_none() {
    let mut rig = Rig::new();
    rig.start();
    rig.until_present(&[]).await;
    let (devpath, number) = rig.machine.plug("1-2", &CAMERA);
    let plugs = rig.until_present(&[0]).await;
    let plug = &plugs.present[&CameraId(0)];
    assert_eq!((plug.identity.as_str(), plug.event), ("usb-046d:082d-7A4C2E1F", Some(number)));
    assert_eq!(
        (plug.node.devpath.as_str(), plug.node.path.to_str()),
        (devpath.as_str(), Some("/dev/video0"))
    );
    let number = rig.machine.unplug("1-2");
    let plugs = rig.until_present(&[]).await;
    assert_eq!(plugs.left[&CameraId(0)].event, Some(number));
    assert!(plugs.left[&CameraId(0)].at > plug.since);
    rig.machine.plug("1-3", &CAMERA);
    let moved = rig.until_present(&[0]).await.present[&CameraId(0)].clone();
    assert_eq!((moved.identity, moved.node.port.as_str()), (plug.identity.clone(), "pci-0000:00:14.0-usb-3"));
    rig.stop().await;
    assert_eq!(rig.store.cameras().await.unwrap()[0].identity, "v4l2:usb-046d:082d-7A4C2E1F");
}

#[tokio::test]
async fn one_that_hangs_holds_up_neither_those_that_come_nor_those_that_go() {
    let mut rig = Rig::new();
    rig.machine.plug("1-1", &CAMERA);
    rig.start();
    rig.until_present(&[0]).await;
    let hang = rig.hang.clone();
    let (held, is_held) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        let _guard = hang.lock().unwrap();
        held.send(()).unwrap();
        let _ = released.recv();
    });
    is_held.recv().unwrap();
    rig.machine.plug("1-4", &HANGS);
    rig.machine.plug("1-5", &NO_SERIAL);
    rig.until_present(&[0, 1]).await;
    rig.machine.unplug("1-1");
    rig.until_present(&[1]).await;
    drop(release);
    holder.join().unwrap();
    rig.until_present(&[1, 2]).await;
    drop(rig.hold());
    rig.stop().await;
}

#[tokio::test]
async fn without_a_database_known_cameras_come_and_go_and_a_new_one_waits() {
    let mut rig = Rig::new();
    let room = rig.start();
    rig.machine.plug("1-1", &CAMERA);
    rig.until_present(&[0]).await;
    rig.store.suspend("the disk is away").await.unwrap();
    rig.machine.unplug("1-1");
    rig.until_present(&[]).await;
    rig.machine.plug("1-2", &NO_SERIAL);
    rig.machine.plug("1-3", &CAMERA);
    let plugs = rig.until_present(&[0]).await;
    assert_eq!(plugs.present[&CameraId(0)].node.port, "pci-0000:00:14.0-usb-3");
    let refused = room.pin(CameraId(0), true).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::DependencyFailed);
    rig.store.resume(&rig.database()).await.unwrap();
    rig.until_present(&[0, 1]).await;
    // Where it is now is kept once it can be.
    let at_its_port = async {
        while rig.store.devices().await.unwrap()[0].port != "pci-0000:00:14.0-usb-3" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, at_its_port).await.unwrap();
    rig.stop().await;
}

#[tokio::test]
async fn a_database_that_is_away_at_the_start_is_waited_for_and_nobody_gets_a_second_number() {
    let mut rig = Rig::new();
    rig.start();
    rig.machine.plug("1-1", &NO_SERIAL);
    rig.until_present(&[0]).await;
    rig.stop().await;
    rig.store.suspend("the disk is away").await.unwrap();
    rig.start();
    let plugs = rig.until("it goes on without", |p| p.complete).await;
    assert!(plugs.present.is_empty(), "nobody knows which it is");
    rig.store.resume(&rig.database()).await.unwrap();
    rig.until_present(&[0]).await;
    rig.stop().await;
}

#[tokio::test]
async fn what_was_not_heard_is_found_and_the_listener_is_started_anew() {
    let mut rig = Rig::new();
    rig.start();
    rig.machine.plug("1-1", &CAMERA);
    rig.until_present(&[0]).await;
    // Nobody is told, but that something was lost.
    rig.machine.tree.unplug(&format!("{XHCI}/usb1/1-1"));
    rig.machine.tree.usb(XHCI, "1-2", &NO_SERIAL);
    rig.machine.heard.send(None).unwrap();
    let plugs = rig.until_present(&[1]).await;
    assert_eq!(plugs.left[&CameraId(0)].event, None);
    // More at once than is kept for a listener: it fails, and another takes its place.
    for _ in 0..200 {
        rig.machine.tell(What::Changed, "/devices/none");
    }
    rig.machine.tree.usb(XHCI, "1-1", &CAMERA);
    rig.until_present(&[0, 1]).await;
    rig.machine.unplug("1-2");
    rig.until_present(&[0]).await;
    rig.stop().await;
}

#[tokio::test]
async fn numbers_names_and_pins_outlive_the_program() {
    let mut rig = Rig::new();
    let room = rig.start();
    // One after the other: two at once may get their numbers in either order.
    rig.machine.plug("1-1", &NO_SERIAL);
    rig.until_present(&[0]).await;
    rig.machine.plug("1-2", &NO_SERIAL);
    let plugs = rig.until_present(&[0, 1]).await;
    let was: Vec<_> = plugs.present.values().map(|p| (p.camera, p.node.port.clone())).collect();
    room.rename(CameraId(0), Some("Door".into())).await.unwrap();
    room.pin(CameraId(1), true).await.unwrap();
    for bad in ["", " Door", "Door\n", &"x".repeat(65)] {
        let refused = room.rename(CameraId(0), Some(bad.into())).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidParams, "{bad:?}");
    }
    assert_eq!(room.pin(CameraId(7), true).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(room.forget(CameraId(0)).await.unwrap_err().kind(), ErrorKind::InvalidState);
    rig.stop().await;
    let room = rig.start();
    let plugs = rig.until_present(&[0, 1]).await;
    assert!(plugs.present.values().map(|p| (p.camera, p.node.port.clone())).eq(was));
    let known = room.known();
    assert_eq!((known[0].name.as_deref(), known[0].pinned), (Some("Door"), false));
    assert_eq!((known[1].name.as_deref(), known[1].pinned), (None, true));
    assert!(known.iter().all(|k| k.present && k.model == "USB 2.0 Camera" && k.first_us.is_some()));
    rig.machine.unplug("1-1");
    rig.until_present(&[1]).await;
    room.forget(CameraId(0)).await.unwrap();
    assert_eq!(room.known().len(), 1);
    rig.machine.plug("1-4", &NO_SERIAL);
    rig.until_present(&[0, 1]).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_device_that_says_hostile_things_is_a_camera_like_others() {
    let mut rig = Rig::new();
    rig.start();
    let hostile = "\u{1b}]0;\u{7}\u{202e}\"; DROP TABLE cameras;--\n[camera]\\";
    rig.machine.plug("1-1", &Device(1, 2, hostile, hostile, hostile, &[(0, 0, "../../../etc/passwd")]));
    rig.machine.plug("1-2", &CAMERA);
    let plugs = rig.until_present(&[0, 1]).await;
    for plug in plugs.present.values() {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".:/@_+-".contains(&b);
        assert!(plug.identity.bytes().all(plain), "{}", plug.identity);
        assert!(plug.node.path.starts_with("/dev"));
        assert!(plug.node.model().bytes().all(|b| (0x20..0x7f).contains(&b)));
    }
    rig.stop().await;
}
