//! Versions that are no good: the box goes back to the one before, and says why.
//!
//! The next version itself is good; a unit that the test leaves in `/etc` spoils it, and no other version.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::wait_within;
use crate::disk::{Disk, built, fact};
use crate::laptop::Laptop;
use crate::machine::Machine;

/// Three starts that come to nothing, each with the pause of a panic, the watchdog's or the deadline's, and a good one.
const THREE_TRIES: Duration = Duration::from_secs(900);

/// Has the next version run a command as root at this point of its start.
fn spoil(machine: &mut Machine, next: &str, order: &str, command: &str) {
    let unit = format!(
        "[Unit]\nDefaultDependencies=no\n{order}\n[Service]\nType=oneshot\n\
         ExecCondition=/bin/grep -Eq '^IMAGE_VERSION=\"?{next}\"?$' /etc/os-release\nExecStart=/bin/sh -c '{command}'\n"
    );
    machine.ask(&format!(
        "cd /etc/systemd/system && cat >spoil.service <<'UNIT'\n{unit}UNIT\n\
         mkdir -p sysinit.target.wants && ln -s ../spoil.service sysinit.target.wants/ && sync"
    ));
}

/// How often U-Boot took slot B since this place of the serial log, once it takes A.
#[track_caller]
fn tries_of_b(machine: &Machine, before: usize) -> usize {
    wait_within(THREE_TRIES, "the box goes back", || {
        let console = machine.console();
        let since = console.get(before..)?;
        since.contains("AB: booting A").then(|| since.matches("AB: booting B").count())
    })
}

/// Installs the next version on a box of two cameras, which comes back to this one. Answers with its word on it, and with
/// what it tells about itself.
#[track_caller]
fn goes_back(order: &str, command: &str) -> (Machine, Value, String) {
    let next = built("FIELDCAM_TEST_IMAGE_NEXT");
    let version = fact(&next, "version");
    let laptop = Laptop::new();
    let mut machine = Machine::boot(Disk::with_agent());
    laptop.claim(&machine);
    laptop.cameras(&machine, 2);
    spoil(&mut machine, &version, order, command);
    machine
        .ask("printf '[update]\\ncommit_deadline = \"20s\"\\n' >/etc/fieldcam/conf.d/deadline.toml && sync");
    let before = machine.console().len();
    laptop.done(&machine, &["update", next.join("qemu-arm64.raucb").to_str().unwrap(), "--reboot"]);
    assert_eq!(tries_of_b(&machine, before), 3, "{}", machine.last_words());
    machine.forget_agent();
    machine.next_boot();
    assert_eq!(machine.ask("cat /run/fieldcam-boot/slot"), "A");
    let status = laptop.kept(&machine);
    assert_eq!((&status["state"], &status["booted"]), (&json!("fell_back"), &json!("A")), "{status}");
    assert_eq!(status["fell_back"]["version"], version.as_str(), "{status}");
    let state = machine.ask("fw_printenv");
    let says = |line: &str| state.lines().any(|said| said == line);
    assert!(says("BOOT_ORDER=A") && says("BOOT_GOOD=A") && says("BOOT_A_LEFT=3"), "{state}");
    laptop.cameras(&machine, 2);
    let diag = laptop.diag(&machine);
    (machine, status, diag)
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_a_version_that_loses_a_camera_goes_back_and_says_which() {
    let (_, status, _) = goes_back(
        "Before=systemd-modules-load.service systemd-udevd.service",
        "mkdir -p /run/modprobe.d && echo options vivid n_devs=1 >/run/modprobe.d/spoil.conf",
    );
    let reason = status["fell_back"]["reason"].as_str().unwrap();
    assert!(reason.contains("not live again in time") && reason.contains("camera1"), "{status}");
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_a_version_that_panics_goes_back() {
    let order = "After=systemd-modules-load.service\nBefore=sysinit.target";
    let (machine, status, _) = goes_back(order, "echo c >/proc/sysrq-trigger");
    assert!(status["message"].as_str().unwrap().contains("was taken back"), "{status}");
    assert!(machine.console().contains("Kernel panic"), "{}", machine.last_words());
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_a_version_that_hangs_goes_back() {
    // PID 1 stands still and feeds the watchdog no more.
    let (_, status, _) =
        goes_back("Before=sysinit.target", "echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze");
    assert!(status["message"].as_str().unwrap().contains("was taken back"), "{status}");
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_a_version_whose_daemon_does_not_start_goes_back() {
    // Nor may its deadline be ten minutes here; the empty word takes them away.
    let (_, status, diag) = goes_back(
        "Before=sysinit.target fieldcam-trial.timer",
        "cd /run/systemd/system && mkdir fieldcam.service.d fieldcam-trial.timer.d && \
         printf \"[Service]\\\\nExecStartPre=/bin/false\\\\n\" >fieldcam.service.d/spoil.conf && \
         printf \"[Timer]\\\\nOnBootSec=\\\\nOnBootSec=40s\\\\nOnUnitInactiveSec=20s\\\\n\" >fieldcam-trial.timer.d/spoil.conf && \
         systemctl daemon-reload",
    );
    assert!(status["message"].as_str().unwrap().contains("was taken back"), "{status}");
    // Its own daemon said nothing.
    assert!(
        status["fell_back"]["reason"].as_str().unwrap().contains("did not come up far enough"),
        "{status}"
    );
    // What systemd said of it, before each of the three restarts.
    let words = diag.matches("this version is on trial and its daemon does not run").count();
    assert!(words >= 3 && diag.contains("fieldcam.service: Failed with result"), "{words} in {diag}");
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_a_version_that_cannot_use_the_data_goes_back() {
    let next = built("FIELDCAM_TEST_IMAGE_NEXT");
    let laptop = Laptop::new();
    let machine = Machine::boot(Disk::with_agent());
    laptop.claim(&machine);
    laptop.kept(&machine);
    laptop.done(&machine, &["update", next.join("qemu-arm64.raucb").to_str().unwrap()]);
    let before = machine.console().len();
    // What could set a deadline is on the data partition, which is somebody else's from now on.
    let disk = machine.cut();
    disk.add_arguments("boot_b", "systemd.setenv=FIELDCAM_UPDATE__COMMIT_DEADLINE=20s");
    let theirs = disk.put_holidays();
    let machine = Machine::start(disk);
    assert_eq!(tries_of_b(&machine, before), 3, "{}", machine.last_words());
    // The version before cannot use it either, and nobody has made it anew.
    let laptop = Laptop::new();
    laptop.claim(&machine);
    let status = laptop.call(&machine, "update_status", &json!({}));
    assert_eq!((&status["booted"], &status["next"]), (&json!("A"), &json!("A")), "{status}");
    let storage = laptop.call(&machine, "get_storage_info", &json!({}));
    assert_eq!(storage["temporary"]["reason"], "foreign", "{storage}");
    assert!(machine.cut().read("data", 0, theirs.len()) == theirs, "it was written to");
}
