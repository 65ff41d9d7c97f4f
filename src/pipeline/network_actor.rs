//! Runs [`super::network`] for one network camera.

mod pull;
mod view;

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::base::{Mono, Secret};
use crate::camera::CameraDef;
use crate::config::{RtspUrl, SourceSpec};
use crate::encoder::{Encoder, EncoderEvent, EncoderSpec, repack};
use crate::mediamtx::{PathState, Track};
use crate::reach::{Fault, Relay};
use crate::recording::GapCause;
use crate::snapshot::{Codec, Keyframes};

use super::Parts;
use super::cameras::{Member, Order};
use super::network::{Action, Away, Event, Link, Network};
use super::run::{PathWatch, Run, next_event, path_ready, until};
use super::shown::Shown;
use super::still::Stills;
use super::view::CameraView;

/// How often a camera that connects is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

struct NetworkActor {
    def: CameraDef,
    url: RtspUrl,
    parts: Parts,
    machine: Network,
    orders: mpsc::Receiver<Order>,
    view: Shown,
    stills: Stills,
    probes: (mpsc::Sender<Probe>, mpsc::Receiver<Probe>),
    repack: Option<Run<Encoder, EncoderEvent>>,
    repack_ready: Option<PathWatch>,
    /// The path whose pull stands in MediaMTX since we put it there.
    pulling: Option<String>,
    /// With which address it stands there.
    pulled_from: Option<Secret>,
    /// What MediaMTX last said of the pulled path.
    last: Option<PathState>,
    live_since_us: Option<i64>,
    /// What went wrong on our own side.
    problem: Option<String>,
    /// Why its host may not be connected to.
    refused: Option<String>,
    /// The way to an added camera.
    relay: Option<Relay>,
}

enum News {
    Stop,
    Order(Option<Order>),
    Server(bool),
    Seen(Option<PathState>),
    Probed(Probe),
    Failed(String),
    Repack(EncoderEvent),
    RepackReady(u64),
    Tick,
}

/// What a TCP connect found.
enum Probe {
    Reached,
    Absent,
    /// The host may not be connected to; why, for a person.
    Refused(String),
}

/// Starts the actor of a network camera.
pub(super) fn start(
    def: CameraDef,
    orders: mpsc::Receiver<Order>,
    sender: mpsc::Sender<Order>,
    parts: &Parts,
) -> Member {
    let SourceSpec::Rtsp(url) = &def.source else {
        unreachable!("the caller tells the kinds apart");
    };
    let stills = Stills::of_keyframes(parts.decoder.clone(), parts.snapshots.clone());
    let (view, seen) = Shown::new(CameraView::unseen(def.id, &def.name), &parts.notices);
    let mut member = Member {
        def: def.clone().into(),
        group: parts.group.clone(),
        task: Mutex::default(),
        preview: stills.preview(parts.makers.clone(), &parts.group, sender.clone()),
        orders: sender,
        view: seen,
        stills: stills.clone(),
        controls: None,
        command: String::new(),
    };
    let id = def.id;
    let actor = NetworkActor {
        url: url.clone(),
        machine: Network::new(def.audio, def.strip_audio),
        parts: parts.clone(),
        orders,
        view,
        stills,
        probes: mpsc::channel(1),
        repack: None,
        repack_ready: None,
        pulling: None,
        pulled_from: None,
        last: None,
        live_since_us: None,
        problem: None,
        refused: None,
        relay: None,
        def,
    };
    member.task = Some(parts.group.spawn(format!("camera {id}"), actor.run())).into();
    member
}

