//! The list of subscribers, and the task that hands each fact to them.

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

impl Event {
    /// The camera that it is about.
    pub fn camera(&self) -> Option<CameraId> {
        match self {
            Event::Fact(Fact::Camera { id: camera, .. })
            | Event::Fact(Fact::RecordingStarted { camera, .. })
            | Event::Fact(Fact::RecordingStopped { camera, .. })
            | Event::Fact(Fact::RecordingError { camera, .. })
            | Event::Fact(Fact::SnapshotTaken { camera, .. }) => Some(*camera),
            Event::Fact(Fact::StorageWarning { .. } | Fact::Health | Fact::Startup) | Event::Health(_) => {
                None
            }
        }
    }
}

/// All subscribers. Clones are the same.
#[derive(Clone, Default)]
pub struct Hub {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    clients: BTreeMap<Uuid, Arc<Client>>,
    /// The newest fact about the recordings of each camera: part of the present state.
    recordings: BTreeMap<CameraId, Arc<Event>>,
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

    /// The newest fact about the recordings of each camera.
    pub fn recordings(&self) -> Vec<Arc<Event>> {
        self.inner().recordings.values().cloned().collect()
    }

    fn publish(&self, event: Event) {
        let event = Arc::new(event);
        let mut inner = self.inner();
        if let Event::Fact(
            Fact::RecordingStarted { camera, .. }
            | Fact::RecordingStopped { camera, .. }
            | Fact::RecordingError { camera, .. },
        ) = &*event
        {
            inner.recordings.insert(*camera, event.clone());
        }
        inner.clients.values().for_each(|client| client.push(&event));
    }

    /// Hands facts on until stopped.
    pub async fn run(
        self,
        mut facts: Receiver<Fact>,
        mut server: watch::Receiver<ServerState>,
        health: Health,
        stop: CancellationToken,
    ) {
        let mut look = tokio::time::interval(HEALTH_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut verdict = Some(health.report().verdict);
        loop {
            let fact = tokio::select! {
                () = stop.cancelled() => return,
                fact = facts.recv() => Some(fact),
                // A media server that dies and is back in 100 ms is news all the same.
                Ok(()) = server.changed() => None,
                _ = look.tick() => None,
            };
            match fact {
                None => {
                    let report = health.report();
                    if verdict.replace(report.verdict).is_some_and(|before| before != report.verdict) {
                        self.publish(Event::Health(Box::new(report)));
                    }
                }
                Some(Ok(fact)) => self.publish(Event::Fact(fact)),
                Some(Err(RecvError::Lagged(missed))) => {
                    tracing::warn!(missed, "facts were missed; every subscriber gets the present state");
                    self.inner().clients.values().for_each(|client| client.lag());
                }
                Some(Err(RecvError::Closed)) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
