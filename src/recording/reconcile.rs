//! Brings index and files into agreement while the box already works.
//!
//! What was there at the start is looked at once, in small steps beside everything else; recordings
//! that run, and folders made since, are not touched. What it repairs it repairs for good: a second
//! start finds nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::adopt::{self, Folder};
use super::card::Facts;
use super::card_reader;
use super::folder::{Places, disk_error};
use super::mend::{Mended, difference, mend};
use super::shared::{Shared, Slot};
use crate::base::{CameraId, Error, Mono, RecordingName, Result};
use crate::store::{RecordingChange, Settle, Store, WholeRecording};

/// Recordings read at a time: reading their rows keeps others waiting for about a millisecond.
const STEP: usize = 16;
/// Recordings looked at beside each other. What is repaired is made durable file by file, and a disk takes
/// several such requests in hardly more time than one: 1.9 s became 0.8 s
/// where 404 of 10,000 files were damaged.
const LANES: usize = 4;
/// Rows written at a time, in one transaction of some milliseconds.
const MAX_ROWS: usize = 500;
/// A disk that fails is looked at every 500 ms.
const NOTICED: Duration = Duration::from_secs(2);
/// Names of foreign files that the log gets to see.
const MAX_NAMES: usize = 8;

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checking {
    /// Recordings looked at.
    pub done: usize,
    /// Recordings to look at; 0 = it is over.
    pub total: usize,
}

impl Checking {
    /// For a person; `None` = nothing is going on.
    pub fn text(self) -> Option<String> {
        (self.total > 0).then(|| format!("checking recordings: {} of {}", self.done, self.total))
    }
}

/// What a start found and left for later.
#[derive(Debug, Default)]
pub(super) struct Worklist {
    /// Folders of recordings, each known to the index or not.
    pub folders: Vec<Folder>,
    /// Recordings without a folder.
    pub without: Vec<RecordingName>,
    /// The index is an older copy: what the cards say is newer.
    pub merging: bool,
    /// What stands between the folders and is not ours.
    pub foreign: Vec<String>,
}

impl Worklist {
    /// Recordings to look at.
    pub(super) fn len(&self) -> usize {
        self.folders.len() + self.without.len()
    }
}

#[derive(Debug, Default)]
struct Tally {
    adopted: usize,
    changed: usize,
    forgotten: usize,
    lost: usize,
    foreign: Vec<String>,
    failed: usize,
}

/// Works the list off. What fails is told and left for the next start.
pub(super) async fn run(shared: Arc<Shared>, work: Worklist, stop: CancellationToken) {
    let started = Mono::now();
    let total = work.len();
    let mut tally = Tally { foreign: work.foreign.clone(), ..Tally::default() };
    let finished = tokio::select! {
        finished = work_off(&shared, work, &mut tally) => finished,
        () = stop.cancelled() => return,
    };
    shared.checking.send_replace(Checking::default());
    if let Err(error) = finished {
        tracing::error!(error = %error.chain(), "files and index could not be brought together");
        return;
    }
    let took = Mono::now().since(started);
    let Tally { adopted, changed, forgotten, lost, failed, .. } = tally;
    if adopted + changed + forgotten + failed > 0 {
        tracing::warn!(
            total,
            adopted,
            changed,
            forgotten,
            lost,
            failed,
            "files and index were brought together in {took:?}"
        );
    } else {
        tracing::info!(total, "files and index agree, seen in {took:?}");
    }
    if !tally.foreign.is_empty() {
        let names = tally.foreign.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>().join(", ");
        let count = tally.foreign.len();
        tracing::info!(
            count,
            names,
            "files that are not Fieldcam's stand among the recordings; they are left alone"
        );
    }
}

