//! The task of one running recording: looks at its files, asks [`Watch`] what to do, does it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::card::Facts;
use super::cause::{EndReason, GapCause};
use super::files::{Files, Seen};
use super::hold::{Hold, Paused};
use super::shared::Shared;
use super::trim::{Edit, Edited};
use super::view::{Closed, Finished};
use super::watch::{Action, Event, Watch};
use crate::base::{Mono, RecordingName, Result};
use crate::notice::Fact;
use crate::store::{GapRow, NoteRow, RecordingChange};
use crate::supervise::LogRate;

/// How often the files are looked at, at most. A part is synced when it is seen: with four looks to
/// the interval it waits an eighth of it on average, not half, for as many syncs.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After a recording could not go on though the disk is back.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What others ask of a running recording.
pub(super) enum Command {
    /// End it.
    Stop(EndReason, Option<oneshot::Sender<Result<Finished>>>),
    /// Media stopped, and why.
    Fault(GapCause),
    /// Change what it consists of; answered with nothing when it is another recording by now.
    Edit(RecordingName, Edit, oneshot::Sender<Result<Option<Edited>>>),
}

/// A look under way; it brings the files back.
type Look = JoinHandle<(Files, io::Result<Vec<Seen>>)>;

/// One running recording.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) facts: Facts,
    pub(super) watch: Watch,
    /// Away while a look is under way.
    pub(super) files: Option<Files>,
    pub(super) look: Option<Look>,
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    /// What the database does not know yet; kept until it does.
    pub(super) unsaved: RecordingChange,
    pub(super) changed: bool,
    /// `recording.json` is older than the index.
    pub(super) card_stale: bool,
    pub(super) hold: tokio::sync::watch::Receiver<Option<Hold>>,
    pub(super) paused: Paused,
    pub(super) complaints: LogRate,
}

