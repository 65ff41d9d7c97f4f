//! The ladder ([`crate::pipeline::ladder`]) of a V4L2 camera, carried out.

use std::path::Path;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::LocalActor;
use crate::base::Mono;
use crate::capture::{Ended, Restream, SourceEvent};
use crate::helper::{self, Reach, Request};
use crate::pipeline::ladder::{Can, Event, Fault, Ladder, Step};
use crate::pipeline::local;
use crate::pipeline::run::until;
use crate::pipeline::rung::Rung;
use crate::pipeline::view::RecoveryView;
use crate::recording::GapCause;
use crate::supervise::Group;

/// What the helper may take for its work. To bind uvcvideo to a camera that answers no control transfer takes 5 s
/// for each.
const HELP: Duration = Duration::from_secs(8);

/// The ladder of one camera, and what carries it out.
#[derive(Default)]
pub(super) struct Recovery {
    ladder: Ladder,
    restream: Option<Restream>,
    /// Why it gives no pictures.
    why: Option<String>,
    /// What the helper can be asked for: of the place where it was last plugged in.
    reach: Reach,
    helping: Option<JoinHandle<Result<(), String>>>,
    /// It was said why these are passed over.
    told: Vec<Rung>,
}

/// What happened to the ladder.
pub(in crate::pipeline) enum News {
    /// Time passed.
    Tick,
    /// The helper's answer.
    Help(Result<(), String>),
}

impl Recovery {
    /// The next news; waits for ever while nothing is tried.
    pub async fn news(&mut self) -> News {
        let deadline = self.ladder.deadline();
        let help = async {
            match &mut self.helping {
                Some(helping) => helping.await.unwrap_or_else(|_| Err("it was not asked".into())),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            answer = help => News::Help(answer),
            () = until(deadline) => News::Tick,
        }
    }

    /// It is plugged in there.
    pub fn stands_at(&mut self, devpath: &str) {
        self.reach = Reach::of(devpath);
    }

    fn can(&self, wanted: bool) -> Can {
        let help = helper::is_there(Path::new(helper::SOCKET));
        Can {
            wanted,
            rebind: help && self.reach.rebind.is_some(),
            reauthorize: help && self.reach.reauthorize.is_some(),
        }
    }

    /// The rungs below this one that were passed over, with the reason, each once.
    fn passed_over(&mut self, rung: Rung, can: Can) -> Vec<(Rung, &'static str)> {
        let reach = &self.reach;
        let all = [
            (Rung::Rebind, can.rebind, reach.rebind.is_some()),
            (Rung::Reauthorize, can.reauthorize, reach.reauthorize.is_some()),
        ];
        let mut passed = Vec::new();
        for (skipped, can, has_place) in all {
            if skipped < rung && !can && !self.told.contains(&skipped) {
                self.told.push(skipped);
                let why = match has_place {
                    false if skipped == Rung::Reauthorize => "it is no USB device",
                    false => "it is on no bus whose drivers can be bound anew",
                    true => "there is no helper (fieldcam-helper.socket)",
                };
                passed.push((skipped, why));
            }
        }
        passed
    }

    /// Asks the helper, in a task: it may take seconds.
    fn ask(&mut self, request: Option<Request>, group: &Group) {
        let Some(request) = request else { return };
        let stop = group.stop().clone();
        self.helping = Some(group.spawn(format!("ask to {request}"), async move {
            let asked = helper::ask(Path::new(helper::SOCKET), &request, HELP);
            let answered = stop.run_until_cancelled(asked).await;
            answered.unwrap_or_else(|| Err("the box is stopping".into())).map(drop)
        }));
    }

    /// The device is being opened.
    pub fn opened(&mut self, restream: Restream) {
        self.restream = Some(restream);
        let nothing = Can { wanted: true, rebind: false, reauthorize: false };
        self.ladder.step(Mono::now(), nothing, Event::Opened);
    }

    /// Why it does not work, from the rung on that clients should hear of it: what the first two cure is over
    /// before anybody has read of it.
    pub fn trouble(&self) -> Option<String> {
        self.ladder.rung().filter(|rung| *rung > Rung::Reopen)?;
        Some(self.why.clone().unwrap_or_else(|| "the camera gives no pictures".into()))
    }

    /// For clients.
    pub fn view(&self) -> RecoveryView {
        RecoveryView { rung: self.ladder.rung(), counts: self.ladder.counts() }
    }
}

impl LocalActor {
    /// What the reader of the device says.
    pub(super) async fn device_source_said(&mut self, run: u64, event: SourceEvent) {
        let id = self.def.id;
        match event {
            SourceEvent::FirstFrame => {
                self.children.problem = None;
                if let Some(device) = &mut self.device {
                    device.recovery.why = None;
                }
                self.climb(Event::Good).await;
                self.take(local::Event::SourceUp(run)).await;
                self.look_at_bus().await;
            }
            // It does not stream yet, so its bus does not know of it either.
            SourceEvent::Mode(mode) => self.delivers(mode).await,
            SourceEvent::BusFull => self.bus_said_full(),
            SourceEvent::Silent(how_long) => {
                tracing::warn!(camera = %id, "no good picture for {how_long:?}");
                let why = "the camera is connected and gives no picture";
                self.in_trouble(why, GapCause::CameraSilent, Fault::Silent).await;
            }
            SourceEvent::Broken(why) => {
                tracing::warn!(camera = %id, why, "the device gives no more pictures");
                self.in_trouble(&why, GapCause::CameraDisconnected, Fault::Broken).await;
            }
            SourceEvent::Gone(how) => {
                self.leave_bus();
                let asked = self.children.source.take().is_some_and(|s| s.was_stopped());
                // When it is opened again is the ladder's word, not the machine's.
                self.take(local::Event::Present(false)).await;
                self.take(local::Event::SourceDown(run)).await;
                if asked {
                    return self.climb(Event::Closed).await;
                }
                let why = how.words();
                let known = self.device.as_ref().and_then(|device| device.recovery.why.as_deref());
                // Each attempt of a rung would say the same.
                if known != Some(why) {
                    tracing::warn!(camera = %id, why, "the device was closed");
                }
                let fault = match &how {
                    Ended::Stopped | Ended::Failed(_) => Fault::Closed,
                    Ended::Unplugged(_) => Fault::Gone,
                    Ended::Refused(_) => Fault::Refused,
                };
                self.in_trouble(why, GapCause::CameraDisconnected, fault).await;
            }
            // Of processes only.
            SourceEvent::Ended { .. } => {}
        }
    }

