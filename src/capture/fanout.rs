//! One source, any number of bounded consumers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::frame::Frame;

/// Hands each frame to every consumer. Clones are the same fan-out; it outlives its sources, so
/// that consumers stay while a source is started again.
#[derive(Clone, Default)]
pub struct Fanout {
    shared: Arc<Mutex<Shared>>,
    /// Wakes those who wait for the newest frame without having a queue.
    published: Arc<Notify>,
}

#[derive(Default)]
struct Shared {
    /// The newest frame that can be shown by itself, and its number.
    latest: Option<(u64, Frame)>,
    /// Somebody waits for a frame that can be shown by itself.
    key_wanted: bool,
    consumers: Vec<Arc<Queue>>,
    frames: u64,
    bytes: u64,
}

struct Queue {
    name: String,
    depth: usize,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    frames: VecDeque<Frame>,
    delivered: u64,
    lost: u64,
}

/// One consumer's end; dropping it unsubscribes.
pub struct Consumer {
    queue: Arc<Queue>,
    shared: Arc<Mutex<Shared>>,
}

/// Reads the counters of a consumer that somebody else owns.
#[derive(Clone)]
pub struct ConsumerMeter(Arc<Queue>);

impl ConsumerMeter {
    /// What that consumer got and lost.
    pub fn counters(&self) -> ConsumerCounters {
        self.0.counters()
    }
}

/// What went through a fan-out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FanoutCounters {
    /// Frames published.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Each consumer of now.
    pub consumers: Vec<ConsumerCounters>,
}

/// What one consumer got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerCounters {
    /// Its name.
    pub name: String,
    /// Frames it took.
    pub delivered: u64,
    /// Frames it lost because it was too slow.
    pub lost: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fanout {
    /// A fan-out without consumers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands a frame to every consumer; never waits. One that has `depth` frames waiting loses its
    /// oldest.
    pub fn publish(&self, frame: Frame) {
        let mut shared = lock(&self.shared);
        shared.frames += 1;
        shared.bytes += frame.data.len() as u64;
        for queue in &shared.consumers {
            queue.push(frame.clone());
        }
        if !frame.is_whole() {
            return;
        }
        shared.latest = Some((shared.frames, frame));
        drop(shared);
        self.published.notify_waiters();
    }

    /// Adds a consumer that holds up to `depth` frames (at least one). It starts with the newest
    /// frame there is that can be shown by itself: an encoder need not wait for the next one.
    pub fn subscribe(&self, name: impl Into<String>, depth: usize) -> Consumer {
        let depth = depth.max(1);
        let waiting = Waiting { frames: VecDeque::with_capacity(depth), ..Waiting::default() };
        let queue = Arc::new(Queue {
            name: name.into(),
            depth,
            waiting: Mutex::new(waiting),
            arrived: Notify::new(),
        });
        let mut shared = lock(&self.shared);
        if let Some((_, frame)) = &shared.latest {
            queue.push(frame.clone());
        }
        shared.consumers.push(queue.clone());
        Consumer { queue, shared: self.shared.clone() }
    }

    /// Takes the oldest waiting frame from the consumer that has most of them, for a source that needs the
    /// buffer. False: nobody has more than one.
    pub fn shed(&self) -> bool {
        let shared = lock(&self.shared);
        let waiting = |queue: &&Arc<Queue>| lock(&queue.waiting).frames.len();
        let Some(longest) = shared.consumers.iter().max_by_key(waiting) else { return false };
        let mut waiting = lock(&longest.waiting);
        let sheds = waiting.frames.len() > 1;
        if sheds {
            waiting.frames.pop_front();
            waiting.lost += 1;
        }
        sheds
    }

    /// The newest frame that can be shown by itself; its `captured` says how old it is.
    pub fn latest(&self) -> Option<Frame> {
        self.newest().map(|(_, frame)| frame)
    }

    /// The newest frame that can be shown by itself, and its number: how many frames there were up to it,
    /// over all starts of the source.
    pub fn newest(&self) -> Option<(u64, Frame)> {
        lock(&self.shared).latest.clone()
    }

    /// Asks the source for a frame that can be shown by itself, if it can make one when it is asked.
    pub fn want_key(&self) {
        lock(&self.shared).key_wanted = true;
    }

    /// Whether one was asked for since the last time.
    pub fn take_key_wanted(&self) -> bool {
        std::mem::take(&mut lock(&self.shared).key_wanted)
    }

    /// The newest such frame once it is another than `number`; cancel-safe. Numbers only rise, so that is a
    /// newer one, or `number` comes from an earlier run of the program. Whoever waits here has no
    /// queue and is no consumer.
    pub async fn newer_than(&self, number: u64) -> (u64, Frame) {
        loop {
            // Enrolled before the look, so that nothing is missed between look and wait.
            let published = self.published.notified();
            if let Some(newest) = self.newest().filter(|newest| newest.0 != number) {
                return newest;
            }
            published.await;
        }
    }

    /// Forgets the newest frame: the camera is gone and nobody shall take the picture for live.
    pub fn forget_latest(&self) {
        lock(&self.shared).latest = None;
    }

    /// What went through.
    pub fn counters(&self) -> FanoutCounters {
        let shared = lock(&self.shared);
        let consumers = shared.consumers.iter().map(|queue| queue.counters()).collect();
        FanoutCounters { frames: shared.frames, bytes: shared.bytes, consumers }
    }
}

