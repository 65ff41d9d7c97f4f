//! What clients read of an update: pure.

use serde::Serialize;

use super::bundles::Stored;
use super::fault::Fault;
use super::gate::{Gate, Stand};
use super::job::Job;
use super::record::{Fallen, Record};
use super::slots::SlotView;
use crate::base::{CameraId, Mono};

/// The answer of update_status, and of its notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// idle, downloading, checking, installing, installed, trying, restarting, committed, fell_back, failed.
    pub state: &'static str,
    /// The same for a person, with what is to be done.
    pub message: String,
    /// What runs.
    pub version: String,
    /// What kind of box this is, for bundles; none while RAUC was not asked.
    pub board: Option<String>,
    /// The slot that runs; none on a machine without slots.
    pub booted: Option<String>,
    /// The slot that the next start takes.
    pub next: Option<String>,
    /// A restart would take an installed version.
    pub reboot_needed: bool,
    /// Both systems.
    pub slots: Vec<SlotView>,
    /// Of what is under way.
    pub progress: Progress,
    /// Why the last wish came to nothing.
    pub last_error: Option<Fault>,
    /// Whether the slot that runs is good; none on a machine without slots.
    pub commit: Option<Commit>,
    /// The last update that was taken back.
    pub fell_back: Option<Fallen>,
    /// Uploaded bundles, newest first.
    pub bundles: Vec<Stored>,
}

/// How far something is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// 0–100; 0 while nobody knows.
    pub percent: u32,
    /// What is being done.
    pub message: String,
}

/// The trial of the slot that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Commit {
    /// Marked good in this start of the box.
    pub committed: bool,
    /// How long it may still take before the box goes back, in seconds; 0 when it is over.
    pub seconds_left: u64,
    /// What is waited for: `api`, cameras, or `data`, which comes with the next start at the earliest.
    pub waiting_for: Vec<String>,
}

/// What the status is made of.
pub(super) struct Parts<'a> {
    pub now: Mono,
    pub job: &'a Job,
    pub gate: Option<&'a Gate>,
    pub record: &'a Record,
    pub version: &'a str,
    pub board: Option<&'a str>,
    pub slots: &'a [SlotView],
    pub running: Option<&'a str>,
    /// The box's own API has answered.
    pub answers: bool,
    /// Cameras that were live before and are not.
    pub missing: &'a [CameraId],
    /// The update was kept in this very start.
    pub kept_now: bool,
    pub bundles: Vec<Stored>,
}

impl Status {
    pub(super) fn of(parts: Parts<'_>) -> Status {
        let gate = parts.gate;
        let trying =
            gate.is_some_and(|g| g.is_new() && matches!(g.stand(), Stand::Waiting | Stand::Committing));
        let version = parts.version;
        let (state, message, progress) = match parts.job {
            Job::Downloading { got, total, .. } => {
                let percent = (got * 100).checked_div(*total).unwrap_or(0);
                let progress = Progress {
                    percent: u32::try_from(percent).unwrap_or(100),
                    message: format!("{got} of {total} bytes"),
                };
                ("downloading", "a bundle is being fetched".to_owned(), progress)
            }
            Job::Checking { .. } => {
                let progress = Progress { percent: 0, message: "Checking the bundle".into() };
                ("checking", "a bundle's signature is being checked".to_owned(), progress)
            }
            Job::Installing { version, percent, message, .. } => {
                let progress = Progress { percent: *percent, message: message.clone() };
                ("installing", format!("version {version} is being installed"), progress)
            }
            Job::Installed { version } => {
                let text = format!("version {version} is installed; restart the box to run it (reboot)");
                ("installed", text, Progress { percent: 100, message: "Installed".into() })
            }
            _ if gate.is_some_and(|g| g.stand() == Stand::GivenUp) => {
                let text = format!("version {version} did not prove good; the box restarts");
                ("restarting", text, Progress::default())
            }
            _ if trying => {
                let text = format!("version {version} is on trial; it is kept once the box works as before");
                ("trying", text, Progress::default())
            }
            Job::Failed(fault) => ("failed", fault.message.clone(), Progress::default()),
            Job::Idle => match &parts.record.fallen {
                Some(fallen) => {
                    let text = format!("version {} was taken back: {}", fallen.version, fallen.reason);
                    ("fell_back", text, Progress::default())
                }
                None if parts.kept_now => {
                    ("committed", format!("version {version} is kept"), Progress::default())
                }
                None => ("idle", format!("version {version} runs"), Progress::default()),
            },
        };
        let commit = gate.map(|gate| {
            let waits = gate.stand() == Stand::Waiting;
            let api = (waits && !parts.answers).then(|| "api".to_owned());
            let data = (waits && gate.lacks_data()).then(|| "data".to_owned());
            let cameras = parts.missing.iter().filter(|_| waits).map(ToString::to_string);
            Commit {
                committed: gate.stand() == Stand::Committed,
                seconds_left: if waits { gate.until().since(parts.now).as_secs() } else { 0 },
                waiting_for: api.into_iter().chain(data).chain(cameras).collect(),
            }
        });
        Status {
            state,
            message,
            version: version.to_owned(),
            board: parts.board.map(str::to_owned),
            booted: parts.running.map(str::to_owned),
            next: parts.slots.iter().find(|slot| slot.next).map(|slot| slot.name.clone()),
            reboot_needed: matches!(parts.job, Job::Installed { .. }),
            slots: parts.slots.to_vec(),
            progress,
            last_error: match parts.job {
                Job::Failed(fault) => Some(fault.clone()),
                _ => None,
            },
            commit,
            fell_back: parts.record.fallen.clone(),
            bundles: parts.bundles,
        }
    }
}
