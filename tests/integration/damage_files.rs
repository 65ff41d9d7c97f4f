//! Files of recordings damaged while the box was off, each in another way: afterwards the list tells what
//! is lost, everything else downloads, and nothing that somebody put there is touched.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use crate::common::boxes::data_of;
use crate::common::recording::Recording;
use crate::common::{Client, Setup, TestBox, ffmpeg, footage, http, squares, turn, wait_for};
use serde_json::{Value, json};

/// Of the recorder's kind and of nobody's recording.
const COPIED_IN: &str = "2031-02-03_04-05-06-000000.mp4";

fn setup() -> Setup {
    Setup::new()
        .cameras(2)
        .env("CAMERAS__RESOLUTION", "320x180")
        .env("CAMERAS__FPS", "15")
        .env("RECORDING__SEGMENT_DURATION", "2s")
}

#[track_caller]
fn agree(testbox: &TestBox) {
    wait_for("files and index agree", || {
        let health = http::get(&format!("{}/health/ready", testbox.endpoints().url("health")), &[]);
        (!health.text().contains("checking")).then_some(())
    });
}

fn info(client: &mut Client, name: &str) -> Value {
    client.ok("get_recording_info", json!({ "filename": name }))
}

/// Positions (from 0) of the segments that are told to be lost.
fn lost(info: &Value) -> Vec<usize> {
    let all = info["segments"].as_array().unwrap().iter().enumerate();
    all.filter(|(_, s)| s["lost"] == true).map(|(n, _)| n).collect()
}

fn cut(file: &Path, bytes: u64) {
    let file = File::options().write(true).open(file).unwrap();
    file.set_len(file.metadata().unwrap().len() - bytes).unwrap();
}

