//! `cameras.json` beside the database: which camera has which number, should the database be lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::Store;
use super::cameras::{self, CameraRow};
use super::connection::rows;
use super::devices::{self, DeviceRow};
use super::places::StorePlaces;
use crate::base::CameraId;
use crate::durable::replace;

/// The file; without a path nothing is written.
#[derive(Clone, Debug)]
pub(super) struct CameraCard(Option<Arc<StorePlaces>>);

#[derive(Serialize, Deserialize)]
struct Contents {
    fieldcam: u32,
    cameras: Vec<Camera>,
}

#[derive(Serialize, Deserialize)]
struct Camera {
    id: CameraId,
    identity: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    strip_audio: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<Device>,
}

/// What makes a device the same camera again; one that is told by what lies behind it would be another
/// without.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Device {
    kind: String,
    serial: Option<String>,
    port: String,
    pinned: bool,
    model: String,
    name: Option<String>,
}

impl Device {
    fn of(row: DeviceRow) -> Self {
        let DeviceRow { kind, serial, port, pinned, model, name, .. } = row;
        Self { kind, serial, port, pinned, model, name }
    }

    fn row(self, camera: CameraId, identity: String) -> DeviceRow {
        let Self { kind, serial, port, pinned, model, name } = self;
        let (first_us, seen_us) = (None, None);
        DeviceRow { camera, identity, kind, serial, port, pinned, model, name, first_us, seen_us }
    }
}

impl Store {
    pub(super) fn camera_card(&self) -> CameraCard {
        CameraCard(self.places.clone())
    }
}

impl CameraCard {
    /// Brings the file up to date with the table. Called before the commit, so that no number is in
    /// use that the file does not know. A disk that takes no file is no reason to refuse a camera.
    pub(super) fn write(&self, c: &Connection) {
        let Some(places) = &self.0 else { return };
        let written = text(c).and_then(|text| {
            if fs::read(&places.cameras).is_ok_and(|old| old == text) {
                return Ok(());
            }
            Ok(replace(&places.cameras, &text)?)
        });
        if let Err(error) = written {
            tracing::warn!(%error, "cameras.json could not be written");
        }
    }
}

fn text(c: &Connection) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let cameras = rows(c, CameraRow::SELECT, [], CameraRow::read)?;
    let mut devices: BTreeMap<_, _> = rows(c, DeviceRow::SELECT, [], DeviceRow::read)?
        .into_iter()
        .map(|d| (d.camera, Device::of(d)))
        .collect();
    let camera = |r: CameraRow| {
        let CameraRow { id, identity, name, strip_audio } = r;
        Camera { device: devices.remove(&id), id, identity, name, strip_audio }
    };
    let cameras = cameras.into_iter().map(camera).collect();
    let mut text = serde_json::to_vec_pretty(&Contents { fieldcam: 1, cameras })?;
    text.push(b'\n');
    Ok(text)
}

fn parse(bytes: &[u8]) -> serde_json::Result<(Vec<CameraRow>, Vec<DeviceRow>)> {
    let contents: Contents = serde_json::from_slice(bytes)?;
    let (mut cameras, mut devices) = (Vec::new(), Vec::new());
    for Camera { id, identity, name, strip_audio, device } in contents.cameras {
        // One without a kind was never written by us.
        if let Some(device) = device.filter(|d| !d.kind.is_empty() && !d.port.is_empty()) {
            devices.push(device.row(id, identity.clone()));
        }
        cameras.push(CameraRow { id, identity, name, strip_audio });
    }
    Ok((cameras, devices))
}

/// Enters what the file knows and the table does not, then brings the file up to date. At every start:
/// a database may have lost its newest rows without being damaged.
pub(super) fn restore(c: &Connection, places: &Arc<StorePlaces>) -> rusqlite::Result<()> {
    let (cameras, devices) = match fs::read(&places.cameras) {
        Ok(bytes) => parse(&bytes).unwrap_or_else(|error| {
            let kept = keep(&places.cameras, places);
            tracing::warn!(%error, kept, "cameras.json cannot be read and is written anew");
            Default::default()
        }),
        Err(_) => Default::default(),
    };
    let entered = cameras::enter(c, &cameras)? + devices::restore(c, &devices)?;
    if entered > 0 {
        tracing::warn!(cameras = entered, "cameras were entered again from cameras.json");
    }
    CameraCard(Some(places.clone())).write(c);
    Ok(())
}

fn keep(path: &Path, places: &StorePlaces) -> bool {
    places.quarantine.take(path, "cameras.json", "it is not what Fieldcam writes").is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::Opened;

    #[tokio::test]
    async fn numbers_survive_the_loss_of_the_database() {
        let data = tempfile::tempdir().unwrap();
        let places = || StorePlaces::below(data.path());
        let (store, opened) = Store::open_at(places()).unwrap();
        assert_eq!(opened, Opened::New);
        for (identity, number) in [("a", 0), ("b", 1), ("c", 7)] {
            let wanted = (number == 7).then_some(CameraId(7));
            assert_eq!(store.camera_number(identity, wanted).await.unwrap(), CameraId(number));
        }
        store.set_camera_name(CameraId(1), "Door").await.unwrap();
        store.set_strip_audio(CameraId(7), true).await.unwrap();
        let before = store.cameras().await.unwrap();
        drop(store);
        for name in ["fieldcam.db", "fieldcam.db-wal", "fieldcam.db-shm"] {
            let _ = fs::remove_file(data.path().join(name));
        }
        let (store, _) = Store::open_at(places()).unwrap();
        assert_eq!(store.camera_number("new", None).await.unwrap(), CameraId(2));
        let mut after = store.cameras().await.unwrap();
        after.retain(|c| c.identity != "new");
        assert_eq!(after, before);
    }

    #[test]
    fn a_file_that_is_not_ours_is_kept_and_replaced() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("cameras.json"), "{\"fieldcam\": 1, \"cameras\": [{\"id\": \"../x\"}]}")
            .unwrap();
        Store::open_at(StorePlaces::below(data.path())).unwrap();
        assert!(data.path().join("quarantine/cameras.json").exists());
        assert!(parse(&fs::read(data.path().join("cameras.json")).unwrap()).unwrap().0.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
