//! Runs [`super::local`] for one camera in the frame path: carries out its actions, feeds it events.

mod device;
mod file;
mod on_bus;
mod recovery;
mod selection;
mod spare;
mod view;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::base::{Mono, Result};
use crate::camera::CameraDef;
use crate::capture::{Fanout, SourceEvent, SourcePlan, TestSource};
use crate::encoder::{Chosen, EncodePlan, Encoder, EncoderEvent, Prepared, Selection, Way};
use crate::recording::GapCause;

use self::selection::Death;
use super::Parts;
use super::cameras::Order;
use super::local::{Action, Event, Local};
use super::run::{PathWatch, Run, next_event, path_ready, until};
use super::shown::Shown;

/// How often readers are counted while a stream runs.
const COUNT_EVERY: Duration = Duration::from_millis(500);
/// A stream that has just come up leaves the processors to its first readers for so long: to load an
/// FFmpeg takes 40 to 100 ms of one.
const SPARE_AFTER: Duration = Duration::from_millis(300);

pub(super) use device::PluggedIn;
pub(super) use view::first_view;

/// What reads a camera; dropping it ends that.
type Running = Box<dyn Send>;

/// The actor of one camera in the frame path.
pub(super) struct LocalActor {
    pub def: CameraDef,
    pub source_plan: Option<SourcePlan>,
    /// The V4L2 device that it reads, for a camera of that kind.
    pub device: Option<device::PluggedIn>,
    /// The file that it plays, for a camera of that kind.
    pub file: Option<PathBuf>,
    pub encoder_plan: EncodePlan,
    /// Which encoder it gets, and why.
    pub selection: Selection,
    pub chosen: Chosen,
    pub parts: Parts,
    pub machine: Local,
    pub fanout: Fanout,
    pub orders: mpsc::Receiver<Order>,
    pub view: Shown,
    pub children: Children,
}

/// The children of the machine's present runs.
#[derive(Default)]
pub(super) struct Children {
    source: Option<Run<Running, SourceEvent>>,
    encoder: Option<Run<Encoder, EncoderEvent>>,
    /// An FFmpeg that is loaded and waits: most of a cold start is over before anybody asks.
    spare: Option<(EncodePlan, Prepared)>,
    /// When the next one is loaded.
    spare_at: Option<Mono>,
    ready: Option<PathWatch>,
    /// How it encodes, or did last, and which start of MediaMTX it published to.
    way: Option<Way>,
    published_to: u64,
    /// An end of it that is still to be judged.
    death: Option<Death>,
    /// Its file or its device is not there.
    absent: bool,
    problem: Option<String>,
    started_us: Option<i64>,
    frames: u64,
    rate: f64,
    bitrate: u64,
    /// Of its stream, when they were last counted.
    readers: u32,
    /// Bytes into the path when they were last counted.
    counted: Option<(Mono, u64)>,
}

/// What the actor woke up for.
enum News {
    Stop,
    Order(Option<Order>),
    Source(SourceEvent),
    Encoder(EncoderEvent),
    Ready(u64),
    Server(bool),
    Wanted(bool),
    Count,
    /// The file is looked for.
    Look,
    /// The device was plugged in or pulled out, or was asked what it can.
    Device(device::News),
    /// FFmpeg came or went.
    Ffmpeg,
    /// Time to load the FFmpeg in waiting.
    Spare,
    Tick,
}

