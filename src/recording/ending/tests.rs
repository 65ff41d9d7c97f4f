use std::path::PathBuf;
use std::sync::Mutex;

use futures_util::future::BoxFuture;

use super::*;
use crate::base::{CameraId, Clock};
use crate::notice::Notices;
use crate::recording::mp4::build;
use crate::recording::{CameraFacts, Format, Recordings, RecordingsOptions, StartRecording};
use crate::store::Store;
use crate::supervise::Phases;

const CAMERA: CameraId = CameraId(0);
const START_US: i64 = 1_700_000_000_000_000;

/// A recorder that is told to stop in the moment in which it changes files, and is slow: MediaMTX does
/// that on a busy machine only.
#[derive(Default)]
struct Slow(Mutex<Option<PathBuf>>);

impl Recorder for Slow {
    fn set_record<'a>(&'a self, _: &'a str, folder: Option<PathBuf>) -> BoxFuture<'a, Result<()>> {
        let file = |folder: &Path, second: u32| folder.join(format!("2023-11-14_22-13-2{second}-000000.mp4"));
        if let Some(folder) = folder {
            fs::write(file(&folder, 0), build::segment(4, 0, START_US)).unwrap();
            *self.0.lock().unwrap() = Some(folder);
        } else if let Some(folder) = self.0.lock().unwrap().take() {
            fs::write(file(&folder, 0), closed(4, 0, START_US)).unwrap();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(80));
                let rest = closed(1, 1, START_US + 2_000_000);
                fs::write(file(&folder, 2), rest).unwrap();
            });
        }
        Box::pin(async { Ok(()) })
    }

    fn running(&self) -> bool {
        true
    }
}

/// A closed file of so many fragments.
fn closed(parts: u64, number: u64, start_us: i64) -> Vec<u8> {
    let mut file = build::segment(parts, number, start_us);
    build::close(&mut file, parts as u32 * 500);
    file
}

#[tokio::test]
async fn a_stop_at_a_change_of_files_waits_for_the_one_that_is_still_to_come() {
    let data = tempfile::tempdir().unwrap();
    let recordings = Recordings::open(RecordingsOptions {
        data_dir: data.path().to_owned(),
        store: Store::open(&data.path().join("fieldcam.db")).unwrap(),
        notices: Notices::new(),
        clock: Clock::new(),
        sync_interval: Duration::ZERO,
        segment_duration: Duration::from_secs(2),
        warn_percent: 101.0,
        refuse_percent: 101.0,
    })
    .unwrap();
    let mut phases = Phases::default();
    recordings.run(&phases.add("recording"), Slow::default()).unwrap();
    let camera = CameraFacts { id: CAMERA, identity: "test:a".into(), name: "A".into(), width: 0, height: 0 };
    recordings.start(StartRecording { camera, duration: None, format: Format::Mp4 }).await.unwrap();
    let finished = recordings.stop(CAMERA).await.unwrap();
    let details = recordings.details(&finished.name).await.unwrap();
    assert_eq!((details.segments.len(), finished.duration_ms), (2, 2500), "{details:?}");
}
