//! The rolled-up verdict on the box, and the numbers behind it.
//!
//! Owns a task that samples every five seconds. Promises: the verdict tells the truth at the moment
//! of asking (MediaMTX's state is looked at then, not when the sample was taken) and asking never
//! waits; a figure that wants attention stands in the log once when it begins to and once when it is
//! over. Costs a dozen small reads of /proc and /sys a sample, 0.2 ms.

mod alert;
mod judge;
mod latencies;
mod traffic;
mod window;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use alert::{Alert, Level, Subject};
pub use judge::{Component, Reason, Sample, Thresholds, Verdict};
pub use traffic::{Connected, Traffic, TrafficCount};
pub use window::Minute;

use crate::base::{Clock, Mono};
use crate::disk::{Condition, DataDisk, Temporary};
use crate::machine::{self, Counters, Load};
use crate::mediamtx::{MediaMtx, ServerState};
use crate::pipeline::{Cameras, FfmpegState};
use crate::recording::{Checking, Recordings};
use crate::store::Store;
use crate::supervise::Group;
use alert::Change;
use window::Window;

const EVERY: Duration = Duration::from_secs(5);

/// What the other rooms say of themselves when asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    /// The media server.
    pub mediamtx: Component,
    /// The cameras' supervision.
    pub camera_monitor: Component,
    /// The program that encodes.
    pub ffmpeg: FfmpegState,
    /// How full the data disk is, as `df` prints it; none when it cannot be told.
    pub used_percent: Option<f64>,
    /// Whether the data disk is there and takes what is written.
    pub disk: Condition,
    /// Why what is written is gone at the next start.
    pub temporary: Option<Temporary>,
    /// How far the look at what was on the disk at the start is.
    pub checking: Checking,
    /// The database turned out to be damaged.
    pub database_damaged: bool,
}

/// The rooms that are asked.
pub struct Watched<'a> {
    /// The media server.
    pub mediamtx: &'a MediaMtx,
    /// How full the disk is, and the check after the start.
    pub recordings: &'a Recordings,
    /// The cameras.
    pub cameras: &'a Cameras,
    /// The data disk.
    pub disk: &'a DataDisk,
    /// The database.
    pub store: &'a Store,
}

/// What clients are told.
#[derive(Clone, Debug)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is not healthy, worst first.
    pub reasons: Vec<Reason>,
    /// When this was found, microseconds since 1970.
    pub at_us: i64,
    /// Since the daemon started.
    pub uptime: Duration,
    /// The other rooms.
    pub observed: Observed,
    /// The numbers.
    pub sample: Sample,
    /// The counters.
    pub traffic: TrafficCount,
}

/// The figures of the last sample.
#[derive(Clone, Debug)]
pub struct Figures {
    /// When they were taken, microseconds since 1970.
    pub at_us: i64,
    /// How busy the machine was since the sample before.
    pub load: Load,
    /// Calls and connections of the last minute.
    pub minute: Minute,
    /// The counters, as of now.
    pub traffic: TrafficCount,
    /// Connections that may be open.
    pub connections_max: u32,
    /// Resident memory of this process, bytes.
    pub resident: Option<u64>,
    /// Descriptors that this process has open.
    pub open_files: Option<usize>,
    /// What wants attention.
    pub alerts: Vec<Alert>,
}

/// The room's handle; clones share everything.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    clock: Clock,
    started: Mono,
    thresholds: Thresholds,
    connections_max: u32,
    traffic: Arc<Traffic>,
    observe: Box<dyn Fn() -> Observed + Send + Sync>,
    background: Mutex<Background>,
}

#[derive(Default)]
struct Background {
    at_us: i64,
    counters: Option<Counters>,
    load: Load,
    resident: Option<u64>,
    open_files: Option<usize>,
    window: Window,
    minute: Minute,
    alerts: Vec<Alert>,
    failed_in_a_row: u32,
}

impl Health {
    /// Watches the box in `group`.
    pub fn start(group: &Group, clock: Clock, connections_max: u32, watched: &Watched<'_>) -> Self {
        let (server, recordings) = (watched.mediamtx.server(), watched.recordings.clone());
        let (cameras, disk) = (watched.cameras.clone(), watched.disk.clone());
        let (checking, damaged) = (recordings.checking(), watched.store.damaged());
        Self::observing(group, clock, Thresholds::default(), connections_max, move || {
            let temporary = disk.temporary();
            let (storage, disk) = (recordings.storage(), disk.condition());
            Observed {
                mediamtx: mediamtx_state(&server.borrow()),
                camera_monitor: Component::Running,
                ffmpeg: cameras.ffmpeg(),
                // Of a disk that is away the last figures say nothing.
                used_percent: (storage.total > 0 && disk.is_readable()).then_some(storage.used_percent),
                disk,
                temporary,
                checking: *checking.borrow(),
                database_damaged: *damaged.borrow(),
            }
        })
    }

