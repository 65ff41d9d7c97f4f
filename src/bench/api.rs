//! Every method on a busy box: 16 small cameras that run, 10,000 recordings, 200 connections.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::archive::Archive;
use super::figure::{Figure, Unit, percentile, remark};
use super::latency::go_live;
use super::reconcile::{blocking, page};
use super::subject::{Folder, Subject};
use super::{listeners, until};
use crate::base::{Error, Mono, Result};
use crate::ctl::{Link, read};

const CONFIG: &str = "[cameras]\nsynthetic = 16\nresolution = \"320x180\"\nfps = 5\n\
                      [discovery]\nexternal_enabled = true\ninterval = \"0s\"\n";
const CAMERAS: usize = 16;
const ARCHIVE: Archive = Archive { recordings: 10_000, segments: 1 };
const CONNECTIONS: usize = 200;
const LIMIT: Duration = Duration::from_secs(120);
/// Calls of a method that is answered from memory.
const MANY: usize = 300;
/// Calls of a method that writes.
const SOME: usize = 100;
/// Rounds of what waits for cameras.
const FEW: usize = 20;

/// What P01 names, milliseconds at the 95th percentile.
const P01: [(&str, f64); 9] = [
    ("authenticate", 50.0),
    ("ping", 20.0),
    ("get_camera_list", 100.0),
    ("get_camera_status", 50.0),
    ("take_snapshot", 200.0),
    ("start_recording", 100.0),
    ("stop_recording", 50.0),
    ("list_recordings", 200.0),
    ("get_metrics", 50.0),
];
/// P01's stretch goal for every method.
const STRETCH: f64 = 50.0;
/// Methods that do what takes long by itself.
const UNBOUNDED: [&str; 2] = ["start_streaming", "stop_streaming"];

/// Fills a box, puts the connections on it, and calls everything.
pub async fn measure() -> Result<Vec<Figure>> {
    let subject = filled().await?;
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        idle.push(subject.link().await?);
    }
    let mut box_ = Caller { link: subject.link().await?, samples: Vec::new() };
    for n in 0..CAMERAS {
        go_live(&mut box_.link, &format!("camera{n}")).await?;
    }
    remark(
        "discover_external_streams and rotate_secret are left out: the first takes the time of the network, \
            the second ends log-ins",
    );
    box_.answered_from_memory(&subject).await?;
    box_.stills().await?;
    box_.recordings().await?;
    box_.streams().await?;
    box_.external().await?;
    box_.settings().await?;
    let mut figures = box_.figures();
    figures.extend(listeners::measure(&subject).await?);
    drop(idle);
    subject.stop().await;
    Ok(figures)
}

#[derive(Deserialize)]
struct Named {
    filename: String,
}

#[derive(Deserialize)]
struct Grown {
    duration: u64,
    file_size: u64,
}

/// A box with a real recording, multiplied; all of them protected, so that retention looks at all and
/// deletes none.
async fn filled() -> Result<Subject> {
    let subject = Subject::start_in(Folder::with(CONFIG)?).await.map_err(|(error, _)| error)?;
    let token = subject.token().clone();
    let mut link = subject.link().await?;
    let started: Named = link.ask("start_recording", json!({ "device": "camera0" })).await?;
    let name = json!({ "filename": started.filename });
    until("a recording has two seconds", LIMIT, async || {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let info: Grown = link.ask("get_recording_info", name.clone()).await?;
        Ok((info.duration >= 2 && info.file_size > 0).then_some(()))
    })
    .await?;
    link.call("stop_recording", Some(json!({ "device": "camera0" }))).await?;
    let protected = json!({ "filename": started.filename, "protected": true });
    link.call("protect_recording", Some(protected)).await?;
    let folder = subject.stop().await.ok_or_else(|| Error::unsupported("api", "the box is not ours"))?;
    let template = folder.data().join("recordings/camera0").join(started.filename);
    blocking(move || ARCHIVE.make(&template)).await?;
    let subject = Subject::start_with(folder, Some(token)).await.map_err(|(error, _)| error)?;
    let health = subject.health()?;
    until("the box knows every recording", LIMIT, async || {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let text = page(&health).await?;
        Ok((text.contains("\"ready\":true") && !text.contains("checking")).then_some(()))
    })
    .await?;
    Ok(subject)
}

struct Caller {
    link: Link,
    /// Milliseconds by method, in the order of the first call.
    samples: Vec<(String, Vec<f64>)>,
}

impl Caller {
    /// One call, timed under its own name.
    async fn call<T: for<'de> Deserialize<'de>>(&mut self, method: &str, params: Value) -> Result<T> {
        self.named(method, method, params).await
    }

    async fn named<T: for<'de> Deserialize<'de>>(
        &mut self,
        name: &str,
        method: &str,
        params: Value,
    ) -> Result<T> {
        let params = (!params.is_null()).then_some(params);
        let begun = Mono::now();
        let answer = self.link.call(method, params).await?;
        let took = Mono::now().since(begun).as_secs_f64() * 1000.0;
        match self.samples.iter_mut().find(|(known, _)| known == name) {
            Some((_, samples)) => samples.push(took),
            None => self.samples.push((name.to_owned(), vec![took])),
        }
        read(&answer)
    }

    async fn again(&mut self, method: &str, params: Value, times: usize) -> Result<()> {
        for _ in 0..times {
            let _: Value = self.call(method, params.clone()).await?;
        }
        Ok(())
    }

