//! What is known of each node, and what is to be done next, as pure code.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::plugs::{Left, Plug, Plugs};
use crate::base::backoff::Backoff;
use crate::base::{CameraId, Mono};
use crate::device::{Event, Listed, Node, What};
use crate::store::{DeviceRow, NewDevice, Sighting};

/// How long one waits that could be a missing camera or another of its kind, from the last node that came:
/// a hub shows its devices one after another, each in some tenths of a second.
pub(super) const QUIET: Duration = Duration::from_millis(1500);
/// It waits no longer than this, whatever comes and goes meanwhile.
const QUIET_MOST: Duration = Duration::from_secs(10);
/// What the first look through everything may take before the rest of the program goes on without.
pub(super) const FIRST_LOOK: Duration = Duration::from_secs(5);
/// Between looks at a node that cannot be opened: udevd may not have given it to us yet.
const AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(5));
/// Failed looks until it is told, some two seconds.
const TELL_AFTER: u32 = 7;
/// A loopback device can be written to first and is a camera once somebody does, without a word from the
/// kernel.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// Cameras that are remembered. A box has a handful; a gadget with ever new serial numbers has any number.
pub(super) const MOST_KNOWN: usize = 256;

/// Which look at a node an answer is about.
pub(super) type Ticket = u64;

/// What is to be done; each but `Saw` is answered by the method of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// [`Table::read`].
    Read(Ticket, String),
    /// [`Table::judged`].
    Judge(Ticket, String, PathBuf),
    /// [`Table::entered`].
    Enter(Ticket, NewDevice),
}

/// What an operator wants of a camera.
pub(super) enum Change {
    /// It is called so, or nothing.
    Name(Option<String>),
    /// It is whatever of its kind is plugged in at its port, or no more.
    Pin(bool),
    /// It is not coming back.
    Forget,
}

/// What became of a new camera.
#[derive(Debug)]
pub(super) enum Entered {
    /// It is in the database.
    Row(DeviceRow),
    /// The database knows cameras that we don't.
    Others(Vec<DeviceRow>),
}

#[derive(Debug)]
struct Entry {
    ticket: Ticket,
    instance: u64,
    since: Mono,
    event: Option<u64>,
    node: Option<Node>,
    read_at: Mono,
    stage: Stage,
    /// It was said to be no camera.
    refused: bool,
    again: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Somebody looks at it.
    Looking,
    /// Is looked at again then.
    Resting(Mono),
    /// No camera. Asked again then, if ever.
    Refused(Option<Mono>),
    /// A camera that has no number yet; not before then.
    Camera(Mono),
    /// Is being given a number.
    Entering,
    /// Has this number.
    Plugged(CameraId),
}

/// Everything that is known.
pub(super) struct Table {
    started: Mono,
    next_ticket: Ticket,
    entries: BTreeMap<String, Entry>,
    /// What the kernel said of nodes that no list has shown yet.
    announced: BTreeMap<String, (Mono, u64)>,
    /// Which instances the kernel said are gone: their folders are there for a moment more.
    gone: BTreeMap<String, u64>,
    last_came: Mono,
    /// When the last list was asked for.
    listed: Option<Mono>,
    known: Option<Vec<DeviceRow>>,
    known_changed: bool,
    /// Kind and serial number of those that are being given a number, there or gone since.
    entering: BTreeMap<Ticket, (String, Option<String>)>,
    plugs: Plugs,
    changed: bool,
    saw: BTreeMap<CameraId, Sighting>,
    full: bool,
}

impl Table {
    pub fn new(now: Mono) -> Table {
        Table {
            started: now,
            next_ticket: 0,
            entries: BTreeMap::new(),
            announced: BTreeMap::new(),
            gone: BTreeMap::new(),
            last_came: now,
            listed: None,
            known: None,
            known_changed: false,
            entering: BTreeMap::new(),
            plugs: Plugs::default(),
            changed: false,
            saw: BTreeMap::new(),
            full: false,
        }
    }

    /// What is plugged in, if that is something else than before.
    pub fn news(&mut self) -> Option<Plugs> {
        mem::take(&mut self.changed).then(|| self.plugs.clone())
    }

    /// Every camera ever seen, if that is something else than before.
    pub fn news_of_known(&mut self) -> Option<Arc<[DeviceRow]>> {
        mem::take(&mut self.known_changed).then(|| self.known.iter().flatten().cloned().collect())
    }

    /// Every camera ever seen; `None` = the database has not said yet.
    pub fn known(&self) -> Option<&[DeviceRow]> {
        self.known.as_deref()
    }

    /// What is to be remembered of where cameras were.
    pub fn take_saw(&mut self) -> Vec<Sighting> {
        mem::take(&mut self.saw).into_values().collect()
    }

    /// It could not be remembered. What was seen since is newer.
    pub fn give_back_saw(&mut self, sightings: Vec<Sighting>) {
        for sighting in sightings {
            self.saw.entry(sighting.camera).or_insert(sighting);
        }
    }

    pub fn has_saw(&self) -> bool {
        !self.saw.is_empty()
    }

