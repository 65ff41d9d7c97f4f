//! `fieldcam bench`: measures a box the way its users meet it and prints each figure beside its goal.
//!
//! Owns the box it starts (a temporary folder, ports of its own, two synthetic cameras) and removes
//! it at the end; with `--host` it measures another one, without the figures that need its `/proc`.
//! Promises: the load's own cost is never part of a figure about the daemon. Costs about six
//! minutes for everything.

mod api;
mod archive;
mod cold;
mod figure;
mod fleet;
mod frames;
mod idle;
mod latency;
mod list;
mod listeners;
mod live;
mod memory;
mod ping;
mod poller;
mod proc_stat;
mod reconcile;
mod rtsp;
mod startup;
mod subject;
mod wire;

pub use archive::{Archive, Harm};

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::base::{ErrorKind, Result};
use crate::ctl::{self, Host, Local};
use figure::Report;
use subject::Subject;

/// Measure a box and compare it with its goals.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// What to measure
    #[arg(value_enum, default_value_t = Part::All)]
    part: Part,
    /// Measure this box instead of starting one
    #[arg(long, value_name = "HOST[:PORT]")]
    host: Option<Host>,
    /// File that holds a log-in token with the role admin, for --host; FIELDCAM_TOKEN works too
    #[arg(long, value_name = "FILE", requires = "host")]
    token_file: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Every method with 16 cameras, 10,000 recordings and 200 connections; 100 subscribers; idle sockets
    Api,
    /// Calls: latency, and how many a second of processor time answers
    Ping,
    /// Starting and stopping recordings
    Record,
    /// From nothing to a picture
    Coldstart,
    /// Live video over HTTP: HLS and WebRTC's set-up
    Live,
    /// Snapshots of a live camera
    Snapshot,
    /// Pages that poll pictures of five small cameras
    Frames,
    /// From the program's start to its ready line
    Startup,
    /// Lists of 10,000 recordings
    List,
    /// Starts over 10,000 segments: sound, without an index, damaged
    Reconcile,
    /// Resident memory, and whether calls make it grow
    Memory,
    /// Everything
    All,
}

/// Measures and prints. Exit code 0 says that everything could be measured, not that all goals are met.
pub async fn run(args: BenchArgs, local: impl FnOnce() -> Option<Local>) -> ExitCode {
    let mut report = Report::default();
    let outcome = measure(&args, local, &mut report).await;
    report.print(args.json);
    match outcome {
        Ok(()) if report.is_complete() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(1),
        Err(error) => {
            figure::remark(&ctl::describe(&error));
            ExitCode::from(ctl::exit_code(&error))
        }
    }
}

async fn measure(args: &BenchArgs, local: impl FnOnce() -> Option<Local>, report: &mut Report) -> Result<()> {
    let wants = |part: Part| args.part == part || args.part == Part::All;
    if let Some(host) = &args.host {
        let (host, token) = ctl::token_for(Some(host), args.token_file.as_deref(), local)?;
        let token = token.ok_or_else(|| ctl::no_token(&host))?;
        let subject = Subject::remote(host, token);
        reachable(&subject, &wants, report).await;
        if wants(Part::Frames) {
            report.take("frames", frames::measure(&subject).await);
        }
        if matches!(args.part, Part::Startup | Part::Memory | Part::List | Part::Reconcile | Part::Api) {
            figure::remark(
                "startup, memory, lists, reconcile and api can only be measured on a box that this program starts itself",
            );
        }
        return Ok(());
    }
    if wants(Part::Startup) {
        report.take("startup", startup::measure().await);
    }
    if wants(Part::Frames) {
        let folder = subject::Folder::with(frames::CONFIG)?;
        let subject = Subject::start_in(folder).await.map_err(|(error, _)| error)?;
        report.take("frames", frames::measure(&subject).await);
        subject.stop().await;
    }
    if wants(Part::Memory) {
        let subject = Subject::start().await?;
        report.take("memory", memory::measure(&subject).await);
        subject.stop().await;
    }
    if wants(Part::List) {
        let subject = Subject::start().await?;
        report.take("list", list::measure(&subject).await);
        subject.stop().await;
    }
    if wants(Part::Api) {
        report.take("idle sockets", idle::measure().await);
        report.take("api", api::measure().await);
    }
    if wants(Part::Reconcile) {
        report.take("reconcile", reconcile::measure().await);
    }
    if [Part::Ping, Part::Record, Part::Coldstart, Part::Snapshot, Part::Live].into_iter().any(wants) {
        let subject = Subject::start().await?;
        reachable(&subject, &wants, report).await;
        subject.stop().await;
    }
    Ok(())
}

/// The parts that a box reached over the network can be asked for. One that fails leaves the others be.
async fn reachable(subject: &Subject, wants: &impl Fn(Part) -> bool, report: &mut Report) {
    if wants(Part::Coldstart) {
        report.take("coldstart", cold::measure(subject).await);
    }
    if wants(Part::Snapshot) {
        report.take("snapshot", latency::snapshot(subject).await);
    }
    if wants(Part::Record) {
        report.take("record", latency::record(subject).await);
    }
    if wants(Part::Ping) {
        report.take("ping", ping::measure(subject).await);
    }
    // Last: its viewers stay for 30 s.
    if wants(Part::Live) {
        report.take("live", live::measure(subject).await);
    }
}

/// Asks until it holds, for at most `limit`; what a camera does takes the time it takes.
async fn until<T>(what: &str, limit: Duration, mut ask: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = crate::base::Mono::now() + limit;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if deadline.from_now().is_zero() {
            let text = format!("It took more than {limit:?} until {what}");
            return Err(crate::base::Error::new(ErrorKind::DependencyFailed, text));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
