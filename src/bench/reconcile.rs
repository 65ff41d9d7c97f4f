//! A start over 10,000 segments: when the box is ready, when files and index agree, and whether it
//! answers meanwhile. With a sound index, without one, and after damage.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::archive::{Archive, Harm};
use super::figure::{Figure, Unit, percentile};
use super::fleet::Fleet;
use super::latency::go_live;
use super::subject::{Folder, Subject};
use super::until;
use crate::base::{Error, ErrorKind, Result, Secret};
use crate::ctl::{Host, connect};

const CONFIG: &str = "[cameras]\nsynthetic = 1\nresolution = \"160x120\"\nfps = 10\n\
                      [recording]\nsegment_duration = \"1s\"\n";
const ARCHIVE: Archive = Archive { recordings: 500, segments: 20 };
/// One file in so many is damaged in each of four ways.
const EACH: usize = 100;
const LIMIT: Duration = Duration::from_secs(120);
/// Between two pings: often enough for a percentile, seldom enough to cost the box nothing.
const PAUSE: Duration = Duration::from_millis(2);

/// Makes the archive and starts over it, again and again.
pub async fn measure() -> Result<Vec<Figure>> {
    let subject = Subject::start_in(Folder::with(CONFIG)?).await.map_err(|(error, _)| error)?;
    let token = subject.token().clone();
    let template = record(&subject).await?;
    let folder = subject.stop().await.ok_or_else(|| failed("the box is not ours"))?;
    let camera = folder.data().join("recordings/camera0");
    let place = camera.clone();
    blocking(move || ARCHIVE.make(&place.join(template))).await?;
    let database = folder.data().join("fieldcam.db");
    forget(&database)?;
    let mut box_ = Restarts { token, folder: Some(folder), figures: Vec::new() };
    let total = ARCHIVE.recordings + 1;
    let whole = box_.start("index made again from the cards", total).await?;
    let sound = box_.start("index and files agree", total).await?;
    same(whole == sound, "the list is not the same after another start")?;
    let place = camera.clone();
    let harm = blocking(move || Harm::sprinkle(&place, EACH)).await?;
    let what = format!("{} of 10,000 files damaged", harm.torn + harm.emptied + harm.removed + harm.added);
    let harmed = box_.start(&what, total).await?;
    let again = box_.start("the start after that", total).await?;
    same(harmed == again, "the list is not the same after another start")?;
    // Without the cards every file has to be read.
    forget(&database)?;
    blocking(move || {
        for folder in std::fs::read_dir(camera)? {
            let _ = std::fs::remove_file(folder?.path().join("recording.json"));
        }
        Ok(())
    })
    .await?;
    box_.start("index made again without cards", total).await?;
    Ok(box_.figures)
}

fn forget(database: &std::path::Path) -> Result<()> {
    for file in ["fieldcam.db", "fieldcam.db-wal", "fieldcam.db-shm"] {
        let _ = std::fs::remove_file(database.with_file_name(file));
    }
    let _ = std::fs::remove_dir_all(database.with_file_name("backup"));
    if database.exists() { Err(failed("the index cannot be removed")) } else { Ok(()) }
}

#[derive(Deserialize)]
struct Started {
    filename: String,
}

/// A recording of a few real files; answers with its name.
async fn record(subject: &Subject) -> Result<String> {
    let mut link = subject.link().await?;
    go_live(&mut link, "camera0").await?;
    let started: Started = link.ask("start_recording", json!({ "device": "camera0" })).await?;
    let name = json!({ "filename": started.filename });
    until("a recording has some files", LIMIT, async || {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let info: Value = link.ask("get_recording_info", name.clone()).await?;
        Ok((info["duration"].as_f64() >= Some(5.0)).then_some(()))
    })
    .await?;
    link.call("stop_recording", Some(json!({ "device": "camera0" }))).await?;
    Ok(started.filename)
}

struct Restarts {
    token: Secret,
    folder: Option<Folder>,
    figures: Vec<Figure>,
}

#[derive(Deserialize)]
struct List {
    total: u32,
    files: Vec<Entry>,
}

#[derive(Deserialize, PartialEq)]
struct Entry {
    filename: String,
    file_size: u64,
}

impl Restarts {
    /// Starts the box once more, follows it until files and index agree, and stops it. Answers with what
    /// it lists then.
    async fn start(&mut self, what: &str, total: u32) -> Result<Vec<Entry>> {
        // What was written to make this situation is not to be paid for by the start.
        blocking(|| {
            nix::unistd::sync();
            Ok(())
        })
        .await?;
        let folder = self.folder.take().ok_or_else(|| failed("the box was lost"))?;
        let started = Subject::start_with(folder, Some(self.token.clone())).await;
        let subject = started.map_err(|(error, _)| error)?;
        let ready = subject.ready_after().unwrap_or_default();
        let (agreed, mut pings) = follow(&subject).await?;
        let mut add = |name: &str, value: f64, goal: f64, source: &'static str| {
            let name = format!("{name}, 10,000 segments, {what}");
            self.figures.push(Figure::new(name, value, Unit::Ms).goal(goal, source));
        };
        add("start to ready", ready.as_secs_f64() * 1000.0, 1000.0, "issue 3");
        add("start to agreement", agreed.as_secs_f64() * 1000.0, 2000.0, "issue 4");
        // One that was over before the first ping has none to show.
        if !pings.is_empty() {
            add("ping p95 meanwhile", percentile(&mut pings, 95.0), 20.0, "P01");
        }
        let list: List =
            subject.link().await?.ask("list_recordings", json!({ "limit": 1000, "offset": 0 })).await?;
        same(list.total == total, "not every recording is listed")?;
        self.folder = subject.stop().await;
        Ok(list.files)
    }
}

/// Time from the program's start until it says no more that it checks, and what pings took until then.
async fn follow(subject: &Subject) -> Result<(Duration, Vec<f64>)> {
    let health = subject.health()?;
    let mut fleet = Fleet::open(subject.host(), 1).await?;
    let mut pings = Vec::new();
    let pinging = async {
        loop {
            pings.extend(fleet.ping(1, 1).await?.latencies);
            tokio::time::sleep(PAUSE).await;
        }
    };
    let agreeing = until("files and index agree", LIMIT, async || {
        let text = page(&health).await?;
        Ok((text.contains("\"ready\":true") && !text.contains("checking")).then_some(()))
    });
    tokio::select! {
        stopped = pinging => stopped,
        agreed = agreeing => agreed,
    }?;
    Ok((subject.running_for().unwrap_or_default(), pings))
}

pub(super) async fn page(health: &Host) -> Result<String> {
    let broken = |e: std::io::Error| failed("the health page cannot be read").caused_by(e);
    let mut stream = connect(health).await?;
    let request = format!("GET /health/ready HTTP/1.1\r\nHost: {health}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(broken)?;
    Ok(answer)
}

pub(super) async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(job).await.map_err(Error::internal)?;
    done.map_err(|e| failed("the archive cannot be made").with("detail", e.to_string()))
}

fn same(holds: bool, what: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(failed(what)) }
}

fn failed(what: &'static str) -> Error {
    Error::new(ErrorKind::DependencyFailed, what)
}
