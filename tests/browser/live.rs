//! The page of a camera in a real browser: each of its three ways shows running pictures, and it says
//! which one it took and why. Needs Chromium: `scripts/test browser`.

use std::time::Duration;

use crate::common::chromium::Chromium;
use crate::common::{TestBox, turn};
use serde_json::{Value, json};

/// As long as all three ways may take, one after the other, on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

/// The page's address as `ctl stream` prints it.
fn page_url(testbox: &TestBox) -> String {
    let ask = json!({ "device": "camera0", "protocol": "page" });
    testbox.login("viewer").ok("get_stream_url", ask)["stream_url"].as_str().unwrap().to_owned()
}

/// Reads the frame numbers burnt into what the page shows (room `capture`, squares of a fortieth of
/// the width) until there are 20 different ones; answers with all of them in the order they came.
const NUMBERS: &str = r#"(async () => {
    const shown = [document.getElementById("video"), document.getElementById("picture")].find((e) => !e.hidden);
    const canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const seen = [];
    const deadline = Date.now() + 60000;
    while (seen.length < 20 && Date.now() < deadline) {
        await new Promise((next) => setTimeout(next, 10));
        const width = shown.videoWidth || shown.naturalWidth;
        if (!width) continue;
        const cell = width / 40;
        canvas.width = width;
        canvas.height = 2 * cell;
        pen.drawImage(shown, 0, 0);
        const row = pen.getImageData(0, Math.floor(cell / 2), width, 1).data;
        const bit = (n) => row[4 * Math.floor((n + 0.5) * cell)] > 128 ? 1 : 0;
        if (bit(0) !== 1 || bit(1) !== 0) continue;
        let number = 0;
        for (let n = 2; n < 34; n++) number = number * 2 + bit(n);
        if (seen.at(-1) !== number) seen.push(number);
    }
    return seen;
})()"#;

#[track_caller]
fn assert_running(browser: &mut Chromium) {
    let seen = browser.eval(NUMBERS);
    let seen: Vec<u64> = seen.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    assert_eq!(seen.len(), 20, "{seen:?}");
    assert!(seen.windows(2).all(|w| w[0] < w[1]), "pictures go back: {seen:?}");
}

#[track_caller]
fn assert_way(browser: &mut Chromium, way: &str) -> String {
    let expression = format!("document.body.dataset.way === {way:?}");
    browser.wait(&expression, LIMIT, "document.getElementById('status').textContent");
    let told = browser.eval("document.getElementById('status').textContent");
    let told = told.as_str().unwrap().to_owned();
    eprintln!("the page says: {told}");
    told
}

#[test]
#[ignore = "needs Chromium: scripts/test browser"]
fn the_page_plays_over_webrtc_then_hls_then_mjpeg() {
    let _turn = turn::take();
    let testbox = TestBox::start();
    let url = page_url(&testbox);
    for (blocked, way, because) in [
        (&[][..], "webrtc", &[][..]),
        (&["*/whep*"], "hls", &["WebRTC: "]),
        (&["*/whep*", "*/index.m3u8*"], "mjpeg", &["WebRTC: ", "HLS: "]),
    ] {
        let mut browser = Chromium::start();
        browser.block(blocked);
        browser.open(&url);
        let told = assert_way(&mut browser, way);
        assert!(because.iter().all(|b| told.contains(b)), "{told}");
        assert_running(&mut browser);
        if way != "mjpeg" {
            let frames = "document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames";
            browser.wait(&format!("{frames} >= 30"), LIMIT, frames);
        }
    }
}

#[test]
#[ignore = "needs Chromium: scripts/test browser"]
fn without_a_link_the_page_asks_for_a_token_and_keeps_it_out_of_its_address() {
    let _turn = turn::take();
    let testbox = TestBox::start();
    let token = testbox.token("viewer");
    let mut browser = Chromium::start();
    browser.open(&testbox.http("/live/camera0"));
    let form = "!!document.getElementById('login') && !document.getElementById('login').hidden";
    let enter = |browser: &mut Chromium, token: &str| {
        browser.wait(form, LIMIT, "document.body.innerText");
        browser.eval(&format!(
            "document.getElementById('token').value = {token:?}; \
             document.getElementById('login').requestSubmit(); null"
        ));
    };
    enter(&mut browser, "wrong");
    enter(&mut browser, &token);
    assert_way(&mut browser, "webrtc");
    assert_running(&mut browser);
    let everywhere = "location.href + document.documentElement.outerHTML + JSON.stringify(localStorage) \
                      + JSON.stringify(sessionStorage) + document.cookie";
    let everywhere = browser.eval(everywhere);
    assert!(!everywhere.as_str().unwrap().contains(&token), "the token is kept somewhere");
    assert_eq!(browser.eval("location.search"), Value::from(""));
}

#[test]
#[ignore = "needs Chromium: scripts/test browser"]
fn the_page_plays_again_after_the_media_server_died() {
    let _turn = turn::take();
    let testbox = TestBox::start();
    let mut browser = Chromium::start();
    browser.open(&page_url(&testbox));
    assert_way(&mut browser, "webrtc");
    let server = testbox.child("mediamtx");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server.pid as i32), nix::sys::signal::SIGKILL).unwrap();
    let status = "document.getElementById('status').textContent";
    browser.wait("document.body.dataset.way === ''", LIMIT, status);
    assert_way(&mut browser, "webrtc");
    assert_running(&mut browser);
}