impl NetworkActor {
    async fn run(mut self) {
        let stop = self.parts.group.stop().clone();
        let mut server = self.parts.mediamtx.server();
        let mut paths = self.parts.mediamtx.follow_paths();
        let mut failures = self.parts.mediamtx.source_failures();
        let mut ffmpeg = self.parts.ffmpeg.clone();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let running = server.borrow_and_update().running;
        self.take(Event::Server(running)).await;
        loop {
            self.show();
            let attempting = matches!(self.machine.link(), Link::Attempting(_));
            let live = matches!(self.machine.link(), Link::Live(..));
            let pulled = self.pulled_path();
            let news = tokio::select! {
                () = stop.cancelled() => News::Stop,
                order = self.orders.recv() => News::Order(order),
                Ok(()) = server.changed() => News::Server(server.borrow_and_update().running),
                Ok(()) = paths.changed(), if !attempting => {
                    let state = paths.borrow_and_update().get(&pulled).cloned();
                    if live && !state.as_ref().is_some_and(|path| path.ready) {
                        // The list may be older than the answer that told us it is ready.
                        match self.parts.mediamtx.fetch_path(&pulled).await {
                            Ok(state) => News::Seen(state),
                            Err(_) => News::Tick,
                        }
                    } else {
                        News::Seen(state)
                    }
                }
                _ = look.tick(), if attempting => {
                    match self.parts.mediamtx.fetch_path(&pulled).await {
                        Ok(state) => News::Seen(state),
                        Err(_) => News::Tick,
                    }
                }
                // Taken at once even while nothing is tried: an old refusal must not end a new attempt.
                Ok((path, why)) = failures.recv() => {
                    if path == pulled { News::Failed(why) } else { News::Tick }
                }
                Some(found) = self.probes.1.recv() => News::Probed(found),
                event = next_event(&mut self.repack) => News::Repack(event),
                run = path_ready(&mut self.repack_ready) => News::RepackReady(run),
                () = ffmpeg.changed() => News::Tick,
                () = until(self.machine.deadline()) => News::Tick,
            };
            match news {
                News::Stop | News::Order(None) => {
                    self.take(Event::Stop).await;
                    self.stills.read_by(None);
                    return;
                }
                News::Order(Some(Order::Settle(name, _))) => self.def.name = name.as_ref().into(),
                // Network cameras are kept connected, so there is nothing to open, close or wake.
                News::Order(Some(_)) => {}
                News::Server(running) => {
                    if !running {
                        self.pulling = None;
                        self.parts.recordings.fault(self.def.id, GapCause::MediamtxExited);
                    }
                    self.take(Event::Server(running)).await;
                }
                News::Seen(state) => self.seen(state).await,
                News::Probed(found) => self.probed(found).await,
                News::Failed(why) => {
                    // To MediaMTX whatever happens behind our own port is one that closed.
                    let away = match self.relay.as_ref().and_then(Relay::take_fault) {
                        Some(Fault::Moved) => Away::Moved,
                        Some(Fault::Unreachable) => Away::Unreachable,
                        None => Away::from_failure(&why),
                    };
                    self.take(Event::Failed(away)).await;
                }
                News::Repack(event) => self.repack_said(event).await,
                News::RepackReady(run) => {
                    self.take(Event::RepackUp(run)).await;
                    self.read_keyframes().await;
                }
                News::Tick => self.take(Event::Tick).await,
            }
        }
    }

    async fn seen(&mut self, state: Option<PathState>) {
        let event = match &state {
            Some(path) => {
                let sound = path.tracks.iter().any(|t| !t.is_video());
                // A parked path may still be listed with what it was before.
                let ready = path.ready && path.is_pulled();
                Event::Seen { ready, bytes: path.inbound_bytes, sound }
            }
            None => Event::Seen { ready: false, bytes: 0, sound: false },
        };
        self.last = state;
        self.take(event).await;
    }

    async fn repack_said(&mut self, event: EncoderEvent) {
        let EncoderEvent::Ended { exit, words } = event else { return };
        let Some(ended) = self.repack.take() else { return };
        self.repack_ready = None;
        if !ended.was_stopped() {
            tracing::warn!(camera = %self.def.id, %exit, words, "the republisher ended");
            self.parts.recordings.fault(self.def.id, GapCause::EncoderExited);
        }
        self.take(Event::RepackDown(ended.run)).await;
    }

