//! Which camera each node is, and when that can be said.

use std::collections::BTreeSet;

use super::*;
use crate::base::Result;
use crate::device::{self, Known, Placed, recognise};

/// Until a new camera is tried again that is one too many.
const FULL: Duration = Duration::from_secs(60);

impl Table {
    /// Does what can be done now. To be called after everything else, and at [`Table::deadline`].
    pub fn place(&mut self, now: Mono, wall_us: i64) -> Vec<Work> {
        let mut work = self.look_again(now);
        for (devpath, placed) in self.placed(now) {
            match placed {
                Placed::Same(id) | Placed::Moved(id) => self.plug(&devpath, id, wall_us),
                Placed::New => work.extend(self.enter(&devpath, now, wall_us)),
            }
        }
        if !self.plugs.complete && (self.is_through() || now.since(self.started) >= FIRST_LOOK) {
            self.plugs.complete = true;
            self.changed = true;
        }
        work
    }

    /// When something can be done though nothing happens.
    pub fn deadline(&self, now: Mono) -> Option<Mono> {
        let of_entry = |entry: &Entry| match entry.stage {
            Stage::Resting(at) | Stage::Refused(Some(at)) => Some(at),
            Stage::Camera(at) if at > now => Some(at),
            Stage::Camera(_) if self.known.is_some() => {
                // Past that, a list is waited for.
                Some((self.last_came + QUIET).min(entry.since + QUIET_MOST)).filter(|at| *at > now)
            }
            _ => None,
        };
        let first = (!self.plugs.complete).then_some(self.started + FIRST_LOOK);
        self.entries.values().filter_map(of_entry).chain(first).min()
    }

    /// Whether somebody waits for a list made from now on.
    pub fn wants_list(&self, now: Mono) -> bool {
        let waits = |entry: &Entry| matches!(entry.stage, Stage::Camera(from) if from <= now);
        self.known.is_some() && self.entries.values().any(|e| waits(e) && !self.is_confirmed(e))
    }

    /// Whether what is said to be there was there after this one was read. When the kernel's word was lost, a
    /// camera that moved stands at both places until then.
    fn is_confirmed(&self, entry: &Entry) -> bool {
        self.listed.is_some_and(|asked| asked > entry.read_at)
    }

    /// Looks that are due once more.
    fn look_again(&mut self, now: Mono) -> Vec<Work> {
        let mut work = Vec::new();
        for (devpath, entry) in &mut self.entries {
            let (Stage::Resting(at) | Stage::Refused(Some(at))) = entry.stage else { continue };
            if at <= now {
                entry.stage = Stage::Looking;
                work.push(match &entry.node {
                    None => Work::Read(entry.ticket, devpath.clone()),
                    Some(node) => Work::Judge(entry.ticket, devpath.clone(), node.path.clone()),
                });
            }
        }
        work
    }

    /// Which cameras can be told now. Those that may be cameras count too: who is there decides who is who.
    fn placed(&self, now: Mono) -> Vec<(String, Placed)> {
        let Some(known) = &self.known else { return Vec::new() };
        let taken: BTreeSet<_> = self.plugs.present.keys().collect();
        let all: Vec<Known> = known.iter().map(remembered).collect();
        let free: Vec<Known> = all.iter().filter(|k| !taken.contains(&k.id)).cloned().collect();
        let may_be = |entry: &&Entry| match entry.stage {
            Stage::Camera(_) => true,
            Stage::Looking | Stage::Resting(_) => !entry.refused,
            _ => false,
        };
        let (entries, nodes): (Vec<&Entry>, Vec<Node>) =
            self.entries.values().filter(may_be).filter_map(|e| Some((e, e.node.clone()?))).unzip();
        let can_be_said = |entry: &Entry, node: &Node, placed: Placed| {
            let Stage::Camera(from) = entry.stage else { return false };
            let alike = |k: &&Known| k.kind == node.kind() && k.serial.as_deref() == node.serial();
            let for_sure = match placed {
                Placed::Same(_) => true,
                // Its serial number is one camera's alone.
                Placed::Moved(_) => node.serial().is_some() && all.iter().filter(alike).count() == 1,
                // None of its kind is missing, and its serial number is not that of one that is here.
                Placed::New => {
                    let alike_free = free.iter().filter(alike).any(|k| !k.pinned);
                    let alike_here = || all.iter().filter(alike).any(|k| taken.contains(&k.id));
                    !alike_free && (node.serial().is_none() || !alike_here())
                }
            };
            let waited = now.since(self.last_came) >= QUIET || now.since(entry.since) >= QUIET_MOST;
            from <= now && (for_sure || (waited && self.is_confirmed(entry)))
        };
        let placed = recognise(&nodes, &free);
        let each = entries.iter().zip(&nodes).zip(placed);
        each.filter(|((entry, node), placed)| can_be_said(entry, node, *placed))
            .map(|((_, node), placed)| (node.devpath.clone(), placed))
            .collect()
    }

