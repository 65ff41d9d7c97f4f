//! The box in the guest, and its servers as they are reached from outside.

use std::path::Path;

use crate::common::wait_within;
use crate::common::{Client, http};
use crate::guest::Guest;
use crate::machine::PATIENCE;

/// Where it keeps its data.
const DATA: &str = "/data/fieldcam";
const CONFIG: &str = "/etc/fieldcam/fieldcam.toml";

/// A running box. Dropping it stops it, which must need no force unless the test has failed.
pub struct Daemon<'a> {
    guest: &'a Guest,
}

impl<'a> Daemon<'a> {
    #[track_caller]
    pub(super) fn start(guest: &'a Guest, config: &str) -> Daemon<'a> {
        guest.ok(&format!("rm -rf {DATA}; mkdir -p {DATA}"));
        guest.write(CONFIG, config);
        let daemon = Daemon { guest };
        daemon.start_again();
        daemon
    }

    /// Starts it on the data that is there, after it has ended.
    #[track_caller]
    pub fn start_again(&self) {
        // Returns when the daemon has said READY, or has ended.
        let run = "systemd-run --quiet --collect --unit=box --service-type=notify \
            --property=TimeoutStartSec=240 --property=KillMode=mixed";
        let said = self
            .guest
            .run(&format!("{run} --setenv=FIELDCAM_STORAGE__DATA_DIR={DATA} fieldcam run --config {CONFIG}"));
        assert_eq!(said.status, 0, "{}\n{}", said.err, self.log());
    }

    /// Its process id, in the guest.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.guest.ok("systemctl show --property=MainPID --value box").parse().unwrap()
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        self.guest.run("journalctl --boot --no-pager --output=cat --unit=box").out
    }

    /// Waits until it has logged a text.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        wait_within(PATIENCE, &format!("the log says {text:?}"), || self.log().contains(text).then_some(()));
    }

    /// `fieldcam ARGS…` as an operator would run it on the box itself.
    #[track_caller]
    pub fn fieldcam(&self, args: &str) -> String {
        self.guest.ok(&format!("FIELDCAM_STORAGE__DATA_DIR={DATA} fieldcam {args}"))
    }

    /// A log-in token.
    #[track_caller]
    pub fn token(&self, role: &str) -> String {
        self.fieldcam(&format!("token --role {role}"))
    }

    /// A connection from outside, logged in with a role.
    #[track_caller]
    pub fn login(&self, role: &str) -> Client {
        let token = self.token(role);
        let url = format!("ws://127.0.0.1:{}/ws", self.guest.machine.ports.outside(8002));
        let mut client =
            wait_within(PATIENCE, "the box takes connections", || Client::try_connect(&url, &[]).ok());
        client.authenticate(&token);
        client
    }

    /// A URL that the box gave out, as it is reached from outside.
    #[track_caller]
    pub fn outside(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        let port = url.port_or_known_default().unwrap_or(8554);
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.guest.machine.ports.outside(port))).unwrap();
        url.to_string()
    }

    /// A path on the main port, from outside.
    pub fn http(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.guest.machine.ports.outside(8002))
    }

    /// A health page, from outside.
    #[track_caller]
    pub fn health(&self, path: &str) -> http::Response {
        http::get(&format!("http://127.0.0.1:{}{path}", self.guest.machine.ports.outside(8003)), &[])
    }

    /// Brings a file out of the guest.
    #[track_caller]
    pub fn fetch(&self, inside: &str, outside: &Path) {
        std::fs::write(outside, self.guest.read(inside)).unwrap();
    }

    /// Stops it in order.
    #[track_caller]
    pub fn stop(&self) {
        self.guest.ok("systemctl stop box");
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the box's last words ---\n{}", self.log());
            let _ = self.guest.run("systemctl kill --signal=KILL box");
        }
        let _ = self.guest.run("systemctl stop box");
        let left = self.guest.run("cat /proc/[0-9]*/comm | grep -E '^(fieldcam|mediamtx)$'").out;
        if !std::thread::panicking() {
            assert_eq!(left, "", "something of the box still runs");
        }
    }
}
