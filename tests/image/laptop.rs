//! The laptop beside the box: `fieldcam ctl`, as its user types it.

use std::process::{Command, Output};

use serde_json::{Value, json};

use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::common::testbox::PROGRAM;
use crate::common::tls::Line;
use crate::common::{Client, ffmpeg, wait_within};
use crate::disk::done;
use crate::machine::{Machine, PATIENCE};

/// A user who has nothing of the box's data.
pub struct Laptop(tempfile::TempDir);

impl Laptop {
    pub fn new() -> Laptop {
        Laptop(tempfile::tempdir().unwrap())
    }

    /// `fieldcam ctl --host BOX ARGS…`
    pub fn ctl(&self, machine: &Machine, args: &[&str]) -> Output {
        let host = format!("https://127.0.0.1:{}", machine.outside(8002));
        self.command(&[&["--host", &host], args].concat()).output().unwrap()
    }

    /// `fieldcam ctl ARGS…`
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("FIELDCAM_")) {
            command.env_remove(key);
        }
        command.env("FIELDCAM_STORAGE__DATA_DIR", self.0.path().join("none"));
        command.env("XDG_CONFIG_HOME", self.0.path()).arg("ctl").args(args);
        command
    }

    /// The same, which has to succeed; what it said.
    #[track_caller]
    pub fn done(&self, machine: &Machine, args: &[&str]) -> String {
        let out = self.ctl(machine, args);
        let said = said(&out);
        assert!(out.status.success(), "ctl {args:?}: {said}\n{}", machine.last_words());
        said
    }

    /// A method's result.
    #[track_caller]
    pub fn call(&self, machine: &Machine, method: &str, params: &Value) -> Value {
        let out = self.ctl(machine, &["call", method, &params.to_string()]);
        let text = said(&out);
        assert!(out.status.success(), "{method}: {text}\n{}", machine.last_words());
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{method}: {e}: {text}"))
    }

    /// What the box says when it refuses a method: the error's object.
    #[track_caller]
    pub fn refused(&self, machine: &Machine, method: &str, params: &Value) -> Value {
        let out = self.ctl(machine, &["--json", "call", method, &params.to_string()]);
        refusal(&out).unwrap_or_else(|| panic!("{method}: {}", said(&out)))
    }

    /// Waits until this many cameras are connected.
    #[track_caller]
    pub fn cameras(&self, machine: &Machine, count: u64) {
        wait_within(PATIENCE, "the cameras are connected", || {
            let list = self.call(machine, "get_camera_list", &json!({}));
            (list["connected"] == count).then_some(())
        });
    }

    /// Records a camera for so many seconds. Answers with the recording's name, once it has ended.
    #[track_caller]
    pub fn record(&self, machine: &Machine, camera: &str, seconds: u32) -> String {
        let film = self.0.path().join("film.mp4");
        let film = film.to_str().unwrap();
        self.done(machine, &["record", camera, "--for", &format!("{seconds}s"), "-o", film]);
        let list = self.call(machine, "list_recordings", &json!({}));
        list["files"][0]["filename"].as_str().unwrap_or_else(|| panic!("{list}")).to_owned()
    }

    /// Downloads what tells how the box is. Answers with all parts of it.
    #[track_caller]
    pub fn diag(&self, machine: &Machine) -> String {
        let file = self.0.path().join("diag.tar.gz");
        self.done(machine, &["diag", "-o", file.to_str().unwrap()]);
        done(Command::new("tar").arg("-xzOf").arg(&file))
    }

    /// Downloads a recording and decodes all of it. Answers with its length in seconds.
    #[track_caller]
    pub fn watches(&self, machine: &Machine, recording: &str) -> f64 {
        let film = tempfile::NamedTempFile::new().unwrap();
        self.done(machine, &["get", recording, "-o", film.path().to_str().unwrap()]);
        ffmpeg::decode_all(film.path()).unwrap();
        ffmpeg::duration(film.path())
    }

    /// The first pictures of a stream, in grey, read from outside by RTSP; none when the box refuses.
    pub fn pictures(machine: &Machine, url: &str, count: u32) -> Vec<u8> {
        let mut url = url::Url::parse(url).unwrap();
        url.set_port(Some(machine.outside(url.port().unwrap()))).unwrap();
        let args = ["-v", "error", "-rtsp_transport", "tcp", "-timeout", "60000000", "-i", url.as_str()];
        let count = count.to_string();
        let rest = ["-frames:v", &count, "-f", "rawvideo", "-pix_fmt", "gray", "-"];
        ffmpeg::run("ffmpeg", &[&args[..], &rest].concat()).stdout
    }

    /// Waits until the version that runs has proved good, also of a box that is still starting. Answers with its
    /// `update_status`.
    #[track_caller]
    pub fn kept(&self, machine: &Machine) -> Value {
        wait_within(PATIENCE, "the version that runs is kept", || {
            let out = self.ctl(machine, &["call", "update_status", "{}"]);
            let status: Value = serde_json::from_slice(&out.stdout).ok()?;
            (status["commit"]["committed"] == true).then_some(status)
        })
    }

    /// Somebody without a key, on a connection to the certificate that the box shows on its screen.
    #[track_caller]
    pub fn stranger(machine: &Machine) -> Client {
        let shown = shown(&machine.console(), "Certificate:").expect("the box shows its certificate");
        let address = format!("127.0.0.1:{}", machine.outside(8002));
        let line = Line::plain(&address).unwrap().secured(shown.parse().unwrap(), &[]).unwrap();
        Client::over(line, format!("wss://{address}/ws").into_client_request().unwrap()).unwrap()
    }

    /// What the box says of its health, to anybody.
    pub fn health(&self, machine: &Machine) -> Option<Value> {
        let url = format!("http://127.0.0.1:{}/health/detailed", machine.outside(8003));
        let out = Command::new("curl").args(["-s", "-m", "5", &url]).output().unwrap();
        serde_json::from_slice(&out.stdout).ok()
    }

    /// Claims the box with the code that it shows.
    #[track_caller]
    pub fn claim(&self, machine: &Machine) -> String {
        let code = wait_within(PATIENCE, "the box shows its claim code", || code(&machine.this_start()));
        // One that lacks something is not ready, and answers.
        wait_within(PATIENCE, "the box answers", || self.health(machine));
        self.done(machine, &["claim", "--code", &code])
    }

    /// Whether the daemon's port is open and somebody speaks there.
    pub fn answers(&self, machine: &Machine) -> bool {
        let url = format!("http://127.0.0.1:{}/health/ready", machine.outside(8003));
        let out = Command::new("curl")
            .args(["-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", &url])
            .output();
        out.unwrap().stdout == b"200"
    }
}

/// The claim code on a serial line, the last one that was shown.
pub fn code(console: &str) -> Option<String> {
    shown(console, "Claim code:")
}

fn shown(console: &str, name: &str) -> Option<String> {
    console.lines().rev().find_map(|line| Some(line.trim().strip_prefix(name)?.trim().to_owned()))
}

pub fn said(out: &Output) -> String {
    String::from_utf8_lossy(&[&out.stdout[..], &out.stderr].concat()).into_owned()
}

/// The error of `ctl --json`, behind what it has to say of a box at a new address.
pub fn refusal(out: &Output) -> Option<Value> {
    let text = String::from_utf8_lossy(&out.stderr);
    let said: Value = serde_json::from_str(&text[text.find('{')?..]).ok()?;
    Some(said["error"].clone())
}