async fn work_off(shared: &Arc<Shared>, work: Worklist, tally: &mut Tally) -> Result<()> {
    let places = shared.places.clone();
    let trash = tokio::task::spawn_blocking(move || empty_trash(&places)).await;
    if let Ok(Err(error)) = trash {
        tracing::warn!(%error, "a deleted recording's files remain");
    }
    let folders = work.folders.into_iter().map(|(camera, name)| (Some(camera), name));
    let items: Vec<_> = folders.chain(work.without.into_iter().map(|name| (None, name))).collect();
    let (total, merging) = (items.len(), work.merging);
    let newest = Arc::new(newest(&items));
    let mut batch = Batch::default();
    let mut done = 0;
    let mut steps = items.chunks(STEP).peekable();
    while let Some(step) = steps.peek().copied() {
        // Of a disk that is away nothing may be concluded.
        fit(shared).await;
        let names: Vec<_> = step.iter().map(|(_, name)| name.clone()).collect();
        let read = |store: Store| {
            let names = names.clone();
            async move { store.whole_recordings(names).await }
        };
        let known = patiently(shared, read).await?;
        let mut looked = Vec::new();
        for ((camera, name), known) in step.iter().zip(known) {
            // A row without a folder says itself whose it is; one that is gone meanwhile says nothing.
            let Some(camera) = camera.or(known.as_ref().map(|k| k.row.camera)) else { continue };
            if known.as_ref().is_some_and(|k| k.row.camera != camera) {
                tally.foreign.push(format!("{camera}/{name}"));
            } else if !shared.runs(name) {
                looked.push(((camera, name.clone()), known));
            }
        }
        let found = look(shared, looked, merging, &newest).await?;
        if shared.hold.borrow().is_some() {
            continue;
        }
        steps.next();
        for outcome in found {
            match outcome {
                Ok(found) => batch.take(found, tally),
                Err(error) => {
                    tally.failed += 1;
                    tracing::warn!(error = %error.chain(), "a recording's folder could not be looked at");
                }
            }
        }
        done += step.len();
        if batch.rows >= MAX_ROWS || done == total {
            batch.write(shared).await?;
        }
        shared.checking.send_replace(Checking { done, total });
    }
    if work.merging && tally.failed == 0 {
        shared.options.store.merged().await?;
    }
    Ok(())
}

/// Looks at some recordings, several at a time.
async fn look(
    shared: &Arc<Shared>,
    mut all: Vec<(Folder, Option<WholeRecording>)>,
    merging: bool,
    newest: &Arc<BTreeSet<RecordingName>>,
) -> Result<Vec<Result<Found>>> {
    let (now_us, share) = (shared.options.clock.wall_us(), all.len().div_ceil(LANES).max(1));
    let mut lanes = Vec::with_capacity(LANES);
    while !all.is_empty() {
        let lane = all.split_off(all.len().saturating_sub(share));
        let (places, newest) = (shared.places.clone(), newest.clone());
        lanes.push(tokio::task::spawn_blocking(move || {
            let look = |(folder, known): (Folder, _)| {
                let how = How { merging, newest: newest.contains(&folder.1), now_us };
                look_at(&places, &folder, known, how)
            };
            lane.into_iter().map(look).collect::<Vec<_>>()
        }));
    }
    let mut found = Vec::new();
    for lane in lanes {
        found.extend(lane.await.map_err(Error::internal)?);
    }
    Ok(found)
}

/// Of each camera the two newest, one of which ran last. Their cards are read: one that says that a
/// recording still runs which has ended would be believed by a start that has lost its index.
fn newest(items: &[(Option<CameraId>, RecordingName)]) -> BTreeSet<RecordingName> {
    let mut cameras: BTreeMap<CameraId, Vec<&RecordingName>> = BTreeMap::new();
    for (camera, name) in items {
        if let Some(camera) = camera {
            cameras.entry(*camera).or_default().push(name);
        }
    }
    // Folders come in the order of their names.
    cameras.into_values().flat_map(|names| names.into_iter().rev().take(2).cloned()).collect()
}

/// Does something with the database; once more when the disk was taken away meanwhile and is back.
async fn patiently<T, F: Future<Output = Result<T>>>(shared: &Shared, job: impl Fn(Store) -> F) -> Result<T> {
    loop {
        match job(shared.options.store.clone()).await {
            Err(_) if held(shared).await => fit(shared).await,
            other => return other,
        }
    }
}

/// Whether the disk is held, or is within the time in which a fault of it is noticed.
async fn held(shared: &Shared) -> bool {
    let mut hold = shared.hold.subscribe();
    let noticed = hold.wait_for(Option::is_some);
    tokio::time::timeout(NOTICED, noticed).await.is_ok_and(|held| held.is_ok())
}

/// Waits until the disk is fit to be looked at.
async fn fit(shared: &Shared) {
    let mut hold = shared.hold.subscribe();
    let _ = hold.wait_for(Option::is_none).await;
}

/// What is to be written.
#[derive(Default)]
struct Batch {
    all: Vec<Settle>,
    rows: usize,
}

