//! Who has a place among the connections, who waits for one, and who is asked to leave.
//!
//! Pure bookkeeping under one lock; the listener's usher lets time pass. Promises: a place is free in
//! the moment its [`Seat`] is dropped and goes to whoever has waited longest; no more wait than
//! [`WAITING`]; one address cannot take all places; nobody who answers loses a place.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::base::{Mono, peer};
use crate::rpc::Pulse;

/// Connections that may wait for a place at the same time.
pub(super) const WAITING: usize = 64;
/// The longest wait: a silent one has 10 s to answer, and somebody has to notice that it did not.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);
/// How long it takes until it is known that everybody lives.
pub(super) const HOPELESS: Duration = Duration::from_secs(1);
/// While others wait, a request's head has to be here after this long.
const HEAD_IN_NEED: Duration = Duration::from_secs(2);
/// Sockets silent for less than this are not asked.
const QUIET: Duration = Duration::from_secs(5);
/// Sockets asked at the same time, the longest-silent first.
const ASKED: usize = 16;

/// The places of one listener.
pub(super) struct Seats {
    max: usize,
    per_address: usize,
    state: Mutex<State>,
    /// Somebody began to wait.
    pub(super) waited: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    taken: BTreeMap<u64, Arc<Place>>,
    by_address: HashMap<Origin, usize>,
    waiting: VecDeque<Waiting>,
    crowded: bool,
}

/// Whoever a place is counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// This box itself; it may be a proxy with many behind it, and is never limited.
    Near,
    /// What [`peer::counted`] makes of an address.
    Address(IpAddr),
}

impl Origin {
    /// `near`: the peer is this box itself.
    pub fn of(peer: IpAddr, near: bool) -> Self {
        if near { Origin::Near } else { Origin::Address(peer::counted(peer)) }
    }
}

struct Waiting {
    since: Mono,
    origin: Origin,
    seat: oneshot::Sender<Seat>,
}

/// What is known of a connection that has a place.
struct Place {
    /// Nothing was asked for yet, or not any more, since then.
    idle_since: Mutex<Option<Mono>>,
    leave: Notify,
    left: AtomicBool,
    pulse: Mutex<Option<Arc<Pulse>>>,
}

impl Place {
    fn idle_since(&self) -> MutexGuard<'_, Option<Mono>> {
        self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place; dropping it frees it.
pub(super) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    origin: Origin,
    place: Arc<Place>,
}

/// Why there is no place at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// All are taken: one may wait.
    Box,
    /// This address has its share.
    Address,
}

impl Seats {
    pub fn new(max: usize, per_address: usize) -> Self {
        Self { max, per_address, state: Mutex::default(), waited: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place at once. Nobody overtakes those who wait.
    pub fn take(self: &Arc<Self>, origin: Origin, now: Mono) -> Result<Seat, Full> {
        let mut state = self.lock();
        if self.has_its_share(&state, origin) {
            return Err(Full::Address);
        }
        if state.taken.len() >= self.max || !state.waiting.is_empty() {
            return Err(Full::Box);
        }
        Ok(self.seat(&mut state, origin, now))
    }

    /// Begins to wait; `None` when too many do already. The receiver hears of a place, or that there will
    /// be none.
    pub fn wait(&self, origin: Origin, now: Mono) -> Option<oneshot::Receiver<Seat>> {
        let mut state = self.lock();
        if state.waiting.len() >= WAITING {
            return None;
        }
        let (seat, hears) = oneshot::channel();
        state.waiting.push_back(Waiting { since: now, origin, seat });
        drop(state);
        self.waited.notify_one();
        Some(hears)
    }

    fn has_its_share(&self, state: &State, origin: Origin) -> bool {
        origin != Origin::Near && state.by_address.get(&origin).is_some_and(|n| *n >= self.per_address)
    }

    fn seat(self: &Arc<Self>, state: &mut State, origin: Origin, now: Mono) -> Seat {
        let number = state.next;
        state.next += 1;
        let place = Arc::new(Place {
            idle_since: Mutex::new(Some(now)),
            leave: Notify::new(),
            left: AtomicBool::new(false),
            pulse: Mutex::default(),
        });
        state.taken.insert(number, place.clone());
        *state.by_address.entry(origin).or_default() += 1;
        let (taken, crowd, calm) = (state.taken.len() * 100, self.max * 80, self.max * 70);
        if taken >= crowd && !state.crowded {
            state.crowded = true;
            tracing::warn!(
                "{} of {} connections are in use; server.max_connections sets the limit",
                state.taken.len(),
                self.max
            );
        } else if taken < calm {
            state.crowded = false;
        }
        Seat { seats: self.clone(), number, origin, place }
    }

    fn free(self: &Arc<Self>, number: u64, origin: Origin, now: Mono) {
        let mut state = self.lock();
        state.taken.remove(&number);
        if let Some(count) = state.by_address.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                state.by_address.remove(&origin);
            }
        }
        // A seat that nobody takes comes back here, so the lock must be free when it is dropped.
        let given = self.serve_next(&mut state, now);
        drop(state);
        drop(given);
    }

