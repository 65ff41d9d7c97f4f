//! Which identity is which camera number: given once, never reused where anything was ever kept under it.

use rusqlite::{Connection, OptionalExtension, Row, params};

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

impl CameraRow {
    /// Whether only its number is known.
    pub fn is_unknown(&self) -> bool {
        self.identity.is_empty() || self.identity.starts_with(UNKNOWN)
    }

    pub(super) const SELECT: &str = "SELECT number, identity, name, strip_audio FROM cameras ORDER BY number";

    pub(super) fn read(r: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { id: CameraId(r.get(0)?), identity: r.get(1)?, name: r.get(2)?, strip_audio: r.get(3)? })
    }
}

/// Identities of cameras of which only the number is known begin like this.
const UNKNOWN: &str = "unknown:";

/// Enters those whose number and identity are both free; answers with how many.
pub(super) fn enter(c: &Connection, cameras: &[CameraRow]) -> rusqlite::Result<usize> {
    let sql = "INSERT OR IGNORE INTO cameras (number, identity, name, strip_audio) VALUES (?1, ?2, ?3, ?4)";
    let mut statement = c.prepare_cached(sql)?;
    let mut entered = 0;
    for camera in cameras {
        let identity = match camera.identity.as_str() {
            "" => format!("{UNKNOWN}{}", camera.id),
            known => known.to_owned(),
        };
        entered += statement.execute(params![camera.id.0, identity, camera.name, camera.strip_audio])?;
    }
    Ok(entered)
}

/// The lowest number never given.
pub(super) fn lowest_free(c: &Connection) -> rusqlite::Result<u32> {
    let sql = "SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM cameras WHERE number = 0) THEN 0
               ELSE (SELECT min(number) + 1 FROM cameras AS a
                     WHERE NOT EXISTS (SELECT 1 FROM cameras WHERE number = a.number + 1)) END";
    c.query_row(sql, [], |r| r.get(0))
}

impl Store {
    /// The number of the camera with this identity. A new identity gets `wanted`, or without it the
    /// lowest number never given; a wanted number that belongs to another identity is refused.
    pub async fn camera_number(&self, identity: &str, wanted: Option<CameraId>) -> Result<CameraId> {
        let identity = identity.to_owned();
        let card = self.camera_card();
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
                    match owner {
                        Some(owner) if !owner.starts_with(UNKNOWN) => {
                            return Err(taken(wanted, "another camera"));
                        }
                        Some(_) => c.execute("DELETE FROM cameras WHERE number = ?1", [wanted.0])?,
                        None => 0,
                    };
                    wanted.0
                }
                None => lowest_free(c)?,
            };
            c.execute("INSERT INTO cameras (number, identity) VALUES (?1, ?2)", params![number, identity])?;
            card.write(c);
            Ok(CameraId(number))
        })
        .await
    }

    /// Enters cameras that another record knows. Numbers and identities that are there already stay
    /// as they are. One whose identity nobody knows any more keeps its number from being given again.
    pub async fn restore_cameras(&self, cameras: Vec<CameraRow>) -> Result<()> {
        let card = self.camera_card();
        self.call(move |c| {
            if enter(c, &cameras)? > 0 {
                card.write(c);
            }
            Ok(())
        })
        .await
    }

    /// Forgets a camera of which no recording and no still is kept, and which is no device
    /// ([`Store::forget_device`]): its number is free again. Answers whether it was.
    pub async fn forget_camera(&self, id: CameraId) -> Result<bool> {
        let card = self.camera_card();
        self.call(move |c| {
            let sql = "DELETE FROM cameras WHERE number = ?1
                       AND NOT EXISTS (SELECT 1 FROM recordings WHERE camera = ?1)
                       AND NOT EXISTS (SELECT 1 FROM snapshots WHERE camera = ?1)
                       AND NOT EXISTS (SELECT 1 FROM devices WHERE camera = ?1)";
            let forgotten = c.execute(sql, [id.0])? > 0;
            card.write(c);
            Ok(forgotten)
        })
        .await
    }

    /// Every camera ever seen, by number.
    pub async fn cameras(&self) -> Result<Vec<CameraRow>> {
        self.read(|c| rows(c, CameraRow::SELECT, [], CameraRow::read)).await
    }

    /// Remembers the camera's name, for when it is gone.
    pub async fn set_camera_name(&self, id: CameraId, name: &str) -> Result<()> {
        let name = name.to_owned();
        let card = self.camera_card();
        self.call(move |c| {
            c.execute("UPDATE cameras SET name = ?2 WHERE number = ?1", params![id.0, name])?;
            card.write(c);
            Ok(())
        })
        .await
    }

    /// Remembers that only the camera's video is to be taken.
    pub async fn set_strip_audio(&self, id: CameraId, strip: bool) -> Result<()> {
        let card = self.camera_card();
        self.call(move |c| {
            c.execute("UPDATE cameras SET strip_audio = ?2 WHERE number = ?1", params![id.0, strip])?;
            card.write(c);
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
        let known = [(1, "x"), (9, "a"), (7, "")].map(|(n, identity)| CameraRow {
            id: CameraId(n),
            identity: identity.into(),
            name: String::new(),
            strip_audio: false,
        });
        store.restore_cameras(known.into()).await.unwrap();
        assert_eq!(store.camera_number("f", None).await.unwrap(), CameraId(4));
        assert_eq!(store.camera_number("g", Some(CameraId(7))).await.unwrap(), CameraId(7));
        let rows = store.cameras().await.unwrap();
        assert_eq!(rows.len(), 6);
        assert!(rows[2].strip_audio && !rows[1].strip_audio);
    }
    #[tokio::test]
    async fn what_has_footage_is_not_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        for identity in ["a", "b"] {
            store.camera_number(identity, None).await.unwrap();
        }
        let still =
            "INSERT INTO snapshots (name, camera, created_us, size, frame_age_ms) VALUES ('s', 0, 1, 1, 1)";
        store.call(move |c| Ok(c.execute(still, [])?)).await.unwrap();
        assert!(!store.forget_camera(CameraId(0)).await.unwrap());
        assert!(store.forget_camera(CameraId(1)).await.unwrap());
        assert!(!store.forget_camera(CameraId(1)).await.unwrap());
        assert_eq!(store.camera_number("c", None).await.unwrap(), CameraId(1));
        assert_eq!(store.camera_number("a", None).await.unwrap(), CameraId(0));
    }
}
