//! Policies: while a recording runs, while one is downloaded, and over a restart.

use serde_json::{Value, json};

use super::{assert_agree, numbers, recordings_size, set_manual, set_size, small, storage, wait_files};
use crate::common::ffmpeg;
use crate::common::recording::Recording;
use crate::common::{STALL, Setup, http, wait_for};

#[test]
fn a_size_policy_keeps_a_running_recording_below_the_size() {
    let testbox = small().start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    wait_files(&mut recording, 8);
    let before = recording.info();
    let mut client = testbox.login("admin");
    let limit = recordings_size(&mut client);
    let segment = limit / 7;
    let set = set_size(&mut client, limit);
    assert_eq!((&set["policy_type"], &set["enabled"]), (&json!("size"), &json!(true)));
    assert!(set.get("max_age_days").is_none() && set["max_size_gb"].as_f64().unwrap() > 0.0, "{set}");
    wait_for("it has come below", || (recordings_size(&mut client) <= limit).then_some(()));
    let kept = numbers(&recording.info()).len();
    let newest = *numbers(&recording.info()).last().unwrap();
    let mut most = 0;
    wait_for("ten more files were written", || {
        most = most.max(recordings_size(&mut client));
        (*numbers(&recording.info()).last().unwrap() >= newest + 10).then_some(())
    });
    println!("limit {limit}, most {most}, {kept} files kept, a file has {segment}");
    // A look comes every two seconds, and later on a machine that stands still.
    assert!(most <= limit + segment * (STALL as u64 + 1), "{most} bytes with a limit of {limit}");
    let running = recording.info();
    assert_eq!(running["state"], "RECORDING", "{running}");
    assert!(numbers(&running)[0] > 1);
    let gap = &running["gaps"][0];
    assert_eq!(
        (&gap["cause"], &gap["start_time"]),
        (&json!("retention"), &before["created_time"]),
        "{running}"
    );
    assert!(gap["duration"].as_f64().unwrap() > 1.0 && gap["position"] == 0.0, "{running}");
    set_manual(&mut client);
    recording.stop();
    let info = assert_agree(&testbox, &mut client, "camera0", &recording.name);
    // What is left is one film that plays from its start.
    let film = http::get(info["download_url"].as_str().unwrap(), &[]);
    assert_eq!((film.status, film.body.len() as u64), (200, info["file_size"].as_u64().unwrap()));
    let file = testbox.scratch().join("film.mp4");
    std::fs::write(&file, film.body).unwrap();
    let out = ffmpeg::run("ffprobe", &["-v", "error", "-count_frames", &file.to_string_lossy()]);
    assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    let disk = storage(&mut client);
    let sum: u64 = std::fs::read_dir(&recording.folder)
        .unwrap()
        .map(|e| e.unwrap())
        .filter(|e| e.path().extension().is_some_and(|x| x == "mp4"))
        .map(|e| e.metadata().unwrap().len())
        .sum();
    assert_eq!(disk["recordings_size"], sum);
}

#[test]
fn what_is_protected_stays_and_a_policy_outlives_a_restart() {
    let mut testbox = small().start();
    let mut client = testbox.login("admin");
    let idle = client.ok("cleanup_old_files", Value::Null);
    assert_eq!((&idle["cleanup_executed"], &idle["files_deleted"]), (&json!(false), &json!(0)));
    assert!(idle["message"].as_str().unwrap().contains("set_retention_policy"), "{idle}");
    let names: Vec<String> = (0..3)
        .map(|_| {
            let mut recording = Recording::start(&testbox, "camera0", 0);
            wait_files(&mut recording, 2);
            recording.stop();
            recording.name
        })
        .collect();
    let protect = |on: bool| json!({ "filename": names[0], "protected": on });
    assert_eq!(testbox.login("operator").refused("protect_recording", protect(true)).code, -32002);
    client.ok("protect_recording", protect(true));
    let unknown = json!({ "filename": "camera0_2001-01-01_00-00-00", "protected": true });
    assert_eq!(client.refused("protect_recording", unknown).code, -32010);
    // Nothing happens as long as it is switched off, and nothing without a limit.
    let off = json!({ "policy_type": "size", "max_size_gb": 1e-9, "enabled": false });
    client.ok("set_retention_policy", off);
    assert_eq!(client.ok("cleanup_old_files", Value::Null)["cleanup_executed"], false);
    let age = json!({ "policy_type": "age", "enabled": true });
    assert_eq!(client.refused("set_retention_policy", age).data["param"], "max_age_days");
    let listed = |client: &mut crate::common::Client| -> Vec<String> {
        let list = client.ok("list_recordings", Value::Null);
        list["files"].as_array().unwrap().iter().map(|f| f["filename"].as_str().unwrap().into()).collect()
    };
    assert_eq!(listed(&mut client).len(), 3);
    // Known from before, and in force at the next start.
    client.ok("set_retention_policy", json!({ "policy_type": "size", "enabled": true }));
    testbox.kill();
    testbox.start_again();
    let mut client = testbox.login("admin");
    wait_for("only the protected one is left", || (listed(&mut client) == names[..1]).then_some(()));
    for name in &names[1..] {
        assert!(!testbox.data().join("recordings/camera0").join(name).exists());
    }
    let info = assert_agree(&testbox, &mut client, "camera0", &names[0]);
    assert_eq!(info["protected"], true);
    client.ok("protect_recording", protect(false));
    wait_for("it goes as soon as it is free", || listed(&mut client).is_empty().then_some(()));
    assert!(testbox.log().contains("old footage was deleted"));
    assert_eq!(recordings_size(&mut client), 0);
}

#[test]
fn a_policy_of_the_environment_is_not_changed_over_the_api() {
    let testbox = small().env("STORAGE__RETENTION", "manual").start();
    let mut client = testbox.login("admin");
    let refused = client
        .refused("set_retention_policy", json!({ "policy_type": "size", "max_size_gb": 1, "enabled": true }));
    assert_eq!(refused.code, -32020, "{refused}");
    assert!(
        refused.data["suggestion"].as_str().unwrap().contains("FIELDCAM_STORAGE__RETENTION"),
        "{refused}"
    );
}

#[test]
fn a_download_is_finished_before_its_recording_goes() {
    let testbox = Setup::new()
        .cameras(1)
        .env("CAMERAS__RESOLUTION", "1280x720")
        .env("RECORDING__SEGMENT_DURATION", "1s")
        .start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    // More than the sockets between both ends take.
    wait_for("5 MB are recorded", || {
        (recording.info()["file_size"].as_u64() > Some(5_000_000)).then_some(())
    });
    recording.stop();
    let info = recording.info();
    let size = info["file_size"].as_u64().unwrap();
    let download = http::open(info["download_url"].as_str().unwrap());
    let mut client = testbox.login("admin");
    let delete = json!({ "filename": recording.name });
    wait_for("the download has begun", || client.call("delete_recording", delete.clone()).err());
    set_size(&mut client, 1);
    let cleaned = client.ok("cleanup_old_files", Value::Null);
    assert_eq!((&cleaned["cleanup_executed"], &cleaned["files_deleted"]), (&json!(true), &json!(0)));
    assert!(cleaned["message"].as_str().unwrap().contains("downloaded"), "{cleaned}");
    let got = http::rest(download);
    assert_eq!(got.body.len() as u64, size, "the film is whole");
    wait_for("then it goes", || client.call("get_recording_info", delete.clone()).err());
    assert!(!recording.folder.exists());
}
