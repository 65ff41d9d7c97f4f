//! The state machine of a camera in the frame path (synthetic now, V4L2 later): source and encoder.
//!
//! Pure: it is told what happened and when, and answers with what to do; [`Local::deadline`] says
//! when it wants to be asked again. Level-triggered: after each event the wanted state is compared
//! with the present one, so that no order of events can leave it stuck (property-tested).

use std::time::Duration;

use crate::base::Mono;
use crate::base::backoff::Backoff;

/// A stream nobody reads or records is closed after this (contract.md: auto_close_after "300s").
pub const AUTO_CLOSE: Duration = Duration::from_secs(300);
/// A source or encoder that has not delivered by then is taken for stuck.
const START_LIMIT: Duration = Duration::from_secs(8);
/// The room that stops a child always reports its end; this is for the case that it does not.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Without frames for this long the encoder is stopped, so that the recording's segment is closed.
const ENCODER_PATIENCE: Duration = Duration::from_secs(4);
/// A child that ran this long starts its delays afresh when it dies.
const PROVEN: Duration = Duration::from_secs(10);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A recording wants the camera, or no longer.
    Recording(bool),
    /// start_streaming, or a reader arrived at an idle path.
    Open,
    /// stop_streaming.
    Close,
    /// A snapshot wants frames until then.
    Peek(Mono),
    /// Readers at MediaMTX.
    Readers(u32),
    /// MediaMTX answers, or not.
    Server(bool),
    /// What the source reads is there, or no longer.
    Present(bool),
    /// The source of this run delivers.
    SourceUp(u64),
    /// The source of this run ended.
    SourceDown(u64),
    /// The source of this run is there and gives nothing.
    SourceSilent(u64),
    /// The encoder of this run can be read.
    EncoderUp(u64),
    /// The encoder of this run ended.
    EncoderDown(u64),
    /// Its encoder runs without anybody asking, or no longer.
    KeepWarm(bool),
    /// Time passed.
    Tick,
    /// The program stops.
    Stop,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the source; its events carry this run.
    StartSource(u64),
    /// Stop it; [`Event::SourceDown`] must follow.
    StopSource(u64),
    /// Start the encoder; its events carry this run.
    StartEncoder(u64),
    /// Stop it; [`Event::EncoderDown`] must follow.
    StopEncoder(u64),
}

/// One child's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not running and not wanted.
    Off,
    /// Started, not delivering yet.
    Starting(Mono),
    /// Delivering.
    Running(Mono),
    /// Told to stop.
    Stopping(Mono),
    /// Failed; to be started again then.
    Waiting(Mono),
}

#[derive(Clone, Debug)]
struct Part {
    stage: Stage,
    run: u64,
    backoff: Backoff,
    /// It failed while wanted, so its next start waits.
    failed: bool,
}

enum Verb {
    Start(u64),
    Stop(u64),
}

impl Part {
    fn new(max: Duration) -> Self {
        let backoff = Backoff::new(Duration::from_millis(100), max);
        Self { stage: Stage::Off, run: 0, backoff, failed: false }
    }

    fn up(&mut self, now: Mono, run: u64) {
        if run == self.run && matches!(self.stage, Stage::Starting(_)) {
            self.stage = Stage::Running(now);
        }
    }

    fn down(&mut self, now: Mono, run: u64) {
        if run != self.run {
            return;
        }
        match self.stage {
            Stage::Starting(_) => self.wait(now),
            Stage::Running(since) => {
                if now.since(since) >= PROVEN {
                    self.backoff.reset();
                }
                self.wait(now);
            }
            Stage::Stopping(_) if self.failed => self.wait(now),
            Stage::Stopping(_) => self.stage = Stage::Off,
            Stage::Off | Stage::Waiting(_) => {}
        }
    }

    /// It runs and does not work: stopped at the next look, then started again.
    fn condemn(&mut self, run: u64) {
        if run == self.run && matches!(self.stage, Stage::Starting(_) | Stage::Running(_)) {
            self.failed = true;
        }
    }