    /// Samples in `group`. `observe` answers from memory.
    fn observing(
        group: &Group,
        clock: Clock,
        thresholds: Thresholds,
        connections_max: u32,
        observe: impl Fn() -> Observed + Send + Sync + 'static,
    ) -> Self {
        let health = Self(Arc::new(Inner {
            clock,
            started: Mono::now(),
            thresholds,
            connections_max,
            traffic: Arc::default(),
            observe: Box::new(observe),
            background: Mutex::default(),
        }));
        // Whoever asks before the first tick is answered too.
        health.take_sample();
        let (sampler, stop) = (health.clone(), group.stop().clone());
        group.spawn("health samples", async move {
            let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + EVERY, EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                sampler.take_sample();
            }
        });
        health
    }

    /// Where the servers count.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.0.traffic
    }

    /// The verdict now. Never waits.
    pub fn report(&self) -> Report {
        let inner = &*self.0;
        let observed = (inner.observe)();
        let traffic = inner.traffic.count();
        let background = inner.background.lock().unwrap_or_else(PoisonError::into_inner);
        let (error_percent, mean_response) = background.window.rates(traffic);
        let sample = Sample {
            mediamtx: observed.mediamtx,
            ffmpeg: observed.ffmpeg,
            memory_percent: background.load.memory_percent,
            error_percent,
            mean_response,
            connection_percent: self.connection_percent(traffic),
            free_percent: observed.used_percent.map(|used| 100.0 - used),
            failed_in_a_row: background.failed_in_a_row,
            disk: observed.disk,
            temporary: observed.temporary,
            database_damaged: observed.database_damaged,
        };
        drop(background);
        let (verdict, reasons) = judge::judge(&sample, &inner.thresholds);
        Report {
            verdict,
            reasons,
            at_us: inner.clock.wall_us(),
            uptime: Mono::now().since(inner.started),
            observed,
            sample,
            traffic,
        }
    }

    /// The figures of the last sample. Never waits.
    pub fn figures(&self) -> Figures {
        let inner = &*self.0;
        let traffic = inner.traffic.count();
        let background = inner.background.lock().unwrap_or_else(PoisonError::into_inner);
        Figures {
            at_us: background.at_us,
            load: background.load,
            minute: background.minute,
            traffic,
            connections_max: inner.connections_max,
            resident: background.resident,
            open_files: background.open_files,
            alerts: background.alerts.clone(),
        }
    }

    fn connection_percent(&self, traffic: TrafficCount) -> f64 {
        100.0 * traffic.connections as f64 / f64::from(self.0.connections_max.max(1))
    }

    fn take_sample(&self) {
        let inner = &*self.0;
        let observed = (inner.observe)();
        let counters = Counters::read();
        let us = std::process::id();
        let (resident, open_files) = (machine::resident_bytes(us), machine::open_files(us));
        let (now, now_us) = (Mono::now(), inner.clock.wall_us());
        let mut guard = inner.background.lock().unwrap_or_else(PoisonError::into_inner);
        let background = &mut *guard;
        let load = counters.since(background.counters.as_ref());
        let failed = observed.mediamtx != Component::Running
            || observed.ffmpeg == FfmpegState::Needed
            || observed.used_percent.is_none()
            || load.memory_percent.is_none();
        background.at_us = now_us;
        background.counters = Some(counters);
        background.load = load;
        background.resident = resident;
        background.open_files = open_files;
        background.minute = background.window.push(now, &inner.traffic, load.cpu_percent);
        background.failed_in_a_row = if failed { background.failed_in_a_row.saturating_add(1) } else { 0 };
        let connections = self.connection_percent(inner.traffic.count());
        let minute = background.minute;
        let changes = alert::look(&mut background.alerts, now_us, |subject| {
            alert::value(subject, &minute, connections, load.memory_percent)
        });
        drop(guard);
        for change in changes {
            match change {
                Change::Raised(alert) => {
                    let (subject, level) = (alert.subject.word(), alert.level.word());
                    tracing::warn!(
                        subject,
                        level,
                        "alert: {}; below {} is wanted",
                        alert.text,
                        alert.threshold
                    );
                }
                Change::Over(subject) => {
                    tracing::info!(subject = subject.word(), "alert over");
                }
            }
        }
    }
}

/// One that has run before and does not now has died; the first start is no fault.
fn mediamtx_state(server: &ServerState) -> Component {
    match server {
        s if s.running => Component::Running,
        s if s.generation == 0 && s.problem.is_none() => Component::Starting,
        _ => Component::Error,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::supervise::Phases;

    #[tokio::test]
    async fn a_dead_media_server_shows_at_once() {
        let mut phases = Phases::default();
        let alive = Arc::new(AtomicBool::new(true));
        let seen = alive.clone();
        let health =
            Health::observing(&phases.add("health"), Clock::new(), Thresholds::default(), 100, move || {
                Observed {
                    mediamtx: if seen.load(Ordering::Relaxed) {
                        Component::Running
                    } else {
                        Component::Error
                    },
                    camera_monitor: Component::Running,
                    ffmpeg: FfmpegState::There,
                    used_percent: Some(10.0),
                    disk: Condition::Fine,
                    temporary: None,
                    checking: Checking::default(),
                    database_damaged: false,
                }
            });
        if health.figures().load.memory_percent.unwrap() < 90.0 {
            assert_eq!(health.report().verdict, Verdict::Healthy);
        }
        alive.store(false, Ordering::Relaxed);
        let report = health.report();
        assert_eq!(report.verdict, Verdict::Unhealthy);
        assert_eq!(report.reasons[0].what, "mediamtx");
        let connection = health.traffic().connected();
        assert_eq!(health.report().traffic.connections, 1);
        drop(connection);
        assert_eq!(health.report().traffic.connections, 0);
        assert!(phases.shutdown(Duration::from_secs(5)).await.is_empty());
    }
}
