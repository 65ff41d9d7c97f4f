//! QEMU with a disk of the builder's: its serial log, its ports, its commands.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::agent::{Agent, Said};
use crate::common::spawn::{Lines, collect, spawn};
use crate::disk::{Disk, built, done};
use crate::qmp;

/// As long as anything may take on the emulated processor. A boot takes half a minute beside other work.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// What `images/boards/qemu-arm64.conf` is for.
const QEMU: &str = "-M virt,gic-version=3 -cpu cortex-a72 -accel tcg,thread=multi -smp 2 -m 1024 -display none \
    -nodefaults -device i6300esb -action watchdog=reset -device virtio-rng-pci -device virtio-keyboard-pci";

/// A machine that runs. Dropping it is a power cut.
pub struct Machine {
    pub disk: Disk,
    qemu: Child,
    complaints: Lines,
    agent: Option<Agent>,
    ports: [(u16, u16); 4],
    /// How many bytes the serial line had said before this power-on.
    before: usize,
}

impl Machine {
    /// Powers it on.
    #[track_caller]
    pub fn start(disk: Disk) -> Machine {
        Machine::with(disk, &[])
    }

    /// Powers it on, with these words more for QEMU.
    #[track_caller]
    pub fn with(disk: Disk, more: &[&str]) -> Machine {
        let ports = [8002, 8003, 8322, 8554].map(|inside| (inside, free_port()));
        let before = console_of(&disk).len();
        let mut qemu = spawn({
            let mut qemu = command(&disk, &ports);
            qemu.args(more);
            qemu
        });
        let complaints = collect(qemu.stderr.take().expect("piped"));
        Machine { disk, qemu, complaints, agent: None, ports, before }
    }

    /// Powers it on, and waits until it takes commands.
    #[track_caller]
    pub fn boot(disk: Disk) -> Machine {
        let mut machine = Machine::start(disk);
        machine.next_boot();
        machine
    }

    /// Waits until it takes commands, after it was powered on or started again.
    #[track_caller]
    pub fn next_boot(&mut self) {
        let begun = Instant::now();
        let socket = self.disk.beside("agent.sock");
        while self.agent.is_none() {
            self.agent = Agent::connect(&socket).ok();
            assert!(begun.elapsed() < PATIENCE, "QEMU has no port\n{}", self.last_words());
            std::thread::sleep(Duration::from_millis(20));
        }
        let agent = self.agent.as_mut().expect("connected");
        let boot = agent.next_boot(PATIENCE);
        if let Err(e) = boot {
            panic!("the machine did not boot ({e})\n{}", self.last_words());
        }
        eprintln!("the machine took commands after {:.1} s", begun.elapsed().as_secs_f64());
    }

    /// Runs a shell command as root.
    #[track_caller]
    pub fn run(&mut self, command: &str) -> Said {
        let said = self.agent.as_mut().expect("a machine with an agent").run(command, PATIENCE);
        said.unwrap_or_else(|e| panic!("{command:?} was not answered: {e}\n{}", self.last_words()))
    }

    /// What a command says, which has to succeed.
    #[track_caller]
    pub fn ask(&mut self, command: &str) -> String {
        let said = self.run(command);
        assert_eq!(said.status, 0, "{command:?}: {said:?}");
        said.out.trim_end().to_owned()
    }

    /// What stands in the gzipped archive that a shell command writes to its output.
    #[track_caller]
    pub fn unpacked(&mut self, command: &str) -> String {
        let file = self.disk.beside("archive");
        // The agent speaks in lines.
        std::fs::write(&file, self.ask(&format!("{command} | base64 -w 0"))).unwrap();
        done(Command::new("sh").args(["-c", "base64 -d \"$0\" | tar -xzO"]).arg(&file))
    }

    /// Has a shell command run as root that ends this boot.
    #[track_caller]
    pub fn send(&mut self, command: &str) {
        self.agent.as_mut().expect("a machine with an agent").send(command).unwrap();
    }

    /// The port of this machine that leads to a port of the guest.
    #[track_caller]
    pub fn outside(&self, inside: u16) -> u16 {
        self.ports.iter().find(|(port, _)| *port == inside).expect("a forwarded port").1
    }

    /// Has QEMU do something with the machine: its keys, its cables.
    #[track_caller]
    pub fn qmp(&self, command: &str, arguments: &Value) {
        qmp::execute(&self.disk.beside("qmp.sock"), command, arguments);
    }

    /// The power goes.
    pub fn cut(mut self) -> Disk {
        self.end();
        // The disk outlives the machine.
        let disk = std::mem::replace(&mut self.disk, Disk::nowhere());
        drop(self);
        disk
    }

    /// The power goes, and the disk is taken out later (`cut`).
    pub fn kill(&self) {
        let id = nix::unistd::Pid::from_raw(self.qemu.id().cast_signed());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    /// What the agents of earlier starts said is of no interest: the next one to say something is the next start's.
    pub fn forget_agent(&mut self) {
        self.agent = None;
    }

    fn end(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }

    /// What came out of the serial line so far, over all boots.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&console_of(&self.disk)).into_owned()
    }

    /// What came out of the serial line since the power came and U-Boot took a slot.
    pub fn this_start(&self) -> String {
        let bytes = console_of(&self.disk);
        let mut all = String::from_utf8_lossy(&bytes[self.before..]).into_owned();
        all.split_off(all.rfind("AB: booting").unwrap_or(all.len()))
    }

    /// The end of what the machine and QEMU said.
    pub fn last_words(&self) -> String {
        let text = self.console();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(40)..].join("\n");
        format!("QEMU: {}\nthe serial log ends with:\n{tail}", self.complaints.lock().unwrap().join("\n"))
    }
}

/// All that ever came out of the serial line of the machine with this disk.
fn console_of(disk: &Disk) -> Vec<u8> {
    std::fs::read(disk.beside("console.log")).unwrap_or_default()
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end();
    }
}

fn command(disk: &Disk, ports: &[(u16, u16)]) -> Command {
    let forwards: String = ports.iter().map(|(i, o)| format!(",hostfwd=tcp:127.0.0.1:{o}-:{i}")).collect();
    let drive = |options: &str, file: PathBuf| format!("{options},format=raw,file={}", file.display());
    let mut qemu = Command::new("qemu-system-aarch64");
    qemu.args(QEMU.split_whitespace())
        .arg("-bios")
        .arg(built("FIELDCAM_TEST_IMAGE").join("u-boot.bin"))
        .args(["-drive", &drive("if=pflash,unit=1", disk.beside("environment.bin"))])
        .args(["-drive", &drive("if=none,id=disk,cache=writeback", disk.path())])
        .args(["-device", "virtio-blk-pci,drive=disk"])
        // Shut, but for what is forwarded: QEMU would carry the box's mDNS out of one of its ports and into another.
        .args([
            "-netdev",
            &format!("user,id=net,restrict=on{forwards}"),
            "-device",
            "virtio-net-pci,netdev=net,romfile=",
        ])
        .args(["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=agent"])
        .arg("-chardev")
        .arg(format!("socket,id=agent,server=on,wait=off,path={}", disk.beside("agent.sock").display()))
        .arg("-chardev")
        .arg(format!("file,id=console,append=on,path={}", disk.beside("console.log").display()))
        .args(["-serial", "chardev:console"])
        .arg("-qmp")
        .arg(format!("unix:{},server=on,wait=off", disk.beside("qmp.sock").display()));
    qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    qemu
}

/// QEMU listens itself, so the port is given back first; a port taken in between ends QEMU with a word.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