    /// The kernel's word. A list has to be made after it in any case.
    pub fn event(&mut self, event: Event, now: Mono, wall_us: i64) {
        let Event { what, devpath, number } = event;
        match what {
            What::Removed => {
                // Two sockets keep no order between them.
                if self.entries.get(&devpath).is_some_and(|e| e.event.is_some_and(|came| came > number)) {
                    return;
                }
                self.announced.remove(&devpath);
                if let Some(instance) = self.drop_entry(&devpath, now, Some(number), wall_us) {
                    self.gone.insert(devpath, instance);
                }
            }
            What::Added => {
                self.gone.remove(&devpath);
                if let Some(entry) = self.entries.get_mut(&devpath) {
                    entry.event.get_or_insert(number);
                    self.again(&devpath, now);
                }
                // It may be another in the same place; the next list says.
                self.announced.insert(devpath, (now, number));
            }
            What::Changed => self.again(&devpath, now),
        }
    }

    /// One that was no camera, or could not be looked at, may be one now.
    fn again(&mut self, devpath: &str, now: Mono) {
        if let Some(entry) = self.entries.get_mut(devpath)
            && matches!(entry.stage, Stage::Resting(_) | Stage::Refused(_))
        {
            entry.stage = Stage::Resting(now);
            entry.again.reset();
        }
    }

    /// Everything that there is, as it was at `asked` or after.
    pub fn listed(&mut self, list: Vec<Listed>, asked: Mono, now: Mono, wall_us: i64) -> Vec<Work> {
        let mut work = Vec::new();
        let missing: Vec<String> = self
            .entries
            .iter()
            .filter(|(devpath, entry)| {
                !list.iter().any(|l| l.devpath == **devpath && l.instance == entry.instance)
            })
            .map(|(devpath, _)| devpath.clone())
            .collect();
        for devpath in missing {
            self.drop_entry(&devpath, now, None, wall_us);
        }
        self.gone.retain(|devpath, _| list.iter().any(|l| l.devpath == *devpath));
        for Listed { devpath, instance } in list {
            if self.entries.contains_key(&devpath) || self.gone.get(&devpath) == Some(&instance) {
                continue;
            }
            let (since, event) = match self.announced.remove(&devpath) {
                Some((at, number)) => (at, Some(number)),
                None => (now, None),
            };
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            work.push(Work::Read(ticket, devpath.clone()));
            let again = Backoff::new(AGAIN.0, AGAIN.1);
            let entry = Entry {
                ticket,
                instance,
                since,
                event,
                node: None,
                read_at: now,
                stage: Stage::Looking,
                refused: false,
                again,
            };
            self.entries.insert(devpath, entry);
            self.last_came = now;
        }
        self.announced.retain(|_, (at, _)| *at >= asked);
        self.listed = Some(asked);
        work
    }

    /// What a node says of itself; `None` = nothing yet.
    pub fn read(&mut self, ticket: Ticket, node: Option<Node>, now: Mono) -> Vec<Work> {
        let Some((devpath, entry)) = self.looked_at(ticket) else { return Vec::new() };
        let Some(node) = node else {
            entry.stage = Stage::Resting(now + entry.again.next_delay());
            return Vec::new();
        };
        if node.odd {
            let (devpath, model) = (&node.devpath, node.model());
            tracing::warn!(devpath, model, "a video device says things of itself that cannot be shown whole");
        }
        let path = node.path.clone();
        entry.node = Some(node);
        entry.read_at = now;
        vec![Work::Judge(ticket, devpath, path)]
    }

    /// Whether a node is a camera.
    pub fn judged(&mut self, ticket: Ticket, verdict: io::Result<bool>, now: Mono) {
        let Some((devpath, entry)) = self.looked_at(ticket) else { return };
        entry.refused = matches!(verdict, Ok(false));
        entry.stage = match verdict {
            Ok(true) => {
                entry.again.reset();
                Stage::Camera(now)
            }
            Ok(false) => {
                let on_no_bus = entry.node.as_ref().is_some_and(|n| n.port.starts_with("virtual"));
                Stage::Refused(on_no_bus.then(|| now + ASK_AGAIN))
            }
            Err(error) => {
                let rest = entry.again.next_delay();
                if entry.again.attempts() == TELL_AFTER {
                    tracing::warn!(devpath, %error, "a video device cannot be opened; it is tried again");
                }
                Stage::Resting(now + rest)
            }
        };
    }

    /// What the database knows.
    pub fn knows(&mut self, mut rows: Vec<DeviceRow>) {
        // Where they are may not be written yet.
        for old in self.known.iter().flatten() {
            if let Some(row) = rows.iter_mut().find(|row| row.camera == old.camera) {
                row.port.clone_from(&old.port);
                row.seen_us = row.seen_us.max(old.seen_us);
            }
        }
        self.known = Some(rows);
        self.known_changed = true;
    }

    fn looked_at(&mut self, ticket: Ticket) -> Option<(String, &mut Entry)> {
        let (devpath, entry) = self.entries.iter_mut().find(|(_, e)| e.ticket == ticket)?;
        (entry.stage == Stage::Looking).then(|| (devpath.clone(), entry))
    }

    /// A node that is there no more; answers with which one it was.
    fn drop_entry(&mut self, devpath: &str, now: Mono, event: Option<u64>, wall_us: i64) -> Option<u64> {
        let entry = self.entries.remove(devpath)?;
        if let Stage::Plugged(id) = entry.stage
            && let Some(plug) = self.plugs.present.remove(&id)
        {
            self.plugs.left.insert(id, Left { at: now, event });
            self.changed = true;
            let port = plug.node.port;
            tracing::info!(camera = %id, port, event, "unplugged");
            self.saw.insert(id, Sighting { camera: id, port, at_us: wall_us });
        }
        Some(entry.instance)
    }
}

mod placing;

#[cfg(test)]
mod tests;
