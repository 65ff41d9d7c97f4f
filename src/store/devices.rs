//! V4L2 cameras ever seen: what makes each the same again, and what people call it.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Store;
use super::cameras::lowest_free;
use super::connection::rows;
use crate::base::{CameraId, Result};

/// A V4L2 camera ever seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRow {
    /// Its number for ever.
    pub camera: CameraId,
    /// What it was called when it was first seen, and is for ever; as in the table of cameras.
    pub identity: String,
    /// What all units of its product have in common.
    pub kind: String,
    /// Its serial number, when it can tell two devices apart.
    pub serial: Option<String>,
    /// Where it was plugged in last.
    pub port: String,
    /// It is whatever of its kind is plugged in there.
    pub pinned: bool,
    /// What it says it is, for people.
    pub model: String,
    /// What an operator calls it.
    pub name: Option<String>,
    /// When it was first seen, microseconds since 1970; `None` = the record of it was lost.
    pub first_us: Option<i64>,
    /// When it was last known to be plugged in, microseconds since 1970; `None` as above.
    pub seen_us: Option<i64>,
}

/// A device that no row is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDevice {
    /// What it is to be called; a `~` and a number are put behind it when another device is called so.
    pub identity: String,
    /// [`DeviceRow::kind`].
    pub kind: String,
    /// [`DeviceRow::serial`].
    pub serial: Option<String>,
    /// [`DeviceRow::port`].
    pub port: String,
    /// [`DeviceRow::model`].
    pub model: String,
    /// Now, microseconds since 1970.
    pub at_us: i64,
}

/// That a known device was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Which.
    pub camera: CameraId,
    /// Where.
    pub port: String,
    /// When, microseconds since 1970.
    pub at_us: i64,
}

impl DeviceRow {
    pub(super) const SELECT: &str =
        "SELECT camera, identity, kind, serial, port, pinned, model, devices.name,
                                            first_us, seen_us
                                     FROM devices JOIN cameras ON number = camera ORDER BY camera";

    pub(super) fn read(r: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            camera: CameraId(r.get(0)?),
            identity: r.get(1)?,
            kind: r.get(2)?,
            serial: r.get(3)?,
            port: r.get(4)?,
            pinned: r.get(5)?,
            model: r.get(6)?,
            name: r.get(7)?,
            first_us: r.get(8)?,
            seen_us: r.get(9)?,
        })
    }
}

/// Enters what another record knows of devices whose cameras are in the table as it says, and of which no
/// row is; answers with how many.
pub(super) fn restore(c: &Connection, devices: &[DeviceRow]) -> rusqlite::Result<usize> {
    let sql = "INSERT OR IGNORE INTO devices (camera, kind, serial, port, pinned, model, name)
               SELECT number, ?3, ?4, ?5, ?6, ?7, ?8 FROM cameras WHERE number = ?1 AND identity = ?2";
    let mut statement = c.prepare_cached(sql)?;
    let mut restored = 0;
    for row in devices {
        let DeviceRow { camera, identity, kind, serial, port, pinned, model, name, .. } = row;
        let values = params![camera.0, identity, kind, serial, port, pinned, model, name];
        restored += statement.execute(values)?;
    }
    Ok(restored)
}

