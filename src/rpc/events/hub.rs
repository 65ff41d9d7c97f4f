//! The list of subscribers, the present state as they were told it, and the task that hands each fact to
//! them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::client::Client;
use super::topic::Topic;
use crate::base::CameraId;
use crate::health::{Health, Report};
use crate::mediamtx::ServerState;
use crate::notice::Fact;
use crate::pipeline::Cameras;
use crate::recording::Recordings;

/// How often the verdict on the box is looked at; it is answered from memory.
const HEALTH_EVERY: Duration = Duration::from_secs(1);

/// Something to tell.
#[derive(Debug)]
pub enum Event {
    /// A room said so.
    Fact(Fact),
    /// The verdict on the box is another one.
    Health(Box<Report>),
}

/// An event with its place in the order of all.
#[derive(Debug)]
pub struct News {
    /// Grows by one.
    pub number: u64,
    /// What.
    pub event: Event,
}

impl Event {
    /// The camera that it is about.
    pub fn camera(&self) -> Option<CameraId> {
        match self {
            Event::Fact(Fact::Camera { id: camera, .. })
            | Event::Fact(Fact::Control { camera, .. })
            | Event::Fact(Fact::RecordingStarted { camera, .. })
            | Event::Fact(Fact::RecordingStopped { camera, .. })
            | Event::Fact(Fact::RecordingError { camera, .. })
            | Event::Fact(Fact::SnapshotTaken { camera, .. }) => Some(*camera),
            Event::Fact(
                Fact::StorageWarning { .. }
                | Fact::Health
                | Fact::Startup
                | Fact::Update { .. }
                | Fact::Network { .. },
            )
            | Event::Health(_) => None,
        }
    }

    /// What it is part of the present state of; none for what only happens.
    fn part(&self) -> Option<Part> {
        match self {
            Event::Fact(Fact::Camera { id, .. }) => Some(Part::Camera(*id)),
            Event::Fact(
                Fact::RecordingStarted { camera, .. }
                | Fact::RecordingStopped { camera, .. }
                | Fact::RecordingError { camera, .. },
            ) => Some(Part::Recording(*camera)),
            Event::Health(_) => Some(Part::Health),
            Event::Fact(_) => None,
        }
    }

    /// Whether it is part of the state for whoever missed nothing of it: every camera's row is, and what is
    /// recorded; what has ended is not told again.
    fn lasts(&self) -> bool {
        matches!(self, Event::Fact(Fact::Camera { .. } | Fact::RecordingStarted { .. }))
    }
}

/// Things of which the newest event says how they are; in the order in which they are told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Camera(CameraId),
    Recording(CameraId),
    Health,
}

/// All subscribers. Clones are the same.
#[derive(Clone, Default)]
pub struct Hub {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    clients: BTreeMap<Uuid, Arc<Client>>,
    /// The present state.
    newest: BTreeMap<Part, Arc<News>>,
    /// The number of the next event.
    next: u64,
}

/// A place in the list; given back when it is dropped.
pub struct Subscriber {
    id: Uuid,
    client: Arc<Client>,
    hub: Hub,
}

impl Subscriber {
    /// The client's side.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.hub.inner().clients.remove(&self.id);
    }
}

/// How many subscribe to what.
#[derive(Debug, PartialEq, Eq)]
pub struct Stats {
    /// Topics over all clients.
    pub subscriptions: usize,
    /// Clients that subscribe to anything.
    pub clients: usize,
    /// Clients by topic.
    pub topics: BTreeMap<Topic, usize>,
}

/// Where the facts come from, and where to look when some were missed.
pub struct Sources {
    /// The broadcast; subscribed to before the present state is read.
    pub facts: Receiver<Fact>,
    /// The media server, whose end is news at once.
    pub server: watch::Receiver<ServerState>,
    /// The verdict.
    pub health: Health,
    /// Every camera's row.
    pub cameras: Cameras,
    /// What is recorded.
    pub recordings: Recordings,
}

impl Inner {
    fn note(&mut self, event: Event) -> Arc<News> {
        let news = Arc::new(News { number: self.next, event });
        self.next += 1;
        if let Some(part) = news.event.part() {
            self.newest.insert(part, news.clone());
        }
        news
    }
}

impl Hub {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client without topics yet.
    pub fn join(&self, id: Uuid) -> Subscriber {
        let client = Arc::new(Client::default());
        self.inner().clients.insert(id, client.clone());
        Subscriber { id, client, hub: self.clone() }
    }

