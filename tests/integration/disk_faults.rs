//! The data disk fills up, fails or is another one while the box records: the recording stops or pauses
//! with the reason, everything else lives, and what is still wanted goes on by itself.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::common::ffmpeg::run;
use crate::common::footage::{Footage, now_ms};
use crate::common::loopdisk::Disk;
use crate::common::recording::Recording;
use crate::common::{Setup, TestBox, http, turn, wait_for};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;
use serde_json::{Value, json};

fn setup(data: &Path) -> Setup {
    Setup::new()
        .cameras(1)
        .env("CAMERAS__RESOLUTION", "320x180")
        .env("CAMERAS__FPS", "15")
        .env("RECORDING__SEGMENT_DURATION", "1s")
        .data_dir(data)
}

/// A box that keeps its data there and has recorded three seconds.
fn recording_box(data: &Path) -> (TestBox, Recording) {
    let testbox = setup(data).start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(3);
    (testbox, recording)
}

/// What `/health/detailed` says of the disk.
fn storage(testbox: &TestBox) -> Value {
    let all = http::get(&format!("{}/health/detailed", testbox.endpoints().url("health")), &[]).json();
    all["components"].as_array().unwrap().iter().find(|c| c["name"] == "storage").unwrap().clone()
}

/// Everything but the disk works.
#[track_caller]
fn lives(testbox: &TestBox, recording: &mut Recording) {
    recording.client.assert_alive();
    assert_eq!(recording.client.ok("get_camera_list", Value::Null)["total"], 1);
    let component = storage(testbox);
    assert_eq!((&component["state"], &component["status"]), (&json!("ERROR"), &json!("unhealthy")));
    println!("  {}", component["message"]);
}

/// It goes on by itself; answers with the cause of the gap.
#[track_caller]
fn goes_on(testbox: &TestBox, mut recording: Recording, at: u64) -> String {
    testbox.wait_log("the disk is back: the recording goes on");
    recording.wait_more(3);
    let film = recording.stop();
    let hole = film.hole(at);
    let gap = recording.gap_of(&hole);
    println!("  lost {:.2} s, gap {gap:?}", hole.lost);
    assert!(hole.lost <= 2.0, "{hole:?}");
    gap.cause
}

#[test]
fn a_disk_that_fills_up_ends_the_recording_with_its_last_rows_written() {
    let _turn = turn::take();
    let disk = match Disk::create(96) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("left out: {why}"),
    };
    let (_testbox, mut recording) = recording_box(disk.path());
    let ballast = disk.path().join("ballast");
    let free = statvfs(disk.path()).unwrap();
    let bytes = free.blocks_available() * free.fragment_size();
    let mut file = File::create(&ballast).unwrap();
    fallocate(&file, FallocateFlags::empty(), 0, bytes as i64 - (1 << 20)).unwrap();
    // To the last block.
    file.seek(SeekFrom::End(0)).unwrap();
    assert!(std::io::copy(&mut std::io::repeat(1), &mut file).is_err());
    drop(file);
    let info = wait_for("it is ended", || {
        let info = recording.info();
        info["reason"].is_string().then_some(info)
    });
    assert_eq!(info["reason"], "storage_full", "{info}");
    let seconds = Footage::read(&recording.folder).pictures().len() as f64 / 15.0;
    println!("{seconds:.2} s recorded: {info}");
    // What the API gives as 3 s is 2.5 s at least.
    assert!(seconds >= 2.5);
    let listed = info["segments"].as_array().unwrap().iter().filter_map(|s| s["file_size"].as_u64());
    assert_eq!(listed.sum::<u64>(), crate::common::footage::bytes(&recording.folder), "{info}");
    let card = fs::read_to_string(recording.folder.join("recording.json")).unwrap();
    assert!(card.contains("storage_full"), "{card}");
    let error = recording.client.refused("start_recording", json!({ "device": "camera0" }));
    assert_eq!((error.code, &error.data["reason"]), (-32050, &json!("storage_full")), "{error:?}");
    recording.client.assert_alive();
    fs::remove_file(ballast).unwrap();
    wait_for("there is room again", || {
        recording.client.call("start_recording", json!({ "device": "camera0" })).ok()
    });
}

#[test]
fn a_box_starts_on_a_disk_that_is_full_and_has_its_footage() {
    let _turn = turn::take();
    let disk = match Disk::create(96) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("left out: {why}"),
    };
    let (testbox, mut recording) = recording_box(disk.path());
    let name = recording.name.clone();
    recording.stop();
    drop(testbox);
    assert!(disk.path().join("reserve").exists());
    // What a box leaves behind that lost its power, and not a block more.
    let mut file = File::create(disk.path().join("ballast")).unwrap();
    assert!(std::io::copy(&mut std::io::repeat(1), &mut file).is_err());
    file.sync_all().unwrap();
    assert!(statvfs(disk.path()).unwrap().blocks_available() < 16);

    let testbox = setup(disk.path()).start();
    let component = storage(&testbox);
    assert_eq!(component["status"], "unhealthy", "{component}");
    let mut client = testbox.login("operator");
    let refused = client.refused("start_recording", json!({ "device": "camera0" }));
    assert_eq!(refused.data["reason"], "storage_full", "{refused:?}");
    let list = client.ok("list_recordings", Value::Null);
    assert_eq!(list["files"][0]["filename"], name.as_str(), "{list}");
    testbox.wait_log("the reserve is given up");
}