    /// Gives free places to those who wait, oldest first. Answers with places whose waiter has gone.
    fn serve_next(self: &Arc<Self>, state: &mut State, now: Mono) -> Vec<Seat> {
        let mut unwanted = Vec::new();
        while state.taken.len() < self.max + unwanted.len() {
            let able = state.waiting.iter().position(|w| !self.has_its_share(state, w.origin));
            let Some(waiting) = able.and_then(|at| state.waiting.remove(at)) else { break };
            let seat = self.seat(state, waiting.origin, now);
            unwanted.extend(waiting.seat.send(seat).err());
        }
        unwanted
    }

    /// One look at those who wait: the silent are asked whether they live, whoever holds a place without
    /// asking for anything leaves, and whoever waits in vain hears so. Answers whether any still wait.
    pub fn look(self: &Arc<Self>, now: Mono) -> bool {
        let mut state = self.lock();
        let hope = need(&state.taken, now);
        state.waiting.retain(|w| {
            let waited = now.since(w.since);
            waited < PATIENCE && (hope || waited < HOPELESS) && !w.seat.is_closed()
        });
        !state.waiting.is_empty()
    }
}

/// Does what can be done to free places; answers whether one may become free.
fn need(taken: &BTreeMap<u64, Arc<Place>>, now: Mono) -> bool {
    let mut hope = false;
    let (mut asked, mut quiet) = (0, Vec::new());
    for place in taken.values() {
        if let Some(pulse) = &*place.pulse.lock().unwrap_or_else(PoisonError::into_inner) {
            let silent = pulse.silent_for(now);
            if pulse.is_doubted() {
                asked += 1;
            } else if silent >= QUIET {
                quiet.push((silent, pulse.clone()));
            }
            continue;
        }
        if let Some(since) = *place.idle_since() {
            hope = true;
            if now.since(since) >= HEAD_IN_NEED {
                place.left.store(true, Ordering::Relaxed);
                place.leave.notify_one();
            }
        }
    }
    quiet.sort_unstable_by_key(|(silent, _)| std::cmp::Reverse(*silent));
    for (_, pulse) in quiet.iter().take(ASKED.saturating_sub(asked)) {
        pulse.doubt();
    }
    hope || asked > 0 || !quiet.is_empty()
}

impl Seat {
    /// A request is being answered until the guard is dropped.
    pub fn busy(&self) -> Busy {
        *self.place.idle_since() = None;
        Busy(self.place.clone())
    }

    /// The connection has become a WebSocket.
    pub fn socket(&self) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse::new(Mono::now()));
        *self.place.pulse.lock().unwrap_or_else(PoisonError::into_inner) = Some(pulse.clone());
        pulse
    }

    /// Ends when others need the place more than a connection that asks for nothing.
    pub async fn asked_to_leave(&self) {
        while !self.place.left.load(Ordering::Relaxed) || self.place.idle_since().is_none() {
            self.place.leave.notified().await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.free(self.number, self.origin, Mono::now());
    }
}

