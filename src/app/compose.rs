//! Puts the rooms together, from the disk upwards, runs them, and takes them apart again.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::auth::Auth;
use crate::base::{CameraId, Clock, Error, Mono, Result};
use crate::config::{self, Settings, Sources};
use crate::encoder::Encoders;
use crate::external::External;
use crate::footage::{Footage, FootageOptions};
use crate::health::{Health, Watched};
use crate::mediamtx::{Gate, MediaMtx};
use crate::network::Network;
use crate::notice::{Fact, Notices};
use crate::pipeline::{self, Parts};
use crate::preview::Makers;
use crate::reach::Reach;
use crate::recording::{Checking, Recordings, RecordingsOptions};
use crate::reload::{Reloader, Rooms};
use crate::retention::{Policy, Retention, RetentionOptions};
use crate::snapshot::{Decoder, Snapshots};
use crate::store::{Store, StorePlaces};
use crate::supervise::{Phases, Program, Spawner, start_again, systemd};
use crate::timing::Timing;
use crate::usb::UsbBuses;
use crate::{camera, diag, http, log, rpc};

use super::damage;
use super::data_dir::DataDir;
use super::disk_care;
use super::endpoints::EndpointsFile;
use super::plugged;
use super::secure;
use super::signals::Signals;
use super::updating;

/// All of an orderly stop; systemd's own patience is longer (TimeoutStopSec in the unit).
const STOP_BUDGET: Duration = Duration::from_secs(10);

/// Runs the box until a signal stops it. A database that turns out to be damaged stops it too, and then
/// the program begins anew in the same process.
pub async fn run(settings: Settings, sources: Sources) -> Result<()> {
    let started = Mono::now();
    log::start(&settings)?;
    let mut signals = Signals::new()?;
    let mut phases = Phases::default();
    let up = tokio::select! {
        up = start(&settings, sources, &mut phases, started) => up.map(Some),
        name = signals.next() => {
            tracing::info!("{name} while starting");
            Ok(None)
        }
    };
    let mut again = false;
    if let Ok(up) = &up {
        let name = match up {
            Some(up) => tokio::select! {
                name = signals.next_stop(&up.reloader) => name,
                () = damage::worth_a_start(&up.store, up.patience) => {
                    again = true;
                    "damaged database"
                }
            },
            None => signals.next().await,
        };
        tracing::info!("{name}: stopping; a second signal stops at once");
    }
    if again {
        systemd::reloading();
        systemd::status("starting again to make the damaged database anew");
    } else {
        systemd::stopping();
    }
    let survivors = tokio::select! {
        survivors = phases.shutdown(STOP_BUDGET) => survivors,
        name = signals.next() => {
            tracing::warn!("{name} again: stopping at once");
            // The children die with us; the recording's next start repairs what that leaves.
            std::process::exit(130);
        }
    };
    diag::last_words();
    for survivor in survivors {
        tracing::error!("still running at the end: {} ({})", survivor.task, survivor.phase);
    }
    up?;
    if again { Err(start_again(&own_program()?)) } else { Ok(()) }
}

/// What a box that is up is watched for.
struct Up {
    reloader: Reloader,
    store: Store,
    /// How long after the start a damaged database is left as it is.
    patience: Duration,
}

