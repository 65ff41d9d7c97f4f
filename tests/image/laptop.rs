//! The laptop beside the box: `fieldcam ctl`, as its user types it.

use std::process::{Command, Output};

use serde_json::Value;

use crate::common::testbox::PROGRAM;
use crate::common::wait_within;
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
        let mut command = Command::new(PROGRAM);
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("FIELDCAM_")) {
            command.env_remove(key);
        }
        command.env("FIELDCAM_STORAGE__DATA_DIR", self.0.path().join("none"));
        command.env("XDG_CONFIG_HOME", self.0.path()).args(["ctl", "--host", &host]).args(args);
        command.output().unwrap()
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
        let text = self.done(machine, &["call", method, &params.to_string()]);
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{method}: {e}: {text}"))
    }

    /// Claims the box with the code that it shows.
    #[track_caller]
    pub fn claim(&self, machine: &Machine) -> String {
        let code = wait_within(PATIENCE, "the box shows its claim code", || code(&machine.console()));
        wait_within(PATIENCE, "the box answers", || self.answers(machine).then_some(()));
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
    console.lines().rev().find_map(|line| Some(line.trim().strip_prefix("Claim code:")?.trim().to_owned()))
}

pub fn said(out: &Output) -> String {
    String::from_utf8_lossy(&[&out.stdout[..], &out.stderr].concat()).into_owned()
}
