//! What a card loses: bytes of a slot, or of the data partition, or all of that.

use std::process::Command;

use serde_json::json;

use crate::common::bytes::noise;
use crate::common::wait_within;
use crate::disk::{Disk, RESET, done};
use crate::laptop::{Laptop, code, refusal};
use crate::machine::{Machine, PATIENCE};

const MIB: u64 = 1 << 20;

/// A box after an update to what it had: both slots can be booted.
fn two_slots() -> Disk {
    let disk = Disk::with_agent();
    disk.copy("boot_a", "boot_b");
    disk.copy("root_a", "root_b");
    disk
}

/// Boots, and waits until slot B has proved good in the place of A.
#[track_caller]
fn b_is_taken(disk: Disk) -> Machine {
    let mut machine = Machine::boot(disk);
    assert_eq!(machine.ask("cat /run/fieldcam-boot/slot"), "B", "{}", machine.last_words());
    wait_within(PATIENCE, "slot B is marked good, and A is not tried again", || {
        let state = machine.ask("fw_printenv");
        let says = |line| state.lines().any(|said| said == line);
        (says("BOOT_GOOD=B") && says("BOOT_ORDER=B") && says("BOOT_B_LEFT=3")).then_some(())
    });
    machine
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image"]
fn a_flipped_bit_in_the_root_is_caught_and_the_other_slot_boots() {
    let disk = two_slots();
    disk.flip("root_a", 7);
    let machine = b_is_taken(disk);
    let console = machine.console();
    let tries = console.matches("AB: booting A").count();
    assert_eq!(tries, 3, "{}", machine.last_words());
    assert!(console.contains("is corrupted"), "dm-verity says it\n{console}");
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_flipped_bits_that_are_read_late_are_caught_and_the_other_slot_boots() {
    let disk = two_slots();
    // What the initrd reads is not among them (the superblock, and the tables at the end); libraries and programs are.
    for at in 4..60 {
        disk.flip("root_a", at * MIB);
    }
    let machine = b_is_taken(disk);
    let console = machine.console();
    assert!(console.contains("is corrupted"), "dm-verity says it\n{console}");
    assert_eq!(console.matches("AB: booting A").count(), 3, "{}", machine.last_words());
}

/// Where in the first slot's root the middle of a driver is that the emulated box does not load. A file that is compressed
/// already stands in a squashfs as it is.
#[track_caller]
fn place_of(disk: &Disk, driver: &str) -> u64 {
    let (begin, length) = disk.partition("root_a");
    let root = disk.path();
    let unsquashfs = |option: &str, more: &[&str]| {
        let mut command = Command::new("unsquashfs");
        let out = command.args(["-o", &begin.to_string(), option]).arg(&root).args(more).output().unwrap();
        assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    };
    let names = String::from_utf8(unsquashfs("-l", &[])).unwrap();
    let name =
        names.lines().find_map(|name| name.strip_prefix("squashfs-root/").filter(|n| n.ends_with(driver)));
    let file = unsquashfs("-cat", &[name.expect("the image has that driver")]);
    let (root, middle) = (disk.read("root_a", 0, length.try_into().unwrap()), file.len() / 2);
    memchr::memmem::find(&root, &file[middle..middle + 64]).expect("it stands there as it is") as u64
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_a_flipped_bit_in_what_nobody_reads_is_caught_before_the_slot_is_marked_good() {
    let disk = two_slots();
    disk.flip("root_a", place_of(&disk, "/kernel/net/bridge/bridge.ko.xz"));
    let machine = b_is_taken(disk);
    let console = machine.console();
    assert!(console.contains("is corrupted"), "dm-verity says it\n{console}");
    assert_eq!(console.matches("AB: booting A").count(), 3, "{}", machine.last_words());
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image"]
fn a_flipped_bit_in_what_u_boot_loads_is_caught_and_the_other_slot_boots() {
    for (at, words) in [
        // Where the files begin, and in the kernel, which is the last and the longest of them.
        (None, "AB: slot A cannot be booted"),
        (Some(24 * MIB), "AB: vmlinuz checksum wrong"),
    ] {
        let disk = Disk::flashed();
        disk.copy("boot_a", "boot_b");
        match at {
            Some(at) => disk.flip("boot_a", at),
            None => {
                let mut slot = disk.file("boot_a", "slot.env");
                slot[40] ^= 1;
                disk.put("boot_a", "slot.env", &slot);
            }
        }
        let machine = Machine::start(disk);
        let said = wait_within(PATIENCE, "U-Boot has chosen", || {
            let said = machine.console();
            said.contains("AB: booting ").then_some(said)
        });
        assert!(said.contains(words), "{words:?} is missing in\n{said}");
        assert!(said.contains("AB: booting B") && !said.contains("AB: booting A"), "{said}");
    }
}

/// A box whose data partition is `word` answers, shows its camera, and says why it does not record.
#[track_caller]
fn goes_on_in_memory(disk: Disk, word: &str) -> Disk {
    // Without data there is no agent, so the camera comes by the kernel's arguments.
    disk.add_arguments("boot_a", "modules_load=vivid vivid.n_devs=1 vivid.node_types=0x1");
    let laptop = Laptop::new();
    let machine = Machine::start(disk);
    laptop.claim(&machine);
    laptop.cameras(&machine, 1);
    let storage = laptop.call(&machine, "get_storage_info", &json!({}));
    assert_eq!(storage["temporary"]["reason"], word, "{storage}");
    let why = storage["temporary"]["message"].as_str().unwrap();
    let health = wait_within(PATIENCE, "its health says why", || {
        let health = laptop.health(&machine)?;
        health["reasons"].to_string().contains(why).then_some(health)
    });
    assert_eq!(health["status"], "unhealthy", "{health}");
    let refused = laptop.refused(&machine, "start_recording", &json!({ "device": "camera0" }));
    assert_eq!(refused["data"]["reason"], format!("data_{word}"), "{refused}");
    assert!(refused["data"]["suggestion"].as_str().is_some_and(|text| text.len() > 20), "{refused}");
    // It is a camera all the same.
    let still = laptop.ctl(&machine, &["stream", "camera0"]);
    assert!(still.status.success(), "{still:?}");
    machine.cut()
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image"]
fn a_box_without_its_data_partition_answers_and_says_so() {
    let disk = Disk::flashed();
    done(Command::new("sfdisk").args(["-q", "--delete"]).arg(disk.path()).arg("7"));
    goes_on_in_memory(disk, "missing");
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_a_factory_reset_makes_somebody_elses_data_partition_anew() {
    let disk = Disk::flashed();
    disk.put_holidays();
    let laptop = Laptop::new();
    let machine = Machine::start(disk);
    laptop.claim(&machine);
    let before = code(&machine.console());
    let other = laptop.refused(&machine, "factory_reset", &json!({ "confirm": "another-box" }));
    let hint = other["data"]["suggestion"].as_str().unwrap();
    let host = hint.split([' ', ':']).find(|word| word.starts_with("fieldcam-")).unwrap();
    let keep = json!({ "confirm": host, "keep_recordings": true });
    let kept = laptop.refused(&machine, "factory_reset", &keep);
    assert_eq!(kept["data"]["state"], "DATA_FOREIGN", "{kept}");
    laptop.done(&machine, &["factory-reset", "--confirm", host]);
    wait_within(PATIENCE, "the box shows a new claim code", || {
        code(&machine.console()).filter(|shown| Some(shown) != before.as_ref())
    });
    let new = Laptop::new();
    new.claim(&machine);
    let storage = new.call(&machine, "get_storage_info", &json!({}));
    assert!(storage["temporary"].is_null(), "{storage}");
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_a_box_with_somebody_elses_data_partition_answers_says_so_and_leaves_it() {
    let disk = Disk::flashed();
    let theirs = disk.put_holidays();
    // There are no recordings that it could keep.
    disk.put("boot", RESET, b"keep-recordings");
    let disk = goes_on_in_memory(disk, "foreign");
    assert!(disk.read("data", 0, theirs.len()) == theirs, "it was written to");
    let answer = disk.answer_to_reset();
    assert!(answer.contains("is foreign") && answer.contains("Write all"), "{answer}");

    disk.put("boot", RESET, b"all");
    let laptop = Laptop::new();
    let machine = Machine::start(disk);
    laptop.claim(&machine);
    let storage = laptop.call(&machine, "get_storage_info", &json!({}));
    assert!(storage["temporary"].is_null(), "{storage}");
    assert!(!machine.disk.files("boot").contains(&RESET.to_owned()), "the next start would do it again");
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_a_box_whose_data_partition_is_beyond_repair_answers_and_says_so() {
    let disk = Disk::with_agent();
    // The superblock with the tables behind it, and the only spare one.
    let lost = noise(1, MIB as usize);
    for at in [0, 32768 * 4096] {
        disk.write("data", at, &lost);
    }
    let disk = goes_on_in_memory(disk, "broken");
    assert!(disk.read("data", 0, lost.len()) == lost, "what can be saved of it was written to");
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_data_is_repaired_and_data_without_room_keeps_its_footage() {
    let disk = Disk::with_agent();
    // The superblock and the groups' table; a spare of both is left.
    disk.write("data", 0, &noise(1, 16384));
    let laptop = Laptop::new();
    let mut machine = Machine::boot(disk);
    assert!(!machine.run("test -e /run/fieldcam-boot/data").status.eq(&0), "{}", machine.last_words());
    laptop.claim(&machine);
    laptop.cameras(&machine, 2);
    let storage = laptop.call(&machine, "get_storage_info", &json!({}));
    assert!(storage["total_space"].as_u64() > Some(1 << 30), "it grew to the disk's end: {storage}");
    let recording = laptop.record(&machine, "camera0", 4);

    // Something else fills it; the daemon gives up what it holds back for this.
    machine.ask("fallocate -l $(df --output=avail -B1 /data | tail -n 1) /data/fill && sync");
    wait_within(PATIENCE, "its health says that it is full", || {
        let health = laptop.health(&machine)?;
        health["reasons"].to_string().contains("of the data disk is free").then_some(())
    });
    let refused = wait_within(PATIENCE, "recordings are refused", || {
        let out = laptop.ctl(&machine, &["--json", "call", "start_recording", r#"{"device":"camera0"}"#]);
        refusal(&out)
    });
    assert!(refused.to_string().contains("full"), "{refused}");
    assert!(laptop.watches(&machine, &recording) >= 3.0);

    // Nor does it need room to start.
    machine.ask("systemctl --no-block reboot");
    machine.next_boot();
    wait_within(PATIENCE, "it answers again", || laptop.health(&machine));
    assert!(laptop.watches(&machine, &recording) >= 3.0);
}
