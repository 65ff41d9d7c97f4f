//! The box that is measured: one of our own in a temporary folder, or one on the network.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

use crate::base::{Error, ErrorKind, Mono, Result, Secret};
use crate::ctl::{Host, Link};
use crate::supervise::{Child, ChildSpec, Group, Phases, Spawner, Stdio, drain_lines};

const READY_LIMIT: Duration = Duration::from_secs(30);
/// A box that gives up says why at the end, after lines about its stopping.
const LAST_WORDS: usize = 3;

/// A box to measure.
pub struct Subject {
    host: Host,
    token: Secret,
    own: Option<Own>,
}

struct Own {
    child: Child,
    folder: Folder,
    phases: Phases,
    begun: Mono,
    ready_after: Duration,
    /// The box lives as long as the thread that started it.
    _spawner: Spawner,
}

/// The folder of a box of our own; removed with everything in it when dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// A new one for a box with two cameras.
    pub fn make() -> Result<Folder> {
        Folder::with("[cameras]\nsynthetic = 2\n")
    }

    /// A new one with this configuration.
    pub fn with(config: &str) -> Result<Folder> {
        let path = std::env::temp_dir().join(format!("fieldcam-bench-{}", Secret::random(6).expose()));
        std::fs::create_dir(&path).map_err(Error::internal)?;
        std::fs::write(path.join("fieldcam.toml"), config).map_err(Error::internal)?;
        Ok(Folder(path))
    }

    /// The data directory of its box.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Subject {
    /// A box on the network.
    pub fn remote(host: Host, token: Secret) -> Subject {
        Subject { host, token, own: None }
    }

    /// A new box of this very program.
    pub async fn start() -> Result<Subject> {
        Subject::start_in(Folder::make()?).await.map_err(|(error, _)| error)
    }

    /// As [`Subject::start`] in a folder that may hold an earlier box's data; hands it back on failure.
    pub async fn start_in(folder: Folder) -> std::result::Result<Subject, (Error, Folder)> {
        Subject::start_with(folder, None).await
    }

    /// As [`Subject::start_in`], with a token that the folder's box has made before: nothing else runs
    /// beside a box that has just started.
    pub async fn start_with(
        folder: Folder,
        known: Option<Secret>,
    ) -> std::result::Result<Subject, (Error, Folder)> {
        let mut phases = Phases::default();
        let group = phases.add("bench");
        let launched = async {
            let spawner = Spawner::start()?;
            let begun = Mono::now();
            let child = launch(&folder, &spawner, &group).await?;
            let ready_after = Mono::now().since(begun);
            let host = host_of(&folder.data(), "ws")?;
            let token = match known {
                Some(token) => token,
                None => token(&folder, &spawner).await?,
            };
            Ok((child, begun, ready_after, host, token, spawner))
        };
        match launched.await {
            Ok((child, begun, ready_after, host, token, spawner)) => Ok(Subject {
                host,
                token,
                own: Some(Own { child, folder, phases, begun, ready_after, _spawner: spawner }),
            }),
            Err(error) => Err((error, folder)),
        }
    }

    /// A logged-in connection.
    pub async fn link(&self) -> Result<Link> {
        let mut link = Link::open(&self.host).await?;
        link.log_in(self.token.clone()).await?;
        Ok(link)
    }

    /// A token with the role admin.
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// Where it is.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The daemon's data directory, when it is ours.
    pub fn data_dir(&self) -> Option<PathBuf> {
        self.own.as_ref().map(|own| own.folder.data())
    }

    /// The daemon's process, when it is ours.
    pub fn pid(&self) -> Option<u32> {
        self.own.as_ref().map(|own| own.child.pid())
    }

    /// From the start of the program to its ready line.
    pub fn ready_after(&self) -> Option<Duration> {
        self.own.as_ref().map(|own| own.ready_after)
    }

    /// Since the start of the program.
    pub fn running_for(&self) -> Option<Duration> {
        self.own.as_ref().map(|own| Mono::now().since(own.begun))
    }

    /// Where its health pages are, when it is ours.
    pub fn health(&self) -> Result<Host> {
        let data = self.data_dir().ok_or_else(|| Error::unsupported("health", "the box runs elsewhere"))?;
        host_of(&data, "health")
    }

    /// Stops a box of our own; its folder is handed on.
    pub async fn stop(self) -> Option<Folder> {
        let mut own = self.own?;
        own.child.stop(Duration::from_secs(15)).await;
        own.phases.shutdown(Duration::from_secs(2)).await;
        Some(own.folder)
    }
}