    /// Whatever failed before says nothing of what comes now.
    fn begin_anew(&mut self) {
        self.backoff.reset();
        if matches!(self.stage, Stage::Waiting(_)) {
            self.stage = Stage::Off;
        }
    }

    fn wait(&mut self, now: Mono) {
        self.failed = false;
        // The first restart is immediate: a camera that hiccups once should cost no footage.
        let delay = self.backoff.delay_spread(0.75 + (now.0 % 1024) as f64 / 2048.0);
        let delay = if self.backoff.attempts() == 1 { Duration::ZERO } else { delay };
        self.stage = Stage::Waiting(now + delay);
    }

    fn reconcile(&mut self, now: Mono, want: bool) -> Option<Verb> {
        match self.stage {
            Stage::Off if want => Some(self.start(now)),
            Stage::Waiting(until) if want && now >= until => Some(self.start(now)),
            Stage::Waiting(_) if !want => {
                self.stage = Stage::Off;
                None
            }
            Stage::Starting(_) | Stage::Running(_) if !want => {
                self.failed = false;
                self.backoff.reset();
                Some(self.stop(now))
            }
            Stage::Starting(_) | Stage::Running(_) if self.failed => Some(self.stop(now)),
            Stage::Starting(since) if now.since(since) >= START_LIMIT => {
                self.failed = true;
                Some(self.stop(now))
            }
            Stage::Stopping(since) if now.since(since) >= STOP_LIMIT => {
                self.down(now, self.run);
                None
            }
            _ => None,
        }
    }

    fn start(&mut self, now: Mono) -> Verb {
        self.run += 1;
        self.stage = Stage::Starting(now);
        Verb::Start(self.run)
    }

    fn stop(&mut self, now: Mono) -> Verb {
        self.stage = Stage::Stopping(now);
        Verb::Stop(self.run)
    }

    fn deadline(&self) -> Option<Mono> {
        match self.stage {
            Stage::Off | Stage::Running(_) => None,
            Stage::Starting(since) => Some(since + START_LIMIT),
            Stage::Stopping(since) => Some(since + STOP_LIMIT),
            Stage::Waiting(until) => Some(until),
        }
    }
}

/// The machine of one camera.
#[derive(Clone, Debug)]
pub struct Local {
    keep_warm: bool,
    recording: bool,
    open: bool,
    readers: u32,
    last_active: Mono,
    peek_until: Option<Mono>,
    server: bool,
    /// What the source reads is there.
    present: bool,
    stopped: bool,
    /// Since when the source has not been delivering while wanted.
    dry_since: Option<Mono>,
    source: Part,
    encoder: Part,
}

impl Local {
    /// A machine at rest; `keep_warm` runs the encoder without anybody asking.
    pub fn new(keep_warm: bool) -> Self {
        Self {
            keep_warm,
            recording: false,
            open: false,
            readers: 0,
            last_active: Mono::default(),
            peek_until: None,
            server: false,
            present: true,
            stopped: false,
            dry_since: None,
            // requirements.md P11: a camera reconnects within 10 s, FFmpeg within 5 s.
            source: Part::new(Duration::from_secs(5)),
            encoder: Part::new(Duration::from_secs(2)),
        }
    }