/// Downloads what `url` names into a file of its own.
#[track_caller]
fn fetch(testbox: &TestBox, url: &Value, name: &str) -> PathBuf {
    let answer = http::get(url.as_str().unwrap(), &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let file = testbox.scratch().join(name);
    fs::write(&file, answer.body).unwrap();
    file
}

fn pictures(file: &Path) -> Vec<u32> {
    squares::read(&file.to_string_lossy(), 0).into_iter().map(|s| s.frame).collect()
}

#[test]
fn damaged_files_cost_only_what_was_damaged() {
    let _turn = turn::take();
    let mut testbox = setup().start();
    let mut long = Recording::start(&testbox, "camera0", 0);
    let mut short = Recording::start(&testbox, "camera1", 0);
    short.wait_seconds(6);
    short.stop();
    let mut running = Recording::start(&testbox, "camera1", 0);
    wait_for("seven files", || (footage::files(&long.folder).len() >= 7).then_some(()));
    long.wait_more(1);
    let whole = long.stop();
    running.wait_seconds(3);
    let before = [&long.name, &short.name].map(|name| info(&mut long.client, name));
    let total = long.client.ok("list_recordings", json!({}))["total"].clone();
    assert!(whole.segments.len() >= 7, "{} segments", whole.segments.len());
    testbox.kill();

    // A torn end, nothing, no header, gone, a folder, a link to where it is now; the card too.
    let files = footage::files(&long.folder);
    cut(&files[1], 9);
    fs::write(&files[2], "").unwrap();
    let headless = fs::read(&files[3]).unwrap().split_off(200);
    fs::write(&files[3], headless).unwrap();
    fs::remove_file(&files[4]).unwrap();
    let moved = testbox.scratch().join("moved.mp4");
    fs::rename(&files[5], &moved).unwrap();
    symlink(&moved, &files[5]).unwrap();
    fs::remove_file(&files[6]).unwrap();
    fs::create_dir(&files[6]).unwrap();
    fs::write(long.folder.join("recording.json"), "{\"segments\": [").unwrap();
    // What is not the box's, and a file of it that the index does not know.
    fs::write(long.folder.join("notes.txt"), "mine").unwrap();
    fs::write(testbox.data().join("recordings/holiday.mov"), "mine").unwrap();
    let shorts = footage::files(&short.folder);
    fs::copy(&shorts[0], long.folder.join(COPIED_IN)).unwrap();
    // The second fragment's header, in a file that is read again because its end is torn.
    let bytes = fs::read(&shorts[1]).unwrap();
    let fragments = data_of(&bytes);
    assert!(fragments.len() >= 3, "{fragments:?}");
    let noise: Vec<u8> = (0..60u8).map(|n| n.wrapping_mul(151) ^ 0x3c).collect();
    let hit = fragments[0].end + 20;
    File::options().write(true).open(&shorts[1]).unwrap().write_all_at(&noise, hit as u64).unwrap();
    cut(&shorts[1], 5);

    testbox.start_again();
    let mut running = Recording::again(&testbox, "camera1", &running.name);
    running.wait_more(1);
    agree(&testbox);
    let mut client = testbox.login("admin");
    assert_eq!(client.ok("list_recordings", json!({}))["total"], total);

    // The long one: four files are lost and told, one is shorter, one is new.
    let now = info(&mut client, &long.name);
    println!("{now}");
    assert_eq!(lost(&now), [2, 3, 4, 6]);
    let segments = now["segments"].as_array().unwrap();
    assert_eq!(segments.len(), before[0]["segments"].as_array().unwrap().len() + 1);
    let told = now["gaps"].as_array().unwrap().iter().filter(|g| g["cause"] == "file_lost").count();
    assert_eq!(told, 4);
    let film = fetch(&testbox, &now["download_url"], "long.mp4");
    assert_eq!(film.metadata().unwrap().len(), now["file_size"].as_u64().unwrap());
    ffmpeg::decode_all(&film).unwrap();
    let shown = pictures(&film);
    for n in [0, 5] {
        let all: Vec<u32> = whole.segments[n].run.iter().map(|s| s.frame).collect();
        assert!(shown.windows(all.len()).any(|w| w == all), "segment {n} is not in the film");
    }
    for segment in segments.iter().filter(|s| s["lost"] != true) {
        let file = fetch(&testbox, &segment["download_url"], "segment.mp4");
        ffmpeg::decode_all(&file).unwrap_or_else(|e| panic!("{segment}: {e}"));
    }
    let refused = http::get(segments[4]["download_url"].as_str().unwrap(), &[]);
    assert_eq!(refused.status, 404, "{}", refused.text());

    // The short one: what was hit is a gap, and footage goes on behind it.
    let now = info(&mut client, &short.name);
    assert_eq!(lost(&now), [] as [usize; 0]);
    let gaps = now["gaps"].as_array().unwrap();
    assert!(gaps.iter().any(|g| g["cause"] == "file_damaged"), "{gaps:?}");
    let film = fetch(&testbox, &now["download_url"], "short.mp4");
    assert_eq!(film.metadata().unwrap().len(), now["file_size"].as_u64().unwrap());
    let kept = data_of(&fs::read(&shorts[1]).unwrap()).len();
    // But for the one that was hit and the one that was torn.
    assert_eq!(kept, fragments.len() - 2);
    let shown = squares::legible(&film.to_string_lossy());
    assert!(shown.len() as u64 >= (before[1]["duration"].as_u64().unwrap() - 3) * 15, "{}", shown.len());
    for url in [&now["thumbnail_url"], &info(&mut client, &long.name)["thumbnail_url"]] {
        ffmpeg::jpeg_size(&fetch(&testbox, url, "thumbnail.jpg"));
    }

    // Nothing was thrown away, and each thing put away says why.
    let kept = |recording: &Recording, file: &Path, ending: &str| {
        let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
        let path = testbox.data().join(format!("quarantine/{}__{stem}.{ending}", recording.name));
        assert!(path.exists(), "{}", path.display());
        let reason = fs::read_to_string(format!("{}.reason.txt", path.display())).unwrap();
        assert!(reason.trim().len() > 10, "{reason}");
    };
    kept(&long, &files[2], "mp4");
    kept(&long, &files[3], "mp4");
    kept(&short, &shorts[1], "damaged");
    assert!(long.folder.join("notes.txt").exists() && testbox.data().join("recordings/holiday.mov").exists());
    assert!(files[6].is_dir() && moved.exists());

    // The one that ran goes on; a second start finds nothing to do.
    running.stop();
    assert!(testbox.stop().success());
    testbox.start_again();
    testbox.wait_log("files and index agree");
}
