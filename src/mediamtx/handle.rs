//! The handle: the desired state, and every change of it.
//!
//! A change is first written into the desired state, which the next generated file is made from,
//! and then told to MediaMTX if it runs. So a change outlives whatever happens to MediaMTX
//! meanwhile, and `Ok` means: it is so, or it will be as soon as MediaMTX is back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, broadcast, mpsc, watch};

use super::api::{Api, Door, Fault};
use super::callback::Desk;
use super::doors::{READER_USER, TICKET};
use super::path::{PathSource, PathSpec, check_name};
use super::reply::PathState;
use super::{Endpoints, MediaMtxOptions, ServerState, ports};
use crate::base::{Error, Mono, Result, Secret};

/// How long one API call may take; measured 1 to 3 ms.
pub(super) const CALL: Duration = Duration::from_secs(2);
/// Each path's specification and how often it was replaced.
pub(super) type Desired = BTreeMap<String, (PathSpec, u32)>;

/// A running MediaMTX. Clones are the same one.
#[derive(Clone)]
pub struct MediaMtx {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub options: MediaMtxOptions,
    pub endpoints: Endpoints,
    pub desk: Arc<Desk>,
    pub door: Arc<Door>,
    /// Bumped with each change, so that a start knows whether its file is still right.
    pub desired: Mutex<(Desired, u64)>,
    /// Whoever holds it may write configuration.
    pub writer: tokio::sync::Mutex<Api>,
    pub reader: Api,
    pub server: watch::Sender<ServerState>,
    pub paths: watch::Sender<Arc<BTreeMap<String, PathState>>>,
    /// Pulls that failed: path and reason.
    pub failures: broadcast::Sender<(String, String)>,
    /// The path list is worth reading now.
    pub nudge: Notify,
    /// A write may or may not have arrived.
    pub doubt: Notify,
    pub wakes: Mutex<Option<mpsc::Receiver<String>>>,
    /// Whether the run directory may be used.
    pub listen: watch::Sender<bool>,
}

impl Inner {
    pub(super) fn desired(&self) -> MutexGuard<'_, (Desired, u64)> {
        self.desired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn body(&self, name: &str) -> Option<Value> {
        self.desired().0.get(name).map(|(spec, bump)| spec.to_json(*bump))
    }
}

impl MediaMtx {
    /// Adds a path, or makes it as given. Readers and publisher of a path stay when only `record`
    /// differs. When MediaMTX runs, the path is there when this returns.
    pub async fn put_path(&self, spec: PathSpec) -> Result<()> {
        spec.check()?;
        let name = spec.name.clone();
        let before = {
            let mut desired = self.inner.desired();
            let bump = desired.0.get(&name).map_or(0, |(_, bump)| *bump);
            desired.1 += 1;
            desired.0.insert(name.clone(), (spec.clone(), bump))
        };
        let told = self.tell(&name).await;
        if told.is_err() {
            // What MediaMTX refuses must not stand in the file it starts from.
            let mut desired = self.inner.desired();
            if desired.0.get(&name).is_some_and(|(now, _)| *now == spec) {
                desired.1 += 1;
                match before {
                    Some(before) => desired.0.insert(name.clone(), before),
                    None => desired.0.remove(&name),
                };
            }
        } else {
            self.wait_for(&name).await;
        }
        told
    }

    /// Changes where a path's media come from; what it records stays as it is. Fails as [`Self::put_path`].
    pub async fn set_source(&self, name: &str, source: PathSource) -> Result<()> {
        let record = match self.inner.desired().0.get(name) {
            Some((spec, _)) if spec.source == source => return Ok(()),
            Some((spec, _)) => spec.record.clone(),
            None => return Err(Error::not_found("Stream", name)),
        };
        self.put_path(PathSpec { name: name.to_owned(), source, record }).await
    }

    /// Pulls that fail from now on: the path, and MediaMTX's words for why.
    pub fn source_failures(&self) -> broadcast::Receiver<(String, String)> {
        self.inner.failures.subscribe()
    }

    /// Closes and opens a path again: a pull that waits to reconnect tries at once; readers and
    /// publisher are dropped.
    pub async fn replace_path(&self, name: &str) -> Result<()> {
        {
            let mut desired = self.inner.desired();
            let Some((_, bump)) = desired.0.get_mut(name) else {
                return Err(Error::not_found("Stream", name));
            };
            *bump = bump.wrapping_add(1);
            desired.1 += 1;
        }
        self.tell(name).await
    }

    /// Removes a path; its readers and publisher are dropped. One that is not there is fine.
    pub async fn remove_path(&self, name: &str) -> Result<()> {
        check_name(name)?;
        {
            let mut desired = self.inner.desired();
            desired.1 += 1;
            desired.0.remove(name);
        }
        self.tell(name).await
    }

    /// Records the path into `folder`, or stops recording it; publisher and readers notice nothing.
    /// The file of a stopped recording is closed a moment after this returns.
    ///
    /// `Err` only when the path is unknown or the folder cannot be used. While MediaMTX is down or
    /// does not answer, `Ok` means that the wish is kept: MediaMTX comes back with it.
    pub async fn set_record(&self, name: &str, folder: Option<PathBuf>) -> Result<()> {
        {
            let mut desired = self.inner.desired();
            let Some((spec, _)) = desired.0.get_mut(name) else {
                return Err(Error::not_found("Stream", name));
            };
            let changed = PathSpec { record: folder, ..spec.clone() };
            changed.check()?;
            *spec = changed;
            desired.1 += 1;
        }
        self.tell(name).await
    }