async fn start(settings: &Settings, mut sources: Sources, phases: &mut Phases, started: Mono) -> Result<Up> {
    config::check_data_dir(&settings.storage.data_dir)?;
    let data = DataDir::open(&settings.storage.data_dir)?;
    // In the order in which they stop.
    let listeners = phases.add("listeners");
    let cameras_phase = phases.add("cameras");
    let media_phase = phases.add("mediamtx");
    let recording_phase = phases.add("recording");
    let background = phases.add("background");

    let clock = Clock::new();
    let spawner = Spawner::start()?;
    let (held, helper) = (data.disk().held().to_owned(), settings.update.helper.clone());
    let timing = Timing::start(held, helper, clock.clone(), &background).await;
    systemd::status("opening the database");
    let (store, opened) = Store::open_at(StorePlaces::below(data.root()).through(data.disk().held()))?;
    let patience = damage::patience(&opened);
    let anew = damage::settings_again(&opened, &mut sources, &store).await?;
    let settings = anew.as_ref().unwrap_or(settings);
    // Whatever became of the database: a number that footage stands under is never given again.
    let known = store.cameras().await?.into_iter().map(|c| c.id).collect();
    store.restore_cameras(Recordings::cameras_of(data.root(), &known)?).await?;
    let auth = secure::doors(settings, data.secrets(), &store, &clock, &background).await?;
    let tls = secure::certificate(settings, data.secrets(), &clock).await?;
    let notices = Notices::new();
    let plugged = plugged::look(store.clone(), clock.clone(), &background).await;
    let roster = camera::roster(settings, &store, false).await?;
    let ffmpeg = Program::watch(settings.ffmpeg.binary.clone(), &cameras_phase);
    if !ffmpeg.is_there() {
        tracing::error!(
            "ffmpeg.binary: the program {} was not found or may not be run; cameras that need it will not work",
            settings.ffmpeg.binary.display()
        );
    }
    let recordings = Recordings::open(RecordingsOptions {
        data_dir: data.disk().held().to_owned(),
        store: store.clone(),
        notices: notices.clone(),
        clock: clock.clone(),
        sync_interval: settings.recording.sync_interval,
        segment_duration: settings.recording.segment_duration,
        warn_percent: settings.storage.warn_percent,
        refuse_percent: settings.storage.refuse_percent,
    })?;
    recordings.keep_on(data.disk().clone());
    systemd::status("bringing running recordings in order");
    let intents = recordings.recover().await?;
    let checking = recordings.checking();
    let mediamtx = MediaMtx::start(
        secure::media_options(settings, &data, tls.as_ref(), pipeline::first_paths(&roster, &intents))?,
        &media_phase,
        &spawner,
        Arc::new(StreamGate(auth.clone())),
    )
    .await?;
    recordings.run(&recording_phase, mediamtx.clone())?;
    let footage = FootageOptions {
        recordings: recordings.clone(),
        store: store.clone(),
        spawner: spawner.clone(),
        ffmpeg: settings.ffmpeg.binary.clone(),
    };
    let footage = Footage::start(footage, &background);
    let snapshots = Snapshots::open(data.snapshots(), store.clone(), notices.clone(), clock.clone())?;
    let (stills, stop) = (snapshots.clone(), background.stop().clone());
    background.spawn("check of snapshots", async move {
        if let Some(Err(error)) = stop.run_until_cancelled(stills.reconcile()).await {
            tracing::error!(error = %error.chain(), "snapshots and their index could not be brought together");
        }
    });
    let parts = Parts {
        encoders: Encoders::try_out(ffmpeg.clone(), spawner.clone(), &background),
        decoder: Decoder::new(ffmpeg.path().to_owned(), spawner.clone(), cameras_phase.clone()),
        makers: Makers::new(),
        spawner,
        group: cameras_phase,
        mediamtx: mediamtx.clone(),
        recordings: recordings.clone(),
        snapshots: snapshots.clone(),
        store,
        notices: notices.clone(),
        clock: clock.clone(),
        media_dir: data.media(),
        ffmpeg,
        plugs: plugged.plugs(),
        usb: UsbBuses::new(),
        reach: Reach::new(&settings.discovery.allowed_hosts),
    };
    let cameras = pipeline::start(roster, &parts)?;
    let retention = RetentionOptions {
        recordings: recordings.clone(),
        snapshots: snapshots.clone(),
        store: parts.store.clone(),
        clock: clock.clone(),
        disk: data.disk().clone(),
    };
    let retention = Retention::start(retention, Policy::of(&settings.storage), &background).await?;
    let own_sources = sources.clone();
    let reloader = Reloader::new(
        sources,
        settings.clone(),
        Rooms {
            store: parts.store.clone(),
            cameras: cameras.clone(),
            recordings: recordings.clone(),
            retention: retention.clone(),
            reach: parts.reach.clone(),
            tls: tls.clone(),
        },
    );
    let new =
        plugged::take_new(plugged.plugs(), cameras.clone(), reloader.clone(), background.stop().clone());
    background.spawn("new cameras", new);
    let external = External::start(
        &parts.reach,
        reloader.clone(),
        parts.store.clone(),
        cameras.clone(),
        clock.clone(),
        &background,
    );
    let connections = settings.server.max_connections;
    let watched = Watched {
        mediamtx: &mediamtx,
        recordings: &recordings,
        cameras: &cameras,
        disk: data.disk(),
        store: &parts.store,
    };
    let health = Health::start(&background, clock.clone(), connections, &watched);
    let (announced, seen) = (notices.clone(), cameras.clone());
    let reach = parts.reach.clone();
    let update = updating::start(settings, &data, &cameras, reach, notices.clone(), &background).await?;
    let helper = settings.update.helper.clone();
    let network = Network::start(helper, notices.clone(), clock.clone(), &background);
    let rooms = diag::Rooms { cameras: seen.clone(), mediamtx: mediamtx.clone(), health: health.clone() };
    let diagnosis = diag::Diagnosis::new(parts.spawner.clone(), own_program()?, &own_sources, rooms);
    let services = rpc::Services {
        auth,
        cameras,
        hotplug: plugged,
        recordings,
        footage,
        snapshots,
        mediamtx: mediamtx.clone(),
        health: health.clone(),
        retention,
        external,
        reloader: reloader.clone(),
        notices,
        tls: tls.clone(),
        update: update.clone(),
        network,
        diagnosis,
        timing,
        clock,
    };
    let server =
        http::serve(http::ServerOptions::of(&settings.server, tls.clone()), services, &listeners).await?;
    let pages = http::serve_health(settings.health.listen, health.clone(), &listeners).await?;
    diag::serve(&data.run(), seen, mediamtx.clone(), health, data.disk(), &background);
    let endpoints = EndpointsFile::new(server, pages, &mediamtx.endpoints(), tls.as_ref());
    endpoints.write(&data.run())?;
    if let Some(tls) = tls {
        let kept = endpoints.clone().keep(tls, data.run());
        let stop = background.stop().clone();
        background.spawn("endpoints", async move {
            let _ = stop.run_until_cancelled(kept).await;
        });
    }
    let stop = background.stop().clone();
    let (heart, disk, damaged) = (parts.store.clone(), data.disk().clone(), parts.store.damaged());
    background.spawn("systemd watchdog", async move {
        // The database is what everything else waits for in the end. Without its disk it only has to
        // answer: a start would not bring the disk back, and live video would end. The same where it is
        // damaged: `damage` decides when that is worth a start.
        let beats = || async {
            heart.setting("heartbeat").await.is_ok() || !disk.condition().is_fine() || *damaged.borrow()
        };
        systemd::watchdog(stop, beats).await;
    });
    diag::keep_last_words(&data.run());
    let care = disk_care::Care {
        disk: data.disk().clone(),
        store: parts.store.clone(),
        recordings: parts.recordings.clone(),
        mediamtx: mediamtx.clone(),
        database: data.database(),
    };
    background.spawn("data disk", data.disk().clone().watch(background.stop().clone()));
    background.spawn("data disk care", care.run(background.stop().clone()));
    let stop = background.stop().clone();
    // The lock on the data directory is held until the last phase stops.
    background.spawn("data directory", hold(data, stop));
    announced.send(Fact::Startup);
    update.on_trial(server);
    let status = announce(&endpoints, started);
    background.spawn("systemd status", tell_status(checking, status, background.stop().clone()));
    parts.store.keep_copies(&background, parts.clock.clone());
    Ok(Up { reloader, store: parts.store, patience })
}

