//! One start of MediaMTX: file, child, first answer, version; and what to tell when it fails.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::task::JoinHandle;

use super::handle::{Desired, Inner};
use super::reconcile::reconcile;
use super::server::Server;
use super::wake::WAKE_SOCKET;
use super::words::{self, Level};
use super::{PINNED_VERSION, arrivals, file, limits, ports, reply};
use crate::base::{Error, Result, Secret};
use crate::supervise::{Child, ChildSpec, Exit, FirstWords, Stdio, drain_lines};

/// How long a start may take. Measured 25 ms; the time is for a box that is busy booting.
const START: Duration = Duration::from_secs(15);
/// How long a port may still be held by a MediaMTX whose daemon just died.
const PORT_PATIENCE: Duration = Duration::from_secs(2);

/// A child that answered, and what it said it is.
pub(super) struct Running {
    pub child: Child,
    pub info: reply::Info,
}

/// What a child said, and the tasks that listen.
struct Heard {
    words: Arc<Mutex<FirstWords>>,
    ears: Vec<JoinHandle<()>>,
}

impl Server {
    /// Writes the file, starts the child, waits until it answers, and brings it up to what was
    /// wished meanwhile. With `bare`, the file holds no paths and they are told one by one, so that
    /// one MediaMTX refuses keeps none of the others away.
    pub(super) async fn launch(&mut self, bare: bool) -> Result<Running> {
        let key = {
            let mut doors = self.inner.desk.doors.lock().unwrap_or_else(PoisonError::into_inner);
            doors.renew_api()
        };
        self.inner.door.set_key(&key);
        let options = &self.inner.options;
        ports::check(options.listens, PORT_PATIENCE).await?;
        let (revision, paths) = {
            let desired = self.inner.desired();
            (desired.1, if bare { Desired::new() } else { desired.0.clone() })
        };
        let text = |folder: &Path| {
            file::generate(
                &options.listens,
                &options.webrtc_hosts,
                &self.callback,
                options.segment_duration,
                &paths,
                folder,
            )
        };
        let pair = self.certificate.as_mut().map(|changes| changes.borrow_and_update().clone());
        let dir =
            self.place.write(&options.run_dir, text, pair.as_ref().map(|pair| pair.pem())).map_err(|e| {
                Error::dependency("mediamtx", "its file could not be written to the run directory")
                    .caused_by(e)
            })?;
        self.folder.clone_from(&dir);

        let (mut child, heard) = self.spawn(&dir).await?;
        let info = match self.wait_ready(&mut child).await {
            Ok(info) => info,
            Err(end) => {
                child.kill().await;
                return Err(self.explain(end, heard).await);
            }
        };
        if info.version != PINNED_VERSION {
            child.kill().await;
            return Err(wrong_version(&info.version));
        }
        let running = Running { child, info };
        let api = self.inner.writer.lock().await;
        let stale = bare || self.inner.desired().1 != revision;
        if stale && reconcile(&self.inner, &api).await.is_err() {
            self.inner.doubt.notify_one();
        }
        // Still under the writer's lock: a change made from now on is told by whoever makes it.
        self.set_state(|s| {
            s.running = true;
            s.generation += 1;
            s.pid = Some(running.child.pid());
            s.version = Some(running.info.version.clone());
            s.problem = None;
        });
        drop(api);
        Ok(running)
    }

    async fn spawn(&self, dir: &Path) -> Result<(Child, Heard)> {
        let options = &self.inner.options;
        let mut spec = ChildSpec::new("mediamtx", &options.binary).args([dir.join(file::FILE_NAME)]);
        let text = |p: &Path| p.to_str().expect("checked when the options were").to_owned();
        spec.env = vec![
            ("GOMEMLIMIT".into(), limits::go_memory_limit()),
            ("FIELDCAM_EXE".into(), text(&options.exe)),
            (WAKE_SOCKET.into(), text(&self.wake_socket)),
        ];
        spec.stdout = Stdio::Pipe;
        spec.stderr = Stdio::Pipe;
        let mut child = self.spawner.spawn(spec).await.map_err(|e| {
            let hint = "set mediamtx.binary, or run scripts/get-mediamtx";
            Error::dependency("mediamtx", format!("{} ({hint})", detail(&e))).caused_by(e)
        })?;
        let words = Arc::new(Mutex::new(FirstWords::default()));
        let mut ears = Vec::new();
        let mut hear = |stream: Box<dyn AsyncRead + Send + Unpin>| {
            let drain = drain(stream, self.inner.clone(), words.clone(), self.secret.clone());
            ears.push(self.group.spawn("mediamtx output", drain));
        };
        if let Some(out) = child.stdout.take() {
            hear(Box::new(out));
        }
        if let Some(err) = child.stderr.take() {
            hear(Box::new(err));
        }
        Ok((child, Heard { words, ears }))
    }

