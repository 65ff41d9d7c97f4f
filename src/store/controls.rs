//! What operators set on V4L2 cameras, to be set again whenever one is opened.

use rusqlite::params;

use super::Store;
use super::connection::rows;
use crate::base::{CameraId, Result};

/// One control of a camera as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlRow {
    /// The driver's number of it.
    pub id: u32,
    /// Its name, for a driver that has given it another number since.
    pub name: String,
    /// What it was set to, as JSON.
    pub value: String,
}

impl Store {
    /// What is kept of a camera's controls, by number.
    pub async fn kept_controls(&self, camera: CameraId) -> Result<Vec<ControlRow>> {
        self.read(move |c| {
            let sql = "SELECT id, name, value FROM camera_controls WHERE camera = ?1 ORDER BY id";
            rows(c, sql, [camera.0], |r| Ok(ControlRow { id: r.get(0)?, name: r.get(1)?, value: r.get(2)? }))
        })
        .await
    }

    /// Keeps what a control was set to, instead of what it was set to before.
    pub async fn keep_control(&self, camera: CameraId, row: ControlRow) -> Result<()> {
        self.call(move |c| {
            let sql =
                "INSERT OR REPLACE INTO camera_controls (camera, id, name, value) VALUES (?1, ?2, ?3, ?4)";
            c.prepare_cached(sql)?.execute(params![camera.0, row.id, row.name, row.value])?;
            Ok(())
        })
        .await
    }

    /// Forgets what a control was set to; answers whether that was kept.
    pub async fn forget_control(&self, camera: CameraId, id: u32) -> Result<bool> {
        self.call(move |c| {
            let sql = "DELETE FROM camera_controls WHERE camera = ?1 AND id = ?2";
            Ok(c.execute(sql, params![camera.0, id])? > 0)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::NewDevice;

    #[tokio::test]
    async fn what_was_set_last_is_kept_and_goes_with_its_camera() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        let new = NewDevice {
            identity: "v4l2:a".into(),
            kind: "usb-0c45:6366".into(),
            serial: None,
            port: "1".into(),
            model: "Webcam".into(),
            at_us: 7,
        };
        let camera = store.enter_device(new).await.unwrap().camera;
        let row = |id, value: &str| ControlRow { id, name: format!("c{id}"), value: value.into() };
        for row in [row(9, "1"), row(4, "\"x\""), row(9, "2")] {
            store.keep_control(camera, row).await.unwrap();
        }
        assert_eq!(store.kept_controls(camera).await.unwrap(), [row(4, "\"x\""), row(9, "2")]);
        assert_eq!(store.kept_controls(CameraId(7)).await.unwrap(), []);
        assert!(store.forget_control(camera, 4).await.unwrap());
        assert!(!store.forget_control(camera, 4).await.unwrap());
        assert!(store.forget_device(camera).await.unwrap());
        assert_eq!(store.kept_controls(camera).await.unwrap(), []);
    }
}
