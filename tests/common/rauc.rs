//! The RAUC of the image as a service on a bus of its own, with files for slots and a file for the bootloader's state; and
//! the box's helper beside it. What the machine's start would do (the bootloader, the initrd) is played here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::bytes::{checksum, noise};
use super::spawn::spawn;
use super::testbox::PROGRAM;
use super::{Setup, wait_for};

/// What kind of box the played machine is.
pub const BOARD: &str = "fieldcam-test";

/// The played machine. Dropping it ends what it started.
pub struct Machine {
    dir: TempDir,
    tree: PathBuf,
    bus: Child,
    service: Option<Child>,
    helper: Option<Child>,
    starts: u32,
}

/// Whether RAUC can be had here; says loudly why not.
pub fn tree() -> Option<PathBuf> {
    let Some(tree) = std::env::var_os("FIELDCAM_TEST_RAUC").map(PathBuf::from) else {
        eprintln!("SKIPPED: there is no RAUC; run: export FIELDCAM_TEST_RAUC=$(scripts/get-rauc)");
        return None;
    };
    if !nix::unistd::getuid().is_root() {
        eprintln!("SKIPPED: RAUC mounts bundles, which root alone may do");
        return None;
    }
    Some(tree)
}

impl Machine {
    /// Starts in slot A, version 1.0.0, both slots good.
    pub fn start(tree: PathBuf) -> Machine {
        let dir = tempfile::Builder::new().prefix("fieldcam-rauc-").tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["bin", "boot", "system", "mnt", "rauc"] {
            fs::create_dir(at(folder)).unwrap();
        }
        for slot in ["root_a", "root_b", "boot_a", "boot_b"] {
            fs::File::create(at(slot)).unwrap().set_len(2 << 20).unwrap();
        }
        for name in ["ours", "other"] {
            let out = Command::new("sh")
                .args(["-euc", MAKE_KEYS, "keys", name])
                .current_dir(&dir)
                .output()
                .unwrap();
            assert!(out.status.success(), "openssl: {}", String::from_utf8_lossy(&out.stderr));
        }
        fs::write(at("bus.conf"), bus_config(&at("bus"))).unwrap();
        fs::write(at("system.conf"), system_config(dir.path())).unwrap();
        fs::write(at("fw.config"), format!("{0} 0x0 0x200\n{0} 0x100000 0x200\n", at("bootstate").display()))
            .unwrap();
        fs::write(at("bootstate"), boot_state()).unwrap();
        let mut bus = Command::new("dbus-daemon");
        bus.arg(format!("--config-file={}", at("bus.conf").display())).args(["--nofork", "--nopidfile"]);
        let bus = spawn(quiet(bus));
        let mut machine = Machine { tree, bus, service: None, helper: None, starts: 0, dir };
        machine.make_programs();
        wait_for("the bus listens", || machine.at("bus").exists().then_some(()));
        machine.boot("A", "1.0.0");
        machine
    }

