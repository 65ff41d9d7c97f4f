//! One subscriber: what it wants, and what waits for it. Without I/O.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::hub::News;
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
    queue: VecDeque<Arc<News>>,
    /// News from this number on were lost: the present state takes their place.
    lost_from: Option<u64>,
    /// It may hear nothing until it logs in again.
    muted: bool,
}

impl State {
    /// Gives up what waits, and whatever comes from `number` on.
    fn lose(&mut self, number: u64) {
        let first = self.queue.front().map_or(number, |news| news.number);
        self.lost_from.get_or_insert(first);
        self.queue = VecDeque::new();
    }
}

/// What to tell a client next.
pub enum Next {
    /// This.
    News(Arc<News>),
    /// Everything as it is now; see [`Client::caught_up`].
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
            state.lost_from = None;
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

    /// Puts news where the client will find them, if it asked for them.
    pub fn push(&self, news: &Arc<News>) {
        let mut state = self.state();
        if state.lost_from.is_some() || !wants(&state.wanted, topics_of(&news.event), news.event.camera()) {
            return;
        }
        if state.queue.len() == QUEUE {
            state.lose(news.number);
            return;
        }
        state.queue.push_back(news.clone());
        drop(state);
        self.bell.notify_one();
    }

    /// Tells it the whole state next, instead of what waits and of whatever has a number from this one on.
    pub fn lag(&self, number: u64) {
        let mut state = self.state();
        if state.wanted.is_empty() {
            return;
        }
        state.lose(number);
        drop(state);
        self.bell.notify_one();
    }

    /// Its log-in entitles to nothing any more: it hears nothing until [`Self::unmute`], and then how
    /// everything is.
    pub fn mute(&self, number: u64) {
        let mut state = self.state();
        state.lose(number);
        state.muted = true;
    }

    /// Somebody has logged in again.
    pub fn unmute(&self) {
        self.state().muted = false;
        self.bell.notify_one();
    }

    /// What comes next, if anything.
    pub fn next(&self) -> Option<Next> {
        let mut state = self.state();
        if state.muted {
            return None;
        }
        if state.lost_from.is_some() {
            return Some(Next::State);
        }
        let mut next = None;
        while next.is_none() {
            // What it wants may have changed meanwhile.
            let news = state.queue.pop_front()?;
            next = wants(&state.wanted, topics_of(&news.event), news.event.camera()).then_some(news);
        }
        if state.queue.is_empty() {
            // A burst must not keep its memory for the life of the socket.
            state.queue.shrink_to(8);
        }
        next.map(Next::News)
    }

    /// It is told the whole state now. Answers with the first number that it missed. Only the hub calls
    /// this, while nothing is published: so nothing is told twice, and nothing old after something new.
    pub(super) fn caught_up(&self) -> u64 {
        self.state().lost_from.take().unwrap_or(u64::MAX)
    }

    fn has_news(&self) -> bool {
        let state = self.state();
        !state.muted && (state.lost_from.is_some() || !state.queue.is_empty())
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
    use futures_util::FutureExt;

    use super::super::hub::Event;
    use super::*;
    use crate::notice::Fact;

    fn snapshot(camera: u32, number: u64) -> Arc<News> {
        let fact = Fact::SnapshotTaken { camera: CameraId(camera), name: format!("{number}.jpg") };
        Arc::new(News { number, event: Event::Fact(fact) })
    }

    fn name(next: Option<Next>) -> Option<String> {
        match next? {
            Next::News(news) => match &news.event {
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
            client.push(&snapshot(n % 2, n.into()));
        }
        let heard: Vec<_> = std::iter::from_fn(|| name(client.next())).collect();
        assert_eq!(heard, ["1.jpg", "3.jpg", "5.jpg"]);
        client.subscribe(&[Topic::SnapshotTaken], None);
        client.push(&snapshot(0, 9));
        assert_eq!(name(client.next()).unwrap(), "9.jpg", "a new wish replaces the old one");
        assert_eq!(client.unsubscribe(Some(&[Topic::SystemHealth])), []);
        client.push(&snapshot(0, 10));
        client.push(&snapshot(1, 11));
        client.subscribe(&[Topic::SnapshotTaken], Some(CameraId(1)));
        assert_eq!(name(client.next()).unwrap(), "11.jpg", "what waits is not told against its wish");
        assert_eq!(client.unsubscribe(None), [Topic::SnapshotTaken]);
        client.push(&snapshot(0, 12));
        assert!(client.next().is_none());
    }

    #[test]
    fn what_a_queue_cannot_hold_becomes_one_look_at_the_state() {
        let client = Client::default();
        client.subscribe(&[Topic::SnapshotTaken], None);
        for n in 10..10 + 3 * QUEUE as u64 {
            client.push(&snapshot(0, n));
        }
        assert!(client.ready().now_or_never().is_some());
        assert_eq!(name(client.next()).unwrap(), "state");
        assert_eq!(client.caught_up(), 10, "everything since the first that waited is lost");
        assert!(client.next().is_none(), "the lost facts are not told");
        assert!(client.ready().now_or_never().is_none());
        client.push(&snapshot(0, 7));
        assert!(client.ready().now_or_never().is_some());
        assert_eq!(name(client.next()).unwrap(), "7.jpg", "and then it goes on as before");
    }

    #[test]
    fn whoever_may_hear_nothing_for_a_while_is_told_the_state_afterwards() {
        let client = Client::default();
        client.subscribe(&[Topic::SnapshotTaken], None);
        client.push(&snapshot(0, 1));
        client.mute(2);
        client.push(&snapshot(0, 2));
        assert!(client.next().is_none() && client.ready().now_or_never().is_none());
        client.unmute();
        assert!(client.ready().now_or_never().is_some());
        assert_eq!(name(client.next()).unwrap(), "state");
        assert_eq!(client.caught_up(), 1);
    }
}
