//! Whatever dies or falls silent beside it, a recording goes on.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_that_dies_costs_a_gap_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let (rig, intents) = Rig::start(data.path()).await;
    assert!(intents.is_empty());
    let mut camera = rig.camera("640x360").await;
    let started = rig.record(None).await;
    let twice = rig.recordings.start(StartRecording {
        camera: CameraFacts { id: CAM, identity: String::new(), name: String::new(), width: 0, height: 0 },
        duration: None,
        format: Format::Mp4,
    });
    assert_eq!(twice.await.unwrap_err().kind(), ErrorKind::InvalidState);
    let refused = rig.recordings.delete(&started.name).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidState);
    rig.recorded(3000).await;
    gone(&camera);
    camera.wait().await;
    rig.recordings.fault(CAM, GapCause::EncoderExited);
    let _camera = rig.camera("640x360").await;
    rig.recorded(5000).await;
    let asked = Instant::now();
    let finished = rig.recordings.stop(CAM).await.unwrap();
    println!("stop of a live recording: {:?}", asked.elapsed());
    let details = rig.details(&started).await;
    println!("{finished:?}\n{details:#?}");
    assert_eq!(details.segments.len(), 2);
    assert!(details.segments.iter().all(|s| s.closed));
    assert_eq!(details.gaps.len(), 1);
    let gap = &details.gaps[0];
    assert_eq!((gap.cause.as_str(), gap.segment), ("encoder_exited", 2));
    // What is recorded and what is missing is the whole time.
    let whole = (finished.end_us - finished.start_us) / 1000;
    let parts = (finished.duration_ms + gap.duration_ms) as i64;
    assert!((whole - parts).abs() < 50, "{whole} ms are {parts} ms");
    let frames = rig.frames(&details).await;
    let expected = finished.duration_ms * 30 / 1000;
    assert!(frames.abs_diff(expected) <= 3, "{frames} frames in {} ms", finished.duration_ms);
    let json = details.segments[0].path.with_file_name("recording.json");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(json["ended"], "stopped");
    assert_eq!(json["camera"]["identity"], "test:rig");
    assert_eq!(json["gaps"][0]["cause"], "encoder_exited");
    assert_eq!(rig.recordings.stop(CAM).await.unwrap_err().kind(), ErrorKind::InvalidState);
    rig.recordings.delete(&started.name).await.unwrap();
    assert!(!details.segments[0].path.exists());
    assert_eq!(rig.recordings.list(50, 0).await.unwrap().1, 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mediamtx_that_dies_comes_back_recording() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let mut camera = rig.camera("640x360").await;
    let started = rig.record(None).await;
    rig.recorded(2000).await;
    let mut server = rig.mtx.server();
    let pid = server.borrow_and_update().pid.unwrap();
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
    rig.recordings.fault(CAM, GapCause::MediamtxExited);
    camera.wait().await;
    rig.recordings.fault(CAM, GapCause::EncoderExited);
    until("MediaMTX is back", async || {
        let state = rig.mtx.server().borrow().clone();
        state.running && state.pid != Some(pid)
    })
    .await;
    let _camera = rig.camera("640x360").await;
    rig.recorded(4500).await;
    let finished = rig.recordings.stop(CAM).await.unwrap();
    let details = rig.details(&started).await;
    println!("{details:#?}");
    assert_eq!(details.segments.len(), 2);
    assert_eq!(details.gaps.len(), 1);
    assert_eq!(details.gaps[0].cause, "mediamtx_exited");
    let frames = rig.frames(&details).await;
    assert!(frames.abs_diff(finished.duration_ms * 30 / 1000) <= 3);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_goes_on_after_a_restart_of_the_daemon() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let camera = rig.camera("640x360").await;
    let started = rig.record(None).await;
    rig.recorded(2000).await;
    drop(camera);
    rig.end().await;
    // As a power cut leaves it: the last file torn, its duration unknown, a file without a byte.
    let folder = data.path().join("recordings/camera0").join(started.name.as_str());
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    names.retain(|n| n.extension().is_some_and(|e| e == "mp4"));
    let len = std::fs::metadata(&names[0]).unwrap().len();
    std::fs::File::options().write(true).open(&names[0]).unwrap().set_len(len - 100).unwrap();
    std::fs::write(folder.join("2099-01-01_00-00-00-000000.mp4"), "").unwrap();
    let db = rusqlite::Connection::open(data.path().join("fieldcam.db")).unwrap();
    db.execute("UPDATE segments SET closed = 0", []).unwrap();
    drop(db);
    let (rig, intents) = Rig::start(data.path()).await;
    assert_eq!(intents.len(), 1);
    assert_eq!((&intents[0].name, &intents[0].dir), (&started.name, &folder));
    assert!(rig.recordings.wanted().borrow().contains(&CAM));
    let before = rig.recordings.active(CAM).unwrap().duration_ms;
    assert!(before >= 1400, "{before}");
    let _camera = rig.camera("640x360").await;
    rig.recorded(before + 1500).await;
    let finished = rig.recordings.stop(CAM).await.unwrap();
    assert_eq!(finished.name, started.name);
    let details = rig.details(&started).await;
    println!("{details:#?}");
    assert_eq!(details.segments.len(), 2);
    assert_eq!(details.gaps[0].cause, "daemon_down");
    assert!(details.notes.iter().any(|n| n.2.contains("cut off")), "{:?}", details.notes);
    assert_eq!(std::fs::read_dir(data.path().join("quarantine")).unwrap().count(), 2);
    rig.frames(&details).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_recording_is_told_and_goes_on_when_the_camera_returns() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let mut heard = rig.notices.subscribe();
    let camera = rig.camera("320x240").await;
    let started = rig.record(None).await;
    rig.recorded(1000).await;
    kill(Pid::from_raw(camera.pid() as i32), Signal::SIGSTOP).unwrap();
    rig.recordings.fault(CAM, GapCause::CameraSilent);
    let told = async {
        loop {
            if let Fact::RecordingError { message, .. } = heard.recv().await.unwrap() {
                return message;
            }
        }
    };
    let message = tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();
    assert!(message.contains("nothing was recorded for 5 s"), "{message}");
    kill(Pid::from_raw(camera.pid() as i32), Signal::SIGCONT).unwrap();
    rig.recorded(3000).await;
    rig.recordings.stop(CAM).await.unwrap();
    let details = rig.details(&started).await;
    println!("{details:#?}");
    assert!(details.gaps.iter().any(|g| g.cause == "camera_silent"), "{:?}", details.gaps);
    rig.frames(&details).await;
    rig.end().await;
}
