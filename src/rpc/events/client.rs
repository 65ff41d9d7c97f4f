//! One subscriber: what it wants, and what waits for it. Without I/O.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::hub::Event;
use super::topic::{Topic, topics_of};
use crate::base::CameraId;

/// Facts that may wait for one client. Sixteen cameras that all fall and rise at once are 32.
pub const QUEUE: usize = 256;

/// Topics, each with the one camera that it is narrowed to.
type Wanted = BTreeMap<Topic, Option<CameraId>>;

/// One subscriber.
#[derive(Default)]
pub struct Client {
    state: Mutex<State>,
    bell: Notify,
}

#[derive(Default)]
struct State {
    wanted: Wanted,
    queue: VecDeque<Arc<Event>>,
    /// The queue could not hold it all: the present state takes the place of what was in it.
    lagged: bool,
}

/// What to tell a client next.
pub enum Next {
    /// This fact.
    Event(Arc<Event>),
    /// Everything as it is now.
    State,
}

impl Client {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for topics, narrowed to a camera or not; an earlier wish for the same topic is replaced.
    pub fn subscribe(&self, topics: &[Topic], device: Option<CameraId>) {
        self.state().wanted.extend(topics.iter().map(|topic| (*topic, device)));
    }

    /// Gives topics up, all of them when none is named; answers with those that were asked for.
    pub fn unsubscribe(&self, topics: Option<&[Topic]>) -> Vec<Topic> {
        let mut state = self.state();
        let mut removed: Vec<Topic> = state.wanted.keys().copied().collect();
        if let Some(topics) = topics {
            removed.retain(|topic| topics.contains(topic));
        }
        state.wanted.retain(|topic, _| !removed.contains(topic));
        if state.wanted.is_empty() {
            state.queue.clear();
            state.lagged = false;
        }
        removed
    }

    /// What it asked for.
    pub fn topics(&self) -> Vec<Topic> {
        self.state().wanted.keys().copied().collect()
    }

    /// Whether it asked for any of these, about this camera.
    pub fn wants(&self, topics: &[Topic], camera: Option<CameraId>) -> bool {
        wants(&self.state().wanted, topics, camera)
    }

    /// Puts an event where the client will find it, if it asked for it.
    pub fn push(&self, event: &Arc<Event>) {
        let mut state = self.state();
        if !wants(&state.wanted, topics_of(event), event.camera()) {
            return;
        }
        if state.lagged {
            return;
        }
        if state.queue.len() == QUEUE {
            state.queue = VecDeque::new();
            state.lagged = true;
            return;
        }
        state.queue.push_back(event.clone());
        drop(state);
        self.bell.notify_one();
    }

    /// Tells it the whole state next, instead of what waits.
    pub fn lag(&self) {
        let mut state = self.state();
        if state.wanted.is_empty() {
            return;
        }
        state.queue.clear();
        state.lagged = true;
        drop(state);
        self.bell.notify_one();
    }

    /// What comes next, if anything.
    pub fn next(&self) -> Option<Next> {
        let mut state = self.state();
        if std::mem::take(&mut state.lagged) {
            return Some(Next::State);
        }
        let event = state.queue.pop_front();
        if state.queue.is_empty() {
            // A burst must not keep its memory for the life of the socket.
            state.queue.shrink_to(8);
        }
        event.map(Next::Event)
    }

    fn has_news(&self) -> bool {
        let state = self.state();
        state.lagged || !state.queue.is_empty()
    }

    /// Waits until there is something to tell.
    pub async fn ready(&self) {
        loop {
            let rung = self.bell.notified();
            if self.has_news() {
                return;
            }
            rung.await;
        }
    }
}

fn wants(wanted: &Wanted, topics: &[Topic], camera: Option<CameraId>) -> bool {
    topics.iter().any(|topic| match (wanted.get(topic), camera) {
        (None, _) => false,
        (Some(Some(only)), Some(camera)) => *only == camera,
        (Some(_), _) => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::Fact;

    fn snapshot(camera: u32, n: usize) -> Arc<Event> {
        Arc::new(Event::Fact(Fact::SnapshotTaken { camera: CameraId(camera), name: format!("{n}.jpg") }))
    }

    fn name(next: Option<Next>) -> Option<String> {
        match next? {
            Next::Event(event) => match &*event {
                Event::Fact(Fact::SnapshotTaken { name, .. }) => Some(name.clone()),
                _ => None,
            },
            Next::State => Some("state".into()),
        }
    }

    #[test]
    fn a_client_hears_what_it_asked_for_once_and_in_order() {
        let client = Client::default();
        client.push(&snapshot(0, 0));
        client.subscribe(&[Topic::SnapshotTaken], Some(CameraId(1)));
        for n in 1..6 {
            client.push(&snapshot(n % 2, n as usize));
        }
        let heard: Vec<_> = std::iter::from_fn(|| name(client.next())).collect();
        assert_eq!(heard, ["1.jpg", "3.jpg", "5.jpg"]);
        client.subscribe(&[Topic::SnapshotTaken], None);
        client.push(&snapshot(0, 9));
        assert_eq!(name(client.next()).unwrap(), "9.jpg", "a new wish replaces the old one");
        assert_eq!(client.unsubscribe(Some(&[Topic::SystemHealth])), []);
        assert_eq!(client.unsubscribe(None), [Topic::SnapshotTaken]);
        client.push(&snapshot(0, 10));
        assert!(client.next().is_none());
    }

    #[tokio::test]
    async fn what_a_queue_cannot_hold_becomes_one_look_at_the_state() {
        let client = Client::default();
        client.subscribe(&[Topic::SnapshotTaken], None);
        for n in 0..3 * QUEUE {
            client.push(&snapshot(0, n));
        }
        client.ready().await;
        assert_eq!(name(client.next()).unwrap(), "state");
        assert!(client.next().is_none(), "the lost facts are not told");
        client.push(&snapshot(0, 7));
        client.ready().await;
        assert_eq!(name(client.next()).unwrap(), "7.jpg", "and then it goes on as before");
    }
}
