//! File cameras: a video played over and over as if it were live.

use std::path::Path;

use crate::common::ffmpeg::run;
use crate::common::footage::folder;
use crate::common::{Client, Setup, TestBox, turn, wait_for};
use serde_json::{Value, json};

/// A short clip of another shape and rate than the camera is set to.
fn make_clip(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let part = path.with_extension("part.mp4");
    let out = run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-y",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=320x240:rate=15:duration=1.2",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p",
            &part.to_string_lossy(),
        ],
    );
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    std::fs::rename(part, path).unwrap();
}

fn start(data: &Path, source: &str) -> TestBox {
    Setup::new()
        .data_dir(data)
        .cameras(0)
        .toml(&format!("[[camera]]\nsource = \"file:{source}\"\nname = \"Film\"\nresolution = \"640x360\"\n"))
        .start()
}

fn row(client: &mut Client) -> Value {
    client.ok("get_camera_status", json!({ "device": "camera0" }))
}

#[test]
fn a_file_is_watched_recorded_and_photographed_and_time_never_goes_back() {
    let _turn = turn::take();
    let data = tempfile::tempdir().unwrap();
    make_clip(&data.path().join("media/demo/yard.mp4"));
    let testbox = start(data.path(), "demo/yard.mp4");
    let mut client = testbox.login("operator");
    let shown = row(&mut client);
    assert_eq!((&shown["status"], &shown["name"]), (&json!("CONNECTED"), &json!("Film")));
    let snapshot = client.ok("take_snapshot", json!({ "device": "camera0" }));
    assert!(snapshot["file_size"].as_u64() > Some(1000), "{snapshot}");

    let started = client.ok("start_recording", json!({ "device": "camera0" }));
    let name = started["filename"].as_str().unwrap().to_owned();
    // Two and a half rounds of the clip.
    wait_for("three seconds are recorded", || {
        let info = client.ok("get_recording_info", json!({ "filename": name }));
        (info["duration"].as_u64() >= Some(3)).then_some(())
    });
    client.ok("stop_recording", json!({ "device": "camera0" }));
    let files = crate::common::footage::files(&folder(testbox.data(), "camera0", &name));
    let mut frames = 0;
    for file in &files {
        let out = run(
            "ffprobe",
            &[
                "-v",
                "error",
                "-select_streams",
                "v",
                "-show_entries",
                "packet=pts_time:stream=width,height",
                "-of",
                "csv=p=0",
                &file.to_string_lossy(),
            ],
        );
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(text.contains("640,360"), "{text}");
        let times: Vec<f64> = text.lines().filter_map(|l| l.trim_end_matches(',').parse().ok()).collect();
        assert!(times.is_sorted_by(|a, b| a < b), "time goes back: {times:?}");
        frames += times.len();
    }
    // 15 a second; a clip that ran as fast as it decodes would give hundreds, one that ended 18.
    assert!((30..=120).contains(&frames), "{frames} frames in about three seconds");
}

#[test]
fn a_missing_or_broken_file_is_told_and_heals_when_it_appears() {
    let _turn = turn::take();
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("elsewhere/clip.mp4");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let testbox = start(data.path(), &file.to_string_lossy());
    let mut client = testbox.login("operator");
    let shown = row(&mut client);
    assert_eq!(
        (&shown["status"], &shown["problem"]),
        (&json!("DISCONNECTED"), &json!("its file is not there"))
    );
    let refusal = client.refused("start_streaming", json!({ "device": "camera0" }));
    assert_eq!(refusal.code, -32020);
    assert!(!format!("{shown}{refusal}").contains("elsewhere"), "a path is told: {shown} {refusal}");

    std::fs::write(&file, b"no video at all").unwrap();
    wait_for("the file is found", || (row(&mut client)["status"] == "CONNECTED").then_some(()));
    let refusal = client.refused("start_streaming", json!({ "device": "camera0" }));
    assert_eq!(refusal.code, -32050, "{refusal}");
    let shown = row(&mut client);
    assert_eq!(shown["problem"], "its file cannot be played as a video", "{shown}");
    assert_eq!(shown["status"], "ERROR");

    make_clip(&file);
    wait_for("it plays", || {
        let stream = client.ok("get_stream_status", json!({ "device": "camera0" }));
        (stream["ready"] == true && row(&mut client)["status"] == "CONNECTED").then_some(())
    });
    std::fs::remove_file(&file).unwrap();
    wait_for("its loss is seen", || (row(&mut client)["status"] == "DISCONNECTED").then_some(()));
}