fn ourselves(name: &str, folder: &Folder) -> Result<ChildSpec> {
    let program = std::env::current_exe().map_err(Error::internal)?;
    let mut spec = ChildSpec::new(name, program);
    let hidden = |key: &str| key == "FIELDCAM_TOKEN" || key.starts_with("FIELDCAM_CAMERA");
    spec.env.extend(std::env::vars().filter(|(key, _)| key.starts_with("FIELDCAM_") && !hidden(key)));
    let listens = ["SERVER__LISTEN", "HEALTH__LISTEN"].into_iter().map(str::to_owned);
    let media = ["RTSP", "HLS", "WEBRTC", "API"].map(|p| format!("MEDIAMTX__{p}_LISTEN"));
    for key in listens.chain(media).chain(["MEDIAMTX__WEBRTC_UDP".to_owned()]) {
        spec.env.push((format!("FIELDCAM_{key}"), "127.0.0.1:0".into()));
    }
    for (key, value) in [
        // What is measured is the answer, not the guard against too many questions.
        ("AUTH__RATE_LIMIT_PER_MINUTE", "100000000"),
        // A developer's own camera is left alone.
        ("CAMERAS__V4L2", "false"),
        ("STORAGE__DATA_DIR", &*folder.data().to_string_lossy()),
    ] {
        spec.env.push((format!("FIELDCAM_{key}"), value.into()));
    }
    spec.stdout = Stdio::Pipe;
    spec.stderr = Stdio::Pipe;
    Ok(spec)
}

async fn launch(folder: &Folder, spawner: &Spawner, group: &Group) -> Result<Child> {
    let config = folder.0.join("fieldcam.toml");
    let spec = ourselves("fieldcam", folder)?.args(["run", "--config", &*config.to_string_lossy()]);
    let mut child = spawner.spawn(spec).await?;
    let (tell, ready) = oneshot::channel();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    if let Some(stdout) = stdout {
        let mut tell = Some(tell);
        group.spawn("box's standard output", async move {
            drain_lines(stdout, |line| {
                if line.starts_with("fieldcam ready") {
                    tell.take().map(|t| t.send(()));
                }
            })
            .await;
        });
    }
    let (say, words) = oneshot::channel();
    if let Some(stderr) = stderr {
        group.spawn("box's standard error", async move {
            let mut last = VecDeque::new();
            drain_lines(stderr, |line| {
                last.push_back(line.to_owned());
                if last.len() > LAST_WORDS {
                    last.pop_front();
                }
            })
            .await;
            let _ = say.send(Vec::from(last).join("\n    "));
        });
    }
    match tokio::time::timeout(READY_LIMIT, ready).await {
        Ok(Ok(())) => Ok(child),
        outcome => {
            let what = if outcome.is_err() { "is not ready after 30 s" } else { "ended before it was ready" };
            let _ = child.kill().await;
            let said = words.await.unwrap_or_default();
            Err(Error::new(ErrorKind::DependencyFailed, format!("The box to measure {what}"))
                .with("detail", said)
                .with("suggestion", "does `fieldcam run` start with the same environment?"))
        }
    }
}

async fn token(folder: &Folder, spawner: &Spawner) -> Result<Secret> {
    let config = folder.0.join("fieldcam.toml");
    let spec = ourselves("fieldcam token", folder)?;
    let spec = spec.args(["token", "--role", "admin", "--config", &*config.to_string_lossy()]);
    let mut child = spawner.spawn(spec).await?;
    let mut text = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut text).await.map_err(Error::internal)?;
    }
    child.wait().await;
    match text.trim() {
        "" => Err(Error::new(ErrorKind::AuthFailed, "`fieldcam token` made no token for the box to measure")),
        token => Ok(Secret::new(token)),
    }
}

/// Where a box listens, from its data directory.
fn host_of(data: &Path, server: &str) -> Result<Host> {
    let bad = |why: String| Error::new(ErrorKind::DependencyFailed, format!("endpoints.json: {why}"));
    let text = std::fs::read(data.join("run/endpoints.json")).map_err(|e| bad(e.to_string()))?;
    let value: Value = serde_json::from_slice(&text).map_err(|e| bad(e.to_string()))?;
    value[server].as_str().unwrap_or_default().parse().map_err(bad)
}
