//! Network streams that were added over the API.

use rusqlite::params;

use super::Store;
use super::connection::rows;
use crate::base::{Result, Secret};

/// One added stream.
#[derive(Clone, Debug)]
pub struct ExternalRow {
    /// What it is recognised by, as a camera too; holds no credentials.
    pub identity: String,
    /// Its address, with the password if it has one.
    pub url: Secret,
    /// Name for people.
    pub name: String,
    /// What whoever added it says it is, such as `generic_rtsp`.
    pub kind: String,
    /// When it was added, microseconds since 1970.
    pub added_us: i64,
}

impl Store {
    /// Every added stream, by the time it was added.
    pub async fn external_streams(&self) -> Result<Vec<ExternalRow>> {
        self.read(|c| {
            let sql = "SELECT identity, url, name, kind, added_us FROM external_streams ORDER BY added_us, identity";
            rows(c, sql, [], |r| {
                Ok(ExternalRow {
                    identity: r.get(0)?,
                    url: Secret::new(r.get::<_, String>(1)?),
                    name: r.get(2)?,
                    kind: r.get(3)?,
                    added_us: r.get(4)?,
                })
            })
        })
        .await
    }

    /// Keeps a stream; one of the same identity is replaced.
    pub async fn add_external_stream(&self, row: ExternalRow) -> Result<()> {
        self.call(move |c| {
            let sql = "INSERT OR REPLACE INTO external_streams (identity, url, name, kind, added_us)
                       VALUES (?1, ?2, ?3, ?4, ?5)";
            let ExternalRow { identity, url, name, kind, added_us } = &row;
            c.prepare_cached(sql)?.execute(params![identity, url.expose(), name, kind, added_us])?;
            Ok(())
        })
        .await
    }

    /// Gives a stream up; answers whether it was there.
    pub async fn remove_external_stream(&self, identity: &str) -> Result<bool> {
        let identity = identity.to_owned();
        self.call(move |c| Ok(c.execute("DELETE FROM external_streams WHERE identity = ?1", [identity])? > 0))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn streams_outlive_the_program_and_show_no_password() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let row = |n: i64| ExternalRow {
            identity: format!("rtsp://gate:554/{n}"),
            url: Secret::new(format!("rtsp://u:hunter22@gate/{n}")),
            name: format!("Gate {n}"),
            kind: "generic_rtsp".into(),
            added_us: -n,
        };
        let store = Store::open(&path).unwrap();
        for n in 0..3 {
            store.add_external_stream(row(n)).await.unwrap();
        }
        store.add_external_stream(ExternalRow { name: "New".into(), ..row(1) }).await.unwrap();
        assert!(store.remove_external_stream("rtsp://gate:554/0").await.unwrap());
        assert!(!store.remove_external_stream("rtsp://gate:554/0").await.unwrap());
        drop(store);
        let all = Store::open(&path).unwrap().external_streams().await.unwrap();
        assert_eq!(all.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["Gate 2", "New"]);
        assert_eq!(all[1].url.expose(), "rtsp://u:hunter22@gate/1");
        assert!(!format!("{all:?}").contains("hunter22"));
    }
}
