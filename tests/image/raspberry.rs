//! The Raspberry Pi's image as far as QEMU's Raspberry Pi 4 goes: the U-Boot, the tree, the script, the state and the
//! slot of its card, and Debian's kernel until it asks for what that machine lacks.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::bytes::checksum;
use crate::common::spawn::{collect, spawn};
use crate::common::wait_within;
use crate::disk::{built, done};
use crate::machine::PATIENCE;

/// QEMU takes a card only when its size is a power of two.
const CARD: u64 = 2 << 30;

/// Where a partition begins, in bytes, as the builder says.
fn begin(partition: &str) -> u64 {
    let facts = std::fs::read_to_string(built("FIELDCAM_TEST_IMAGE_RPI").join("rpi.facts")).unwrap();
    let key = format!("partition {partition} ");
    let fact = facts.lines().find_map(|line| line.strip_prefix(&key)).expect("a partition of the image");
    fact.split(' ').next().unwrap().parse::<u64>().unwrap() * 512
}

/// A file of a FAT partition, out of the card or into it.
fn copy(card: &Path, partition: &str, from: &str, to: &str) {
    let image = format!("{}@@{}", card.display(), begin(partition));
    done(Command::new("mcopy").args(["-o", "-i", &image, from, to]));
}

/// Puts something in the place of what is there first, and zeros where it is shorter.
fn replaced(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let at = bytes.windows(old.len()).position(|found| found == old).expect("it is there");
    bytes[at..at + old.len()].fill(0);
    bytes[at..at + new.len()].copy_from_slice(new);
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn a_raspberry_pi_4_boots_slot_a_from_the_card() {
    let dir = tempfile::Builder::new().prefix("fieldcam-rpi-").tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let card = dir.path().join("card.img");
    done(
        Command::new("cp")
            .arg("--sparse=always")
            .arg(built("FIELDCAM_TEST_IMAGE_RPI").join("rpi.img"))
            .arg(&card),
    );
    let disk = File::options().read(true).write(true).open(&card).unwrap();
    disk.set_len(CARD).unwrap();
    // What a Pi's own loader does: it reads these from the first partition.
    copy(&card, "boot", "::/u-boot.bin", &file("u-boot.bin"));
    copy(&card, "boot", "::/bcm2711-rpi-4-b.dtb", &file("pi.dtb"));
    // QEMU's card is at the other controller of its Pi 4 than a real one's.
    let mut tree = std::fs::read(file("pi.dtb")).unwrap();
    replaced(&mut tree, b"/emmc2-bus@fe000000/mmc@7e340000", b"/soc/mmc@7e300000");
    std::fs::write(file("pi.dtb"), tree).unwrap();
    // A kernel that says what it does, from the beginning.
    copy(&card, "boot_a", "::/slot.env", &file("slot.env"));
    let mut slot = std::fs::read(file("slot.env")).unwrap();
    replaced(&mut slot, b"systemd.gpt_auto=0 loglevel=4", b"earlycon      ignore_loglevel");
    let crc = checksum(&slot[4..]);
    slot[..4].copy_from_slice(&crc);
    std::fs::write(file("slot.env"), slot).unwrap();
    copy(&card, "boot_a", &file("slot.env"), "::/slot.env");

    let mut qemu = Command::new(std::env::var_os("FIELDCAM_TEST_QEMU").expect("scripts/get-qemu prints it"));
    qemu.args(["-M", "raspi4b", "-display", "none", "-no-reboot", "-kernel", &file("u-boot.bin")])
        .args(["-dtb", &file("pi.dtb")])
        .args(["-drive", &format!("if=sd,format=raw,file={}", card.display())])
        // The header's line is the second one.
        .args(["-serial", "null", "-serial", &format!("file:{}", file("serial.log"))])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut qemu = Running(spawn(qemu));
    let complaints = collect(qemu.0.stderr.take().expect("piped"));
    let serial =
        || String::from_utf8_lossy(&std::fs::read(file("serial.log")).unwrap_or_default()).replace('\r', "");
    let said = wait_within(PATIENCE, "the kernel says how it was started", || {
        let said = serial();
        let ended = qemu.0.try_wait().unwrap();
        assert_eq!(ended, None, "QEMU ended\n{}\n{said}", complaints.lock().unwrap().join("\n"));
        said.contains("rauc.slot=A").then_some(said)
    });

    for wanted in [
        "Loading Environment from FAT... OK",
        "with script",
        "AB: no valid state, defaults",
        "AB: booting A",
        "Starting kernel ...",
        "Machine model: Raspberry Pi 4 Model B",
        // Linux says so of what it takes out of its own memory.
        "nomap non-reusable ramoops@7000000",
    ] {
        assert!(said.contains(wanted), "{wanted:?} is missing in\n{said}");
    }
    // U-Boot goes on after each of them.
    for wrong in
        ["syntax error", "Unknown command", "Usage:", "Hit any key", "checksum wrong", "cannot be booted"]
    {
        assert!(!said.contains(wrong), "{wrong:?} in\n{said}");
    }
    // The try was counted before the slot was loaded; on a card without a state by the older copy's place, the first.
    let mut state = [0; 512];
    disk.read_exact_at(&mut state, begin("bootstate")).unwrap();
    assert_eq!(state[..4], checksum(&state[5..]), "the state has no valid checksum");
    let state = String::from_utf8_lossy(&state[5..]).into_owned();
    let left: Vec<&str> = state.split('\0').filter(|text| text.contains("LEFT")).collect();
    assert_eq!(left, ["BOOT_A_LEFT=2", "BOOT_B_LEFT=3"]);
}
