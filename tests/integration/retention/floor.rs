//! A disk that fills up: the oldest footage goes so that recording goes on.

use std::io::Read;

use serde_json::json;

use super::{numbers, storage};
use crate::common::loopdisk::{self, Disk};
use crate::common::recording::Recording;
use crate::common::{Setup, http, turn, wait_for};

#[test]
fn the_floor_frees_room_for_a_running_recording_and_ends_a_download_for_it() {
    let _turn = turn::take();
    if let Err(why) = loopdisk::available() {
        return eprintln!("left out: {why}");
    }
    let disk = Disk::create(128).unwrap();
    let data = disk.path().join("data");
    let testbox = Setup::new()
        .cameras(2)
        .env("CAMERAS__RESOLUTION", "1280x720")
        .env("RECORDING__SEGMENT_DURATION", "1s")
        .env("STORAGE__WARN_PERCENT", "40")
        .env("STORAGE__RETENTION_FLOOR_PERCENT", "50")
        .data_dir(&data)
        .start();
    let mut old = Recording::start(&testbox, "camera0", 0);
    // More than the sockets between both ends take.
    wait_for("6 MB are recorded", || (old.info()["file_size"].as_u64() > Some(6_000_000)).then_some(()));
    old.stop();
    let info = old.info();
    let size = info["file_size"].as_u64().unwrap();
    let mut download = http::open(info["download_url"].as_str().unwrap());
    let mut running = Recording::start(&testbox, "camera1", 0);
    running.wait_seconds(3);
    let mut client = testbox.login("admin");
    assert_eq!(numbers(&old.info()), numbers(&info), "nothing goes below the mark");
    // Somebody else takes the room: up to 4 MB more than there may be.
    let now = storage(&mut client);
    let field = |name: &str| now[name].as_u64().unwrap();
    let all = field("used_space") + field("available_space");
    let fill = all / 2 - field("used_space") + 4_000_000;
    let other = disk.path().join("other");
    std::fs::write(&other, vec![1; fill as usize]).unwrap();
    let gone = json!({ "filename": old.name });
    wait_for("the oldest goes, download or not", || match client.call("get_recording_info", gone.clone()) {
        Ok(info) => (numbers(&info)[0] > 1).then_some(()),
        Err(_) => Some(()),
    });
    // Segments go one after the other, those first that the download is done with: whoever reads on before
    // it is cut off may still get the others.
    testbox.wait_log("a download of it is cut off");
    let mut rest = Vec::new();
    // It ends before its end; how the connection ends is the kernel's choice.
    let _ = download.read_to_end(&mut rest);
    assert!((rest.len() as u64) < size, "the download got all of {size} bytes");
    wait_for("the disk is below the mark again", || {
        (storage(&mut client)["usage_percentage"].as_f64().unwrap() <= 50.5).then_some(())
    });
    running.wait_more(2);
    assert_eq!(running.info()["state"], "RECORDING");
    running.stop();
}
