//! A guest: a Debian system that systemd-nspawn boots, with the files of the images laid into it.
//!
//! Its systemd is the first process of its own process and mount space; the kernel and the network are
//! this machine's, so that the box runs at full speed and its ports are reached without more ado; a test of the network
//! has one of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::common::http::get;
use crate::common::process::descendants;
use crate::common::spawn::{Lines, collect, spawn};
use crate::common::testbox::PROGRAM;
use crate::common::{Client, ffmpeg, mediaserver, wait_for};

/// Where the images' own files are, and which of them are the daemon's: the guest is set up in its own way.
const COMMON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/images/common");
const OF_COMMON: [&str; 3] =
    ["usr/lib/systemd/system/fieldcam", "usr/lib/systemd/system/run-fieldcam", "usr/lib/sysusers.d/"];

/// A running guest; dropping it ends all of it.
pub struct Machine {
    nspawn: Child,
    /// Its first process, as this system numbers it.
    leader: u32,
    console: Lines,
    dir: TempDir,
}

impl Machine {
    /// Boots a guest whose box has `config` as `/etc/fieldcam/fieldcam.toml`. Nothing of the box runs yet.
    #[track_caller]
    pub fn boot(config: &str) -> Machine {
        Machine::boot_with(config, &[])
    }

    /// The same with a network of its own, in which there is nothing but the loopback.
    #[track_caller]
    pub fn boot_alone(config: &str) -> Machine {
        Machine::boot_with(config, &["--private-network"])
    }

    #[track_caller]
    fn boot_with(config: &str, options: &[&str]) -> Machine {
        let system = std::env::var_os("FIELDCAM_TEST_GUEST")
            .expect("FIELDCAM_TEST_GUEST names the folder that scripts/guest prints");
        let dir = tempfile::Builder::new().prefix("fieldcam-guest-").tempdir().unwrap();
        for folder in ["data", "etc"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("etc/fieldcam.toml"), config).unwrap();

        let mut nspawn = Command::new("systemd-nspawn");
        nspawn
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .args(["--boot", "--register=no", "--keep-unit", "--quiet", "--console=read-only"])
            .args(options)
            // What it writes to its own system is in memory and gone with it.
            .args(["--volatile=overlay", "--directory"])
            .arg(system)
            .arg(bind("ro", Path::new(PROGRAM), "/usr/bin/fieldcam"))
            .arg(bind("ro", &mediaserver::binary(), "/usr/bin/mediamtx"))
            .arg(bind("", &dir.path().join("etc"), "/etc/fieldcam"))
            .arg(bind("", &dir.path().join("data"), "/data"))
            // The same disk once more, to be put back after it was taken away.
            .arg(bind("", &dir.path().join("data"), "/mnt"));
        for file in files_below(Path::new(COMMON)) {
            let inside = file.strip_prefix(COMMON).unwrap().display().to_string();
            if !OF_COMMON.iter().any(|part| inside.starts_with(part)) {
                continue;
            }
            let inside = format!("/{inside}");
            nspawn.arg(bind("ro", &file, &inside));
        }
        nspawn.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut nspawn = spawn(nspawn);
        let console = collect(nspawn.stdout.take().unwrap());
        let complaints = collect(nspawn.stderr.take().unwrap());
        let leader = wait_for("systemd runs in the guest", || {
            let ended = nspawn.try_wait().unwrap();
            assert!(ended.is_none(), "systemd-nspawn: {}", complaints.lock().unwrap().join("\n"));
            descendants(nspawn.id()).into_iter().find(|p| p.name == "systemd").map(|p| p.pid)
        });
        let machine = Machine { nspawn, leader, console, dir };
        machine.wait("the guest has booted", "systemctl is-system-running --wait");
        machine
    }

    /// Its first process, as this system numbers it.
    pub fn leader(&self) -> u32 {
        self.leader
    }