impl Session {
    pub(super) fn new(
        shared: Arc<Shared>,
        facts: Facts,
        watch: Watch,
        files: Files,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> Self {
        let mut hold = shared.hold.subscribe();
        // The first round looks at it.
        hold.mark_changed();
        Self {
            hold,
            paused: Paused::No,
            shared,
            facts,
            watch,
            files: Some(files),
            look: None,
            commands,
            unsaved: RecordingChange::default(),
            // The first round writes recording.json: starting does not wait for it.
            changed: true,
            card_stale: false,
            complaints: LogRate::new(3, Duration::from_secs(30)),
        }
    }

    /// Runs until the recording ends, or the program does (then it stays wanted).
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let interval = self.shared.options.sync_interval;
        let (sync, every) = if interval.is_zero() {
            (None, LOOK_EVERY)
        } else {
            (Some(interval * 3 / 4), (interval / 4).clamp(Duration::from_millis(25), LOOK_EVERY))
        };
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = self.watch.deadline().from_now();
            let mut actions = Vec::new();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Stop(reason, reply)) => {
                        let finished = match self.paused {
                            Paused::No => self.close(reason).await,
                            _ => Ok(self.end_later(reason)),
                        };
                        let over = matches!(self.paused, Paused::No);
                        if let Some(reply) = reply {
                            let _ = reply.send(finished);
                        }
                        if over {
                            return;
                        }
                    }
                    Some(Command::Fault(cause)) => {
                        actions = self.watch.step(Mono::now(), Event::Fault(cause));
                    }
                    Some(Command::Edit(name, edit, reply)) => {
                        let _ = reply.send(self.edit(&name, &edit).await);
                    }
                    None => return,
                },
                () = stop.cancelled() => return self.rest().await,
                _ = self.hold.changed() => {
                    if self.follow_hold().await {
                        return;
                    }
                }
                () = tokio::time::sleep(TRY_AGAIN), if self.is_to_go_on() => {
                    if self.follow_hold().await {
                        return;
                    }
                }
                (files, seen) = finished(&mut self.look), if self.look.is_some() => {
                    self.look = None;
                    self.files = Some(files);
                    self.take(seen).await;
                }
                _ = ticks.tick(), if self.look.is_none() && self.files.is_some() => self.start_look(sync),
                () = tokio::time::sleep(due) => {}
            }
            let wall_us = self.shared.options.clock.wall_us();
            actions.extend(self.watch.step(Mono::now(), Event::Tick { wall_us }));
            if let Some(reason) = self.act(actions).await {
                if !matches!(self.paused, Paused::No) {
                    self.end_later(reason);
                    continue;
                }
                if let Err(error) = self.close(reason).await {
                    tracing::error!(error = %error.chain(), "a recording ended with an error");
                }
                return;
            }
            if matches!(self.paused, Paused::No) {
                self.save().await;
            }
        }
    }

    pub(super) fn start_look(&mut self, sync: Option<Duration>) {
        if let Some(mut files) = self.files.take() {
            self.look = Some(tokio::task::spawn_blocking(move || {
                let seen = files.look(sync);
                (files, seen)
            }));
        }
    }

    /// One look, waited for.
    pub(super) async fn look_now(&mut self) {
        if self.look.is_none() {
            self.start_look(Some(Duration::ZERO));
        }
        let (files, seen) = finished(&mut self.look).await;
        self.look = None;
        self.files = Some(files);
        self.take(seen).await;
    }

    async fn take(&mut self, seen: io::Result<Vec<Seen>>) {
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => {
                self.shared.suspect(&error);
                let name = self.facts.row.name.clone();
                self.complain(|more| {
                    tracing::warn!(%error, %name, more, "the recording's files cannot be kept up with");
                });
                self.watch.blame(GapCause::Storage);
                return;
            }
        };
        for mut s in seen {
            let now = Mono::now();
            if let Some(header) = s.header.take() {
                let event = Event::Segment { start_us: s.row.start_us, stsd: &header.stsd };
                let actions = self.watch.step(now, event);
                if actions.contains(&Action::Continue) {
                    if self.split(&s.row.file, &header, s.row.start_us).await {
                        s.row.number = 1;
                    }
                } else if self.facts.row.stsd.is_none() {
                    self.describe(&header);
                }
                self.act_on_segment(actions, s.row.number);
                self.changed = true;
            }
            let entered = self.facts.segments.iter().any(|k| k.number == s.row.number);
            if s.ended || !entered {
                self.unsaved.segments.retain(|k| k.number != s.row.number);
                self.unsaved.segments.push(s.row.clone());
                self.changed = true;
            }
            if s.ended {
                let file = s.row.file_in(&self.shared.places, &self.facts.row);
                let _ = self.shared.closed.0.send(Closed { recording: self.facts.row.id, file });
            }
            let (start_us, number) = (s.row.start_us, s.row.number);
            let end_us = start_us.saturating_add_unsigned(s.row.duration_us);
            self.facts.put_segment(s.row);
            if s.grew {
                self.watch.step(now - s.written_ago, Event::Grew { end_us, frame_us: s.frame_us });
            }
            for (at, duration_us) in s.long {
                let start_us = start_us.saturating_add_unsigned(at);
                let actions = self.watch.step(now, Event::LongFrame { start_us, duration_us });
                self.act_on_segment(actions, number);
            }
        }
        self.shared.show(&self.facts);
    }

    pub(super) fn describe(&mut self, header: &super::mp4::Header) {
        let row = &mut self.facts.row;
        row.codec = Some(header.codec.clone());
        if header.width > 0 {
            (row.width, row.height) = (header.width, header.height);
        }
        row.stsd = Some(header.stsd.clone());
    }

    /// What concerns a segment only.
    fn act_on_segment(&mut self, actions: Vec<Action>, number: u32) {
        for action in actions {
            match action {
                Action::Began { start_us } => {
                    self.facts.row.start_us = start_us;
                    self.facts.row.until_us = self.watch.until_us();
                    self.changed = true;
                }
                Action::Gap { start_us, duration_us, cause } => {
                    let seconds = duration_us as f64 / 1e6;
                    let name = &self.facts.row.name;
                    tracing::warn!(%name, cause = cause.text(), "{seconds:.2} s are missing");
                    let gap = GapRow { number, start_us, duration_us, cause: cause.text().into() };
                    self.facts.gaps.push(gap.clone());
                    self.unsaved.gaps.push(gap);
                    self.changed = true;
                }
                _ => {}
            }
        }
    }

    async fn act(&mut self, actions: Vec<Action>) -> Option<EndReason> {
        for action in actions {
            match action {
                Action::ClockStep { by_us } => {
                    let detail = format!("the wall clock was set by {:+.3} s", by_us as f64 / 1e6);
                    tracing::warn!(name = %self.facts.row.name, detail, "the recorder is reopened");
                    self.facts.row.until_us = self.watch.until_us();
                    self.note("clock_step", detail);
                }
                Action::Alert { silent } => self.alert(silent).await,
                Action::Reopen => self.reopen().await,
                Action::Close(reason) => return Some(reason),
                Action::Began { .. } | Action::Gap { .. } | Action::Continue => {}
            }
        }
        None
    }

    pub(super) fn note(&mut self, kind: &str, detail: String) {
        let at_us = self.shared.options.clock.wall_us();
        let note = NoteRow { at_us, kind: kind.into(), detail };
        self.facts.notes.push(note.clone());
        self.unsaved.notes.push(note);
        self.changed = true;
    }

    async fn alert(&mut self, silent: Duration) {
        let dir = self.shared.places.recording(self.facts.row.camera, &self.facts.row.name);
        let writable = tokio::task::spawn_blocking(move || {
            let probe = dir.join(".probe");
            let made = std::fs::File::create(&probe);
            let _ = std::fs::remove_file(&probe);
            made.err()
        });
        let why = match writable.await.unwrap_or(None) {
            None => String::new(),
            Some(error) => {
                self.shared.suspect(&error);
                self.watch.blame(GapCause::Storage);
                "; its folder cannot be written".to_owned()
            }
        };
        let message = format!("nothing was recorded for {} s{why}; trying again", silent.as_secs());
        let row = &self.facts.row;
        tracing::error!(name = %row.name, "recording.error: {message}");
        let (camera, name) = (row.camera, row.name.clone());
        self.shared.options.notices.send(Fact::RecordingError { camera, name, message });
    }

    async fn reopen(&mut self) {
        if !matches!(self.paused, Paused::No) {
            return;
        }
        self.watch.blame(GapCause::RecorderReopened);
        let row = &self.facts.row;
        let (path, dir) = (row.camera.to_string(), self.shared.places.recording(row.camera, &row.name));
        let recorder = self.shared.recorder();
        for folder in [None, Some(dir)] {
            if let Err(error) = recorder.set_record(&path, folder).await {
                tracing::warn!(error = %error.chain(), path, "the recorder could not be reopened");
            }
        }
    }

    /// The program ends and the recording is to go on with its next start. MediaMTX has stopped
    /// before, so the files are whole.
    async fn rest(&mut self) {
        if !matches!(self.paused, Paused::No) {
            return;
        }
        self.look_now().await;
        self.look_now().await;
        self.changed = true;
        self.save().await;
    }
}

/// Waits for a look. Never called without one.
async fn finished(look: &mut Option<Look>) -> (Files, io::Result<Vec<Seen>>) {
    match look {
        Some(handle) => handle.await.expect("a look does not panic and is never aborted"),
        None => std::future::pending().await,
    }
}
