use std::fs;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::base::{CameraId, Clock};
use crate::notice::Notices;
use crate::recording::RecordingsOptions;
use crate::recording::mp4::build;
use crate::store::{CameraRow, Store};

const CAMERA: CameraId = CameraId(0);

/// A data directory whose camera 0 has the identity `test:a`.
async fn open(data: &Path) -> Recordings {
    let store = Store::open(&data.join("fieldcam.db")).unwrap();
    let camera = CameraRow { id: CAMERA, identity: "test:a".into(), name: "A".into(), strip_audio: false };
    store.restore_cameras(vec![camera]).await.unwrap();
    Recordings::open(RecordingsOptions {
        data_dir: data.to_owned(),
        store,
        notices: Notices::new(),
        clock: Clock::new(),
        sync_interval: Duration::ZERO,
        segment_duration: Duration::from_secs(900),
        warn_percent: 101.0,
        refuse_percent: 101.0,
    })
    .unwrap()
}

fn facts(name: &str, requested_us: i64, wanted: bool) -> Facts {
    let mut facts = card_reader::unknown(CAMERA, &name.parse().unwrap());
    facts.row.identity = "test:a".into();
    (facts.row.requested_us, facts.row.start_us) = (requested_us, requested_us);
    facts.row.wanted = wanted;
    facts.row.ended = (!wanted).then(|| "stopped".into());
    facts
}

/// The folder of a recording with a second of footage and a card.
fn folder(room: &Recordings, facts: &Facts) {
    let dir = room.shared.places.recording(CAMERA, &facts.row.name);
    make(&dir).unwrap();
    fs::write(dir.join("2023-11-14_22-13-00-000000.mp4"), build::segment(2, 0, facts.row.start_us)).unwrap();
    facts.write(&dir).unwrap();
}

async fn index(room: &Recordings, facts: &Facts) {
    room.shared.options.store.add_recording(facts.row.clone()).await.unwrap().unwrap();
}

/// The names of what goes on.
async fn goes_on(room: &Recordings) -> Vec<String> {
    let intents = room.recover().await.unwrap();
    intents.into_iter().map(|i| i.name.as_str().to_owned()).collect()
}

async fn row(room: &Recordings, name: &str) -> Option<RecordingRow> {
    room.shared.options.store.recording(&name.parse().unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_copy_that_is_older_than_a_stop_starts_nothing_again() {
    for merging in [true, false] {
        let data = tempfile::tempdir().unwrap();
        let room = open(data.path()).await;
        index(&room, &facts("camera0_a", 5, true)).await;
        folder(&room, &facts("camera0_a", 5, false));
        if merging {
            room.shared.options.store.set_setting("merging", "1".into()).await.unwrap();
        }
        assert_eq!(goes_on(&room).await, [] as [&str; 0]);
        let row = row(&room, "camera0_a").await.unwrap();
        assert_eq!((row.wanted, row.ended.as_deref()), (false, Some("stopped")));
    }
}

#[tokio::test]
async fn a_copy_that_is_older_than_a_deletion_starts_nothing_again() {
    let data = tempfile::tempdir().unwrap();
    let room = open(data.path()).await;
    index(&room, &facts("camera0_a", 5, true)).await;
    room.shared.options.store.set_setting("merging", "1".into()).await.unwrap();
    assert_eq!(goes_on(&room).await, [] as [&str; 0]);
    assert_eq!(row(&room, "camera0_a").await, None);
    assert!(!room.shared.places.recording(CAMERA, &"camera0_a".parse().unwrap()).exists());
}

#[tokio::test]
async fn a_sound_index_says_what_goes_on_though_its_folder_is_gone() {
    let data = tempfile::tempdir().unwrap();
    let room = open(data.path()).await;
    index(&room, &facts("camera0_a", 5, true)).await;
    assert_eq!(goes_on(&room).await, ["camera0_a"]);
}

#[tokio::test]
async fn a_running_recording_that_the_index_lost_goes_on() {
    let data = tempfile::tempdir().unwrap();
    let room = open(data.path()).await;
    folder(&room, &facts("camera0_a", 5, false));
    folder(&room, &facts("camera0_b", 9, true));
    assert_eq!(goes_on(&room).await, ["camera0_b"]);
    // Also where the index has kept what came before it.
    let data = tempfile::tempdir().unwrap();
    let room = open(data.path()).await;
    index(&room, &facts("camera0_a", 5, false)).await;
    folder(&room, &facts("camera0_a", 5, false));
    folder(&room, &facts("camera0_b", 9, true));
    assert_eq!(goes_on(&room).await, ["camera0_b"]);
}

#[tokio::test]
async fn a_folder_that_was_copied_here_while_it_grew_does_not_make_a_camera_record() {
    for foreign in [facts("camera0_a", 5, true), {
        let mut other = facts("camera0_z", 99, true);
        other.row.identity = "rtsp://elsewhere".into();
        other
    }] {
        let data = tempfile::tempdir().unwrap();
        let room = open(data.path()).await;
        index(&room, &facts("camera0_m", 50, false)).await;
        folder(&room, &facts("camera0_m", 50, false));
        folder(&room, &foreign);
        assert_eq!(goes_on(&room).await, [] as [&str; 0], "{}", foreign.row.name);
        // It is listed all the same, by the check beside everything else.
        let work = room.work();
        assert!(work.as_ref().unwrap().folders.contains(&(CAMERA, foreign.row.name.clone())));
    }
}