    async fn answered_from_memory(&mut self, subject: &Subject) -> Result<()> {
        let camera = json!({ "device": "camera7" });
        for (method, params) in [
            ("ping", Value::Null),
            ("authenticate", json!({ "auth_token": subject.token().expose() })),
            ("get_camera_list", Value::Null),
            ("get_camera_status", camera.clone()),
            ("get_camera_capabilities", camera.clone()),
            ("get_stream_url", camera.clone()),
            ("get_stream_status", camera),
            ("get_streams", Value::Null),
            ("get_metrics", Value::Null),
            ("get_status", Value::Null),
            ("get_system_status", Value::Null),
            ("get_server_info", Value::Null),
            ("rpc.discover", Value::Null),
            ("subscribe_events", json!({ "topics": ["system.health"] })),
            ("get_subscription_stats", Value::Null),
            ("unsubscribe_events", json!({})),
            ("get_external_streams", Value::Null),
            ("get_storage_info", Value::Null),
            ("list_snapshots", Value::Null),
            ("get_audit_log", Value::Null),
        ] {
            self.again(method, params, MANY).await?;
        }
        for offset in [0, 9_900] {
            for _ in 0..MANY {
                let params = json!({ "limit": 50, "offset": offset });
                let _: Value = self.named("list_recordings", "list_recordings", params).await?;
            }
        }
        Ok(())
    }

    async fn stills(&mut self) -> Result<()> {
        for n in 0..SOME {
            let device = format!("camera{}", n % CAMERAS);
            let taken: Named = self.call("take_snapshot", json!({ "device": device })).await?;
            let name = json!({ "filename": taken.filename });
            let _: Value = self.call("get_snapshot_info", name.clone()).await?;
            let _: Value = self.call("delete_snapshot", name).await?;
        }
        Ok(())
    }

    async fn recordings(&mut self) -> Result<()> {
        for n in 0..FEW {
            let device = json!({ "device": format!("camera{}", n % CAMERAS) });
            let started: Named = self.call("start_recording", device.clone()).await?;
            let name = json!({ "filename": started.filename });
            let link = &mut self.link;
            until("a recording has its first bytes", LIMIT, async || {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let info: Grown = link.ask("get_recording_info", name.clone()).await?;
                Ok((info.file_size > 0).then_some(()))
            })
            .await?;
            let _: Value = self.call("stop_recording", device).await?;
            let _: Value = self.call("get_recording_info", name.clone()).await?;
            for protected in [true, false] {
                let params = json!({ "filename": started.filename, "protected": protected });
                let _: Value = self.call("protect_recording", params).await?;
            }
            let _: Value = self.call("delete_recording", name).await?;
        }
        Ok(())
    }

    async fn streams(&mut self) -> Result<()> {
        let device = json!({ "device": "camera15" });
        for _ in 0..FEW / 2 {
            let _: Value = self.call("stop_streaming", device.clone()).await?;
            let _: Value = self.call("start_streaming", device.clone()).await?;
        }
        Ok(())
    }

    async fn external(&mut self) -> Result<()> {
        for n in 0..FEW / 2 {
            // A network that belongs to nobody: nothing answers.
            let url = format!("rtsp://192.0.2.7:554/bench{n}");
            let params = json!({ "stream_url": url, "stream_name": "Bench" });
            let _: Value = self.call("add_external_stream", params).await?;
            let _: Value = self.call("remove_external_stream", json!({ "stream_url": url })).await?;
        }
        Ok(())
    }

    async fn settings(&mut self) -> Result<()> {
        #[derive(Deserialize)]
        struct Key {
            id: String,
        }
        for n in 0..FEW {
            let params = json!({ "name": format!("bench {n}"), "role": "viewer" });
            let key: Key = self.call("create_api_key", params).await?;
            let _: Value = self.call("list_api_keys", Value::Null).await?;
            let key: Key = self.call("rotate_api_key", json!({ "id": key.id })).await?;
            let _: Value = self.call("revoke_api_key", json!({ "id": key.id })).await?;
            let _: Value = self.call("set_discovery_interval", json!({ "scan_interval": 0 })).await?;
            let _: Value = self.call("reload_config", json!({})).await?;
        }
        // Far less than there is, and all of it is protected: everything is looked at and nothing goes.
        let policy = json!({ "policy_type": "size", "max_size_gb": 0.000_001, "enabled": true });
        let manual = json!({ "policy_type": "manual", "enabled": false });
        #[derive(Deserialize)]
        struct Cleaned {
            files_deleted: u64,
        }
        for _ in 0..FEW {
            let _: Value = self.call("set_retention_policy", policy.clone()).await?;
            let cleaned: Cleaned = self.call("cleanup_old_files", Value::Null).await?;
            if cleaned.files_deleted > 0 {
                return Err(Error::internal("a protected recording was deleted"));
            }
            let _: Value = self.call("set_retention_policy", manual.clone()).await?;
        }
        Ok(())
    }

    fn figures(self) -> Vec<Figure> {
        let figure = |(method, mut samples): (String, Vec<f64>)| {
            let goal = P01.iter().find(|(name, _)| *name == method);
            let what = match method.as_str() {
                "cleanup_old_files" => "cleanup_old_files that looks at 10,001 recordings",
                "list_recordings" => "list_recordings of 10,000",
                other => other,
            };
            let p95 = Figure::new(format!("{what} p95"), percentile(&mut samples, 95.0), Unit::Ms);
            let p95 = match goal {
                Some((_, goal)) => p95.goal(*goal, "P01"),
                None if UNBOUNDED.contains(&method.as_str()) => p95,
                None => p95.goal(STRETCH, "P01 stretch"),
            };
            [Figure::new(format!("{what} p50"), percentile(&mut samples, 50.0), Unit::Ms), p95]
        };
        self.samples.into_iter().flat_map(figure).collect()
    }
}