    /// A node is this camera.
    fn plug(&mut self, devpath: &str, id: CameraId, wall_us: i64) {
        let known = self.known.iter_mut().flatten().find(|row| row.camera == id);
        let (Some(entry), Some(row)) = (self.entries.get_mut(devpath), known) else { return };
        let Some(node) = entry.node.clone() else { return };
        entry.stage = Stage::Plugged(id);
        let identity = row.identity.strip_prefix(device::SOURCE).unwrap_or(&row.identity).to_owned();
        let (port, model) = (node.port.as_str(), node.model());
        if row.port == node.port {
            tracing::info!(camera = %id, identity, model, port, event = entry.event, "plugged in");
        } else {
            tracing::info!(camera = %id, identity, model, port, from = row.port, "plugged in elsewhere");
        }
        self.known_changed = true;
        row.port.clone_from(&node.port);
        row.seen_us = Some(wall_us);
        self.saw.insert(id, Sighting { camera: id, port: node.port.clone(), at_us: wall_us });
        self.plugs.left.remove(&id);
        let plug = Plug { camera: id, identity, node, since: entry.since, event: entry.event };
        self.plugs.present.insert(id, plug);
        self.changed = true;
    }

    /// A camera never seen before is to be given a number.
    fn enter(&mut self, devpath: &str, now: Mono, wall_us: i64) -> Option<Work> {
        let known = self.known.as_ref()?.len();
        let entry = self.entries.get_mut(devpath)?;
        if known >= MOST_KNOWN {
            if !self.full {
                tracing::error!(
                    devpath,
                    "a new camera is not taken: {known} are remembered, which is all there may be; forget one \
                     that is not coming back"
                );
            }
            self.full = true;
            entry.stage = Stage::Camera(now + FULL);
            return None;
        }
        let node = entry.node.as_ref()?;
        let alike = (node.kind(), node.serial().map(str::to_owned));
        // It may be that one, pulled out and back meanwhile.
        if self.entering.values().any(|entering| *entering == alike) {
            return None;
        }
        self.entering.insert(entry.ticket, alike);
        let new = NewDevice {
            identity: format!("{}{}", device::SOURCE, device::identity(node)),
            kind: node.kind(),
            serial: node.serial().map(str::to_owned),
            port: node.port.clone(),
            model: node.model().to_owned(),
            at_us: wall_us,
        };
        entry.stage = Stage::Entering;
        Some(Work::Enter(entry.ticket, new))
    }

    /// What became of one that was to be given a number. It is tried again when that failed.
    pub fn entered(&mut self, ticket: Ticket, entered: Result<Entered>, now: Mono, wall_us: i64) {
        self.entering.remove(&ticket);
        let entering =
            self.entries.iter_mut().find(|(_, e)| e.ticket == ticket && e.stage == Stage::Entering);
        match entered {
            Ok(Entered::Row(row)) => {
                let (id, devpath) = (row.camera, entering.map(|(devpath, _)| devpath.clone()));
                let known = self.known.get_or_insert_default();
                known.push(row);
                known.sort_by_key(|row| row.camera);
                self.known_changed = true;
                if let Some(devpath) = devpath {
                    self.plug(&devpath, id, wall_us);
                }
            }
            Ok(Entered::Others(rows)) => {
                if let Some((_, entry)) = entering {
                    entry.stage = Stage::Camera(now);
                }
                self.knows(rows);
            }
            Err(error) => {
                let Some((devpath, entry)) = entering else { return };
                entry.stage = Stage::Camera(now + entry.again.next_delay());
                if entry.again.attempts() == 1 {
                    tracing::warn!(devpath, "a new camera waits until it can be kept: {}", error.chain());
                }
            }
        }
    }

    /// An operator's wish is in the database.
    pub fn changed(&mut self, id: CameraId, change: Change) {
        let Some(row) = self.known.iter_mut().flatten().find(|row| row.camera == id) else { return };
        match change {
            Change::Name(name) => row.name = name,
            Change::Pin(pinned) => row.pinned = pinned,
            Change::Forget => {}
        }
        self.known_changed = true;
    }

    /// A camera is not known any more; answers whether that can be: it must not be plugged in.
    pub fn forget(&mut self, id: CameraId) -> bool {
        let can_be = !self.plugs.present.contains_key(&id);
        if can_be && let Some(known) = &mut self.known {
            known.retain(|row| row.camera != id);
            self.known_changed = true;
            self.full = false;
            self.saw.remove(&id);
            self.changed |= self.plugs.left.remove(&id).is_some();
        }
        can_be
    }

    /// Whether all that was there at the start is what it is.
    fn is_through(&self) -> bool {
        let is_open = |entry: &Entry| match entry.stage {
            Stage::Looking | Stage::Camera(_) | Stage::Entering => true,
            Stage::Resting(_) => entry.again.attempts() < TELL_AFTER,
            Stage::Refused(_) | Stage::Plugged(_) => false,
        };
        self.listed.is_some() && self.known.is_some() && !self.entries.values().any(is_open)
    }
}

fn remembered(row: &DeviceRow) -> Known {
    Known {
        id: row.camera,
        kind: row.kind.clone(),
        serial: row.serial.clone(),
        port: row.port.clone(),
        pinned: row.pinned,
    }
}
