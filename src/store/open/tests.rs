use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::base::{CameraId, Mono, RecordingName};
use crate::store::{RecordingRow, Store};

fn places(data: &Path) -> StorePlaces {
    StorePlaces::below(data)
}

fn row(n: u32) -> RecordingRow {
    let name: RecordingName = format!("camera0_{n:04}").parse().unwrap();
    RecordingRow {
        id: 0,
        name,
        camera: CameraId(0),
        identity: "test:a".into(),
        camera_name: "Door".into(),
        format: "mp4".into(),
        requested_us: i64::from(n),
        start_us: i64::from(n),
        limit_ms: None,
        until_us: None,
        wanted: false,
        end_us: Some(5),
        duration_ms: 1,
        size: 1,
        codec: Some("h264".into()),
        width: 1,
        height: 1,
        stsd: None,
        ended: Some("stopped".into()),
        continues: None,
        protected: false,
    }
}

fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// A box with this many recordings, and a copy of the first `copied` of them.
fn data(recordings: u32, copied: Option<u32>) -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let (store, opened) = Store::open_at(places(data.path())).unwrap();
    assert_eq!(opened, Opened::New);
    block(async {
        store.camera_number("test:a", None).await.unwrap();
        for n in 0..recordings {
            if copied == Some(n) {
                store.copy_now().unwrap();
            }
            store.add_recording(row(n)).await.unwrap();
        }
        if copied == Some(recordings) {
            store.copy_now().unwrap();
        }
    });
    close(data.path(), store);
    data
}

/// Drops it and waits until its threads have closed the file.
fn close(data: &Path, store: Store) {
    drop(store);
    let deadline = Mono::now() + Duration::from_secs(30);
    let open = || {
        let files = fs::read_dir("/proc/self/fd").unwrap().flatten();
        files.filter_map(|f| fs::read_link(f.path()).ok()).any(|f| f.starts_with(data))
    };
    while open() {
        assert!(Mono::now() < deadline, "the database is still open");
        std::thread::yield_now();
    }
}

/// The database with everything in one file.
fn settled(data: &Path) -> PathBuf {
    let path = data.join("fieldcam.db");
    let conn = Connection::open(&path).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    path
}

/// Opens it; it works as a database has to, whatever it was. Answers with its recordings.
#[track_caller]
fn works(data: &Path) -> (Opened, u64, bool) {
    let (store, opened) = Store::open_at(places(data)).unwrap();
    let out = block(async {
        let (rows, total) = store.recordings(1000, 0).await.unwrap();
        assert_eq!(rows.len() as u64, total);
        store.wanted_recordings().await.unwrap();
        store.snapshots(1000, 0).await.unwrap();
        for row in &rows {
            store.segments(row.id).await.unwrap();
        }
        // Numbers are given for ever.
        assert_eq!(store.camera_number("test:a", None).await.unwrap(), CameraId(0));
        assert_eq!(store.camera_number("test:b", None).await.unwrap(), CameraId(1));
        assert!(store.add_recording(row(9999)).await.unwrap().is_some());
        store.remove_recording(&row(9999).name).await.unwrap();
        (opened, total, store.merging().await.unwrap())
    });
    close(data, store);
    out
}

#[track_caller]
fn rebuilt(opened: &Opened) -> (&str, Option<u32>) {
    match opened {
        Opened::Rebuilt { why, copy } => (why, *copy),
        other => panic!("{other:?}"),
    }
}

