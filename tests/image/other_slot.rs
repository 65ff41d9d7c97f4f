//! A slot that begins with the other one's state: what was changed in `/etc` and `/var`, and what was removed.

use serde_json::json;

use crate::disk::{Disk, built};
use crate::laptop::Laptop;
use crate::machine::Machine;

/// A disk whose slots hold the same version, of which one was never started.
fn same_twice() -> Disk {
    let disk = Disk::with_agent();
    disk.copy("boot_a", "boot_b");
    disk.copy("root_a", "root_b");
    disk
}

/// A box with such a disk that runs slot A, for good.
fn owned() -> (Laptop, Machine) {
    let laptop = Laptop::new();
    let machine = Machine::boot(same_twice());
    laptop.claim(&machine);
    laptop.kept(&machine);
    (laptop, machine)
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_what_was_removed_is_not_back_in_the_other_slot() {
    let mut machine = Machine::boot(same_twice());
    assert_eq!(machine.ask("cat /run/fieldcam-boot/slot"), "A");
    let there = machine.ask("ls -A /etc/security /etc/rpc");
    assert!(there.lines().count() > 4, "the image has them: {there}");
    // A folder that is made anew hides the image's by an attribute, a removed file is a device of the overlay.
    machine.ask("rm -r /etc/security /etc/rpc && mkdir /etc/security && echo ours >/etc/security/own");
    machine.ask("chown fieldcam:fieldcam /etc/security/own && chmod 640 /etc/security/own && sync");
    let list = "find /etc/security /etc/rpc -printf '%p %M %u %g\\n' 2>&1 | sort";
    let before = machine.ask(list);
    machine.ask("fw_setenv BOOT_ORDER 'B A' && systemctl --no-block reboot");
    machine.next_boot();
    assert_eq!(machine.ask("cat /run/fieldcam-boot/slot"), "B", "{}", machine.last_words());
    assert_eq!(machine.ask(list), before);
    assert_eq!(machine.ask("cat /etc/security/own"), "ours");
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_a_version_that_is_installed_again_begins_with_the_state_of_the_slot_that_runs() {
    let (laptop, mut machine) = owned();
    machine.ask("echo of A >/etc/own && fw_setenv BOOT_ORDER 'B A' && sync && systemctl --no-block reboot");
    machine.next_boot();
    assert_eq!(machine.ask("cat /run/fieldcam-boot/slot /etc/own"), "B\nof A");
    laptop.kept(&machine);
    machine.ask("echo of B >/etc/own && sync");
    // What is in A has the same root.
    let bundle = built("FIELDCAM_TEST_IMAGE").join("qemu-arm64.raucb");
    laptop.done(&machine, &["update", bundle.to_str().unwrap(), "--reboot"]);
    machine.next_boot();
    assert_eq!(machine.ask("cat /run/fieldcam-boot/slot /etc/own"), "A\nof B");
    machine.ask("test -e /run/fieldcam-boot/trial");
    assert_eq!(laptop.kept(&machine)["booted"], "A");
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_a_slot_that_cannot_have_the_others_state_is_given_up_and_the_box_says_why() {
    let (laptop, mut machine) = owned();
    // It is too large to be there twice, also in what the daemon gives up and root alone may use.
    machine.ask("dd if=/dev/zero of=/var/large bs=1M count=300 status=none && sync");
    machine.ask("fallocate -l $(($(df --output=avail -B1 /data | tail -n 1) - 33554432)) /data/fill && sync");
    let before = machine.console().len();
    machine.ask("fw_setenv BOOT_ORDER 'B A' && fw_setenv BOOT_GOOD B && systemctl --no-block reboot");
    machine.next_boot();
    assert_eq!(machine.console()[before..].matches("AB: booting B").count(), 3, "{}", machine.last_words());
    assert_eq!(machine.ask("cat /run/fieldcam-boot/slot"), "A");
    let status = laptop.kept(&machine);
    assert_eq!((&status["state"], &status["booted"]), (&json!("fell_back"), &json!("A")), "{status}");
    let reason = status["fell_back"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("could not be started: the state of the other slot cannot be copied"),
        "{status}"
    );
}
