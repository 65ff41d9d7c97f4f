//! A disk beside the box's own, with the same names on it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::wait_within;
use crate::disk::{Disk, done};
use crate::laptop::{Laptop, code};
use crate::machine::{Machine, PATIENCE};

/// What a box looks for by its name.
const NAMES: [&str; 4] = ["boot", "bootstate", "boot_b", "data"];

/// A stick with partitions of these names, 40 MiB each, and a file in the first for a box that nobody owns yet.
fn make_stick(file: &Path) {
    File::create(file).unwrap().set_len(200 << 20).unwrap();
    let lines: Vec<String> = NAMES.iter().map(|name| format!("size=40M, name=\"{name}\"\n")).collect();
    let mut table = Command::new("sfdisk").arg("-q").arg(file).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = table.stdin.take().unwrap();
    write!(input, "label: gpt\nfirst-lba: 2048\n{}", lines.concat()).unwrap();
    drop(input);
    assert!(table.wait().unwrap().success());
    let image = format!("{}@@1M", file.display());
    done(Command::new("mformat").args(["-i", &image, "-T", "81920", "-F", "::"]));
    let key = format!("fk_0123456789_{}", "0123456789abcdef".repeat(4));
    let text = file.with_extension("toml");
    std::fs::write(&text, format!("[[api_key]]\nname = \"me\"\nrole = \"admin\"\nkey = \"{key}\"\n"))
        .unwrap();
    done(Command::new("mcopy").args(["-i", &image]).arg(&text).arg("::/fieldcam.toml"));
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_a_stick_with_the_names_of_a_boxs_partitions_is_none_of_them() {
    let laptop = Laptop::new();
    let disk = Disk::with_agent();
    let file = disk.beside("stick");
    make_stick(&file);
    let drive = format!("if=none,id=stick,format=raw,file={}", file.display());
    let mut machine = Machine::with(disk, &["-drive", &drive, "-device", "virtio-blk-pci,drive=stick"]);
    machine.next_boot();
    let own = machine.ask("cat /run/fieldcam-boot/disk");
    let other = if own == "vda" { "vdb" } else { "vda" };
    machine.ask("udevadm settle");
    // As they were found at the start, and once more as if it were plugged in now.
    for _ in 0..2 {
        for (number, name) in NAMES.iter().enumerate() {
            let device = machine.ask(&format!("readlink -f /dev/disk/by-partlabel/{name}"));
            assert!(device.starts_with(&format!("/dev/{own}")), "{name} is {device}, and not of {own}");
            let links = machine.ask(&format!("udevadm info -q symlink /dev/{other}{}", number + 1));
            let (uuid, label) = ("disk/by-partuuid/", "disk/by-partlabel/");
            let has = |place: &str| links.split_whitespace().any(|link| link.starts_with(place));
            assert!(has(uuid) && !has(label), "{name}: {links}");
        }
        machine.ask(&format!("udevadm trigger --settle --action=add /sys/class/block/{other}*"));
    }
    // Whoever carries the stick is not the owner.
    wait_within(PATIENCE, "the box shows its claim code", || code(&machine.console()));
    wait_within(PATIENCE, "the box answers", || laptop.answers(&machine).then_some(()));
    assert_eq!(Laptop::stranger(&machine).ok("get_server_info", Value::Null)["claimed"], false);
    let disk = machine.cut();
    let image = format!("{}@@1M", file.display());
    let files = done(Command::new("mdir").args(["-b", "-i", &image, "::/"]));
    assert!(files.to_lowercase().contains("fieldcam.toml"), "it was taken from the stick: {files}");
    assert!(disk.files("boot").iter().any(|file| file.eq_ignore_ascii_case("FIELDCAM.txt")));
}