    /// A file of the machine.
    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Programs run by the tree's own loader; `systemctl` only notes what it was asked for.
    fn make_programs(&self) {
        let loader = fs::read_dir(self.tree.join("usr/lib"))
            .unwrap()
            .flatten()
            .flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten())
            .find(|file| file.file_name().to_string_lossy().starts_with("ld-linux"))
            .expect("the tree has a loader");
        let libraries = loader.path().parent().unwrap().display().to_string();
        let (loader, programs) =
            (loader.path().display().to_string(), self.tree.join("usr/bin").display().to_string());
        let run = |name: &str, args: &str| {
            format!("exec {loader} --argv0 {name} --library-path {libraries} {programs}/{name} {args} \"$@\"")
        };
        let fw = format!("-c {}", self.at("fw.config").display());
        let bus = format!(
            "export DBUS_STARTER_BUS_TYPE=session DBUS_SESSION_BUS_ADDRESS={} PATH={}:/usr/sbin:$PATH\n",
            self.bus_address(),
            self.at("bin").display()
        );
        let note = format!("echo \"$*\" >>{}", self.at("systemctl.log").display());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/images/common/usr/lib/fieldcam/forget-slot");
        let forget = format!("exec {script} {} {}", self.at("boot").display(), self.at("system").display());
        for (name, script) in [
            ("rauc", bus + &run("rauc", "")),
            ("fw_setenv", run("fw_setenv", &fw)),
            ("fw_printenv", run("fw_printenv", &fw)),
            ("mksquashfs", run("mksquashfs", "")),
            ("unsquashfs", run("unsquashfs", "")),
            ("systemctl", note),
            ("forget-slot", forget),
        ] {
            let file = self.at("bin").join(name);
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn bus_address(&self) -> String {
        format!("unix:path={}", self.at("bus").display())
    }

    /// Plays a start of the machine into a slot, as the boot script does it: its tries go down by one, RAUC and the
    /// helper are new, and so is the machine's number of this start.
    pub fn boot(&mut self, slot: &str, version: &str) {
        self.end_services();
        self.starts += 1;
        let left = self.state(&format!("BOOT_{slot}_LEFT"));
        let left = left.parse::<u32>().unwrap().saturating_sub(1);
        self.run("fw_setenv", &[&format!("BOOT_{slot}_LEFT"), &left.to_string()]);
        for (name, text) in
            [("slot", slot), ("version", version), ("boot-id", &format!("start-{}", self.starts))]
        {
            fs::write(self.at("boot").join(name), text).unwrap();
        }
        let mut service = Command::new(self.at("bin/rauc"));
        service.arg(format!("--conf={}", self.at("system.conf").display()));
        service.arg(format!("--override-boot-slot={slot}")).arg("service");
        self.service = Some(spawn(quiet(service)));
        let _ = fs::remove_file(self.at("box.sock"));
        let mut helper = Command::new(PROGRAM);
        helper.args(["helper", "--box", "--user", "root"]);
        let root = format!("root_{}", slot.to_ascii_lowercase());
        for (option, file) in [
            ("--socket", "box.sock"),
            ("--programs", "bin"),
            ("--boot", "boot"),
            ("--system", "system"),
            ("--root", &root),
        ] {
            helper.arg(option).arg(self.at(file));
        }
        self.helper = Some(spawn(quiet(helper)));
        wait_for("the helper listens", || self.at("box.sock").exists().then_some(()));
        wait_for("RAUC answers", || {
            let mut ask = Command::new(self.at("bin/rauc"));
            ask.arg("status").stdin(Stdio::null()).output().unwrap().status.success().then_some(())
        });
    }

    /// A box on this machine.
    pub fn setup(&self) -> Setup {
        Setup::new()
            .plain_env("DBUS_SYSTEM_BUS_ADDRESS", &self.bus_address())
            .env("UPDATE__HELPER", &self.at("box.sock").to_string_lossy())
            .env("UPDATE__BOOT_FACTS", &self.at("boot").to_string_lossy())
    }

    /// One variable of the bootloader.
    pub fn state(&self, name: &str) -> String {
        self.run("fw_printenv", &["-n", name])
    }

    /// What systemd was asked for.
    pub fn asked_of_systemd(&self) -> Vec<String> {
        let text = fs::read_to_string(self.at("systemctl.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn run(&self, program: &str, args: &[&str]) -> String {
        let out = Command::new(self.at("bin").join(program)).args(args).output().unwrap();
        assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// Makes a bundle of two small images, signed by `signer` (`ours` or `other`). Answers with its file.
    pub fn bundle(&self, name: &str, board: &str, version: &str, signer: &str) -> PathBuf {
        let folder = self.at(&format!("{name}.in"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("root.img"), image(7)).unwrap();
        fs::write(folder.join("boot.img"), image(9)).unwrap();
        let manifest = format!(
            "[update]\ncompatible={board}\nversion={version}\n[bundle]\nformat=plain\n[image.rootfs]\nfilename=root.img\n\
             [image.boot]\nfilename=boot.img\n"
        );
        fs::write(folder.join("manifest.raucm"), manifest).unwrap();
        let bundle = self.at(&format!("{name}.raucb"));
        let (cert, key) = (self.at(&format!("{signer}.pem")), self.at(&format!("{signer}.key")));
        let (cert, key) = (format!("--cert={}", cert.display()), format!("--key={}", key.display()));
        self.run("rauc", &["bundle", &cert, &key, &folder.to_string_lossy(), &bundle.to_string_lossy()]);
        bundle
    }

    fn end_services(&mut self) {
        for child in [self.helper.take(), self.service.take()].into_iter().flatten() {
            end(child);
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end_services();
        let _ = self.bus.kill();
        let _ = self.bus.wait();
    }
}

fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn quiet(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn bus_config(socket: &Path) -> String {
    format!(
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
         \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n<busconfig><type>session</type>\
         <listen>unix:path={}</listen><policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/>\
         <allow own=\"*\"/></policy></busconfig>",
        socket.display()
    )
}

/// The box's own configuration, for files in place of partitions. Bundles are plain ones: the verity format needs a
/// loop device and dm-verity, which only an image has for sure.
fn system_config(dir: &Path) -> String {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("images/rauc/system.conf.in");
    let mut text = fs::read_to_string(template).unwrap();
    let dir = dir.display();
    for (on_a_box, here) in [
        ("@COMPATIBLE@", BOARD.to_owned()),
        ("bundle-formats=verity\n", format!("bundle-formats=plain verity\nmountprefix={dir}/mnt\n")),
        ("/data/system/rauc", format!("{dir}/rauc")),
        ("/etc/rauc/ca.pem", format!("{dir}/ours-ca.pem")),
        ("/usr/lib/fieldcam/forget-slot", format!("{dir}/bin/forget-slot")),
        ("/dev/disk/by-partlabel/", format!("{dir}/")),
    ] {
        assert!(text.contains(on_a_box), "no {on_a_box:?} in:\n{text}");
        text = text.replace(on_a_box, &here);
    }
    text
}

/// An authority NAME-ca.pem and its signer NAME.pem with NAME.key, as images/lib/keys.sh makes them.
const MAKE_KEYS: &str = "
    new='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
    openssl req -x509 $new -keyout $1-ca.key -out $1-ca.pem -subj /CN=$1-authority -days 3650 \
        -addext keyUsage=critical,keyCertSign,cRLSign
    openssl req -new $new -keyout $1.key -out $1.csr -subj /CN=$1
    printf '%s\\n' basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature extendedKeyUsage=codeSigning \
        >$1.ext
    openssl x509 -req -in $1.csr -CA $1-ca.pem -CAkey $1-ca.key -set_serial 1 -out $1.pem -extfile $1.ext -days 3650";

/// What a bundle has for the root slot (`seed` 7) and the boot slot (9): nothing that a compressor makes small.
pub fn image(seed: u64) -> Vec<u8> {
    noise(seed, 300_000)
}

/// Two whole copies of the bootloader's state, as U-Boot and libubootenv have it redundantly.
fn boot_state() -> Vec<u8> {
    let mut text = b"BOOT_ORDER=A B\0BOOT_A_LEFT=3\0BOOT_B_LEFT=3\0BOOT_GOOD=A\0\0".to_vec();
    text.resize(0x200 - 5, 0);
    let mut state = vec![0; 4 << 20];
    for (at, flag) in [(0, 1), (0x10_0000, 0)] {
        state[at..at + 4].copy_from_slice(&checksum(&text));
        state[at + 4] = flag;
        state[at + 5..at + 0x200].copy_from_slice(&text);
    }
    state
}
