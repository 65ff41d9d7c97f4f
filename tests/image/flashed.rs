//! A card as it comes from the builder: nothing of a test is on it, so all is seen from outside.

use serde_json::{Value, json};

use crate::common::wait_within;
use crate::disk::Disk;
use crate::laptop::Laptop;
use crate::machine::{Machine, PATIENCE};

/// What the box says of the place of its recordings.
#[track_caller]
fn storage(laptop: &Laptop, machine: &Machine) -> Value {
    let health = wait_within(PATIENCE, "the box says how it is", || laptop.health(machine));
    let components = health["components"].as_array().unwrap_or_else(|| panic!("{health}"));
    let of_disk = components.iter().find(|component| component["name"] == "storage");
    of_disk.unwrap_or_else(|| panic!("{health}")).clone()
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image"]
fn a_flashed_card_makes_its_data_grows_it_and_keeps_what_is_on_it() {
    let laptop = Laptop::new();
    let disk = Disk::flashed();
    let fresh = disk.table_header();
    let machine = Machine::start(disk);
    laptop.claim(&machine);
    let of_disk = storage(&laptop, &machine);
    assert_eq!(of_disk["status"], "healthy", "{of_disk}");
    let metrics = laptop.call(&machine, "get_storage_info", &json!({}));
    let total = metrics["total_space"].as_u64().unwrap_or_else(|| panic!("{metrics}"));
    assert!(total > machine.disk.partition("data").1 * 3, "data did not grow: {metrics}");

    // The box is ours after a cut, so it wrote that down on the disk. And as if the cut had come while data grew: the
    // entries of the partition table are new, their header is not yet.
    let disk = machine.cut();
    assert_ne!(disk.table_header(), fresh);
    disk.put_table_header(&fresh);
    let machine = Machine::start(disk);
    wait_within(PATIENCE, "the box answers", || laptop.answers(&machine).then_some(()));
    let status = laptop.call(&machine, "update_status", &json!({}));
    assert_eq!(status["booted"], "A", "{status}");
    assert_ne!(machine.cut().table_header(), fresh, "the first copy is mended");
}
