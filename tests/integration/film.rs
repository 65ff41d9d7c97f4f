//! A recording of many files downloads as one film that is sound to the last byte.

use crate::common::boxes::{self, walk};
use crate::common::recording::Recording;
use crate::common::{Setup, TestBox, ffmpeg, footage, http, squares, wait_for};
use serde_json::json;

const SHORT: &str = "[recording]\nsegment_duration = \"1s\"";

fn link(recording: &mut Recording) -> String {
    recording.info()["download_url"].as_str().unwrap().to_owned()
}

/// Saves what was downloaded and reads the burnt-in squares of all its pictures.
#[track_caller]
fn pictures(testbox: &TestBox, name: &str, bytes: &[u8]) -> Vec<squares::Squares> {
    let file = testbox.scratch().join(name);
    std::fs::write(&file, bytes).unwrap();
    ffmpeg::decode_all(&file).unwrap_or_else(|e| panic!("{name}: {e}"));
    squares::read(&file.to_string_lossy(), 0)
}

#[test]
fn rotation_loses_no_frame_and_any_part_of_the_film_is_that_part_of_the_whole() {
    let testbox = Setup::new().cameras(1).toml(SHORT).start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(9);
    let segments = recording.stop();
    let url = link(&mut recording);
    let whole = http::get(&url, &[]);
    assert_eq!(whole.status, 200, "{}", whole.text());
    let bytes = &whole.body;
    assert_eq!(recording.info()["file_size"].as_u64(), Some(bytes.len() as u64));

    // The seams: as many as there were rotations, and every frame number across them.
    assert!(segments.segments.len() >= 4, "{} segments", segments.segments.len());
    let run = pictures(&testbox, "whole.mp4", bytes);
    squares::assert_gapless(&run, 0.1);
    let numbers = |run: &[squares::Squares]| run.iter().map(|s| s.frame).collect::<Vec<_>>();
    assert_eq!(numbers(&run), numbers(&segments.pictures()));

    let film = walk(bytes);
    film.assert_continuous(1);
    film.assert_indexed(bytes.len());
    assert_eq!(film.frames(), run.len() as u64);
    let files: Vec<Vec<u8>> = segments.segments.iter().map(|s| std::fs::read(&s.file).unwrap()).collect();
    // Not a byte of a picture differs from what was recorded.
    let shown: Vec<&[u8]> = film.fragments.iter().map(|f| &bytes[f.data.clone()]).collect();
    let own: Vec<&[u8]> =
        files.iter().flat_map(|f| boxes::data_of(f).into_iter().map(|place| &f[place])).collect();
    assert!(shown.concat() == own.concat(), "a picture differs");
    // Players can jump about every second, though keyframes stand anywhere in the files' fragments.
    assert!(film.references.iter().filter(|r| r.point).count() >= 7, "{:?}", film.references);
    assert!(film.references.iter().all(|r| r.ticks < 180_000), "{:?}", film.references);

    // Any cut of it into ranges is the whole.
    let etag = whole.header("etag").unwrap().to_owned();
    let mut at = 0;
    for step in [1usize, 3000, 41, 100_000, 262_144, 7, 500_001].into_iter().cycle() {
        let end = (at + step).min(bytes.len());
        let range = format!("bytes={at}-{}", end - 1);
        let part = http::get(&url, &[("Range", &range), ("If-Range", &etag)]);
        assert_eq!(part.status, 206, "{range}");
        assert_eq!(part.header("content-range").unwrap(), format!("bytes {at}-{}/{}", end - 1, bytes.len()));
        assert!(part.body == bytes[at..end], "{range} differs");
        at = end;
        if at == bytes.len() {
            break;
        }
    }
    assert_eq!(http::get(&url, &[("If-None-Match", &etag)]).status, 304);
    assert_eq!(http::get(&url, &[("Range", &format!("bytes={}-", bytes.len()))]).status, 416);

    // One file as it is; a part by the player's clock; a part by the clock on the wall.
    let second = http::get(&format!("{url}&segment=2"), &[]);
    assert!(second.body == files[1]);
    let part = http::get(&format!("{url}&from=2.2&to=4"), &[]);
    let cut = pictures(&testbox, "part.mp4", &part.body);
    walk(&part.body).assert_continuous(1);
    let place = numbers(&run).windows(cut.len()).position(|w| w == numbers(&cut));
    let place = place.expect("a part is a stretch of the whole");
    let (first, last) = (run[place].pts, run[place + cut.len() - 1].pts);
    // A fragment of half a second is split at one keyframe; while an encoder is young it holds several.
    assert!((0.9..=2.2).contains(&first) && (3.9..=4.6).contains(&last), "{first} to {last}");
    let moment = |ms: i64| {
        let now = jiff::Timestamp::now().as_millisecond();
        // The squares hold the last 40 bits.
        let ms = now - (now & ((1 << 40) - 1)) + ms;
        jiff::Timestamp::from_millisecond(ms).unwrap().to_string()
    };
    let from = moment(run[150].time_ms as i64);
    let part = http::get(&format!("{url}&from={from}"), &[]);
    let cut = pictures(&testbox, "rest.mp4", &part.body);
    assert_eq!(cut.last().map(|s| s.frame), run.last().map(|s| s.frame));
    // A keyframe a second, and frames are a little older than when they arrive.
    assert!((run[150].frame - 45..=run[150].frame).contains(&cut[0].frame), "{:?} {:?}", cut[0], run[150]);
    for bad in ["from=9999", "to=2001-01-01T00:00:00Z", "from=yesterday", "segment=1&to=2"] {
        let refused = http::get(&format!("{url}&{bad}"), &[]);
        assert_eq!(refused.status, 400, "{bad}: {}", refused.text());
    }
    assert_eq!(http::get(&format!("{url}&segment=99"), &[]).status, 404);
}