    /// It was plugged in or went.
    pub(super) async fn plugged(&mut self, there: bool) {
        self.climb(if there { Event::Plugged } else { Event::Unplugged }).await;
    }

    /// What the ladder waited for.
    pub(super) async fn ladder_said(&mut self, news: News) {
        match news {
            News::Tick => self.climb(Event::Tick).await,
            News::Help(answer) => {
                if let Some(device) = &mut self.device {
                    device.recovery.helping = None;
                }
                match answer {
                    Ok(()) => self.climb(Event::Helped).await,
                    Err(why) => {
                        tracing::warn!(camera = %self.def.id, why, "the helper did not help");
                        self.climb(Event::NotHelped).await;
                    }
                }
            }
        }
    }

    async fn in_trouble(&mut self, why: &str, cause: GapCause, fault: Fault) {
        self.children.problem = Some(why.to_owned());
        self.parts.recordings.fault(self.def.id, cause);
        if let Some(device) = &mut self.device {
            device.recovery.why = Some(why.to_owned());
        }
        self.climb(Event::Fault(fault)).await;
    }

    /// Tells the ladder and carries out what it wants.
    async fn climb(&mut self, event: Event) {
        let (id, now) = (self.def.id, Mono::now());
        // What a full bus needs is room, not another driver.
        let wanted = self.machine.asked(now) && !self.bus_is_full();
        let Some(device) = &mut self.device else { return };
        let recovery = &mut device.recovery;
        let can = recovery.can(wanted);
        match recovery.ladder.step(now, can, event) {
            Some(Step::Climb(rung)) => {
                for (skipped, why) in recovery.passed_over(rung, can) {
                    tracing::info!(camera = %id, rung = skipped.word(), why, "is passed over");
                }
                let why = recovery.why.as_deref().unwrap_or("it gives no pictures");
                let rest = recovery.ladder.rests_until().map(|at| at.since(now));
                tracing::warn!(camera = %id, rung = rung.word(), ?rest, why, "is to be brought back");
                match rung {
                    Rung::Restream => {
                        if let Some(restream) = &recovery.restream {
                            restream.now();
                        }
                    }
                    Rung::Rebind => recovery.ask(recovery.reach.rebind.clone(), &self.parts.group),
                    Rung::Reauthorize => recovery.ask(recovery.reach.reauthorize.clone(), &self.parts.group),
                    Rung::Reopen | Rung::Quarantine => {}
                }
            }
            Some(Step::Recovered(rung, after)) => {
                tracing::info!(camera = %id, rung = rung.word(), "gives pictures again after {after:?}");
            }
            None => {}
        }
        self.take_presence().await;
    }

    /// Whether the device may be read now.
    pub(super) async fn take_presence(&mut self) {
        let Some(device) = &self.device else { return };
        let here = device.is_known() && !device.recovery.ladder.holds() && !self.bus_is_full();
        self.take(local::Event::Present(here)).await;
    }
}