impl Batch {
    fn take(&mut self, found: Found, tally: &mut Tally) {
        tally.foreign.extend(found.foreign);
        tally.lost += found.lost;
        let size = |c: &RecordingChange| c.segments.len() + c.gaps.len() + c.notes.len() + 1;
        let rows = match &found.settle {
            None => return,
            Some(Settle::Adopt(_, change)) => {
                tally.adopted += 1;
                size(change)
            }
            Some(Settle::Change(_, change)) => {
                tally.changed += 1;
                size(change)
            }
            Some(Settle::Forget(_)) => {
                tally.forgotten += 1;
                1
            }
        };
        self.rows += rows;
        self.all.extend(found.settle);
    }

    async fn write(&mut self, shared: &Shared) -> Result<()> {
        self.rows = 0;
        let all = std::mem::take(&mut self.all);
        if all.is_empty() {
            return Ok(());
        }
        let write = |store: Store| {
            let all = all.clone();
            async move { store.settle(all).await }
        };
        patiently(shared, write).await
    }
}

#[derive(Default)]
struct Found {
    settle: Option<Settle>,
    lost: usize,
    foreign: Vec<String>,
}

/// How to look at a recording.
#[derive(Clone, Copy)]
struct How {
    /// The index is an older copy.
    merging: bool,
    /// It is one of its camera's newest.
    newest: bool,
    now_us: i64,
}

/// One recording: what the index is to say of it. Blocks.
fn look_at(
    places: &Places,
    (camera, name): &Folder,
    known: Option<WholeRecording>,
    how: How,
) -> Result<Found> {
    let dir = places.recording(*camera, name);
    let Some(known) = known.map(Facts::from) else {
        let found = adopt::ended(places, &(*camera, name.clone()), how.now_us).map_err(disk_error)?;
        let Some(facts) = found else { return Ok(Found::default()) };
        let lost = facts.segments.iter().filter(|s| s.lost).count();
        let nothing = Facts::new(facts.row.clone());
        let change = difference(&nothing, &facts).unwrap_or_default();
        let settle = Some(Settle::Adopt(Box::new(facts.row), change));
        return Ok(Found { settle, lost, foreign: Vec::new() });
    };
    let id = known.row.id;
    if how.merging && is_gone(&dir) {
        // Deleted since the copy was made.
        return Ok(Found { settle: Some(Settle::Forget(id)), ..Found::default() });
    }
    let card = match how.merging || how.newest {
        true => card_reader::read(&dir, *camera, name).map_err(disk_error)?,
        false => None,
    };
    // Whatever else it says: what has ended never runs again.
    let outdated = card.as_ref().is_some_and(|c| c.row.wanted) && !known.row.wanted;
    let newest = match card {
        Some(card) if how.merging && !outdated => with_id(card, id),
        _ => known.clone(),
    };
    let Mended { facts, foreign, .. } = mend(places, &newest, how.now_us).map_err(disk_error)?;
    let change = difference(&known, &facts);
    if change.is_none() && !outdated {
        return Ok(Found { foreign, ..Found::default() });
    }
    if !places.recordings().is_dir() {
        // Not one recording's files are gone but the disk.
        return Err(disk_error(io::Error::from(io::ErrorKind::NotFound)));
    }
    let was_lost = known.segments.iter().filter(|s| s.lost).count();
    let lost = facts.segments.iter().filter(|s| s.lost).count().saturating_sub(was_lost);
    if (outdated || facts != newest) && dir.is_dir() {
        facts.write(&dir).map_err(disk_error)?;
    }
    Ok(Found { settle: change.map(|change| Settle::Change(id, change)), lost, foreign })
}

fn with_id(mut card: Facts, id: i64) -> Facts {
    card.row.id = id;
    card
}

/// Whether nothing stands there, not even a link.
pub(super) fn is_gone(dir: &Path) -> bool {
    dir.symlink_metadata().is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
}

/// Finishes deletions that a crash interrupted; their rows went when the program started.
fn empty_trash(places: &Places) -> io::Result<()> {
    let entries = match fs::read_dir(places.trash()) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        fs::remove_dir_all(entry?.path())?;
    }
    Ok(())
}

impl Shared {
    fn runs(&self, name: &RecordingName) -> bool {
        self.slots().values().any(|s| matches!(s, Slot::Active(a) if a.view.name == *name))
    }
}

#[cfg(test)]
mod tests;