#[test]
fn a_running_recording_downloads_as_far_as_it_is_and_that_download_can_go_on() {
    let testbox = Setup::new().cameras(1).toml(SHORT).start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(4);
    let url = link(&mut recording);
    let first = http::get(&url, &[]);
    let run = pictures(&testbox, "first.mp4", &first.body);
    squares::assert_gapless(&run, 0.1);
    let film = walk(&first.body);
    film.assert_continuous(1);
    film.assert_indexed(first.body.len());
    recording.wait_more(3);
    let etag = first.header("etag").unwrap();
    let later = http::get(&url, &[]);
    assert!(later.body.len() > first.body.len() && later.header("etag") != Some(etag));
    // What was begun before is still to be had, to the same byte.
    let half = first.body.len() / 2;
    let rest = http::get(&url, &[("Range", &format!("bytes={half}-")), ("If-Range", etag)]);
    assert_eq!(rest.status, 206);
    assert!(rest.body == first.body[half..]);
    assert!(later.header("last-modified").is_none(), "it changes more often than once a second");
    recording.stop();
    squares::assert_gapless(&pictures(&testbox, "all.mp4", &http::get(&url, &[]).body), 0.1);
}

#[test]
fn a_gap_is_closed_in_the_film_and_listed_with_its_real_time_and_its_place() {
    let testbox = Setup::new().cameras(1).start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(3);
    let fault = footage::now_ms();
    testbox.child("mediamtx").signal(nix::sys::signal::Signal::SIGKILL);
    recording.wait_more(3);
    let hole = recording.stop().hole(fault);
    let gap = recording.gap_of(&hole);
    let info = recording.info();
    let listed = &info["gaps"][0];
    let bytes = http::get(&link(&mut recording), &[]).body;
    let film = walk(&bytes);
    film.assert_continuous(1);
    let run = pictures(&testbox, "closed.mp4", &bytes);
    let jump = run.windows(2).find(|w| w[1].time_ms >= hole.to_ms).unwrap();
    let position = listed["position"].as_f64().unwrap();
    assert!((jump[1].pts - position).abs() < 0.1, "{jump:?} is listed at {position}");
    assert!(jump[1].pts - jump[0].pts < 0.1, "{jump:?} stands still for {} s", gap.seconds);
    let recorded = info["segments"].as_array().unwrap().len();
    assert!(recorded >= 2 && film.duration_ms.abs_diff((run.len() as u64 * 1000) / 30) < 100);
}

#[test]
fn a_download_keeps_its_recording_and_says_so_to_whoever_deletes_it() {
    let testbox = Setup::new().cameras(1).env("CAMERAS__RESOLUTION", "1280x720").start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    // More than the sockets between both ends take.
    wait_for("5 MB are recorded", || {
        (recording.info()["file_size"].as_u64() > Some(5_000_000)).then_some(())
    });
    recording.stop();
    let url = link(&mut recording);
    let stalled = http::open(&url);
    let delete = json!({ "filename": recording.name });
    let refused = wait_for("the download has begun", || {
        match recording.client.call("delete_recording", delete.clone()) {
            Err(e) => Some(e),
            Ok(done) => panic!("deleted under a download: {done}"),
        }
    });
    assert_eq!((refused.code, &refused.data["state"]), (-32020, &json!("DOWNLOADING")), "{refused}");
    assert!(refused.data["suggestion"].as_str().unwrap().contains("s at the latest"), "{refused}");
    drop(stalled);
    wait_for("the recording can be deleted once nobody reads it", || {
        recording.client.call("delete_recording", delete.clone()).ok()
    });
    assert_eq!(http::get(&url, &[]).status, 404);
    assert!(!recording.folder.exists());
}

#[test]
fn a_thumbnail_is_made_once_however_many_ask() {
    let testbox = Setup::new().cameras(1).start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(2);
    recording.stop();
    let info = recording.info();
    let url = info["thumbnail_url"].as_str().unwrap().to_owned();
    let asked: Vec<_> = (0..12)
        .map(|_| {
            let url = url.clone();
            std::thread::spawn(move || http::get(&url, &[]))
        })
        .collect();
    let answers: Vec<_> = asked.into_iter().map(|a| a.join().unwrap()).collect();
    assert_eq!(answers[0].status, 200, "{}", answers[0].text());
    assert_eq!(answers[0].header("content-type"), Some("image/jpeg"));
    // A second picture would be another file, with a time and so a tag of its own.
    assert!(
        answers.iter().all(|a| a.header("etag") == answers[0].header("etag") && a.body == answers[0].body)
    );
    let file = testbox.scratch().join("thumbnail.jpg");
    std::fs::write(&file, &answers[0].body).unwrap();
    assert_eq!(ffmpeg::jpeg_size(&file), (320, 180));
    assert_eq!(recording.info()["file_size"], info["file_size"]);
    assert_eq!(http::get(url.split('?').next().unwrap(), &[]).status, 401);
    recording.client.ok("delete_recording", json!({ "filename": recording.name }));
    assert_eq!(http::get(&url, &[]).status, 404);
}
