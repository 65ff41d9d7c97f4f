//! Which identity is which camera number: given once, never reused.

use rusqlite::{OptionalExtension, params};

use super::Store;
use super::connection::rows;
use crate::base::{CameraId, Error, ErrorKind, Result};

/// A camera ever seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraRow {
    /// Its id for ever.
    pub id: CameraId,
    /// What it is recognised by.
    pub identity: String,
    /// Its last known name.
    pub name: String,
    /// It sends sound that it should not; only its video is taken.
    pub strip_audio: bool,
}

impl Store {
    /// The number of the camera with this identity. A new identity gets `wanted`, or without it the
    /// lowest number never given; a wanted number that belongs to another identity is refused.
    pub async fn camera_number(&self, identity: &str, wanted: Option<CameraId>) -> Result<CameraId> {
        let identity = identity.to_owned();
        self.call(move |c| {
            let known: Option<u32> = c
                .query_row("SELECT number FROM cameras WHERE identity = ?1", [&identity], |r| r.get(0))
                .optional()?;
            match (known, wanted) {
                (Some(number), None) => return Ok(CameraId(number)),
                (Some(number), Some(wanted)) if number == wanted.0 => return Ok(wanted),
                (Some(number), Some(wanted)) => return Err(taken(wanted, &CameraId(number).to_string())),
                (None, _) => {}
            }
            let number = match wanted {
                Some(wanted) => {
                    let owner: Option<String> = c
                        .query_row("SELECT identity FROM cameras WHERE number = ?1", [wanted.0], |r| r.get(0))
                        .optional()?;
                    if owner.is_some() {
                        return Err(taken(wanted, "another camera"));
                    }
                    wanted.0
                }
                None => c.query_row(
                    "SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM cameras WHERE number = 0) THEN 0
                     ELSE (SELECT min(number) + 1 FROM cameras AS a
                           WHERE NOT EXISTS (SELECT 1 FROM cameras WHERE number = a.number + 1)) END",
                    [],
                    |r| r.get(0),
                )?,
            };
            c.execute("INSERT INTO cameras (number, identity) VALUES (?1, ?2)", params![number, identity])?;
            Ok(CameraId(number))
        })
        .await
    }

    /// Every camera ever seen, by number.
    pub async fn cameras(&self) -> Result<Vec<CameraRow>> {
        self.read(|c| {
            let sql = "SELECT number, identity, name, strip_audio FROM cameras ORDER BY number";
            rows(c, sql, [], |r| {
                Ok(CameraRow {
                    id: CameraId(r.get(0)?),
                    identity: r.get(1)?,
                    name: r.get(2)?,
                    strip_audio: r.get(3)?,
                })
            })
        })
        .await
    }

    /// Remembers the camera's name, for when it is gone.
    pub async fn set_camera_name(&self, id: CameraId, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.call(move |c| {
            c.execute("UPDATE cameras SET name = ?2 WHERE number = ?1", params![id.0, name])?;
            Ok(())
        })
        .await
    }

    /// Remembers that only the camera's video is to be taken.
    pub async fn set_strip_audio(&self, id: CameraId, strip: bool) -> Result<()> {
        self.call(move |c| {
            c.execute("UPDATE cameras SET strip_audio = ?2 WHERE number = ?1", params![id.0, strip])?;
            Ok(())
        })
        .await
    }
}

fn taken(wanted: CameraId, by: &str) -> Error {
    let text = format!("camera id {wanted} cannot be given: the id or the source already belongs to {by}");
    Error::new(ErrorKind::Config, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn numbers_are_stable_and_never_given_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let store = Store::open(&path).unwrap();
        assert_eq!(store.camera_number("a", None).await.unwrap(), CameraId(0));
        assert_eq!(store.camera_number("c", Some(CameraId(2))).await.unwrap(), CameraId(2));
        assert_eq!(store.camera_number("b", None).await.unwrap(), CameraId(1));
        assert_eq!(store.camera_number("d", None).await.unwrap(), CameraId(3));
        assert!(store.camera_number("e", Some(CameraId(2))).await.is_err());
        assert!(store.camera_number("a", Some(CameraId(7))).await.is_err());
        store.set_strip_audio(CameraId(2), true).await.unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.camera_number("c", None).await.unwrap(), CameraId(2));
        let rows = store.cameras().await.unwrap();
        assert_eq!(rows.len(), 4);
        assert!(rows[2].strip_audio && !rows[1].strip_audio);
    }
}