impl LocalActor {
    /// Runs until the phase stops and both children are gone.
    pub async fn run(mut self) {
        let stop = self.parts.group.stop().clone();
        let mut server = self.parts.mediamtx.server();
        let mut wanted = self.parts.recordings.wanted();
        let mut count = tokio::time::interval(COUNT_EVERY);
        count.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ffmpeg = self.parts.ffmpeg.clone();
        let mut look = tokio::time::interval(file::LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopping = false;
        self.look_for_file().await;
        self.look_for_device().await;
        let running = server.borrow_and_update().running;
        self.take(Event::Server(running)).await;
        let recording = wanted.borrow_and_update().contains(&self.def.id);
        self.take(Event::Recording(recording)).await;
        self.prepare_spare().await;
        loop {
            self.show();
            if stopping && self.machine.at_rest() {
                return;
            }
            let id = self.def.id;
            let news = tokio::select! {
                () = stop.cancelled(), if !stopping => News::Stop,
                order = self.orders.recv(), if !stopping => News::Order(order),
                event = next_event(&mut self.children.source) => News::Source(event),
                event = next_event(&mut self.children.encoder) => News::Encoder(event),
                run = path_ready(&mut self.children.ready) => News::Ready(run),
                Ok(()) = server.changed() => News::Server(server.borrow_and_update().running),
                Ok(()) = wanted.changed() => News::Wanted(wanted.borrow_and_update().contains(&id)),
                _ = count.tick(), if self.children.encoder.is_some() => News::Count,
                _ = look.tick(), if self.file.is_some() => News::Look,
                news = device::news(&mut self.device), if !stopping => News::Device(news),
                () = ffmpeg.changed() => News::Ffmpeg,
                () = until(self.children.spare_at), if !stopping => News::Spare,
                () = until(self.machine.deadline()) => News::Tick,
            };
            match news {
                News::Stop => {
                    stopping = true;
                    self.take(Event::Stop).await;
                }
                News::Order(Some(Order::Open)) => self.take(Event::Open).await,
                News::Order(Some(Order::Close)) => self.take(Event::Close).await,
                News::Order(Some(Order::Peek(at))) => self.take(Event::Peek(at)).await,
                News::Order(Some(Order::Settle(name, keep_warm))) => {
                    self.def.name = name.as_ref().into();
                    self.take(Event::KeepWarm(keep_warm)).await;
                }
                // Every handle is gone: the program is on its way out.
                News::Order(None) => {
                    stopping = true;
                    self.take(Event::Stop).await;
                }
                News::Source(event) => self.source_said(event).await,
                News::Encoder(event) => self.encoder_said(event).await,
                News::Ready(run) => self.path_is_up(run).await,
                News::Server(running) => {
                    if !running {
                        self.parts.recordings.fault(id, GapCause::MediamtxExited);
                    }
                    self.take(Event::Server(running)).await;
                }
                News::Wanted(wanted) => self.take(Event::Recording(wanted)).await,
                News::Count => {
                    let readers = self.count();
                    if readers > std::mem::replace(&mut self.children.readers, readers) {
                        // Whoever came sees nothing before the next one.
                        self.fanout.want_key();
                    }
                    self.take(Event::Readers(readers)).await;
                }
                News::Look => {
                    if self.look_for_file().await {
                        self.prepare_spare().await;
                        self.take(Event::Tick).await;
                    }
                }
                News::Device(news) => self.device_said(news).await,
                News::Ffmpeg => {
                    self.prepare_spare().await;
                    self.take(Event::Tick).await;
                }
                News::Spare => self.prepare_spare().await,
                News::Tick => self.take(Event::Tick).await,
            }
        }
    }

    async fn source_said(&mut self, event: SourceEvent) {
        let Some(run) = self.children.source.as_ref().map(|s| s.run) else { return };
        if self.device.is_some() {
            return self.device_source_said(run, event).await;
        }
        match event {
            SourceEvent::FirstFrame => {
                self.children.problem = None;
                self.take(Event::SourceUp(run)).await;
            }
            SourceEvent::Silent(for_how_long) => {
                tracing::warn!(camera = %self.def.id, "no picture for {for_how_long:?}; starting it again");
                self.children.problem = Some("the camera is connected and gives no picture".into());
                self.parts.recordings.fault(self.def.id, GapCause::CameraSilent);
                self.take(Event::SourceSilent(run)).await;
            }
            // Of devices only.
            SourceEvent::Mode(_) | SourceEvent::Broken(_) | SourceEvent::BusFull | SourceEvent::Gone(_) => {}
            SourceEvent::Ended { exit, words } => {
                let asked = self.children.source.take().is_some_and(|s| s.was_stopped());
                if !asked {
                    tracing::warn!(camera = %self.def.id, %exit, words, "the source ended");
                    self.children.problem = Some(match self.file {
                        Some(_) => "its file cannot be played as a video".into(),
                        None => format!("its source ended ({exit})"),
                    });
                    self.parts.recordings.fault(self.def.id, GapCause::CameraDisconnected);
                }
                self.take(Event::SourceDown(run)).await;
            }
        }
    }

    async fn encoder_said(&mut self, event: EncoderEvent) {
        let Some(run) = self.children.encoder.as_ref().map(|e| e.run) else { return };
        match event {
            EncoderEvent::Progress(progress) => {
                (self.children.frames, self.children.rate) = (progress.frames, progress.fps);
            }
            EncoderEvent::Stalled => {
                tracing::warn!(camera = %self.def.id, "the encoder takes frames and gives nothing; starting it again");
            }
            EncoderEvent::Ended { exit, words } => {
                let ended = self.children.encoder.take();
                let asked = ended.as_ref().is_some_and(|e| e.was_stopped());
                if let Some(ended) = ended.filter(|_| !asked) {
                    self.encoder_died(ended.since);
                }
                self.children.ready = None;
                if asked && self.children.spare.is_none() {
                    self.children.spare_at = Some(Mono::now());
                }
                if !asked {
                    tracing::warn!(camera = %self.def.id, %exit, words, "the encoder ended");
                    self.parts.recordings.fault(self.def.id, GapCause::EncoderExited);
                }
                self.take(Event::EncoderDown(run)).await;
            }
        }
    }

    /// Readers of the stream; measures its bit rate on the way.
    fn count(&mut self) -> u32 {
        let paths = self.parts.mediamtx.paths();
        let Some(path) = paths.get(&self.def.id.to_string()) else { return 0 };
        let now = Mono::now();
        let (then, bytes) = self.children.counted.unwrap_or((now, path.inbound_bytes));
        let took = now.since(then);
        if took >= Duration::from_secs(1) {
            let bits = path.inbound_bytes.saturating_sub(bytes) * 8;
            self.children.bitrate = (bits as f64 / took.as_secs_f64()) as u64;
        }
        if took >= Duration::from_secs(1) || self.children.counted.is_none() {
            self.children.counted = Some((now, path.inbound_bytes));
        }
        path.readers
    }

    async fn path_is_up(&mut self, run: u64) {
        if let Some(encoder) = self.children.encoder.as_ref().filter(|e| e.run == run) {
            let after = Mono::now().since(encoder.since);
            tracing::info!(camera = %self.def.id, "stream can be read {after:?} after the encoder's start");
        }
        // Its first readers come after its first picture.
        self.fanout.want_key();
        self.take(Event::EncoderUp(run)).await;
        self.children.spare_at = Some(Mono::now() + SPARE_AFTER);
    }

    /// Steps the machine and carries out what it wants; a start that fails is its next event.
    async fn take(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.machine.step(Mono::now(), event) {
                match action {
                    Action::StartSource(run) => {
                        if !self.start_source(run).await {
                            if self.bus_is_full() {
                                // Not tried again before there is room.
                                events.push_back(Event::Present(false));
                            }
                            events.push_back(Event::SourceDown(run));
                        }
                    }
                    Action::StartEncoder(run) => {
                        if !self.start_encoder(run).await {
                            events.push_back(Event::EncoderDown(run));
                        }
                    }
                    Action::StopSource(_) => {
                        if let Some(source) = &mut self.children.source {
                            source.stop();
                        }
                    }
                    Action::StopEncoder(_) => {
                        self.children.ready = None;
                        if let Some(encoder) = &mut self.children.encoder {
                            encoder.stop();
                        }
                    }
                }
            }
        }
    }