/// The number that a new device is to have, and its identity. A camera that is known by the identity
/// alone, because it is configured or because the rest was lost, is this device.
fn place(c: &Connection, wanted: &str) -> rusqlite::Result<(u32, String)> {
    let sql = "SELECT number, camera IS NOT NULL FROM cameras LEFT JOIN devices ON camera = number
               WHERE identity = ?1";
    let mut statement = c.prepare_cached(sql)?;
    let mut identity = wanted.to_owned();
    for next in 2u32.. {
        let owner: Option<(u32, bool)> =
            statement.query_row([&identity], |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
        match owner {
            Some((_, true)) => identity = format!("{wanted}~{next}"),
            Some((number, false)) => return Ok((number, identity)),
            None => break,
        }
    }
    let number = lowest_free(c)?;
    let sql = "INSERT INTO cameras (number, identity) VALUES (?1, ?2)";
    c.prepare_cached(sql)?.execute(params![number, identity])?;
    Ok((number, identity))
}

impl Store {
    /// Every device ever seen, by number.
    pub async fn devices(&self) -> Result<Vec<DeviceRow>> {
        self.read(|c| rows(c, DeviceRow::SELECT, [], DeviceRow::read)).await
    }

    /// Gives a device that was never seen before its number and its identity, both for ever.
    pub async fn enter_device(&self, new: NewDevice) -> Result<DeviceRow> {
        let card = self.camera_card();
        self.call(move |c| {
            let NewDevice { identity, kind, serial, port, model, at_us } = new;
            let (number, identity) = place(c, &identity)?;
            let sql = "INSERT INTO devices (camera, kind, serial, port, model, first_us, seen_us)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)";
            c.prepare_cached(sql)?.execute(params![number, kind, serial, port, model, at_us])?;
            card.write(c);
            let (camera, seen) = (CameraId(number), Some(at_us));
            let row = DeviceRow {
                camera,
                identity,
                kind,
                serial,
                port,
                pinned: false,
                model,
                name: None,
                first_us: seen,
                seen_us: seen,
            };
            Ok(row)
        })
        .await
    }

    /// Remembers where devices were, and when; all or none. One that is not known is left out.
    pub async fn saw_devices(&self, sightings: Vec<Sighting>) -> Result<()> {
        let card = self.camera_card();
        self.call(move |c| {
            let sql = "UPDATE devices SET port = ?2, seen_us = ?3 WHERE camera = ?1";
            let mut statement = c.prepare_cached(sql)?;
            for Sighting { camera, port, at_us } in &sightings {
                statement.execute(params![camera.0, port, at_us])?;
            }
            card.write(c);
            Ok(())
        })
        .await
    }

    /// Remembers that a device is whatever of its kind is plugged in where it is, or no more; answers
    /// whether it is known.
    pub async fn pin_device(&self, id: CameraId, pinned: bool) -> Result<bool> {
        self.set_device(id, move |c| {
            c.execute("UPDATE devices SET pinned = ?2 WHERE camera = ?1", params![id.0, pinned])
        })
        .await
    }

    /// Remembers what an operator calls a device; `None` = nothing. Answers whether it is known.
    pub async fn name_device(&self, id: CameraId, name: Option<String>) -> Result<bool> {
        self.set_device(id, move |c| {
            c.execute("UPDATE devices SET name = ?2 WHERE camera = ?1", params![id.0, name])
        })
        .await
    }

    /// Forgets a device of which no recording and no still is kept: its number is free again. Answers
    /// whether it was.
    pub async fn forget_device(&self, id: CameraId) -> Result<bool> {
        self.set_device(id, move |c| {
            let sql = "DELETE FROM cameras WHERE number = ?1
                       AND EXISTS (SELECT 1 FROM devices WHERE camera = ?1)
                       AND NOT EXISTS (SELECT 1 FROM recordings WHERE camera = ?1)
                       AND NOT EXISTS (SELECT 1 FROM snapshots WHERE camera = ?1)";
            c.execute(sql, [id.0])
        })
        .await
    }

    async fn set_device(
        &self,
        id: CameraId,
        change: impl FnOnce(&Connection) -> rusqlite::Result<usize> + Send + 'static,
    ) -> Result<bool> {
        let card = self.camera_card();
        let changed = self.call(move |c| {
            let changed = change(c)? > 0;
            card.write(c);
            Ok(changed)
        });
        let changed = changed.await?;
        tracing::debug!(camera = %id, changed, "what is remembered of a device");
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StorePlaces;

    fn new(identity: &str, port: &str) -> NewDevice {
        NewDevice {
            identity: identity.into(),
            kind: "usb-0c45:6366".into(),
            serial: None,
            port: port.into(),
            model: "Webcam".into(),
            at_us: 7,
        }
    }

    async fn numbers(store: &Store) -> Vec<(u32, String)> {
        store.devices().await.unwrap().into_iter().map(|d| (d.camera.0, d.identity)).collect()
    }

    #[tokio::test]
    async fn each_device_has_a_number_and_an_identity_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let store = Store::open(&path).unwrap();
        // One that is configured before it was ever plugged in.
        store.camera_number("test:x", None).await.unwrap();
        store.camera_number("v4l2:b", Some(CameraId(4))).await.unwrap();
        for identity in ["v4l2:a", "v4l2:a", "v4l2:b", "v4l2:a"] {
            store.enter_device(new(identity, "1")).await.unwrap();
        }
        let expected =
            [(1, "v4l2:a"), (2, "v4l2:a~2"), (3, "v4l2:a~3"), (4, "v4l2:b")].map(|(n, i)| (n, i.to_owned()));
        assert_eq!(numbers(&store).await, expected);
        store.pin_device(CameraId(2), true).await.unwrap();
        store.name_device(CameraId(2), Some("Door".into())).await.unwrap();
        assert!(!store.pin_device(CameraId(0), true).await.unwrap());
        let saw = |camera, port: &str| Sighting { camera: CameraId(camera), port: port.into(), at_us: 9 };
        store.saw_devices(vec![saw(2, "5"), saw(77, "6")]).await.unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        let device = store.devices().await.unwrap().remove(1);
        let expected = DeviceRow {
            camera: CameraId(2),
            identity: "v4l2:a~2".into(),
            kind: "usb-0c45:6366".into(),
            serial: None,
            port: "5".into(),
            pinned: true,
            model: "Webcam".into(),
            name: Some("Door".into()),
            first_us: Some(7),
            seen_us: Some(9),
        };
        assert_eq!(device, expected);
        assert_eq!(store.camera_number("v4l2:a~2", None).await.unwrap(), CameraId(2));
    }

    #[tokio::test]
    async fn only_what_has_no_footage_is_forgotten_and_by_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        for identity in ["v4l2:a", "v4l2:b"] {
            store.enter_device(new(identity, "1")).await.unwrap();
        }
        store.camera_number("rtsp:gate", None).await.unwrap();
        let still =
            "INSERT INTO snapshots (name, camera, created_us, size, frame_age_ms) VALUES ('s', 0, 1, 1, 1)";
        store.call(move |c| Ok(c.execute(still, [])?)).await.unwrap();
        assert!(!store.forget_camera(CameraId(1)).await.unwrap(), "a device keeps its number");
        assert!(!store.forget_device(CameraId(0)).await.unwrap());
        assert!(!store.forget_device(CameraId(2)).await.unwrap(), "a camera that is no device");
        assert!(store.forget_device(CameraId(1)).await.unwrap());
        assert_eq!(numbers(&store).await, [(0, "v4l2:a".to_owned())]);
        assert_eq!(store.enter_device(new("v4l2:b", "1")).await.unwrap().camera, CameraId(1));
    }

    #[tokio::test]
    async fn what_makes_a_device_the_same_outlives_the_database() {
        let data = tempfile::tempdir().unwrap();
        let places = || StorePlaces::below(data.path());
        let (store, _) = Store::open_at(places()).unwrap();
        for port in ["1", "2"] {
            store.enter_device(new("v4l2:a", port)).await.unwrap();
        }
        // They swap ports: without this record the second would be taken for the first.
        let saw = |n, port: &str| Sighting { camera: CameraId(n), port: port.into(), at_us: 9 };
        store.saw_devices(vec![saw(0, "2"), saw(1, "1")]).await.unwrap();
        store.pin_device(CameraId(1), true).await.unwrap();
        let before = store.devices().await.unwrap();
        drop(store);
        for name in ["fieldcam.db", "fieldcam.db-wal", "fieldcam.db-shm"] {
            let _ = std::fs::remove_file(data.path().join(name));
        }
        let (store, _) = Store::open_at(places()).unwrap();
        let mut after = store.devices().await.unwrap();
        assert!(after.iter().all(|d| d.first_us.is_none() && d.seen_us.is_none()));
        for (after, before) in after.iter_mut().zip(&before) {
            (after.first_us, after.seen_us) = (before.first_us, before.seen_us);
        }
        assert_eq!(after, before);
        assert_eq!(store.enter_device(new("v4l2:a", "3")).await.unwrap().camera, CameraId(2));
    }

    #[tokio::test]
    async fn a_card_of_an_earlier_version_still_keeps_the_numbers() {
        let data = tempfile::tempdir().unwrap();
        let card = r#"{"fieldcam": 1, "cameras": [{"id": "camera0", "identity": "v4l2:a"},
            {"id": "camera3", "identity": "v4l2:b", "device": {"kind": "k"}}]}"#;
        std::fs::write(data.path().join("cameras.json"), card).unwrap();
        let (store, _) = Store::open_at(StorePlaces::below(data.path())).unwrap();
        for (identity, number) in [("v4l2:c", 1), ("v4l2:a", 0), ("v4l2:a", 2)] {
            assert_eq!(store.enter_device(new(identity, "1")).await.unwrap().camera, CameraId(number));
        }
    }
}