fn quarantined(data: &Path) -> Vec<String> {
    let entries = fs::read_dir(data.join("quarantine")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn garbage_is_kept_and_the_newest_copy_taken() {
    let data = data(5, Some(3));
    let path = settled(data.path());
    fs::write(&path, vec![b'x'; 8192]).unwrap();
    let (opened, total, merging) = works(data.path());
    assert_eq!(rebuilt(&opened).1, Some(1));
    assert_eq!((total, merging), (3, true));
    assert_eq!(quarantined(data.path())[..2], ["fieldcam.db", "fieldcam.db.reason.txt"]);
    assert_eq!(fs::read(data.path().join("quarantine/fieldcam.db")).unwrap(), vec![b'x'; 8192]);
    // The next start finds it sound, and still waiting for what is missing.
    assert_eq!(works(data.path()), (Opened::Sound, 3, true));
}

#[test]
fn without_a_copy_an_empty_one_is_made_and_cameras_keep_their_numbers() {
    let data = data(5, None);
    fs::write(settled(data.path()), vec![b'x'; 8192]).unwrap();
    let (opened, total, _) = works(data.path());
    assert_eq!((rebuilt(&opened).1, total), (None, 0));
}

#[test]
fn whatever_stands_in_its_place_is_kept() {
    type Put = fn(&Path);
    let cases: [(&str, Put); 5] = [
        ("empty", |p| fs::write(p, "").unwrap()),
        ("folder", |p| fs::create_dir_all(p.join("inner")).unwrap()),
        ("a link", |p| std::os::unix::fs::symlink("nowhere", p).unwrap()),
        ("no file", |p| drop(std::os::unix::net::UnixListener::bind(p).unwrap())),
        ("gone", |_| {}),
    ];
    for (word, put) in cases {
        let data = data(2, Some(2));
        let path = settled(data.path());
        fs::remove_file(&path).unwrap();
        put(&path);
        let (opened, total, _) = works(data.path());
        let (why, copy) = rebuilt(&opened);
        assert!(why.contains(word), "{word}: {why}");
        assert_eq!((copy, total), (Some(1), 2), "{word}");
    }
}

#[test]
fn a_copy_that_is_damaged_too_gives_way_to_the_one_before() {
    let data = data(2, Some(1));
    let (store, _) = Store::open_at(places(data.path())).unwrap();
    store.copy_now().unwrap();
    close(data.path(), store);
    let copies = copies::list(&places(data.path()));
    assert_eq!(copies.len(), 2);
    fs::write(data.path().join("backup").join(copies[0].file()), "rubbish").unwrap();
    fs::write(settled(data.path()), "rubbish").unwrap();
    let (opened, total, _) = works(data.path());
    assert_eq!((rebuilt(&opened).1, total), (Some(1), 1));
}

#[test]
fn a_newer_database_is_kept_and_the_copy_from_before_it_taken() {
    let data = data(3, Some(2));
    let path = settled(data.path());
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", schema::VERSION + 1).unwrap();
    drop(conn);
    // A copy that the newer version made is of no use either, and stays.
    let newer = copies::Generation { number: 9, version: schema::VERSION + 1 };
    fs::copy(&path, data.path().join("backup").join(newer.file())).unwrap();
    let (opened, total, _) = works(data.path());
    let (why, copy) = rebuilt(&opened);
    assert!(why.contains("newer version"), "{why}");
    assert_eq!((copy, total), (Some(1), 2));
    assert!(data.path().join("backup").join(newer.file()).exists());
    let reason = fs::read_to_string(data.path().join("quarantine/fieldcam.db.reason.txt")).unwrap();
    assert!(reason.contains("move this file back"), "{reason}");
}

#[test]
fn a_log_that_was_cut_off_or_is_of_another_database_does_no_harm() {
    for cut in [0u64, 1, 40, 5000] {
        let data = data(4, Some(2));
        let path = data.path().join("fieldcam.db");
        let wal = path.with_extension("db-wal");
        if let Ok(file) = fs::File::options().write(true).open(&wal) {
            file.set_len(cut).unwrap();
        }
        let _ = fs::remove_file(path.with_extension("db-shm"));
        works(data.path());
    }
    let data = data(4, Some(4));
    let path = settled(data.path());
    fs::write(path.with_extension("db-wal"), vec![7; 9000]).unwrap();
    fs::write(path.with_extension("db-shm"), vec![7; 100]).unwrap();
    assert_eq!(works(data.path()).1, 4);
}

#[test]
fn a_file_that_may_not_be_written_is_made_writable() {
    use std::os::unix::fs::PermissionsExt;
    let data = data(3, None);
    let path = settled(data.path());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(works(data.path()), (Opened::Sound, 3, false));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn flipped_bytes_anywhere_leave_a_database_that_works(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..40),
        copied in any::<bool>(),
    ) {
        let data = data(30, copied.then_some(30));
        let path = settled(data.path());
        let mut bytes = fs::read(&path).unwrap();
        for (at, by) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= by;
        }
        fs::write(&path, bytes).unwrap();
        let (opened, total, _) = works(data.path());
        prop_assert!(total <= 30);
        if copied && matches!(opened, Opened::Rebuilt { .. }) {
            prop_assert_eq!(total, 30);
        }
    }
}