#[test]
fn a_disk_without_room_for_another_file_pauses_the_recording() {
    let _turn = turn::take();
    let disk = match Disk::create(32) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("left out: {why}"),
    };
    let (testbox, mut recording) = recording_box(disk.path());
    let at = now_ms();
    let many = disk.path().join("many");
    fs::create_dir(&many).unwrap();
    let made = (0..).take_while(|n| File::create(many.join(n.to_string())).is_ok()).count();
    println!("{made} files more and none fits");
    testbox.wait_log("recording.error: the data disk is full");
    lives(&testbox, &mut recording);
    fs::remove_dir_all(&many).unwrap();
    assert_eq!(goes_on(&testbox, recording, at), "disk_full");
}

#[test]
fn a_disk_that_turns_read_only_pauses_the_recording_until_it_is_repaired() {
    let _turn = turn::take();
    let disk = match Disk::create(96) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("left out: {why}"),
    };
    let (testbox, mut recording) = recording_box(disk.path());
    let at = now_ms();
    disk.abort().unwrap();
    testbox.wait_log("recording.error: the data disk");
    lives(&testbox, &mut recording);
    disk.unmount_lazily().unwrap();
    wait_for("the disk is let go", || (!disk.is_in_use()).then_some(()));
    assert_eq!(disk.bare(), Vec::<PathBuf>::new());
    disk.repair();
    disk.mount_again().unwrap();
    let cause = goes_on(&testbox, recording, at);
    // Which of both comes first is the kernel's choice.
    assert!(["disk_read_only", "io_error"].contains(&cause.as_str()), "{cause}");
}

/// A tmpfs of its own; unmounted on drop.
struct SmallMemory(tempfile::TempDir);

impl SmallMemory {
    fn new(mib: u64) -> Result<SmallMemory, String> {
        crate::common::loopdisk::available()?;
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_string_lossy().into_owned();
        let out = run("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs", &at]);
        let words = String::from_utf8_lossy(&out.stderr).into_owned();
        if out.status.success() { Ok(SmallMemory(dir)) } else { Err(words) }
    }
}

impl Drop for SmallMemory {
    fn drop(&mut self) {
        run("umount", &["-l", &self.0.path().to_string_lossy()]);
    }
}

#[test]
fn a_device_that_fails_to_write_pauses_the_recording_until_it_is_repaired() {
    let _turn = turn::take();
    let memory = match SmallMemory::new(48) {
        Ok(memory) => memory,
        Err(why) => return eprintln!("left out: {why}"),
    };
    let disk = Disk::create_on(memory.0.path(), 96).unwrap();
    let (testbox, mut recording) = recording_box(disk.path());
    let at = now_ms();
    // The device has nothing left to write to; the file system knows nothing of that.
    let ballast = memory.0.path().join("ballast");
    let filled = fs::write(&ballast, vec![1; 64 << 20]);
    assert!(filled.is_err());
    testbox.wait_log("recording.error: the data disk");
    lives(&testbox, &mut recording);
    disk.unmount_lazily().unwrap();
    wait_for("the disk is let go", || (!disk.is_in_use()).then_some(()));
    fs::remove_file(&ballast).unwrap();
    disk.repair();
    disk.mount_again().unwrap();
    let cause = goes_on(&testbox, recording, at);
    // A loop device without room behind it says now one, now the other; the kernel hands both on.
    assert!(["disk_read_only", "io_error", "disk_full"].contains(&cause.as_str()), "{cause}");
    drop(testbox);
}

#[test]
fn another_disk_in_the_place_is_refused_and_left_alone() {
    let _turn = turn::take();
    let (disk, other) = match (Disk::create(96), Disk::create(32)) {
        (Ok(disk), Ok(other)) => (disk, other),
        (Err(why), _) | (_, Err(why)) => return eprintln!("left out: {why}"),
    };
    fs::write(other.path().join("disk-id"), "7d1c5a7e-0000-4000-8000-000000000001\n").unwrap();
    fs::create_dir_all(other.path().join("recordings")).unwrap();
    let listing = || {
        let mut names: Vec<_> = fs::read_dir(other.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = listing();
    let (testbox, mut recording) = recording_box(disk.path());
    let at = now_ms();
    disk.unmount_lazily().unwrap();
    disk.mount_instead(&other).unwrap();
    testbox.wait_log("another disk is in the place of the data disk");
    wait_for("the disk is let go", || (!disk.is_in_use()).then_some(()));
    lives(&testbox, &mut recording);
    assert!(storage(&testbox)["message"].as_str().unwrap().contains("start Fieldcam again"));
    let error = recording.client.refused("start_recording", json!({ "device": "camera0" }));
    assert_eq!(error.data["reason"], "disk_foreign", "{error:?}");
    assert_eq!(listing(), before);
    assert_eq!(fs::read_dir(other.path().join("recordings")).unwrap().count(), 0);
    disk.unmount_lazily().unwrap();
    disk.mount_again().unwrap();
    assert_eq!(goes_on(&testbox, recording, at), "disk_gone");
}
