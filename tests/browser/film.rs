//! A recording of many files plays in a real browser as one film, and jumps to its last second.
//! Needs Chromium: `scripts/test browser`.

use crate::common::chromium::Chromium;
use crate::common::recording::Recording;
use crate::common::squares::Squares;
use crate::common::{Setup, turn};
use serde_json::{Value, json};

/// Opens `URL` in a `<video>` element, jumps to each of `TIMES` and reads the number burnt into what is
/// shown then.
const JUMP: &str = r#"(async () => {
    const video = document.createElement("video");
    video.muted = true;
    video.preload = "auto";
    document.body.append(video);
    const once = (name) => new Promise((done, failed) => {
        video.addEventListener(name, done, { once: true });
        video.addEventListener("error", () => failed(new Error(video.error.message)), { once: true });
    });
    const begun = performance.now();
    const loaded = once("loadeddata");
    video.src = URL;
    await loaded;
    READ
    // "seeked" may come while a picture from before the wanted one is still being shown.
    const jump = async (time) => {
        const shown = new Promise((done) => {
            const look = (_, picture) => {
                if (Math.abs(picture.mediaTime - time) < 0.05) done();
                else video.requestVideoFrameCallback(look);
            };
            video.requestVideoFrameCallback(look);
            setTimeout(done, 5000);
        });
        const seeked = once("seeked");
        video.currentTime = time;
        await seeked;
        await shown;
    };
    const seen = [];
    for (const time of TIMES) {
        await jump(time);
        seen.push([time, number()]);
    }
    const took = (performance.now() - begun) / 1000;
    const duration = video.duration;
    video.src = "";
    return { duration, seen, took };
})()"#;

/// Opens `URL`, jumps to each of `TIMES` and plays on for a second; then from the last 1.5 s to the end, slowly,
/// because a busy browser leaves pictures out. Answers with the number and the time of each picture shown.
const PLAY: &str = r#"(async () => {
    const video = document.createElement("video");
    video.muted = true;
    document.body.append(video);
    const once = (name) => new Promise((done, failed) => {
        video.addEventListener(name, done, { once: true });
        video.addEventListener("error", () => failed(new Error(video.error.message)), { once: true });
    });
    const loaded = once("loadeddata");
    video.src = URL;
    await loaded;
    READ
    let shown = null;
    const look = (_, picture) => {
        if (shown) shown.push([picture.mediaTime, number()]);
        video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    const pictures = [];
    for (const time of TIMES) {
        const seeked = once("seeked");
        video.currentTime = time;
        await seeked;
        shown = [];
        await video.play();
        await new Promise((done) => setTimeout(done, 1000));
        video.pause();
        // A callback may still come for the picture from before the jump.
        pictures.push(...shown.filter((picture) => Math.abs(picture[0] - time) < 2));
        shown = null;
    }
    const seeked = once("seeked");
    video.currentTime = video.duration - 1.5;
    await seeked;
    video.playbackRate = 0.25;
    const ended = once("ended");
    await video.play();
    await ended;
    // The last picture may be shown a moment after the end is told.
    for (let left = 120; left > 0 && number() !== LAST; left--) await new Promise(requestAnimationFrame);
    return { pictures, end: video.currentTime, last: number() };
})()"#;

/// Defines `number`, which reads the number burnt into what `video` shows (room `capture`: cells of a
/// fortieth of the width).
const READ: &str = r#"
    const canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const number = () => {
        const cell = video.videoWidth / 40;
        canvas.width = video.videoWidth;
        canvas.height = 2 * cell;
        pen.drawImage(video, 0, 0);
        const row = pen.getImageData(0, Math.floor(cell / 2), canvas.width, 1).data;
        let number = 0;
        for (let n = 2; n < 34; n++) number = number * 2 + (row[4 * Math.floor((n + 0.5) * cell)] > 128 ? 1 : 0);
        return number;
    };"#;

#[test]
#[ignore = "needs Chromium: scripts/test browser"]
fn a_film_of_many_files_plays_and_jumps_in_a_browser() {
    let _turn = turn::take();
    let setup = Setup::new().cameras(1).env("CAMERAS__RESOLUTION", "640x360");
    let testbox = setup.toml("[recording]\nsegment_duration = \"4s\"").start();
    let mut recording = Recording::start(&testbox, "camera0", 0);
    recording.wait_seconds(14);
    let shown = recording.stop().pictures();
    let info = recording.info();
    assert!(info["segments"].as_array().unwrap().len() >= 3, "{info}");
    let url = info["download_url"].as_str().unwrap();
    let mut browser = Chromium::start();
    // A page of the same origin: pixels of another origin's pictures are kept from scripts.
    browser.open(&testbox.http("/"));
    let script = |script: &str, times: &[f64]| {
        let script = script.replace("READ", READ).replace("URL", &json!(url).to_string());
        script.replace("TIMES", &json!(times).to_string())
    };
    // Over a line on which the whole film takes 30 s, its last second is there long before.
    let size = info["file_size"].as_u64().unwrap();
    browser.throttle((size / 30) as u32);
    let jump = browser.eval(&script(JUMP, &[13.2]));
    eprintln!("over a slow line: {jump}");
    assert!(jump["took"].as_f64().unwrap() < 15.0, "the film was read to its end first: {jump}");
    browser.throttle(0);
    let told = browser.eval(&script(JUMP, &[13.2, 1.0, 7.5, 4.05]));
    eprintln!("the browser says: {told}");
    let number = |v: &Value| v.as_f64().unwrap();
    let (first, last) = (&shown[0], shown.last().unwrap());
    // A picture that came late, on a machine that stood still, stands as long as it took.
    let since = |s: &Squares| (s.time_ms - first.time_ms) as f64 / 1000.0;
    let length = since(last) + 1.0 / 30.0;
    assert!((number(&told["duration"]) - length).abs() < 0.3, "{length} s: {told}");
    let check = |pair: &Value, slack: f64| {
        let (time, frame) = (number(&pair[0]), number(&pair[1]));
        let expected = shown.iter().rev().find(|s| since(s) <= time).unwrap().frame;
        let off = frame - f64::from(expected);
        assert!(off.abs() <= slack, "frame {frame} at {time} s instead of {expected}");
    };
    told["seen"].as_array().unwrap().iter().for_each(|pair| check(pair, 6.0));
    // Behind a jump each picture is whole, backwards, forwards and to the same place again.
    let play = PLAY.replace("LAST", &last.frame.to_string());
    let played =
        browser.eval(&script(&play, &[12.9, 1.0, 7.5, 4.05, 10.1, 2.2, 5.5, 5.6, 9.7, 0.5, 11.3, 8.8]));
    let pictures = played["pictures"].as_array().unwrap();
    eprintln!("{} pictures behind jumps, the last of all: {}", pictures.len(), played["last"]);
    assert!(pictures.len() > 60, "{played}");
    pictures.iter().for_each(|pair| check(pair, 4.0));
    assert_eq!(number(&played["last"]), f64::from(last.frame), "{played}");
    assert!((number(&played["end"]) - number(&told["duration"])).abs() < 0.1, "{played}");
}
