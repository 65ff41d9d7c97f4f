//! What the table lives in, for tests.

use std::path::PathBuf;

use super::super::*;
use crate::device::Usb;

/// A machine with ports, a database and a clock of its own.
pub struct World {
    pub table: Table,
    pub now: Mono,
    pub plugged: BTreeMap<String, (u64, Node)>,
    pub rows: Vec<DeviceRow>,
    pub work: Vec<Work>,
    /// The kernel's count of events, and of folders made.
    pub count: u64,
    /// Nobody hears the kernel.
    pub deaf: bool,
}

/// `PRODUCT[#SERIAL]@PORT`, as the cases below write a device.
pub fn node(text: &str) -> Node {
    let (device, port) = text.split_once('@').unwrap();
    let (product, serial) = device.split_once('#').map_or((device, None), |(p, s)| (p, Some(s.to_owned())));
    let product = u16::from_str_radix(product, 16).unwrap();
    Node {
        path: PathBuf::from("/dev/video0"),
        devpath: devpath(port),
        name: String::new(),
        index: 0,
        port: port.into(),
        usb: Some(Usb { vendor: 0x46d, product, serial, interface: 0, model: String::new() }),
        odd: false,
    }
}

pub fn devpath(port: &str) -> String {
    format!("/devices/{port}")
}

impl World {
    pub fn new() -> World {
        let now = Mono(1_000_000_000_000);
        let mut world = World {
            table: Table::new(now),
            now,
            plugged: BTreeMap::new(),
            rows: Vec::new(),
            work: Vec::new(),
            count: 0,
            deaf: false,
        };
        world.table.knows(Vec::new());
        world
    }

    pub fn tell(&mut self, what: What, port: &str) {
        self.count += 1;
        if !self.deaf {
            let event = Event { what, devpath: devpath(port), number: self.count };
            self.table.event(event, self.now, 0);
        }
    }

    pub fn plug(&mut self, device: &str) {
        let node = node(device);
        let port = node.port.clone();
        self.unplug(&port);
        self.plugged.insert(node.devpath.clone(), (self.count, node));
        self.tell(What::Added, &port);
    }

    pub fn unplug(&mut self, port: &str) {
        if self.plugged.remove(&devpath(port)).is_some() {
            self.tell(What::Removed, port);
        }
    }

    /// The program starts anew, with what is in the database.
    pub fn restart(&mut self) {
        for sighting in self.table.take_saw() {
            let row = self.rows.iter_mut().find(|row| row.camera == sighting.camera).unwrap();
            row.port = sighting.port;
        }
        for row in &mut self.rows {
            row.pinned = self.table.known().unwrap().iter().any(|k| k.camera == row.camera && k.pinned);
        }
        self.table = Table::new(self.now);
        self.table.knows(self.rows.clone());
        self.work.clear();
    }

    pub fn list(&mut self) {
        let listed = |(devpath, (instance, _)): (&String, &(u64, Node))| Listed {
            devpath: devpath.clone(),
            instance: *instance,
        };
        let list = self.plugged.iter().map(listed).collect();
        self.now = Mono(self.now.0 + 1);
        let work = self.table.listed(list, self.now, self.now, 0);
        self.work.extend(work);
    }

    /// One thing that is to be done is done; which, is anybody's guess.
    pub fn work(&mut self, pick: usize) {
        let work = self.work.swap_remove(pick % self.work.len());
        match work {
            Work::Read(ticket, devpath) => {
                let node = self.plugged.get(&devpath).map(|(_, node)| node.clone());
                self.now = Mono(self.now.0 + 1);
                let next = self.table.read(ticket, node, self.now);
                self.work.extend(next);
            }
            Work::Judge(ticket, devpath, _) => {
                let there = self.plugged.contains_key(&devpath);
                let verdict = if there { Ok(true) } else { Err(io::ErrorKind::NotFound.into()) };
                self.table.judged(ticket, verdict, self.now);
            }
            Work::Enter(ticket, new) => {
                let row = self.enter(new);
                self.table.entered(ticket, Ok(Entered::Row(row)), self.now, 0);
            }
        }
        self.place();
    }

    pub fn enter(&mut self, new: NewDevice) -> DeviceRow {
        let camera = CameraId(self.rows.len() as u32);
        let NewDevice { identity, kind, serial, port, model, .. } = new;
        let identity = format!("{identity}~{}", camera.0);
        let (name, first_us, seen_us) = (None, None, None);
        let row =
            DeviceRow { camera, identity, kind, serial, port, pinned: false, model, name, first_us, seen_us };
        self.rows.push(row.clone());
        row
    }

    pub fn place(&mut self) {
        let work = self.table.place(self.now, 0);
        self.work.extend(work);
    }

    /// Everything is done, however long it takes.
    pub fn settle(&mut self) {
        self.deaf = false;
        self.list();
        for _ in 0..1000 {
            self.place();
            if !self.work.is_empty() {
                self.work(0);
            } else if self.table.wants_list(self.now) {
                self.list();
            } else if let Some(at) = self.table.deadline(self.now) {
                assert!(at > self.now, "it would run without an end: {:?}", self.table.entries);
                self.now = at;
            } else {
                return;
            }
        }
        panic!("never done: {:?}", self.table.entries);
    }

    /// `PORT=NUMBER` of everything that is plugged in.
    pub fn says(&self) -> String {
        let present = self.table.plugs.present.values();
        let mut said: Vec<_> = present.map(|p| format!("{}={}", p.node.port, p.camera.0)).collect();
        said.sort();
        said.join(" ")
    }
}