    /// Takes an event; the actions are to be carried out in order.
    pub fn step(&mut self, now: Mono, event: Event) -> Vec<Action> {
        match event {
            Event::Recording(wanted) => {
                if self.recording && !wanted {
                    self.last_active = now;
                }
                self.recording = wanted;
            }
            Event::Open => {
                self.open = true;
                self.last_active = now;
            }
            Event::Close => self.open = false,
            Event::Peek(until) => self.peek_until = self.peek_until.max(Some(until)),
            Event::Readers(n) => {
                if n > 0 {
                    self.open = true;
                    self.last_active = now;
                }
                self.readers = n;
            }
            Event::Server(up) => {
                self.server = up;
                if !up {
                    self.readers = 0;
                }
            }
            Event::Present(here) => {
                if here && !self.present {
                    self.source.begin_anew();
                }
                self.present = here;
            }
            Event::SourceUp(run) => self.source.up(now, run),
            Event::SourceDown(run) => self.source.down(now, run),
            Event::SourceSilent(run) => self.source.condemn(run),
            Event::EncoderUp(run) => self.encoder.up(now, run),
            Event::EncoderDown(run) => self.encoder.down(now, run),
            Event::KeepWarm(on) => self.keep_warm = on,
            Event::Tick => {}
            Event::Stop => self.stopped = true,
        }
        self.reconcile(now)
    }

    fn reconcile(&mut self, now: Mono) -> Vec<Action> {
        if self.peek_until.is_some_and(|until| now >= until) {
            self.peek_until = None;
        }
        if self.open && !self.consumed() && now >= self.last_active + AUTO_CLOSE {
            self.open = false;
        }
        let stream = !self.stopped && (self.keep_warm || self.consumed() || self.open);
        let asked = stream || (!self.stopped && self.peek_until.is_some());
        let delivering = matches!(self.source.stage, Stage::Running(_));
        self.dry_since = if delivering || !asked { None } else { self.dry_since.or(Some(now)) };
        // While the source starts for the first time both children start side by side: an encoder
        // that waits for its first frame costs less than one started after it.
        let dry = self.dry_since.is_some_and(|since| now >= since + ENCODER_PATIENCE);
        let want_encoder = stream && self.server && !dry;
        let mut actions = Vec::new();
        match self.source.reconcile(now, asked && self.present) {
            Some(Verb::Start(run)) => actions.push(Action::StartSource(run)),
            Some(Verb::Stop(run)) => actions.push(Action::StopSource(run)),
            None => {}
        }
        match self.encoder.reconcile(now, want_encoder) {
            Some(Verb::Start(run)) => actions.push(Action::StartEncoder(run)),
            Some(Verb::Stop(run)) => actions.push(Action::StopEncoder(run)),
            None => {}
        }
        actions
    }

    /// When [`Event::Tick`] is due; none when only an event can change anything.
    pub fn deadline(&self) -> Option<Mono> {
        let close = (self.open && !self.consumed()).then(|| self.last_active + AUTO_CLOSE);
        let dry = match self.encoder.stage {
            Stage::Starting(_) | Stage::Running(_) => self.dry_since.map(|since| since + ENCODER_PATIENCE),
            _ => None,
        };
        [self.source.deadline(), self.encoder.deadline(), close, self.peek_until, dry]
            .into_iter()
            .flatten()
            .min()
    }

    /// A recording or a reader takes the stream.
    pub fn consumed(&self) -> bool {
        self.recording || self.readers > 0
    }

    /// Somebody asked for the stream and it has not been closed.
    pub fn wanted(&self) -> bool {
        self.keep_warm || self.consumed() || self.open
    }

    /// Frames are asked for, if only for a snapshot.
    pub fn asked(&self, now: Mono) -> bool {
        !self.stopped && (self.wanted() || self.peek_until.is_some_and(|until| now < until))
    }

    /// start_streaming or a reader holds it open.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The source's stage.
    #[cfg(test)]
    pub fn source(&self) -> Stage {
        self.source.stage
    }

    /// The encoder's stage.
    pub fn encoder(&self) -> Stage {
        self.encoder.stage
    }

    /// The source failed more than twice in a row.
    pub fn failing(&self) -> bool {
        self.source.backoff.attempts() > 2 && !matches!(self.source.stage, Stage::Running(_))
    }

    /// Both children are down and will stay so.
    pub fn at_rest(&self) -> bool {
        self.source.stage == Stage::Off && self.encoder.stage == Stage::Off
    }
}

#[cfg(test)]
mod tests;
