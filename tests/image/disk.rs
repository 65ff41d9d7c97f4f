//! A disk as it comes from the builder, and what happens to disks.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::common::bytes::checksum;
use crate::common::said::AGENT;

/// As big as a small card; the image is smaller, so that data has to grow.
const SIZE: u64 = 3 << 30;

/// What somebody with the card puts on its partition `boot` for a factory reset.
pub const RESET: &str = "factory-reset.txt";

/// Where the builder left the version that is installed (`FIELDCAM_TEST_IMAGE`), or the next one
/// (`FIELDCAM_TEST_IMAGE_NEXT`).
pub fn built(variable: &str) -> PathBuf {
    let folder = std::env::var_os(variable);
    folder.unwrap_or_else(|| panic!("{variable} names a folder that images/build printed")).into()
}

/// What the builder says of its image: `version`, `verity`, or `partition NAME`.
#[track_caller]
pub fn fact(folder: &Path, key: &str) -> String {
    let facts = std::fs::read_to_string(folder.join("qemu-arm64.facts")).unwrap();
    let found = facts.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("{key} is not among {facts}")).to_owned()
}

/// A disk of one test.
pub struct Disk {
    dir: TempDir,
}

impl Disk {
    /// A disk that was just flashed. Nothing of the test is on it.
    pub fn flashed() -> Disk {
        let dir = tempfile::Builder::new().prefix("fieldcam-image-").tempdir().unwrap();
        let from = built("FIELDCAM_TEST_IMAGE");
        for (file, to) in [("qemu-arm64.img", "disk.img"), ("u-boot-environment.bin", "environment.bin")] {
            done(Command::new("cp").arg("--sparse=always").arg(from.join(file)).arg(dir.path().join(to)));
        }
        let disk = Disk { dir };
        disk.open().set_len(SIZE).unwrap();
        disk
    }

    /// The same with the test's agent on its data partition, and two of vivid's cameras.
    pub fn with_agent() -> Disk {
        let disk = Disk::flashed();
        let seed = disk.dir.path().join("seed");
        let slot = seed.join("system/slot-a");
        let units = slot.join("etc/systemd/system");
        for folder in
            [&units.join("multi-user.target.wants"), &slot.join("etc/modprobe.d"), &slot.join("var")]
        {
            std::fs::create_dir_all(folder).unwrap();
        }
        for folder in ["etc-work", "var-work"] {
            std::fs::create_dir(slot.join(folder)).unwrap();
        }
        let verity = fact(&built("FIELDCAM_TEST_IMAGE"), "verity");
        std::fs::write(slot.join("root"), verity.split(',').nth(1).unwrap()).unwrap();
        let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/image/agent.service");
        std::fs::copy(AGENT, slot.join("etc/test-agent")).unwrap();
        std::fs::copy(unit, units.join("agent.service")).unwrap();
        symlink("../agent.service", units.join("multi-user.target.wants/agent.service")).unwrap();
        std::fs::create_dir_all(slot.join("etc/modules-load.d")).unwrap();
        std::fs::write(slot.join("etc/modules-load.d/cameras.conf"), "vivid\n").unwrap();
        let vivid = "options vivid n_devs=2 node_types=0x1,0x1\n";
        std::fs::write(slot.join("etc/modprobe.d/cameras.conf"), vivid).unwrap();
        let settings = "[cameras]\nresolution = \"320x180\"\nfps = 5\n";
        std::fs::create_dir_all(slot.join("etc/fieldcam/conf.d")).unwrap();
        std::fs::write(slot.join("etc/fieldcam/conf.d/test.toml"), settings).unwrap();
        disk.fill("data", &seed);
        std::fs::remove_dir_all(&seed).unwrap();
        disk
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("disk.img")
    }

    /// How long it is, in bytes.
    pub fn size(&self) -> u64 {
        self.open().metadata().unwrap().len()
    }

    /// No disk.
    pub fn nowhere() -> Disk {
        Disk { dir: tempfile::tempdir().unwrap() }
    }

