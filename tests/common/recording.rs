//! A recording under way, as a test follows it over the API and on the disk.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::footage::{self, Footage};
use super::{Client, TestBox, wait_for};

/// One recording of one camera.
pub struct Recording {
    pub client: Client,
    pub camera: String,
    pub name: String,
    pub folder: PathBuf,
}

/// Time that the box itself lists as missing.
#[derive(Clone, Debug)]
pub struct Gap {
    /// Unix milliseconds.
    pub start_ms: u64,
    pub seconds: f64,
    pub cause: String,
}

impl Recording {
    /// Starts one; `seconds` 0 = until stopped.
    #[track_caller]
    pub fn start(testbox: &TestBox, camera: &str, seconds: u32) -> Recording {
        let mut client = testbox.login("admin");
        let mut params = json!({ "device": camera });
        if seconds > 0 {
            params["duration"] = seconds.into();
        }
        let started = client.ok("start_recording", params);
        Recording::of(testbox, client, camera, started["filename"].as_str().unwrap())
    }

    /// The same recording after the daemon was started again.
    #[track_caller]
    pub fn again(testbox: &TestBox, camera: &str, name: &str) -> Recording {
        Recording::of(testbox, testbox.login("admin"), camera, name)
    }

    fn of(testbox: &TestBox, client: Client, camera: &str, name: &str) -> Recording {
        let folder = footage::folder(testbox.data(), camera, name);
        Recording { client, camera: camera.into(), name: name.into(), folder }
    }

    /// `get_recording_info`.
    #[track_caller]
    pub fn info(&mut self) -> Value {
        self.client.ok("get_recording_info", json!({ "filename": self.name }))
    }

    /// Whole seconds recorded so far, by the box's own account.
    #[track_caller]
    pub fn seconds(&mut self) -> u64 {
        let info = self.info();
        info["duration"].as_u64().unwrap_or_else(|| panic!("no duration: {info}"))
    }

    /// Waits until this many seconds are recorded.
    #[track_caller]
    pub fn wait_seconds(&mut self, wanted: u64) {
        wait_for(&format!("{wanted} s of {} are recorded", self.name), || {
            (self.seconds() >= wanted).then_some(())
        });
    }

    /// Waits until it has grown by so many seconds, counted from now.
    #[track_caller]
    pub fn wait_more(&mut self, seconds: u64) {
        let now = self.seconds();
        self.wait_seconds(now + seconds);
    }

    /// Stops it, which proves that it was this one that ran, and plays all of it.
    #[track_caller]
    pub fn stop(&mut self) -> Footage {
        let stopped = self.client.ok("stop_recording", json!({ "device": self.camera }));
        assert_eq!(stopped["filename"], self.name.as_str(), "another recording was running");
        Footage::read(&self.folder)
    }

    /// Whether the camera is recording at all; asking stops it.
    pub fn has_ended(&mut self) -> bool {
        match self.client.call("stop_recording", json!({ "device": self.camera })) {
            Ok(_) => false,
            Err(e) => e.code == -32020,
        }
    }

    /// The gaps that the box lists.
    #[track_caller]
    pub fn gaps(&mut self) -> Vec<Gap> {
        let info = self.info();
        let gaps = info["gaps"].as_array().unwrap_or_else(|| panic!("no gaps: {info}"));
        gaps.iter().map(Gap::read).collect()
    }

    /// The listed gap that covers a hole seen in the pictures. Gaps are told by arrival: what a network
    /// kept back and delivered late makes the listed one longer than the hole, never shorter.
    #[track_caller]
    pub fn gap_of(&mut self, hole: &footage::Hole) -> Gap {
        const SLACK_MS: u64 = 1500;
        let gaps = self.gaps();
        let covers = |g: &&Gap| {
            let start = g.start_ms % (1 << 40);
            let end = start + (g.seconds * 1000.0) as u64;
            start <= hole.from_ms + SLACK_MS && end + SLACK_MS >= hole.to_ms && end > hole.from_ms
        };
        let gap = gaps.iter().find(covers).unwrap_or_else(|| panic!("{hole:?} is not listed: {gaps:?}"));
        assert!(!gap.cause.is_empty(), "{gap:?} has no cause");
        // No fault of these tests lasts longer than 8 s and what it takes to come back.
        assert!(gap.seconds < 20.0, "{gap:?} is far longer than {hole:?}");
        gap.clone()
    }
}

impl Gap {
    #[track_caller]
    fn read(value: &Value) -> Gap {
        let start: jiff::Timestamp = value["start_time"].as_str().unwrap().parse().unwrap();
        Gap {
            start_ms: start.as_millisecond() as u64,
            seconds: value["duration"].as_f64().unwrap(),
            cause: value["cause"].as_str().unwrap().to_owned(),
        }
    }
}