impl Queue {
    fn push(&self, frame: Frame) {
        {
            let mut waiting = lock(&self.waiting);
            if waiting.frames.len() >= self.depth {
                waiting.frames.pop_front();
                waiting.lost += 1;
            }
            waiting.frames.push_back(frame);
        }
        self.arrived.notify_one();
    }

    fn pop(&self) -> Option<Frame> {
        let mut waiting = lock(&self.waiting);
        let frame = waiting.frames.pop_front()?;
        waiting.delivered += 1;
        Some(frame)
    }

    fn counters(&self) -> ConsumerCounters {
        let waiting = lock(&self.waiting);
        ConsumerCounters { name: self.name.clone(), delivered: waiting.delivered, lost: waiting.lost }
    }
}

impl Consumer {
    /// The oldest waiting frame, or the next one; cancel-safe.
    pub async fn next(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.queue.pop() {
                return frame;
            }
            self.queue.arrived.notified().await;
        }
    }

    /// The oldest waiting frame, if there is one.
    pub fn try_next(&mut self) -> Option<Frame> {
        self.queue.pop()
    }

    /// As [`Fanout::want_key`].
    pub fn want_key(&self) {
        lock(&self.shared).key_wanted = true;
    }

    /// A view of its counters that outlives its loan to a task.
    pub fn meter(&self) -> ConsumerMeter {
        ConsumerMeter(self.queue.clone())
    }

    /// What this consumer got and lost.
    pub fn counters(&self) -> ConsumerCounters {
        self.queue.counters()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        lock(&self.shared).consumers.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Mono;
    use crate::capture::frame::FrameFormat;

    fn frame(sequence: u64) -> Frame {
        Frame {
            data: vec![0; 10].into(),
            format: FrameFormat::Mjpeg,
            key: None,
            captured: Mono(sequence),
            sequence,
            width: 1,
            height: 1,
        }
    }

    fn rest(consumer: &mut Consumer) -> Vec<u64> {
        std::iter::from_fn(|| consumer.try_next()).map(|f| f.sequence).collect()
    }

    #[test]
    fn a_slow_consumer_loses_its_oldest_and_the_others_nothing() {
        let fanout = Fanout::new();
        let mut slow = fanout.subscribe("slow", 3);
        let mut deep = fanout.subscribe("deep", 100);
        for n in 0..10 {
            fanout.publish(frame(n));
        }
        assert_eq!(rest(&mut slow), [7, 8, 9]);
        assert_eq!(rest(&mut deep), (0..10).collect::<Vec<_>>());
        assert_eq!(slow.counters(), ConsumerCounters { name: "slow".into(), delivered: 3, lost: 7 });
        let counters = fanout.counters();
        assert_eq!((counters.frames, counters.bytes, counters.consumers.len()), (10, 100, 2));
    }

    #[test]
    fn a_new_consumer_starts_with_the_newest_frame() {
        let fanout = Fanout::new();
        for n in 0..3 {
            fanout.publish(frame(n));
        }
        assert_eq!(rest(&mut fanout.subscribe("late", 5)), [2]);
        fanout.forget_latest();
        assert!(fanout.latest().is_none());
        assert_eq!(rest(&mut fanout.subscribe("later", 5)), [0; 0]);
    }

    #[test]
    fn only_what_can_be_shown_by_itself_is_the_newest() {
        let fanout = Fanout::new();
        let part = |n| Frame { format: FrameFormat::H264, ..frame(n) };
        let key = Some(crate::capture::Key { sets: Vec::new().into(), has_own: true });
        fanout.publish(part(0));
        assert!(fanout.newest().is_none());
        fanout.publish(Frame { key, ..part(1) });
        fanout.publish(part(2));
        let (number, newest) = fanout.newest().unwrap();
        assert_eq!((number, newest.sequence), (2, 1));
        let mut late = fanout.subscribe("late", 5);
        fanout.publish(part(3));
        assert_eq!(rest(&mut late), [1, 3]);
        assert!(!fanout.take_key_wanted());
        late.want_key();
        assert!(fanout.take_key_wanted() && !fanout.take_key_wanted());
    }

    #[test]
    fn a_dropped_consumer_is_gone() {
        let fanout = Fanout::new();
        drop(fanout.subscribe("short", 1));
        fanout.publish(frame(0));
        assert!(fanout.counters().consumers.is_empty());
    }

    #[tokio::test]
    async fn whoever_waits_for_the_newest_gets_it_and_none_in_between() {
        let fanout = Fanout::new();
        let ((number, got), ()) =
            tokio::join!(fanout.newer_than(0), async { (5..8).for_each(|n| fanout.publish(frame(n))) });
        assert_eq!((number, got.sequence), (3, 7));
        assert_eq!(fanout.newer_than(2).await.0, 3, "at once");
        assert!(fanout.counters().consumers.is_empty());
        fanout.forget_latest();
        assert!(fanout.newest().is_none());
        let ((number, got), ()) = tokio::join!(fanout.newer_than(3), async { fanout.publish(frame(0)) });
        assert_eq!((number, got.sequence), (4, 0), "numbers go on over a new start of the source");
    }

    #[tokio::test]
    async fn a_waiting_consumer_is_woken() {
        let fanout = Fanout::new();
        let mut consumer = fanout.subscribe("waiter", 2);
        let (got, ()) = tokio::join!(consumer.next(), async { fanout.publish(frame(5)) });
        assert_eq!(got.sequence, 5);
    }
}
