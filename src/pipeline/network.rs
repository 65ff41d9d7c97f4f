//! The state machine of a network camera, which MediaMTX pulls itself.
//!
//! Pure, like [`super::local`]. MediaMTX retries a lost camera every 5 s for ever; that is too slow
//! for a cable that was pulled and too often for a camera that refuses the password. So an attempt
//! is a window: the pull stands in MediaMTX's configuration while we try, and is parked (an empty
//! path that holds readers back) while we wait. A bare TCP connect once a second ends the wait.

mod away;

use std::time::Duration;

use crate::base::Mono;
use crate::base::backoff::Backoff;

pub use away::Away;

/// Shorter than MediaMTX's own retry pause of 5 s (mediamtx.md §10), so that it never tries twice.
const ATTEMPT: Duration = Duration::from_millis(4500);
/// Between two TCP connects.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// A live camera that sends nothing for this long is looked at. Longer than any sane frame interval.
const QUIET: Duration = Duration::from_secs(2);
/// A camera that sends nothing for this long and does not answer a TCP connect either is lost.
/// MediaMTX itself would keep the dead session for 10 s.
const DEAF: Duration = Duration::from_secs(3);
/// Whoever probes answers sooner, whatever happens; this is for the case that he does not.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// MediaMTX answers, or not.
    Server(bool),
    /// What MediaMTX says of the pulled path.
    Seen {
        /// It delivers.
        ready: bool,
        /// Bytes received from the camera since it became ready.
        bytes: u64,
        /// It carries a sound track.
        sound: bool,
    },
    /// The attempt failed.
    Failed(Away),
    /// A TCP connect succeeded or not.
    Probed(bool),
    /// The repacker of this run can be read.
    RepackUp(u64),
    /// The repacker of this run ended.
    RepackDown(u64),
    /// Time passed.
    Tick,
    /// The program stops.
    Stop,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// (Re)place the pull in MediaMTX, which makes it connect at once.
    Pull,
    /// Take the pull away.
    Park,
    /// Try a TCP connect; [`Event::Probed`] must follow.
    Probe,
    /// The camera sends sound it should not: from now on pull into a hidden path and republish.
    StripSound,
    /// Start the repacker.
    StartRepack(u64),
    /// Stop it; [`Event::RepackDown`] must follow.
    StopRepack(u64),
    /// The camera was live and is not.
    Lost(Away),
    /// The camera is still away; this is why now.
    Why(Away),
    /// The camera is live.
    Back,
}

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// MediaMTX is away, or we stop.
    Off,
    /// MediaMTX tries.
    Attempting(Mono),
    /// It delivers; bytes last seen, and since when they have not grown.
    Live(u64, Mono),
    /// Parked; nothing is tried before that point.
    Waiting(Mono),
}

/// The machine of one camera.
#[derive(Clone, Debug)]
pub struct Network {
    want_sound: bool,
    strip: bool,
    link: Link,
    /// Why it is not live, when it is not.
    away: Away,
    /// Since when a probe is under way.
    probing: Option<Mono>,
    next_probe: Mono,
    /// Its host answered the last probe.
    reached: bool,
    login: Backoff,
    repack_run: u64,
    repack: Repack,
    stopped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repack {
    Off,
    On { up: bool },
    Stopping,
    Waiting(Mono),
}

impl Network {
    /// `want_sound` keeps the camera's sound; `strip` says it is known to send sound nobody wants.
    pub fn new(want_sound: bool, strip: bool) -> Self {
        Self {
            want_sound,
            strip: strip && !want_sound,
            link: Link::Off,
            away: Away::Untried,
            probing: None,
            next_probe: Mono::default(),
            reached: false,
            login: Backoff::new(Duration::from_secs(2), Duration::from_secs(60)),
            repack_run: 0,
            repack: Repack::Off,
            stopped: false,
        }
    }

    /// Takes an event; the actions are to be carried out in order.
    pub fn step(&mut self, now: Mono, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::Server(true) if self.link == Link::Off && !self.stopped => self.attempt(now, &mut out),
            Event::Server(true) => {}
            Event::Server(false) => {
                self.why(Away::ServerDown, &mut out);
                self.link = Link::Off;
            }
            Event::Stop => {
                self.stopped = true;
                self.link = Link::Off;
            }
            Event::Seen { ready, bytes, sound } => self.seen(now, ready, bytes, sound, &mut out),
            Event::Failed(away) => self.failed(now, away, &mut out),
            Event::Probed(ok) => self.probed(now, ok, &mut out),
            Event::RepackUp(run) => {
                if run == self.repack_run && matches!(self.repack, Repack::On { .. }) {
                    self.repack = Repack::On { up: true };
                }
            }
            Event::RepackDown(run) if run == self.repack_run => {
                self.repack = match self.repack {
                    Repack::On { up: true } => Repack::Waiting(now),
                    Repack::On { up: false } => Repack::Waiting(now + Duration::from_secs(1)),
                    Repack::Stopping => Repack::Off,
                    other => other,
                };
            }
            Event::RepackDown(_) | Event::Tick => {}
        }
        self.due(now, &mut out);
        out
    }

    fn attempt(&mut self, now: Mono, out: &mut Vec<Action>) {
        self.link = Link::Attempting(now + ATTEMPT);
        out.push(Action::Pull);
    }

