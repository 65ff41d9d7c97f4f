//! The task of the room: hears, looks, remembers.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};

use super::look::Looks;
use super::orders::Order;
use super::plugs::Plugs;
use super::table::{Entered, Table, Ticket, Work};
use crate::base::backoff::Backoff;
use crate::base::{CameraId, Clock, Mono, Result};
use crate::device::{Devices, Event, Listed, Listen, Node};
use crate::store::{DeviceRow, NewDevice, Sighting, Store};

/// Between looks through all nodes without an event, in case one was lost; some dozen system calls each.
const LIST: Duration = Duration::from_secs(10);
/// After an event: the kernel tells of a removal before the folder is gone.
const LIST_ONCE_MORE: Duration = Duration::from_secs(1);
/// Between tries of what failed: to listen, to read the database, to write to it.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// Between writes of where cameras were: a bad cable must not wear the disk out.
const WRITE: Duration = Duration::from_secs(1);

pub(super) enum Done {
    Listed(Mono, io::Result<Vec<Listed>>),
    Read(Ticket, Option<Node>),
    Judged(Ticket, io::Result<bool>),
    Known(Result<Vec<DeviceRow>>),
    Entered(Ticket, Result<Entered>),
    Saw(Vec<Sighting>, Result<()>),
    Changed(Order, Result<bool>),
}

pub(super) type Doing = FuturesUnordered<Pin<Box<dyn Future<Output = Done> + Send>>>;

pub(super) struct Task {
    devices: Arc<dyn Devices>,
    looks: Looks,
    pub(super) store: Store,
    clock: Clock,
    plugs: watch::Sender<Plugs>,
    known: watch::Sender<Arc<[DeviceRow]>>,
    orders: mpsc::Receiver<Order>,
    pub(super) table: Table,
    pub(super) doing: Doing,
    listener: Option<Box<dyn Listen>>,
    listen: Retry,
    /// A list is being made; whether another has to be made after it.
    listing: Option<bool>,
    next_list: Mono,
    read: Retry,
    reading: bool,
    write: Retry,
    writing: bool,
}

/// When what failed is tried again.
struct Retry {
    at: Mono,
    backoff: Backoff,
}

impl Retry {
    fn new() -> Retry {
        Retry { at: Mono::now(), backoff: Backoff::new(RETRY.0, RETRY.1) }
    }

    fn failed(&mut self) {
        self.at = Mono::now() + self.backoff.next_delay();
    }
}

impl Task {
    pub fn new(
        devices: Arc<dyn Devices>,
        looks: Looks,
        store: Store,
        clock: Clock,
        plugs: watch::Sender<Plugs>,
        known: watch::Sender<Arc<[DeviceRow]>>,
        orders: mpsc::Receiver<Order>,
    ) -> Task {
        let now = Mono::now();
        Task {
            devices,
            looks,
            store,
            clock,
            plugs,
            known,
            orders,
            table: Table::new(now),
            doing: Doing::new(),
            listener: None,
            listen: Retry::new(),
            listing: None,
            next_list: now,
            read: Retry::new(),
            reading: false,
            write: Retry::new(),
            writing: false,
        }
    }

    pub async fn run(mut self) {
        loop {
            let now = Mono::now();
            self.listen_again(now);
            self.list_if_due(now);
            self.read_if_due(now);
            let work = self.table.place(now, self.clock.wall_us());
            self.begin(work);
            self.publish();
            if self.listing.is_none() && self.table.wants_list(now) {
                self.list();
            }
            self.write_if_due(now);
            let wake = tokio::time::sleep(self.wake().from_now());
            tokio::select! {
                biased;
                heard = hear(&mut self.listener) => self.heard(heard),
                Some(done) = self.doing.next() => self.done(done),
                Some(order) = self.orders.recv() => self.order(order),
                () = wake => {}
            }
        }
    }

    fn wake(&self) -> Mono {
        let now = Mono::now();
        let mut at = self.next_list;
        if self.listener.is_none() {
            at = at.min(self.listen.at);
        }
        if self.table.has_saw() && !self.writing {
            at = at.min(self.write.at);
        }
        if self.table.known().is_none() && !self.reading {
            at = at.min(self.read.at);
        }
        self.table.deadline(now).map_or(at, |deadline| at.min(deadline))
    }

    fn heard(&mut self, heard: io::Result<Option<Event>>) {
        let now = Mono::now();
        self.list();
        match heard {
            Ok(Some(event)) => {
                tracing::debug!(?event, "a video device");
                self.table.event(event, now, self.clock.wall_us());
                // What is gone is gone for others at once.
                self.publish();
                self.next_list = now + LIST_ONCE_MORE;
            }
            Ok(None) => tracing::warn!("the kernel's word of devices was lost; all are looked at anew"),
            Err(error) => {
                tracing::warn!(%error, "devices cannot be listened to; it is tried again");
                self.listener = None;
                self.listen.failed();
            }
        }
    }