    /// Closes the current file and goes on in a new one of the same folder at the next keyframe.
    /// Nothing happens on a path that is not recorded.
    pub async fn reopen_record(&self, name: &str) -> Result<()> {
        let folder = match self.inner.desired().0.get(name) {
            None => return Err(Error::not_found("Stream", name)),
            Some((spec, _)) => spec.record.clone(),
        };
        if folder.is_some() {
            self.set_record(name, None).await?;
            self.set_record(name, folder).await?;
        }
        Ok(())
    }

    /// Asks MediaMTX about one path; `None` when it has none of that name.
    pub async fn fetch_path(&self, name: &str) -> Result<Option<PathState>> {
        check_name(name)?;
        self.inner.reader.path(name, CALL).await.map_err(outward)
    }

    /// Every path as last seen: at most half a second ago while MediaMTX answers, empty while it is
    /// down. Never waits.
    pub fn paths(&self) -> Arc<BTreeMap<String, PathState>> {
        self.inner.paths.borrow().clone()
    }

    /// Told of each change of [`Self::paths`]; within some milliseconds when a path comes or goes.
    pub fn follow_paths(&self) -> watch::Receiver<Arc<BTreeMap<String, PathState>>> {
        self.inner.paths.subscribe()
    }

    /// The process's state.
    pub fn server(&self) -> watch::Receiver<ServerState> {
        self.inner.server.subscribe()
    }

    /// Where it listens.
    pub fn endpoints(&self) -> Endpoints {
        self.inner.endpoints
    }

    /// An RTSP URL that one session of this machine may publish `path` with, once. Not used, it
    /// ends when eight newer ones for the same path were made.
    pub fn publish_url(&self, path: &str) -> Secret {
        let mut doors = self.inner.desk.doors.lock().unwrap_or_else(PoisonError::into_inner);
        let password = doors.ticket(path, Mono::now());
        let address = ports::reach(self.inner.endpoints.rtsp);
        Secret::new(format!("rtsp://{address}/{path}?{TICKET}{}", password.expose()))
    }

    /// An RTSP URL for our own readers on this machine, good as long as the daemon lives.
    pub fn reader_url(&self, path: &str) -> Secret {
        let doors = self.inner.desk.doors.lock().unwrap_or_else(PoisonError::into_inner);
        let address = ports::reach(self.inner.endpoints.rtsp);
        Secret::new(format!("rtsp://{READER_USER}:{}@{address}/{path}", doors.reader().expose()))
    }

    /// The names of paths someone wants to read, as they come: every reader let in, and every hook.
    /// The same name may come often, and for a path that runs. Answers once.
    pub fn take_wakes(&self) -> Option<mpsc::Receiver<String>> {
        self.inner.wakes.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Lets go of the run directory while its disk is away, or takes it up again. Meanwhile readers
    /// still wake a camera by their log-in; only MediaMTX's hook goes unheard.
    pub fn use_run_dir(&self, usable: bool) {
        self.inner.listen.send_if_modified(|now| std::mem::replace(now, usable) != usable);
    }

    /// Tells MediaMTX what `name` should be now. Writes run one after the other and read the desired
    /// state when it is their turn, so that the last one leaves the last wish behind.
    async fn tell(&self, name: &str) -> Result<()> {
        let api = self.inner.writer.lock().await;
        if !self.inner.server.borrow().running {
            return Ok(());
        }
        self.inner.desk.arrivals.settle(name).await;
        let told = match self.inner.body(name) {
            Some(body) => api.replace_path(name, &body, CALL).await,
            None => api.delete_path(name, CALL).await,
        };
        match told {
            Ok(()) => Ok(()),
            Err(Fault::Down(why)) => {
                tracing::warn!(path = name, why, "MediaMTX did not answer a change; it will be told again");
                self.inner.doubt.notify_one();
                Ok(())
            }
            Err(fault @ Fault::Refused(..)) => Err(outward(fault)),
        }
    }

    /// MediaMTX answers a write before it has carried it out.
    async fn wait_for(&self, name: &str) {
        let there = async {
            while self.inner.server.borrow().running {
                match self.inner.reader.path(name, CALL).await {
                    Ok(None) => tokio::time::sleep(Duration::from_millis(2)).await,
                    Ok(Some(_)) | Err(_) => return,
                }
            }
        };
        let _ = tokio::time::timeout(CALL, there).await;
    }
}

/// MediaMTX's words go to the log: they may quote a path's source with its password.
pub(super) fn outward(fault: Fault) -> Error {
    match fault {
        Fault::Down(why) => Error::dependency("mediamtx", "the media server does not answer").caused_by(why),
        Fault::Refused(status, words) => {
            let words = super::words::redact(&words, &Secret::new(""));
            Error::dependency("mediamtx", format!("the media server refused (status {status})"))
                .caused_by(words)
        }
    }
}