    /// It is not live, and this is why.
    fn why(&mut self, away: Away, out: &mut Vec<Action>) {
        if let Link::Live(..) = self.link {
            out.push(Action::Lost(away));
        } else if self.away != away {
            out.push(Action::Why(away));
        }
        self.away = away;
    }

    fn seen(&mut self, now: Mono, ready: bool, bytes: u64, sound: bool, out: &mut Vec<Action>) {
        match self.link {
            // A session without a byte is no picture: such a camera would be found and lost for ever.
            Link::Attempting(_) if ready && bytes > 0 => {
                self.login.reset();
                self.link = Link::Live(bytes, now);
                if sound && !self.want_sound && !self.strip {
                    self.strip = true;
                    out.push(Action::StripSound);
                    self.attempt(now, out);
                } else {
                    out.push(Action::Back);
                }
            }
            Link::Live(..) if !ready => {
                self.why(Away::Ended, out);
                // MediaMTX noticed and pauses 5 s now; we look every second instead.
                self.park(now, Duration::ZERO, out);
            }
            Link::Live(before, _) if bytes != before => self.link = Link::Live(bytes, now),
            _ => {}
        }
    }

    fn failed(&mut self, now: Mono, away: Away, out: &mut Vec<Action>) {
        if !matches!(self.link, Link::Attempting(_)) {
            return;
        }
        self.why(away, out);
        let delay = match away {
            Away::LoginRefused => self.login.delay_spread(0.75 + (now.0 % 1024) as f64 / 2048.0),
            _ => PROBE_EVERY,
        };
        self.park(now, delay, out);
    }

    fn park(&mut self, now: Mono, delay: Duration, out: &mut Vec<Action>) {
        self.link = Link::Waiting(now + delay);
        self.next_probe = self.next_probe.max(now + delay.min(PROBE_EVERY / 4));
        out.push(Action::Park);
    }

    fn probed(&mut self, now: Mono, ok: bool, out: &mut Vec<Action>) {
        self.probing = None;
        self.reached = ok;
        match self.link {
            Link::Waiting(until) if ok && now >= until => self.attempt(now, out),
            Link::Waiting(_) if !ok => self.why(Away::Unreachable, out),
            // The host answers while the session is dead: the session is what is broken.
            Link::Live(_, grown) if ok && now.since(grown) >= QUIET => {
                self.why(Away::Silent, out);
                self.attempt(now, out);
            }
            Link::Live(_, grown) if !ok && now.since(grown) >= DEAF => {
                self.why(Away::Unreachable, out);
                self.park(now, Duration::ZERO, out);
            }
            _ => {}
        }
    }

    fn due(&mut self, now: Mono, out: &mut Vec<Action>) {
        if self.probing.is_some_and(|since| now >= since + PROBE_LIMIT) {
            self.probed(now, false, out);
        }
        if let Link::Attempting(until) = self.link
            && now >= until
        {
            self.why(if self.reached { Away::Silent } else { Away::Unreachable }, out);
            self.park(now, Duration::ZERO, out);
        }
        if self.wants_probe().is_some_and(|at| now >= at) {
            self.probing = Some(now);
            self.next_probe = now + PROBE_EVERY;
            out.push(Action::Probe);
        }
        let want = self.strip && matches!(self.link, Link::Live(..));
        match self.repack {
            Repack::Off if want => self.start_repack(out),
            Repack::Waiting(at) if want && now >= at => self.start_repack(out),
            Repack::Waiting(_) if !want => self.repack = Repack::Off,
            Repack::On { .. } if !want => {
                self.repack = Repack::Stopping;
                out.push(Action::StopRepack(self.repack_run));
            }
            _ => {}
        }
    }

    fn start_repack(&mut self, out: &mut Vec<Action>) {
        self.repack_run += 1;
        self.repack = Repack::On { up: false };
        out.push(Action::StartRepack(self.repack_run));
    }

    fn wants_probe(&self) -> Option<Mono> {
        if self.probing.is_some() {
            return None;
        }
        match self.link {
            Link::Waiting(until) => Some(until.max(self.next_probe)),
            Link::Live(_, grown) => Some((grown + QUIET).max(self.next_probe)),
            Link::Off | Link::Attempting(_) => None,
        }
    }

    /// When [`Event::Tick`] is due.
    pub fn deadline(&self) -> Option<Mono> {
        let attempt = match self.link {
            Link::Attempting(until) => Some(until),
            _ => None,
        };
        let repack = match self.repack {
            Repack::Waiting(at) => Some(at),
            _ => None,
        };
        let answer = self.probing.map(|since| since + PROBE_LIMIT);
        [attempt, repack, answer, self.wants_probe()].into_iter().flatten().min()
    }

    /// Where it is.
    pub fn link(&self) -> Link {
        self.link
    }

    /// Whether the public path is republished without sound.
    pub fn strips_sound(&self) -> bool {
        self.strip
    }

    /// Why it is not live, when it is not.
    pub fn away(&self) -> Away {
        self.away
    }

    /// The repacker delivers.
    pub fn repack_is_up(&self) -> bool {
        self.repack == Repack::On { up: true }
    }
}

#[cfg(test)]
mod tests;