    fn listen_again(&mut self, now: Mono) {
        if self.listener.is_some() || self.listen.at > now {
            return;
        }
        match self.devices.listen() {
            Ok(listener) => {
                self.listener = Some(listener);
                self.listen.backoff.reset();
                // What came before is not told.
                self.list();
            }
            Err(error) => {
                if self.listen.backoff.attempts() == 0 {
                    tracing::warn!(%error, "devices cannot be listened to; they are looked for now and then");
                }
                self.listen.failed();
            }
        }
    }

    fn list_if_due(&mut self, now: Mono) {
        if self.next_list <= now {
            self.next_list = now + LIST;
            self.list();
        }
    }

    fn list(&mut self) {
        if let Some(another) = &mut self.listing {
            *another = true;
            return;
        }
        self.listing = Some(false);
        let (devices, asked) = (self.devices.clone(), Mono::now());
        self.doing.push(Box::pin(async move {
            let list = tokio::task::spawn_blocking(move || devices.list()).await;
            Done::Listed(asked, list.unwrap_or_else(|e| Err(io::Error::other(e))))
        }));
    }

    fn read_if_due(&mut self, now: Mono) {
        if self.reading || self.table.known().is_some() || self.read.at > now {
            return;
        }
        self.reading = true;
        let store = self.store.clone();
        self.doing.push(Box::pin(async move { Done::Known(store.devices().await) }));
    }

    fn write_if_due(&mut self, now: Mono) {
        if self.writing || !self.table.has_saw() || self.write.at > now {
            return;
        }
        self.writing = true;
        let (store, saw) = (self.store.clone(), self.table.take_saw());
        self.doing.push(Box::pin(async move {
            let written = store.saw_devices(saw.clone()).await;
            Done::Saw(saw, written)
        }));
    }

    pub(super) fn publish(&mut self) {
        if let Some(plugs) = self.table.news() {
            self.plugs.send_replace(plugs);
        }
        if let Some(known) = self.table.news_of_known() {
            self.known.send_replace(known);
        }
    }

    fn begin(&mut self, work: Vec<Work>) {
        for work in work {
            let looks = self.looks.clone();
            match work {
                Work::Read(ticket, devpath) => {
                    self.doing.push(Box::pin(async move { Done::Read(ticket, looks.read(devpath).await) }))
                }
                Work::Judge(ticket, devpath, path) => self
                    .doing
                    .push(Box::pin(async move { Done::Judged(ticket, looks.judge(devpath, path).await) })),
                Work::Enter(ticket, new) => {
                    let (store, known) = (self.store.clone(), self.ids());
                    self.doing
                        .push(Box::pin(async move { Done::Entered(ticket, enter(store, known, new).await) }));
                }
            }
        }
    }

    fn ids(&self) -> Vec<CameraId> {
        self.table.known().unwrap_or_default().iter().map(|row| row.camera).collect()
    }

    fn done(&mut self, done: Done) {
        let (now, wall_us) = (Mono::now(), self.clock.wall_us());
        match done {
            Done::Listed(asked, list) => {
                let again = self.listing.take().unwrap_or_default();
                match list {
                    Ok(list) => {
                        let work = self.table.listed(list, asked, now, wall_us);
                        self.begin(work);
                    }
                    Err(error) => tracing::warn!(%error, "video devices cannot be listed"),
                }
                if again {
                    self.list();
                }
            }
            Done::Read(ticket, node) => {
                let work = self.table.read(ticket, node, now);
                self.begin(work);
            }
            Done::Judged(ticket, verdict) => self.table.judged(ticket, verdict, now),
            Done::Known(Ok(rows)) => {
                (self.reading, self.read) = (false, Retry::new());
                self.table.knows(rows);
            }
            Done::Known(Err(error)) => {
                if self.read.backoff.attempts() == 0 {
                    tracing::warn!(
                        "known cameras cannot be read; none is told until then: {}",
                        error.chain()
                    );
                }
                self.reading = false;
                self.read.failed();
            }
            Done::Entered(ticket, entered) => self.table.entered(ticket, entered, now, wall_us),
            Done::Saw(sightings, written) => {
                self.writing = false;
                self.write.at = now + WRITE;
                match written {
                    Ok(()) => self.write.backoff.reset(),
                    Err(error) => {
                        tracing::debug!("where cameras are cannot be kept yet: {}", error.chain());
                        self.table.give_back_saw(sightings);
                        self.write.failed();
                    }
                }
            }
            Done::Changed(order, changed) => self.changed(order, changed),
        }
    }
}

/// Gives a new camera a number, unless the database knows cameras that we don't: an answer of it may have
/// been lost, and it is one of them.
async fn enter(store: Store, known: Vec<CameraId>, new: NewDevice) -> Result<Entered> {
    let rows = store.devices().await?;
    if rows.iter().any(|row| !known.contains(&row.camera)) {
        return Ok(Entered::Others(rows));
    }
    store.enter_device(new).await.map(Entered::Row)
}

/// What the listener hears; for ever nothing without one.
async fn hear(listener: &mut Option<Box<dyn Listen>>) -> io::Result<Option<Event>> {
    match listener {
        Some(listener) => listener.next().await,
        None => std::future::pending().await,
    }
}