    /// What the machine keeps beside its disk.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn open(&self) -> File {
        OpenOptions::new().read(true).write(true).open(self.path()).unwrap()
    }

    /// Where a partition begins and how long it was in the image, in bytes.
    #[track_caller]
    pub fn partition(&self, name: &str) -> (u64, u64) {
        let fact = fact(&built("FIELDCAM_TEST_IMAGE"), &format!("partition {name}"));
        let numbers: Vec<u64> = fact.split(' ').map(|n| n.parse().unwrap()).collect();
        (numbers[0] * 512, numbers[1] * 512)
    }

    /// The header of the partition table's first copy.
    pub fn table_header(&self) -> [u8; 512] {
        let mut header = [0; 512];
        self.open().read_exact_at(&mut header, 512).unwrap();
        header
    }

    /// Overwrites it.
    pub fn put_table_header(&self, header: &[u8; 512]) {
        self.open().write_all_at(header, 512).unwrap();
    }

    /// Reads `length` bytes of a partition.
    pub fn read(&self, partition: &str, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let mut file = self.open();
        file.seek(SeekFrom::Start(self.partition(partition).0 + at)).unwrap();
        file.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Overwrites bytes of a partition.
    pub fn write(&self, partition: &str, at: u64, bytes: &[u8]) {
        let mut file = self.open();
        file.seek(SeekFrom::Start(self.partition(partition).0 + at)).unwrap();
        file.write_all(bytes).unwrap();
    }

    /// What one partition holds into another one, as an update to the same version would.
    pub fn copy(&self, from: &str, to: &str) {
        let ((from, length), (to, room)) = (self.partition(from), self.partition(to));
        assert!(length <= room, "it has room");
        done(
            Command::new("dd")
                .arg(format!("if={}", self.path().display()))
                .arg(format!("of={}", self.path().display()))
                .args(["bs=1M", "conv=notrunc,sparse", "status=none"])
                .args(["iflag=skip_bytes,count_bytes", "oflag=seek_bytes"])
                .args([format!("skip={from}"), format!("seek={to}"), format!("count={length}")]),
        );
    }

    /// A file of a FAT partition.
    pub fn file(&self, partition: &str, name: &str) -> Vec<u8> {
        let to = self.dir.path().join("file");
        self.mtool("mcopy", partition, &["-n", "-o", &format!("::/{name}"), to.to_str().unwrap()]);
        std::fs::read(to).unwrap()
    }

    /// Puts a file onto a FAT partition, as a laptop with the card does.
    pub fn put(&self, partition: &str, name: &str, bytes: &[u8]) {
        let from = self.dir.path().join("file");
        std::fs::write(&from, bytes).unwrap();
        self.mtool("mcopy", partition, &["-o", from.to_str().unwrap(), &format!("::/{name}")]);
    }

    /// The names of what is on a FAT partition.
    pub fn files(&self, partition: &str) -> Vec<String> {
        let list = self.mtool("mdir", partition, &["-b", "::/"]);
        list.lines().map(|line| line.trim_start_matches("::/").to_owned()).collect()
    }

    /// What the box answered to a `RESET` that it did not do; empty when it answered nothing.
    pub fn answer_to_reset(&self) -> String {
        const ANSWER: &str = "fieldcam-factory-reset-errors.txt";
        let there = self.files("boot").iter().any(|file| file == ANSWER);
        if there { String::from_utf8(self.file("boot", ANSWER)).unwrap() } else { String::new() }
    }

    #[track_caller]
    fn mtool(&self, program: &str, partition: &str, args: &[&str]) -> String {
        let image = format!("{}@@{}", self.path().display(), self.partition(partition).0);
        done(Command::new(program).args(["-i", &image]).args(args))
    }

    /// Gives the kernel of a slot more arguments: what is in its `slot.env`, with the checksum of that.
    pub fn add_arguments(&self, slot: &str, more: &str) {
        let bytes = self.file(slot, "slot.env");
        let end = bytes[4..].windows(2).position(|two| two == [0, 0]).expect("it ends");
        let text = String::from_utf8(bytes[4..4 + end].to_vec()).unwrap();
        let (head, rest) = text.split_once('\0').unwrap();
        assert!(head.starts_with("slot_args="), "{head}");
        let mut text = format!("{head} {more}\0{rest}\0\0").into_bytes();
        text.resize(bytes.len() - 4, 0);
        self.put(slot, "slot.env", &[&checksum(&text)[..], &text].concat());
    }

    /// Turns one bit of a partition.
    pub fn flip(&self, partition: &str, at: u64) {
        let byte = self.read(partition, at, 1)[0];
        self.write(partition, at, &[byte ^ 1]);
    }

    /// Somebody else's file system in the place of the box's data; the bytes that it begins with.
    pub fn put_holidays(&self) -> Vec<u8> {
        let image = self.dir.path().join("foreign");
        File::create(&image).unwrap().set_len(64 << 20).unwrap();
        done(Command::new("mkfs.fat").args(["-F", "32", "-n", "HOLIDAYS"]).arg(&image));
        let bytes = std::fs::read(&image).unwrap();
        self.write("data", 0, &bytes);
        bytes
    }

    /// A new ext4 with what is in `folder`, as long as the partition was in the image.
    fn fill(&self, partition: &str, folder: &Path) {
        let (at, length) = self.partition(partition);
        let image = self.dir.path().join("filled");
        File::create(&image).unwrap().set_len(length).unwrap();
        done(
            Command::new("mke2fs")
                .args(["-q", "-t", "ext4", "-b", "4096", "-L", "data", "-d"])
                .arg(folder)
                .arg(&image),
        );
        done(
            Command::new("dd")
                .arg(format!("if={}", image.display()))
                .arg(format!("of={}", self.path().display()))
                .args(["bs=1M", "conv=notrunc,sparse", "status=none", "oflag=seek_bytes"])
                .arg(format!("seek={at}")),
        );
        std::fs::remove_file(image).unwrap();
    }
}

/// What a command says, which has to succeed.
#[track_caller]
pub fn done(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}