    async fn wait_ready(&self, child: &mut Child) -> Result<reply::Info, Option<Exit>> {
        let answers = async {
            loop {
                match self.probe.info(Duration::from_secs(1)).await {
                    Ok(info) => return info,
                    Err(_) => tokio::time::sleep(Duration::from_millis(3)).await,
                }
            }
        };
        tokio::select! {
            info = answers => Ok(info),
            exit = child.wait() => Err(Some(exit)),
            () = tokio::time::sleep(START) => Err(None),
        }
    }

    /// What a start that failed should tell: another version refuses our file before it answers.
    async fn explain(&self, end: Option<Exit>, heard: Heard) -> Error {
        if let Some(found) = self.ask_version().await
            && found != PINNED_VERSION
        {
            return wrong_version(&found);
        }
        // Its last words may still be in the pipe.
        for ear in heard.ears {
            let _ = tokio::time::timeout(Duration::from_millis(500), ear).await;
        }
        let words = heard.words.lock().unwrap_or_else(PoisonError::into_inner).text();
        let what = match end {
            Some(exit) => format!("the media server ended at its start ({exit})"),
            None => format!("the media server did not answer within {START:?} of its start"),
        };
        let error = Error::dependency("mediamtx", what).caused_by(words::redact(&words, &self.secret));
        match end {
            Some(exit) => error.with("exit", exit.to_string()),
            None => error,
        }
    }

    async fn ask_version(&self) -> Option<String> {
        let mut spec = ChildSpec::new("mediamtx --version", &self.inner.options.binary).args(["--version"]);
        spec.stdout = Stdio::Pipe;
        let mut child = self.spawner.spawn(spec).await.ok()?;
        let out = child.stdout.take()?;
        let mut first = None;
        let reading = drain_lines(out, |line| {
            first.get_or_insert_with(|| line.trim().to_owned());
        });
        let _ = tokio::time::timeout(Duration::from_secs(3), reading).await;
        first.filter(|v| v.starts_with('v') && v.len() < 40 && !v.contains(char::is_whitespace))
    }
}

/// Reads all the child says: into the log, and for the explanation of a failed start.
async fn drain(
    stream: Box<dyn AsyncRead + Send + Unpin>,
    inner: Arc<Inner>,
    heard: Arc<Mutex<FirstWords>>,
    secret: Secret,
) {
    let mut writer = words::Writer::new(secret.clone());
    drain_lines(stream, |line| {
        let line = words::parse(line);
        if matches!(line.level, Level::Warn | Level::Error) {
            heard.lock().unwrap_or_else(PoisonError::into_inner).hear(&line.message);
        }
        if let Some((path, why)) = words::source_failure(&line) {
            // Without a camera that listens nobody needs to know.
            let _ = inner.failures.send((path.to_owned(), words::redact(why, &secret)));
        }
        if let Some(path) = arrivals::publishing(&line.message) {
            inner.desk.arrivals.end(path);
        }
        if words::tells_of_change(&line.message) {
            inner.nudge.notify_one();
        }
        writer.write(&line);
    })
    .await;
}

/// The outward detail of a dependency's error, without the prefix it already has.
fn detail(e: &Error) -> String {
    e.data().get("detail").and_then(|d| d.as_str()).unwrap_or(e.message()).to_owned()
}

fn wrong_version(found: &str) -> Error {
    Error::dependency(
        "mediamtx",
        format!(
            "the program is version {found}, this build needs {PINNED_VERSION}; run scripts/get-mediamtx or set mediamtx.binary"
        ),
    )
    .with("found", found)
    .with("needed", PINNED_VERSION)
}
