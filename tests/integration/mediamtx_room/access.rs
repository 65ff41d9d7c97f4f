//! Who gets in, who is put out, and what nobody gets to see.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_viewer_is_cut_off_and_others_are_not() {
    let room = room().await;
    room.publisher_path("camera0").await;
    let _publisher = publish(&room.mtx.publish_url("camera0"));
    room.state("camera0", "ready", |s| s.ready).await;
    let viewer = room.viewer_url("ann:right", "camera0");
    let mut ann = ffmpeg(&["-rtsp_transport", "tcp", "-i", &viewer, "-f", "null", "-"]);
    let own = room.mtx.reader_url("camera0");
    let mut ours = ffmpeg(&["-rtsp_transport", "tcp", "-i", own.expose(), "-f", "null", "-"]);
    room.state("camera0", "read twice", |s| s.readers == 2).await;
    room.gate.revoked.store(true, Ordering::Relaxed);
    tokio::time::timeout(Duration::from_secs(30), ann.0.wait()).await.expect("ann is cut off").unwrap();
    assert!(!read_a_frame(&viewer).await, "and does not get in again");
    assert!(ours.0.try_wait().unwrap().is_none());
    room.state("camera0", "read once", |s| s.readers == 1 && s.ready).await;
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_whose_login_ends_is_cut_off() {
    let room = room().await;
    room.publisher_path("camera0").await;
    let _publisher = publish(&room.mtx.publish_url("camera0"));
    room.state("camera0", "ready", |s| s.ready).await;
    let viewer = room.viewer_url("brief:right", "camera0");
    let mut brief = ffmpeg(&["-rtsp_transport", "tcp", "-i", &viewer, "-f", "null", "-"]);
    tokio::time::timeout(Duration::from_secs(30), brief.0.wait()).await.expect("cut off").unwrap();
    room.state("camera0", "read by nobody", |s| s.readers == 0 && s.ready).await;
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_gets_past_the_api_or_the_listener() {
    let room = room().await;
    let file = generated(&room);
    assert_eq!(
        room.dir.path().join("run").metadata().unwrap().permissions(),
        std::os::unix::fs::PermissionsExt::from_mode(0o40700)
    );
    let callback = file["authHTTPAddress"].as_str().unwrap().to_owned();
    let (host, _) = callback.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let question = r#"{"action":"api","user":"fieldcam-api","password":"x","ip":"127.0.0.1"}"#;
    for (target, host, body, status) in [
        ("POST /".to_owned(), host, question, "404"),
        (format!("POST {}", &callback[callback.rfind('/').unwrap()..]), host, question, "401"),
        (format!("POST {}", &callback[callback.rfind('/').unwrap()..]), host, "nonsense", "400"),
        ("GET /v3/info".to_owned(), &room.mtx.endpoints().api.to_string(), "", "401"),
    ] {
        let text = format!(
            "{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = raw(host, text).await;
        assert!(answer.contains(status), "{target}: {answer}");
    }
    room.end().await;
}

/// Every line of our log from one runtime's threads.
#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A runtime whose threads log to `lines`, and nobody else's: other tests run beside this one.
fn logged(lines: &Lines) -> tokio::runtime::Runtime {
    let writer = lines.clone();
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
    let log = tracing::Dispatch::new(log.with_writer(move || writer.clone()).finish());
    let listen = move || std::mem::forget(tracing::dispatcher::set_default(&log));
    listen();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().on_thread_start(listen).build().unwrap()
}

#[test]
fn no_secret_reaches_the_log() {
    let lines = Lines::default();
    logged(&lines).block_on(look_for_secrets(&lines));
}

async fn look_for_secrets(lines: &Lines) {
    let room = room().await;
    room.publisher_path("camera0").await;
    let pull = PathSpec {
        name: "camera1".into(),
        source: PathSource::Pull { url: Secret::new("rtsp://admin:hunter2hunter2@127.0.0.1:9/x") },
        record: None,
    };
    let mut failures = room.mtx.source_failures();
    room.mtx.put_path(pull).await.unwrap();
    let (path, why) = failures.recv().await.unwrap();
    assert_eq!(path, "camera1");
    assert!(why.contains("refused"), "{why}");
    let ticket = room.mtx.publish_url("camera0");
    let _publisher = publish(&ticket);
    room.state("camera0", "ready", |s| s.ready).await;
    let mut again = publish(&ticket);
    assert!(!again.0.wait().await.unwrap().success());
    assert!(read_a_frame(room.mtx.reader_url("camera0").expose()).await);
    assert!(!read_a_frame(&room.viewer_url("ann:topsecret", "camera0")).await);
    let pid = room.mtx.server().borrow().pid.unwrap();
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGABRT).unwrap();
    let mut server = room.mtx.server();
    server.wait_for(|s| s.running && s.pid != Some(pid)).await.unwrap();

    let file = generated(&room);
    let callback = file["authHTTPAddress"].as_str().unwrap().to_owned();
    let reader = room.mtx.reader_url("camera0");
    let text = String::from_utf8_lossy(&lines.0.lock().unwrap()).into_owned();
    assert!(text.contains("camera1"), "MediaMTX's lines are in our log");
    for secret in [
        &callback[callback.rfind('/').unwrap() + 1..],
        ticket.expose().rsplit('=').next().unwrap(),
        reader.expose().split(['@', ':']).nth(2).unwrap(),
        "hunter2hunter2",
        "topsecret",
    ] {
        assert!(secret.len() > 8);
        let found = text.lines().find(|l| l.contains(secret));
        assert_eq!(found, None);
    }
    room.end().await;
}