/// Tells systemd what is going on besides, at most once a second, and in the end that it is over.
async fn tell_status(mut checking: watch::Receiver<Checking>, ready: String, stop: CancellationToken) {
    loop {
        let doing = checking.borrow_and_update().text();
        systemd::status(&doing.as_ref().map_or_else(|| ready.clone(), |doing| format!("{ready}; {doing}")));
        if doing.is_none() {
            return;
        }
        let next = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            checking.changed().await.is_ok()
        };
        if stop.run_until_cancelled(next).await != Some(true) {
            return;
        }
    }
}

async fn hold(data: DataDir, stop: CancellationToken) {
    stop.cancelled().await;
    drop(data);
}

fn announce(endpoints: &EndpointsFile, started: Mono) -> String {
    let took = Mono::now().since(started);
    let line = format!("fieldcam ready {} after={}ms", endpoints.summary(), took.as_millis());
    systemd::ready(&line);
    // Whoever started us may have closed the pipe; the box runs all the same.
    let _ = writeln!(std::io::stdout(), "{line}");
    line
}

/// Our own program, for MediaMTX's hook.
pub(super) fn own_program() -> Result<PathBuf> {
    std::env::current_exe().map_err(Error::internal)
}

/// Lets viewers read cameras with the name and password of their token; other paths are ours.
struct StreamGate(Auth);

impl Gate for StreamGate {
    fn read(&self, user: &str, password: &str, path: &str, _protocol: &str) -> Option<Mono> {
        path.parse::<CameraId>().ok()?;
        self.0.check_stream(user, password).ok().map(|login| login.deadline)
    }

    fn refused(&self, from: Option<IpAddr>, protocol: &str) {
        // The other protocols come by our own port, which tells of them itself.
        if protocol == "rtsp" {
            self.0.refused_over_rtsp(from);
        }
    }

    fn still_valid(&self, user: &str) -> bool {
        // Expiry is followed by MediaMTX's room itself; an API key may be revoked.
        self.0.may_go_on(user)
    }
}

/// The settings' data directory as it stands, for subcommands that only look.
pub fn endpoints_file(data_dir: &Path) -> PathBuf {
    data_dir.join("run/endpoints.json")
}
