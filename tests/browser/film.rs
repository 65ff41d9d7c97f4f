//! A recording of many files plays in a real browser as one film, and jumps to its last second.
//! Needs Chromium: `scripts/test browser`.

use crate::common::chromium::Chromium;
use crate::common::recording::Recording;
use crate::common::{Setup, squares, turn};
use serde_json::{Value, json};

/// Plays `URL` in a `<video>` element: jumps to each of `TIMES`, reads the frame number burnt into what
/// is shown then (room `capture`: cells of a fortieth of the width), and plays on `TO_END`.
const PLAY: &str = r#"(async () => {
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
    };
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
    if (!TO_END) {
        video.src = "";
        return { seen, took };
    }
    const ended = once("ended");
    await video.play();
    await ended;
    const end = video.currentTime;
    const played = number();
    // A busy browser leaves pictures out while it plays, the last ones too; slowly it has time for each.
    await jump(video.duration - 1);
    video.playbackRate = 0.25;
    const over = once("ended");
    await video.play();
    await over;
    return { duration: video.duration, seen, end, played, last: number() };
})()"#;

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
    let play = |times: &[f64], to_end: bool| {
        let play = PLAY.replace("URL", &json!(url).to_string()).replace("TIMES", &json!(times).to_string());
        play.replace("TO_END", &to_end.to_string())
    };
    // Over a line on which the whole film takes 30 s, its last second is there long before.
    let size = info["file_size"].as_u64().unwrap();
    browser.throttle((size / 30) as u32);
    let jump = browser.eval(&play(&[13.2], false));
    eprintln!("over a slow line: {jump}");
    assert!(jump["took"].as_f64().unwrap() < 15.0, "the film was read to its end first: {jump}");
    browser.throttle(0);
    let told = browser.eval(&play(&[13.2, 1.0, 7.5, 4.05], true));
    eprintln!("the browser says: {told}");
    let number = |v: &Value| v.as_f64().unwrap();
    let length = shown.len() as f64 / 30.0;
    assert!((number(&told["duration"]) - length).abs() < 0.3, "{length} s: {told}");
    for pair in told["seen"].as_array().unwrap() {
        let (time, frame) = (number(&pair[0]), number(&pair[1]));
        let expected = f64::from(shown[0].frame) + time * 30.0;
        assert!((frame - expected).abs() <= 6.0, "frame {frame} at {time} s instead of {expected}");
    }
    let last: &squares::Squares = shown.last().unwrap();
    assert_eq!(number(&told["last"]), f64::from(last.frame), "{told}");
    assert!((number(&told["end"]) - number(&told["duration"])).abs() < 0.1, "{told}");
    assert!(number(&told["played"]) > f64::from(last.frame) - 30.0, "{told}");
}