    /// What is subscribed to.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats { subscriptions: 0, clients: 0, topics: BTreeMap::new() };
        for client in self.inner().clients.values() {
            let topics = client.topics();
            stats.clients += usize::from(!topics.is_empty());
            stats.subscriptions += topics.len();
            topics.into_iter().for_each(|topic| *stats.topics.entry(topic).or_default() += 1);
        }
        stats
    }

    /// The number of the next event.
    pub fn now(&self) -> u64 {
        self.inner().next
    }

    /// The present state for a client that has lost some of the way to it: what there is, and of what has
    /// ended only what it missed. From here on it hears the events again.
    pub fn catch_up(&self, client: &Client) -> Vec<Arc<News>> {
        let inner = self.inner();
        let missed_from = client.caught_up();
        let told = |news: &&Arc<News>| news.event.lasts() || news.number >= missed_from;
        inner.newest.values().filter(told).cloned().collect()
    }

    fn publish(&self, event: Event) {
        let mut inner = self.inner();
        let news = inner.note(event);
        inner.clients.values().for_each(|client| client.push(&news));
    }

    /// Reads every camera's row and what is recorded, as they are now.
    async fn look(&self, cameras: &Cameras, recordings: &Recordings) {
        for view in cameras.list() {
            let camera = view.id;
            let row = view.row();
            let fact = Fact::Camera { id: camera, was: row.status, row };
            self.inner().note(Event::Fact(fact));
            let before = self.inner().newest.get(&Part::Recording(camera)).cloned();
            let before = match before.as_deref().map(|news| &news.event) {
                Some(Event::Fact(Fact::RecordingStarted { name, .. })) => Some(name.clone()),
                _ => None,
            };
            let fact = match (before, recordings.active(camera)) {
                (before, Some(active)) if before.as_ref() != Some(&active.name) => {
                    Fact::RecordingStarted { camera, name: active.name }
                }
                (Some(name), None) => {
                    let duration_ms = recordings.info(&name).await.map_or(0, |info| info.duration_ms);
                    Fact::RecordingStopped { camera, name, reason: "stopped", duration_ms }
                }
                _ => continue,
            };
            self.inner().note(Event::Fact(fact));
        }
    }

    /// Hands facts on until stopped.
    pub async fn run(self, mut sources: Sources, stop: CancellationToken) {
        let mut look = tokio::time::interval(HEALTH_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut verdict = Some(sources.health.report().verdict);
        self.look(&sources.cameras, &sources.recordings).await;
        loop {
            let fact = tokio::select! {
                () = stop.cancelled() => return,
                fact = sources.facts.recv() => Some(fact),
                // A media server that dies and is back in 100 ms is news all the same.
                Ok(()) = sources.server.changed() => None,
                _ = look.tick() => None,
            };
            match fact {
                None => {
                    let report = sources.health.report();
                    if verdict.replace(report.verdict).is_some_and(|before| before != report.verdict) {
                        self.publish(Event::Health(Box::new(report)));
                    }
                }
                Some(Ok(fact)) => self.publish(Event::Fact(fact)),
                Some(Err(RecvError::Lagged(missed))) => {
                    tracing::warn!(missed, "facts were missed; every subscriber gets the present state");
                    // What is still in the broadcast is older than what is looked at now.
                    sources.facts = sources.facts.resubscribe();
                    let from = self.now();
                    self.look(&sources.cameras, &sources.recordings).await;
                    self.inner().clients.values().for_each(|client| client.lag(from));
                }
                Some(Err(RecvError::Closed)) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::{Next, QUEUE};
    use super::*;
    use crate::notice::CameraRow;

    const CAMERA: [Topic; 1] = [Topic::CameraStatusUpdate];

    #[test]
    fn a_client_leaves_with_its_socket() {
        let hub = Hub::default();
        let a = hub.join(Uuid::new_v4());
        let b = hub.join(Uuid::new_v4());
        a.client().subscribe(&[Topic::SnapshotTaken, Topic::CameraConnected], None);
        b.client().subscribe(&[Topic::SnapshotTaken], None);
        let stats = hub.stats();
        assert_eq!((stats.clients, stats.subscriptions), (2, 3));
        assert_eq!(stats.topics[&Topic::SnapshotTaken], 2);
        drop(a);
        assert_eq!(hub.stats().subscriptions, 1);
        b.client().unsubscribe(None);
        assert_eq!(hub.stats().clients, 0);
    }

    fn named(camera: u32, name: &str) -> Event {
        let row = CameraRow {
            status: "CONNECTED",
            name: name.into(),
            width: 1,
            height: 1,
            fps: 1,
            recovering: None,
        };
        Event::Fact(Fact::Camera { id: CameraId(camera), was: "CONNECTED", row })
    }

    fn started(camera: u32, minute: u32) -> Event {
        let name = format!("camera{camera}_2025-01-01_00-{minute:02}-00").parse().unwrap();
        Event::Fact(Fact::RecordingStarted { camera: CameraId(camera), name })
    }

    fn stopped(camera: u32, minute: u32) -> Event {
        let name = format!("camera{camera}_2025-01-01_00-{minute:02}-00").parse().unwrap();
        let camera = CameraId(camera);
        Event::Fact(Fact::RecordingStopped { camera, name, reason: "stopped", duration_ms: 1 })
    }

    #[test]
    fn whoever_lost_some_hears_what_is_and_what_ended_meanwhile_and_then_goes_on() {
        let hub = Hub::default();
        // Ended long before: not told again. Still running: told.
        for event in [started(0, 0), stopped(0, 0), started(1, 1), named(7, "old")] {
            hub.publish(event);
        }
        let subscriber = hub.join(Uuid::new_v4());
        let client = subscriber.client();
        client.subscribe(&CAMERA, None);
        client.subscribe(&[Topic::RecordingStop, Topic::RecordingStart], None);
        hub.publish(stopped(1, 1));
        for n in 0..=QUEUE {
            hub.publish(named(3, &format!("{n}")));
        }
        hub.publish(started(2, 2));
        assert!(matches!(client.next(), Some(Next::State)));
        let told: Vec<_> = hub.catch_up(client).iter().map(|news| format!("{:?}", news.event)).collect();
        assert_eq!(told.len(), 4, "{told:#?}");
        assert!(told[0].contains(&format!("\"{QUEUE}\"")), "{told:#?}");
        assert!(told[1].contains("old"), "{told:#?}");
        assert!(told[2].contains("RecordingStopped") && told[2].contains("00-01-00"), "{told:#?}");
        assert!(told[3].contains("RecordingStarted") && told[3].contains("00-02-00"), "{told:#?}");
        assert!(client.next().is_none());
        hub.publish(stopped(2, 2));
        assert!(matches!(client.next(), Some(Next::News(_))));
    }
}
