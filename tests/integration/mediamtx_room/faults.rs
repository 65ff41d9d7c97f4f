//! A MediaMTX that dies, hangs, starts badly or is not there.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn comes_back_from_kill_with_paths_and_recording() {
    comes_back(Signal::SIGKILL, Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comes_back_from_a_standstill_with_paths_and_recording() {
    comes_back(Signal::SIGSTOP, Duration::from_secs(30)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comes_back_from_a_clean_exit_nobody_asked_for() {
    comes_back(Signal::SIGTERM, Duration::from_secs(5)).await;
}

/// Measured: back 0.05 s after an exit, 3 s after a standstill; `bound` leaves ten times that and more.
async fn comes_back(signal: Signal, bound: Duration) {
    let room = room().await;
    room.publisher_path("camera0").await;
    let folder = room.recording("camera0", "one");
    room.mtx.set_record("camera0", Some(folder.clone())).await.unwrap();
    let pull = PathSpec {
        name: "camera1".into(),
        source: PathSource::Pull { url: Secret::new("rtsp://u:p%23%22@127.0.0.1:9/x?a=1&b=2") },
        record: None,
    };
    room.mtx.put_path(pull).await.unwrap();
    room.publisher_path("gone").await;
    room.mtx.remove_path("gone").await.unwrap();

    let mut server = room.mtx.server();
    let before = server.borrow_and_update().clone();
    let pid = Pid::from_raw(i32::try_from(before.pid.unwrap()).unwrap());
    kill(pid, signal).unwrap();
    let killed = Instant::now();
    // A change that meets a MediaMTX that does not answer is kept, and holds nothing up.
    let folder = room.recording("camera0", "two");
    let change = room.mtx.set_record("camera0", Some(folder.clone()));
    let back = server.wait_for(|s| s.running && s.generation > before.generation);
    let both = async { tokio::join!(change, async { back.await.unwrap().clone() }) };
    let (changed, after) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    changed.unwrap();
    let took = killed.elapsed();
    println!("{signal}: back after {took:?}");
    assert!(took < bound, "{took:?}");
    assert_ne!(after.pid, before.pid);

    assert!(room.mtx.fetch_path("camera0").await.unwrap().is_some());
    assert!(room.mtx.fetch_path("camera1").await.unwrap().is_some());
    assert!(room.mtx.fetch_path("gone").await.unwrap().is_none());
    let file = generated(&room);
    assert_eq!(file["paths"]["camera0"]["record"], serde_json::json!(true));
    assert_eq!(file["paths"].as_object().unwrap().len(), 2);

    let _publisher = publish(&room.mtx.publish_url("camera0"));
    wait_until("it records again by itself", || files(&folder).iter().any(|(_, size)| *size > 0)).await;
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_made_while_it_is_down_are_there_when_it_is_back() {
    let room = room().await;
    room.publisher_path("old").await;
    let mut server = room.mtx.server();
    let before = server.borrow_and_update().clone();
    kill(Pid::from_raw(i32::try_from(before.pid.unwrap()).unwrap()), Signal::SIGKILL).unwrap();
    // No waiting: some of these meet a dead MediaMTX, some one that starts.
    for n in 0..40 {
        room.publisher_path(&format!("camera{n}")).await;
        room.mtx
            .set_record(&format!("camera{n}"), Some(room.recording(&format!("camera{n}"), "r")))
            .await
            .unwrap();
    }
    room.mtx.remove_path("old").await.unwrap();
    server.wait_for(|s| s.running && s.generation > before.generation).await.unwrap();
    for n in 0..40 {
        room.state(&format!("camera{n}"), "there", |_| true).await;
    }
    for _ in 0..600 {
        if room.mtx.fetch_path("old").await.unwrap().is_none() {
            room.end().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the removed path is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_the_file_cannot_hold_keeps_none_of_the_others_away() {
    let dir = tempfile::tempdir().unwrap();
    let picky = dir.path().join("mediamtx");
    let script = format!(
        "#!/bin/sh\ngrep -q poison \"$1\" && {{ echo 'ERR: poison'; exit 1; }}\nexec '{}' \"$@\"\n",
        mediaserver::binary().display()
    );
    std::fs::write(&picky, script).unwrap();
    std::fs::set_permissions(&picky, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (mtx, rest) = try_room(|o| o.binary = picky).await;
    let mtx = mtx.unwrap();
    for name in ["camera0", "poison"] {
        let spec = PathSpec { name: name.into(), source: PathSource::Publisher, record: None };
        mtx.put_path(spec).await.unwrap();
    }
    let mut server = mtx.server();
    let before = server.borrow_and_update().clone();
    kill(Pid::from_raw(i32::try_from(before.pid.unwrap()).unwrap()), Signal::SIGKILL).unwrap();
    let why = server.wait_for(|s| s.problem.as_ref().is_some_and(|p| p.contains("at its start"))).await;
    println!("{:?}", why.unwrap().problem);
    server.wait_for(|s| s.running && s.generation > before.generation).await.unwrap();
    assert!(mtx.fetch_path("camera0").await.unwrap().is_some());
    assert!(rest.phases.shutdown(Duration::from_secs(10)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_a_missing_program_and_another_version_are_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    let began = Instant::now();
    let (e, _rest) = try_room(|o| o.listens.rtsp = port).await;
    println!("told of the taken port after {:?}", began.elapsed());
    let e = e.err().unwrap();
    assert!(e.message().contains("mediamtx.rtsp_listen"), "{e}");
    assert!(e.message().contains(&port.port().to_string()), "{e}");

    let (e, _rest) = try_room(|o| o.binary = "/nowhere/mediamtx".into()).await;
    let e = e.err().unwrap();
    assert!(e.message().contains("mediamtx was not found"), "{e}");
    assert!(e.message().contains("get-mediamtx") && !e.message().contains("/nowhere"), "{e}");

    let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes/mediamtx-of-another-version");
    let (e, _rest) = try_room(|o| o.binary = fake).await;
    let e = e.err().unwrap();
    assert!(e.message().contains("v1.19.2") && e.message().contains("v1.20.1"), "{e}");
}
