//! QEMU: boots the guest once, keeps its serial log, knows which ports of this machine lead into it.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::agent::{Agent, Said};
use crate::common::spawn::{Lines, collect, spawn};
use crate::files;

/// As long as anything may take in the guest. A boot takes 20 s on a machine that has other work too.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// What the guests have in common. The same emulation everywhere, also where there is KVM.
const QEMU: &str = "-accel tcg,thread=multi -smp 2 -m 2G -display none -nodefaults -no-reboot";
/// `panic=-1`: a kernel that cannot go on ends QEMU.
const KERNEL: &str = "panic=-1 quiet loglevel=5 mitigations=off net.ifnames=0 \
    systemd.unit=guest.target systemd.show_status=no systemd.mask=sys-fs-fuse-connections.mount \
    systemd.mask=systemd-remount-fs.service systemd.mask=systemd-udev-load-credentials.service";

/// The kind of guest.
struct Arch {
    qemu: &'static str,
    console: &'static str,
}

/// Page tables of five levels would cost time for nothing.
const AMD64: Arch =
    Arch { qemu: "qemu-system-x86_64 -M q35,sata=off,smbus=off -cpu max,la57=off", console: "ttyS0" };
const ARM64: Arch =
    Arch { qemu: "qemu-system-aarch64 -M virt,gic-version=3 -cpu cortex-a72", console: "ttyAMA0" };

/// The kind that `FIELDCAM_TEST_GUEST_ARCH` names; amd64 without it.
fn arch() -> Result<&'static Arch, String> {
    match std::env::var("FIELDCAM_TEST_GUEST_ARCH").as_deref() {
        Err(_) | Ok("amd64") => Ok(&AMD64),
        Ok("arm64") => Ok(&ARM64),
        Ok(other) => Err(format!("FIELDCAM_TEST_GUEST_ARCH is amd64 or arm64, not {other:?}")),
    }
}

/// The serial log of the last boot, for whoever comes afterwards.
const LOG: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/v4l2-console.log");

/// Ports of the guest that are reached from outside, and where.
#[derive(Debug)]
pub struct Ports([(u16, u16); 4]);

impl Ports {
    const AGENT: u16 = 1;

    fn choose() -> Ports {
        Ports([Ports::AGENT, 8002, 8003, 8554].map(|inside| (inside, free_port())))
    }

    /// The port of this machine that leads to a port of the guest.
    #[track_caller]
    pub fn outside(&self, inside: u16) -> u16 {
        let found = self.0.iter().find(|(port, _)| *port == inside);
        found.unwrap_or_else(|| panic!("port {inside} is not forwarded: {self:?}")).1
    }
}

/// The guest's machine. It ends with the test program.
pub struct Machine {
    qemu: Mutex<Child>,
    complaints: Lines,
    agent: Agent,
    pub ports: Ports,
}

impl Machine {
    /// Boots it and waits until it takes commands; `Err` says why not, with the end of the serial log.
    pub fn boot() -> Result<Machine, String> {
        let system = std::env::var_os("FIELDCAM_TEST_GUEST_KERNEL")
            .map(PathBuf::from)
            .ok_or("FIELDCAM_TEST_GUEST_KERNEL names the folder that scripts/guest --kernel prints")?;
        let arch = arch()?;
        let scratch = tempfile::Builder::new().prefix("fieldcam-v4l2-").tempdir().unwrap();
        let disk = scratch.path().join("files.squashfs");
        files::pack(&scratch.path().join("files"), &disk);
        let begun = Instant::now();
        let ports = Ports::choose();
        let mut qemu = spawn(command(arch, &system, &disk, &ports));
        let complaints = collect(qemu.stderr.take().expect("piped"));
        let agent = Agent::new(ports.outside(Ports::AGENT));
        let machine = Machine { qemu: Mutex::new(qemu), complaints, agent, ports };
        // QEMU takes connections at once, and ends them until somebody listens in the guest.
        while let Err(e) = machine.agent.run("true", Duration::from_secs(5)) {
            if let Some(status) = machine.qemu.lock().unwrap().try_wait().unwrap() {
                return Err(format!("QEMU has ended ({status})\n{}", machine.last_words()));
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("the guest did not boot ({e})\n{}", machine.last_words()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        // Past the capture of output: how long it took is to be seen in every log.
        let _ = writeln!(
            std::io::stderr(),
            "the guest took commands after {:.1} s",
            begun.elapsed().as_secs_f64()
        );
        Ok(machine)
    }

    /// Runs a shell command as root.
    #[track_caller]
    pub fn run(&self, command: &str) -> Said {
        self.agent
            .run(command, PATIENCE)
            .unwrap_or_else(|e| panic!("{command:?} was not answered: {e}\n{}", self.last_words()))
    }

    /// The end of what the kernel and QEMU said.
    pub fn last_words(&self) -> String {
        let log = std::fs::read(LOG).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(40)..].join("\n");
        format!(
            "QEMU: {}\nthe serial log ({LOG}) ends with:\n{tail}",
            self.complaints.lock().unwrap().join("\n")
        )
    }
}

fn command(arch: &Arch, system: &Path, disk: &Path, ports: &Ports) -> Command {
    let mut words = arch.qemu.split_whitespace().chain(QEMU.split_whitespace());
    let mut qemu = Command::new(words.next().expect("a program"));
    let forwards: String = ports.0.iter().map(|(i, o)| format!(",hostfwd=tcp:127.0.0.1:{o}-:{i}")).collect();
    qemu.args(words)
        .args(["-append", &format!("console={} {KERNEL}", arch.console)])
        .args(["-serial", &format!("file:{LOG}")])
        .arg("-kernel")
        .arg(system.join("vmlinuz"))
        .arg("-initrd")
        .arg(system.join("initrd"))
        .args(["-netdev", &format!("user,id=net{forwards}")])
        // Nothing boots from it, so its ROM need not be installed.
        .args(["-device", "virtio-net-pci,netdev=net,romfile="]);
    for image in [&system.join("root.squashfs"), disk] {
        qemu.args(["-drive", &format!("file={},if=virtio,format=raw,readonly=on", image.display())]);
    }
    qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    qemu
}

/// QEMU listens itself, so the port is given back first; a port taken in between ends QEMU with a word.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
