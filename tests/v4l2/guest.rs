//! The guest as a test uses it: commands, services that feed a camera, loopback cameras, the box.

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::agent::Said;
use crate::common::wait_within;
use crate::daemon::Daemon;
use crate::machine::{Machine, PATIENCE};

/// The guest, held by one test at a time; the first one boots it. When a test fails, the serial log's end and the
/// journal's are shown.
pub struct Guest {
    pub machine: &'static Machine,
    _turn: MutexGuard<'static, ()>,
}

impl Guest {
    /// Waits for the guest's turn.
    #[track_caller]
    pub fn take() -> Guest {
        static TURN: Mutex<()> = Mutex::new(());
        static MACHINE: OnceLock<Result<Machine, String>> = OnceLock::new();
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        match MACHINE.get_or_init(Machine::boot) {
            Ok(machine) => Guest { machine, _turn: turn },
            Err(why) => panic!("{why}"),
        }
    }

    /// Runs a shell command as root.
    #[track_caller]
    pub fn run(&self, command: &str) -> Said {
        self.machine.run(command)
    }

    /// As [`Guest::run`]; fails the test unless the command succeeds. Answers with what it printed.
    #[track_caller]
    pub fn ok(&self, command: &str) -> String {
        let said = self.run(command);
        assert_eq!(said.status, 0, "{command:?} failed:\n{}\n{}", said.out, said.err);
        said.out.trim().to_owned()
    }

    /// Runs a command again and again until it succeeds.
    #[track_caller]
    pub fn wait(&self, what: &str, command: &str) -> String {
        let mut last = None;
        wait_within(PATIENCE, &format!("{what}: {command}"), || {
            let said = self.run(command);
            let done = (said.status == 0).then(|| said.out.trim().to_owned());
            last = Some(said);
            done
        })
    }

    /// Writes a file.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str) {
        self.ok(&format!("mkdir -p \"$(dirname {path})\"; base64 -d >{path} <<<'{}'", STANDARD.encode(text)));
    }

    /// Reads a file.
    #[track_caller]
    pub fn read(&self, path: &str) -> Vec<u8> {
        STANDARD.decode(self.ok(&format!("base64 --wrap=0 {path}"))).unwrap()
    }

    /// Starts a shell command as a service of its own; it is stopped when the answer is dropped.
    #[track_caller]
    pub fn service(&self, name: &str, command: &str) -> Service<'_> {
        let quoted = command.replace('\'', r"'\''");
        self.ok(&format!("systemd-run --quiet --collect --unit={name} -- bash -c 'exec {quoted}'"));
        Service { guest: self, name: name.to_owned() }
    }

    /// Adds a loopback camera as `/dev/videoNUMBER`. It can be captured from while somebody writes into it.
    #[track_caller]
    pub fn loopback(&self, number: u32, name: &str) -> Loopback<'_> {
        self.ok(&format!("v4l2loopback-ctl add -n '{name}' -x 1 /dev/video{number}"));
        Loopback { guest: self, number, there: RefCell::new(true) }
    }

    /// The node of vivid's first camera; its number is another once the driver was away.
    #[track_caller]
    pub fn vivid(&self) -> String {
        self.ok("cd /sys/class/video4linux; for it in *; do grep -q vivid-000-vid-cap $it/name && echo /dev/$it; done; true")
    }

    /// Takes vivid's cameras away until the answer is dropped.
    #[track_caller]
    pub fn without_vivid(&self) -> WithoutVivid<'_> {
        self.ok("modprobe --remove vivid");
        WithoutVivid { guest: self }
    }

    /// Starts the box with this configuration, on a data directory that is new, and waits until it is ready.
    #[track_caller]
    pub fn fieldcam(&self, config: &str) -> Daemon<'_> {
        Daemon::start(self, config)
    }

    /// The end of the journal, kernel and all.
    pub fn journal(&self) -> String {
        self.run("journalctl --boot --no-pager --output=short-monotonic --lines=80").out
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.machine.last_words());
            eprintln!("the journal ends with:\n{}", self.journal());
        }
    }
}

/// While it lives, vivid's cameras are away.
pub struct WithoutVivid<'a> {
    guest: &'a Guest,
}

impl Drop for WithoutVivid<'_> {
    fn drop(&mut self) {
        let said = self.guest.run("modprobe vivid && udevadm settle");
        assert!(said.status == 0 || std::thread::panicking(), "vivid does not come back: {said:?}");
    }
}

/// A command that runs in the guest.
pub struct Service<'a> {
    guest: &'a Guest,
    name: String,
}

impl Service<'_> {
    /// Whether it still runs.
    pub fn runs(&self) -> bool {
        self.guest.run(&format!("systemctl is-active {}", self.name)).status == 0
    }

    /// Sends it a signal, such as `STOP`.
    #[track_caller]
    pub fn signal(&self, signal: &str) {
        self.guest.ok(&format!("systemctl kill --signal={signal} {}", self.name));
    }

    /// What it has said.
    pub fn log(&self) -> String {
        self.guest.run(&format!("journalctl --no-pager --output=cat --unit={}", self.name)).out
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        // Not asked politely: it may be stopped in the middle of whatever it does. Failed = it has ended already.
        let _ = self.guest.run(&format!("systemctl kill --signal=KILL {0}; systemctl stop {0}", self.name));
    }
}

/// A loopback camera.
pub struct Loopback<'a> {
    guest: &'a Guest,
    number: u32,
    there: RefCell<bool>,
}

/// What a loopback camera delivers: FFmpeg's arguments for the encoder.
pub const MJPEG: &str = "-c:v mjpeg -q:v 5 -pix_fmt yuvj420p";
pub const H264: &str = "-c:v libx264 -preset ultrafast -tune zerolatency -g 5 -pix_fmt yuv420p";
pub const YUYV: &str = "-c:v rawvideo -pix_fmt yuyv422";

impl<'a> Loopback<'a> {
    /// Its device node.
    pub fn node(&self) -> String {
        format!("/dev/video{}", self.number)
    }

    /// Lets FFmpeg write a test picture of 320x180 at 5 a second, and waits until it can be captured.
    #[track_caller]
    pub fn feed(&self, encoder: &str) -> Service<'a> {
        let node = self.node();
        let source = "-v warning -nostdin -re -f lavfi -i testsrc2=size=320x180:rate=5";
        let writer = self
            .guest
            .service(&format!("feed-{}", self.number), &format!("ffmpeg {source} {encoder} -f v4l2 {node}"));
        self.guest.wait(
            "the writer feeds the camera",
            &format!("v4l2-ctl -d {node} --info | grep 'Video Capture'"),
        );
        writer
    }

    /// Unplugs it. Refused while anybody has it open.
    pub fn delete(&self) -> Result<(), String> {
        let said = self.guest.run(&format!("v4l2loopback-ctl delete {}", self.node()));
        if said.status != 0 {
            return Err(said.err);
        }
        self.there.replace(false);
        Ok(())
    }
}

impl Drop for Loopback<'_> {
    fn drop(&mut self) {
        if *self.there.borrow()
            && let Err(e) = self.delete()
        {
            eprintln!("{}: {e}", self.node());
        }
    }
}