    async fn start_source(&mut self, run: u64) -> bool {
        if self.children.absent || !self.reserve_bus().await {
            return false;
        }
        let (sender, events) = mpsc::channel(8);
        let name = self.def.id.to_string();
        let parts = &self.parts;
        let started: Result<Running> = match (&self.source_plan, &mut self.device) {
            (Some(plan), _) if parts.ffmpeg.is_there() => TestSource::start(
                &name,
                plan.clone(),
                parts.ffmpeg.path(),
                &parts.spawner,
                &parts.group,
                self.fanout.clone(),
                sender,
            )
            .await
            .map(|source| Box::new(source) as Running),
            (None, Some(device)) => device.start(&name, &parts.group, self.fanout.clone(), sender),
            _ => return false,
        };
        match started {
            Ok(source) => {
                self.children.source = Some(Run::new(run, source, 0, events));
                true
            }
            Err(error) => {
                tracing::error!(camera = name, "the source does not start: {}", error.chain());
                self.leave_bus();
                self.children.problem = Some(error.message().to_owned());
                false
            }
        }
    }

    async fn start_encoder(&mut self, run: u64) -> bool {
        if !self.parts.ffmpeg.is_there() {
            return false;
        }
        let (sender, events) = mpsc::channel(8);
        let name = self.def.id.to_string();
        self.select_encoder();
        let spare = self.take_spare();
        let parts = &self.parts;
        let prepared = match spare {
            Some(spare) => Ok(spare),
            None => Encoder::prepare(self.encoder_spec(), &parts.spawner, &parts.group).await,
        };
        let consumer = self.fanout.subscribe(format!("encoder {name}"), Encoder::QUEUE);
        match prepared.map(|encoder| encoder.start(Some(consumer), &parts.group, sender)) {
            Ok(child) => {
                let pid = child.pid();
                self.children.encoder = Some(Run::new(run, child, pid, events));
                self.children.way = Some(self.encoder_plan.way());
                self.children.published_to = self.parts.mediamtx.server().borrow().generation;
                self.children.frames = 0;
                self.children.counted = None;
                self.children.ready = Some(PathWatch::start(&self.parts, name, run));
                true
            }
            Err(error) => {
                tracing::error!(camera = name, "the encoder does not start: {}", error.chain());
                self.children.problem = Some(error.message().to_owned());
                false
            }
        }
    }
}