/// See [`Seat::busy`].
pub(super) struct Busy(Arc<Place>);

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.idle_since() = Some(Mono::now());
        self.0.left.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Mono = Mono(1_000_000_000_000);

    fn address(last: u8) -> Origin {
        Origin::of(IpAddr::from([192, 0, 2, last]), false)
    }

    fn seats(max: usize, per_address: usize) -> Arc<Seats> {
        Arc::new(Seats::new(max, per_address))
    }

    #[test]
    fn a_place_goes_to_whoever_has_waited_longest_in_the_moment_it_is_free() {
        let seats = seats(1, 9);
        let first = seats.take(address(1), NOW).ok().unwrap();
        assert_eq!(seats.take(address(2), NOW).err(), Some(Full::Box));
        let mut second = seats.wait(address(2), NOW).unwrap();
        let mut third = seats.wait(address(3), NOW).unwrap();
        drop(first);
        let second = second.try_recv().ok().unwrap();
        assert!(third.try_recv().is_err());
        drop(second);
        let third = third.try_recv().ok().unwrap();
        drop(third);
        assert!(seats.take(address(4), NOW).is_ok());
        assert!(seats.lock().by_address.is_empty());
    }

    #[test]
    fn whoever_has_gone_while_waiting_keeps_no_place() {
        let seats = seats(1, 9);
        let first = seats.take(address(1), NOW).ok().unwrap();
        drop(seats.wait(address(2), NOW).unwrap());
        let mut third = seats.wait(address(3), NOW).unwrap();
        drop(first);
        assert!(third.try_recv().is_ok());
        assert!(seats.lock().taken.is_empty());
    }

    #[test]
    fn one_address_has_its_share_and_the_box_itself_any_number() {
        let seats = seats(10, 2);
        let _held: Vec<_> = (0..2).map(|_| seats.take(address(1), NOW).ok().unwrap()).collect();
        assert_eq!(seats.take(address(1), NOW).err(), Some(Full::Address));
        let _other = seats.take(address(2), NOW).ok().unwrap();
        let _near: Vec<_> = (0..7).map(|_| seats.take(Origin::Near, NOW).ok().unwrap()).collect();
        assert_eq!(seats.take(address(3), NOW).err(), Some(Full::Box));
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        let of = |text: &str| Origin::of(text.parse().unwrap(), false);
        assert_eq!(of("2001:db8::1"), of("2001:db8::2:3"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn no_more_wait_than_there_is_room_for_and_none_in_vain() {
        let seats = seats(1, 9);
        let busy = seats.take(address(1), NOW).ok().unwrap();
        let _guard = busy.busy();
        let mut waiting: Vec<_> = (0..WAITING).map(|_| seats.wait(address(2), NOW).unwrap()).collect();
        assert!(seats.wait(address(3), NOW).is_none());
        // What is busy will not be asked to leave: there is no hope.
        assert!(seats.look(NOW));
        assert!(!seats.look(NOW + HOPELESS));
        let told = |hears: &mut oneshot::Receiver<Seat>| {
            matches!(hears.try_recv(), Err(oneshot::error::TryRecvError::Closed))
        };
        assert!(waiting.iter_mut().all(told));
    }

    #[test]
    fn only_the_silent_are_asked_and_only_while_others_wait() {
        let seats = seats(2, 9);
        let (quiet, lively) =
            (seats.take(address(1), NOW).ok().unwrap(), seats.take(address(2), NOW).ok().unwrap());
        let (quiet, lively) = (quiet.socket(), lively.socket());
        let later = Mono::now() + QUIET;
        lively.heard(later);
        let _waits = seats.wait(address(3), later).unwrap();
        assert!(seats.look(later));
        assert!(quiet.is_doubted() && !lively.is_doubted());
        // It answers, and then nobody is left to be asked.
        quiet.heard(later + Duration::from_millis(1));
        assert!(!quiet.is_doubted());
        assert!(!seats.look(later + HOPELESS));
    }

    #[tokio::test]
    async fn a_connection_that_asks_for_nothing_leaves_when_others_wait() {
        let seats = seats(1, 9);
        let idle = seats.take(address(1), NOW).ok().unwrap();
        let _waits = seats.wait(address(2), NOW).unwrap();
        assert!(seats.look(NOW + Duration::from_secs(1)));
        let asked = tokio::time::timeout(Duration::from_millis(1), idle.asked_to_leave());
        assert!(asked.await.is_err());
        assert!(seats.look(NOW + HEAD_IN_NEED));
        idle.asked_to_leave().await;
        // It asks for something in that very moment.
        drop(idle.busy());
        let asked = tokio::time::timeout(Duration::from_millis(1), idle.asked_to_leave());
        assert!(asked.await.is_err());
    }
}
