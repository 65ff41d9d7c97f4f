//! A disk that refuses, fills up or loses its index.

use super::*;

async fn run(spawner: &Spawner, program: &str, args: &[&str]) {
    let exit = spawner.spawn(ChildSpec::new(program, program).args(args)).await.unwrap().wait().await;
    assert_eq!(exit.to_string(), "exit code 0", "{program} {args:?} (this test needs root)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_takes_nothing_for_a_while_costs_that_while_only() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let mut heard = rig.notices.subscribe();
    let _camera = rig.camera("320x240").await;
    let started = rig.record(None).await;
    rig.recorded(1500).await;
    let folder = data.path().join("recordings/camera0").join(started.name.as_str());
    let folder = folder.to_str().unwrap();
    run(&rig.spawner, "chattr", &["-R", "+i", folder]).await;
    let told = async {
        loop {
            if let Fact::RecordingError { message, .. } = heard.recv().await.unwrap() {
                return message;
            }
        }
    };
    let message = tokio::time::timeout(Duration::from_secs(30), told).await;
    run(&rig.spawner, "chattr", &["-R", "-i", folder]).await;
    assert!(message.unwrap().contains("cannot be written"));
    let before = rig.recordings.active(CAM).unwrap().duration_ms;
    rig.recorded(before + 2000).await;
    rig.recordings.stop(CAM).await.unwrap();
    let details = rig.details(&started).await;
    println!("{details:#?}");
    assert_eq!(details.gaps.len(), 1);
    assert_eq!(details.gaps[0].cause, "storage");
    assert!(details.segments.iter().all(|s| s.closed));
    rig.frames(&details).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_database_is_made_again_from_the_files() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let _camera = rig.camera("320x240").await;
    let started = rig.record(None).await;
    rig.recorded(1000).await;
    rig.recordings.stop(CAM).await.unwrap();
    let before = rig.details(&started).await;
    rig.end().await;
    // The database's thread closes it a moment after its last handle is gone.
    let database = data.path().join("fieldcam.db");
    until("nobody holds the database", async || !process::has_open(std::process::id(), &database)).await;
    for file in ["fieldcam.db", "fieldcam.db-wal", "fieldcam.db-shm"] {
        let _ = std::fs::remove_file(data.path().join(file));
    }
    let (rig, intents) = Rig::start(data.path()).await;
    assert!(intents.is_empty());
    assert_eq!(rig.details(&started).await, before);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_ends_the_recording_before_it_is_full() {
    let mount = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let at = mount.path().to_str().unwrap();
    run(&spawner, "mount", &["-t", "tmpfs", "-o", "size=120m", "tmpfs", at]).await;
    let (rig, _) = Rig::start(mount.path()).await;
    let _camera = rig.camera("320x240").await;
    let started = rig.record(None).await;
    rig.recorded(1000).await;
    std::fs::write(mount.path().join("other"), vec![1; 112 << 20]).unwrap();
    until("the guard has ended it", async || rig.recordings.active(CAM).is_none()).await;
    let details = rig.details(&started).await;
    assert_eq!(details.info.ended.as_deref(), Some("storage_full"));
    rig.frames(&details).await;
    let camera = CameraFacts { id: CAM, identity: "x".into(), name: "x".into(), width: 0, height: 0 };
    let request = StartRecording { camera, duration: None, format: Format::Mp4 };
    let refused = rig.recordings.start(request).await.unwrap_err();
    println!("{refused:?} {:?}", refused.data());
    assert_eq!(refused.data()["dependency"], "storage");
    assert!(!mount.path().join("reserve").exists());
    std::fs::remove_file(mount.path().join("other")).unwrap();
    until("there is room again", async || !rig.recordings.storage().refusing).await;
    rig.record(None).await;
    rig.recorded(500).await;
    rig.recordings.stop(CAM).await.unwrap();
    rig.end().await;
    run(&spawner, "umount", &["-l", at]).await;
}