    /// Waits until the guest has switched itself off.
    #[track_caller]
    pub fn wait_off(&mut self) {
        wait_for("the guest is off", || self.nspawn.try_wait().unwrap());
    }

    /// Runs a shell command in the guest, as root.
    #[track_caller]
    pub fn run(&self, command: &str) -> Output {
        let leader = self.leader.to_string();
        let mut inside = Command::new("nsenter");
        inside.args(["--target", &leader, "--all", "--", "sh", "-c", command]);
        inside.env_clear().env("PATH", "/usr/sbin:/usr/bin").stdin(Stdio::null()).output().unwrap()
    }

    /// As [`Machine::run`]; fails the test unless the command succeeds. Answers with what it printed.
    #[track_caller]
    pub fn ok(&self, command: &str) -> String {
        let said = self.run(command);
        let error = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{command:?}: {error}\n{}", self.log());
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    }

    /// Runs a command again and again until it succeeds.
    #[track_caller]
    pub fn wait(&self, what: &str, command: &str) {
        wait_for(what, || self.run(command).status.success().then_some(()));
    }

    /// Waits until the guest's console has shown a text.
    #[track_caller]
    pub fn wait_console(&self, text: &str) {
        wait_for(&format!("the console shows {text}"), || {
            self.console.lock().unwrap().iter().any(|line| line.contains(text)).then_some(())
        });
    }

    /// What the service has said so far.
    pub fn log(&self) -> String {
        let said = self.run("journalctl --boot --no-pager --output=cat --unit=fieldcam");
        String::from_utf8_lossy(&said.stdout).into_owned()
    }

    /// One property of the service.
    #[track_caller]
    pub fn property(&self, name: &str) -> String {
        self.ok(&format!("systemctl show --property={name} --value fieldcam"))
    }

    /// A file of the box's configuration folder.
    pub fn etc(&self, name: &str) -> PathBuf {
        self.dir.path().join("etc").join(name)
    }

    /// The box's data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data/fieldcam")
    }

    /// A connection with this role.
    #[track_caller]
    pub fn login(&self, role: &str) -> Client {
        let token =
            self.ok(&format!("FIELDCAM_STORAGE__DATA_DIR=/data/fieldcam fieldcam token --role {role}"));
        let mut client =
            wait_for("the box takes connections", || Client::try_connect(&self.url("ws")?, &[]).ok());
        client.authenticate(&token);
        client
    }

    /// Where one of its servers listens; none before it is ready.
    pub fn url(&self, name: &str) -> Option<String> {
        let file = std::fs::read(self.data().join("run/endpoints.json")).ok()?;
        let all: serde_json::Value = serde_json::from_slice(&file).ok()?;
        Some(all[name].as_str()?.to_owned())
    }

    /// Downloads a recording as a client would, and plays every picture of it. Answers with its length, s.
    #[track_caller]
    pub fn plays(&self, name: &str) -> f64 {
        let query = serde_json::json!({ "filename": name });
        let info = self.login("viewer").ok("get_recording_info", query);
        let film = get(info["download_url"].as_str().unwrap(), &[]);
        assert_eq!(film.status, 200, "{}", film.text());
        let file = self.dir.path().join(format!("{name}.mp4"));
        std::fs::write(&file, &film.body).unwrap();
        ffmpeg::decode_all(&file).unwrap_or_else(|e| panic!("{name} does not play: {e}"));
        ffmpeg::duration(&file)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let console = self.console.lock().unwrap();
            eprintln!("the service:\n{}\nthe guest's console:\n{}", self.log(), console.join("\n"));
        }
        if self.nspawn.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        // With its first process the kernel ends all others of its space.
        let _ = Command::new("kill").args(["-KILL", &self.leader.to_string()]).status();
        let _ = self.nspawn.wait();
    }
}

fn bind(kind: &str, outside: &Path, inside: &str) -> String {
    let option = if kind == "ro" { "--bind-ro" } else { "--bind" };
    format!("{option}={}:{inside}", outside.display())
}

/// Every file below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
