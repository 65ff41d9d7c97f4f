use std::path::Path;

use super::*;
use crate::store::{Opened, Store, StorePlaces};

/// A database of each version that was ever released, but this one.
const EARLIER: [&str; VERSION as usize - 1] = [
    include_str!("version_1.sql"),
    include_str!("version_2.sql"),
    include_str!("version_3.sql"),
    include_str!("version_4.sql"),
    include_str!("version_5.sql"),
    include_str!("version_6.sql"),
    include_str!("version_7.sql"),
];

fn write(data: &Path, dump: &str) {
    let conn = Connection::open(data.join("fieldcam.db")).unwrap();
    conn.execute_batch(dump).unwrap();
    conn.pragma_update(None, "journal_mode", "WAL").unwrap();
    conn.close().unwrap();
}

/// Every row of these columns as text, in the order of the text.
fn texts(conn: &Connection, table: &str, columns: &str) -> Vec<String> {
    let quoted = columns.split(", ").map(|c| format!("quote({c})")).collect::<Vec<_>>().join(" || ' ' || ");
    let mut statement = conn.prepare(&format!("SELECT {quoted} FROM {table} ORDER BY 1")).unwrap();
    statement.query_map([], |r| r.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

/// Everything that is in a database but its schema, by the columns that `columns_of` has.
fn contents(conn: &Connection, columns_of: &Connection) -> BTreeMap<String, Vec<String>> {
    let names = |sql: &str| -> Vec<String> {
        let mut statement = columns_of.prepare(sql).unwrap();
        statement.query_map([], |r| r.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    };
    let tables = names("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    let columns = |table: &str| names(&format!("SELECT name FROM pragma_table_info('{table}')")).join(", ");
    tables.into_iter().map(|table| (table.clone(), texts(conn, &table, &columns(&table)))).collect()
}

#[test]
fn migrating_twice_changes_nothing() {
    let mut conn = Connection::open_in_memory().unwrap();
    migrate(&mut conn).unwrap();
    migrate(&mut conn).unwrap();
    assert_eq!(version(&conn).unwrap(), VERSION);
    assert_eq!(missing(&conn).unwrap(), None);
    conn.execute_batch("DROP INDEX recordings_wanted").unwrap();
    assert_eq!(missing(&conn).unwrap().as_deref(), Some("recordings_wanted"));
}

#[tokio::test]
async fn a_database_of_every_earlier_version_keeps_all_its_rows_and_is_copied_before() {
    for (dump, version) in EARLIER.iter().zip(1..) {
        let former = Connection::open_in_memory().unwrap();
        former.execute_batch(dump).unwrap();
        assert_eq!(super::version(&former).unwrap(), version);
        let before = contents(&former, &former);
        assert!(before.values().all(|rows| !rows.is_empty()), "version {version} has an empty table");

        let data = tempfile::tempdir().unwrap();
        write(data.path(), dump);
        let (store, opened) = Store::open_at(StorePlaces::below(data.path())).unwrap();
        assert_eq!(opened, Opened::Sound, "version {version}");
        let now = Connection::open(data.path().join("fieldcam.db")).unwrap();
        assert_eq!(super::version(&now).unwrap(), VERSION);
        assert_eq!(missing(&now).unwrap(), None, "version {version} becomes the schema of today");
        assert_eq!(contents(&now, &former), before, "version {version}");
        let (recordings, total) = store.recordings(10, 0).await.unwrap();
        assert_eq!((recordings.len(), total), (2, 2));
        assert!(recordings.iter().any(|r| r.wanted), "an intent outlives the update");

        let copy = data.path().join(format!("backup/fieldcam_000001_v{version}.db"));
        let copy = Connection::open(copy).unwrap();
        assert_eq!(super::version(&copy).unwrap(), version);
        assert_eq!(contents(&copy, &former), before, "the copy of version {version}");
    }
}

#[tokio::test]
async fn a_migration_that_fails_half_way_changes_nothing_of_what_is_kept_aside() {
    let data = tempfile::tempdir().unwrap();
    // The step from 1 to 2 works, the one to 3 finds its column there.
    let mut dump = EARLIER[0].to_owned();
    dump.push_str("ALTER TABLE segments ADD COLUMN lost INTEGER NOT NULL DEFAULT 7;\n");
    write(data.path(), &dump);
    let (store, opened) = Store::open_at(StorePlaces::below(data.path())).unwrap();
    // Its copy was made just before and fails alike, so an empty one is next.
    let Opened::Rebuilt { why, copy: None } = opened else { panic!("{opened:?}") };
    assert!(why.contains("from schema 1"), "{why}");
    assert_eq!(store.recordings(10, 0).await.unwrap().1, 0);
    let kept = std::fs::read_dir(data.path().join("quarantine")).unwrap().flatten().map(|f| f.path());
    let former: Vec<_> = kept.filter(|p| p.extension().is_some_and(|e| e == "db")).collect();
    assert!(!former.is_empty());
    for path in former {
        let kept = Connection::open(&path).unwrap();
        assert_eq!(super::version(&kept).unwrap(), 1);
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'fragments'";
        assert_eq!(
            kept.query_row(tables, [], |r| r.get::<_, i64>(0)).unwrap(),
            0,
            "the first step is undone"
        );
        assert_eq!(texts(&kept, "recordings", "name").len(), 2);
    }
}