    async fn take(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            for action in self.machine.step(Mono::now(), event) {
                if let Action::Pull = action {
                    if let Err(refused) = self.pull().await {
                        // Not the server's doing, so nothing else would end the attempt before its time.
                        tracing::warn!(camera = %self.def.id, "not connected to: {refused}");
                        self.take_refusal(refused, &mut next);
                    }
                } else if let Action::StartRepack(run) = action {
                    if !self.start_repack(run).await {
                        next = Some(Event::RepackDown(run));
                    }
                } else {
                    self.carry_out(action).await;
                }
            }
        }
    }

    async fn carry_out(&mut self, action: Action) {
        let id = self.def.id;
        match action {
            Action::Park => self.park().await,
            Action::Probe => self.probe(),
            Action::StripSound => {
                tracing::info!(camera = %id, "it sends sound nobody asked for; republished without it");
                if let Err(error) = self.parts.store.set_strip_audio(id, true).await {
                    tracing::warn!(camera = %id, "could not be remembered: {}", error.chain());
                }
            }
            Action::StopRepack(_) => {
                self.repack_ready = None;
                if let Some(repack) = &mut self.repack {
                    repack.stop();
                }
            }
            Action::Lost(away) => {
                tracing::warn!(camera = %id, "the network camera is lost: {}", away.problem());
                self.live_since_us = None;
                self.stills.read_by(None);
                self.is_away(away);
            }
            Action::Why(away) => {
                tracing::warn!(camera = %id, "{}", away.problem());
                self.is_away(away);
            }
            Action::Back => {
                tracing::info!(camera = %id, "the network camera is live");
                self.problem = None;
                self.live_since_us = Some(self.parts.clock.wall_us());
                if !self.machine.strips_sound() {
                    self.read_keyframes().await;
                }
            }
            Action::Pull | Action::StartRepack(_) => unreachable!("taken out before"),
        }
    }

    async fn probed(&mut self, found: Probe) {
        self.take(Event::Probed(matches!(found, Probe::Reached))).await;
        if let Probe::Refused(why) = found {
            self.problem = Some(why);
        }
    }

    fn take_refusal(&mut self, why: String, next: &mut Option<Event>) {
        self.refused = Some(why);
        *next = Some(Event::Failed(Away::HostRefused));
    }

    fn is_away(&mut self, away: Away) {
        self.problem = if away == Away::HostRefused { self.refused.take() } else { None };
        if let Some(cause) = away.gap() {
            self.parts.recordings.fault(self.def.id, cause);
        }
    }

    async fn read_keyframes(&self) {
        let id = self.def.id.to_string();
        let codec = match self.video().map(|track| track.codec.as_str()) {
            Some("H264") => Codec::H264,
            Some("H265") => Codec::H265,
            other => {
                tracing::warn!(camera = id, codec = other, "no stills: its codec is not decoded here");
                return;
            }
        };
        if let Err(error) = self.parts.decoder.warm(codec).await {
            tracing::warn!(camera = id, "the decoder of stills does not start: {}", error.chain());
        }
        let url = self.parts.mediamtx.reader_url(&id);
        self.stills.read_by(Some(Keyframes::start(&id, url, &self.parts.group)));
    }

    fn video(&self) -> Option<&Track> {
        self.last.as_ref()?.tracks.iter().find(|track| track.is_video())
    }

    async fn start_repack(&mut self, run: u64) -> bool {
        if !self.parts.ffmpeg.is_there() {
            return false;
        }
        let (sender, events) = mpsc::channel(8);
        let public = self.def.id.to_string();
        let parts = &self.parts;
        let spec = EncoderSpec {
            name: public.clone(),
            ffmpeg: parts.ffmpeg.path().to_owned(),
            plan: repack(parts.mediamtx.reader_url(&self.pulled_path())),
            publish: parts.mediamtx.publish_url(&public),
        };
        match Encoder::start(spec, None, &parts.spawner, &parts.group, sender).await {
            Ok(child) => {
                let pid = child.pid();
                self.repack = Some(Run::new(run, child, pid, events));
                self.repack_ready = Some(PathWatch::start(&self.parts, public, run));
                true
            }
            Err(error) => {
                tracing::error!(camera = public, "the republisher does not start: {}", error.chain());
                self.problem = Some(error.message().to_owned());
                false
            }
        }
    }
}
