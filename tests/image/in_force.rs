//! What the image is set to is in force on the machine that runs.

use std::process::Command;

use serde_json::Value;

use crate::disk::{Disk, built, done, fact};
use crate::machine::Machine;

/// Most that a root may be, packed.
const ROOT: u64 = 150 << 20;

#[test]
#[ignore = "needs root and QEMU: scripts/test image"]
fn what_the_image_is_set_to_is_in_force() {
    its_papers_are_beside_it();
    let verity = fact(&built("FIELDCAM_TEST_IMAGE"), "verity");
    let blocks: u64 = verity.split(',').next().unwrap().parse().unwrap();
    assert!(blocks * 4096 <= ROOT, "the root is {} MiB", (blocks * 4096) >> 20);
    let mut machine = Machine::boot(Disk::with_agent());
    the_units_are_closed(&mut machine);
    the_kernels_settings_hold(&mut machine);
    memory_is_packed(&mut machine);
    the_watchdog_is_fed(&mut machine);
}

/// Sums that are right, what is in it, and under which licences.
fn its_papers_are_beside_it() {
    let folder = built("FIELDCAM_TEST_IMAGE");
    done(Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(&folder));
    let text = std::fs::read(folder.join("qemu-arm64.spdx.json")).unwrap();
    let spdx: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(spdx["spdxVersion"], "SPDX-2.3");
    let packages: Vec<&Value> = spdx["packages"].as_array().unwrap().iter().collect();
    for name in ["fieldcam", "ffmpeg", "MediaMTX", "systemd", "rauc", "tokio"] {
        let package = packages.iter().find(|package| package["name"] == name);
        let version =
            package.unwrap_or_else(|| panic!("{name} is not among {}", packages.len()))["versionInfo"]
                .as_str();
        assert!(
            version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit() || c == 'v')),
            "{package:?}"
        );
    }
    let licences = std::fs::read_to_string(folder.join("qemu-arm64.licences.txt")).unwrap();
    assert!(
        licences.contains("GNU GENERAL PUBLIC LICENSE") || licences.contains("GNU General Public License")
    );
}

/// The daemon and its two helpers.
fn the_units_are_closed(machine: &mut Machine) {
    for unit in ["fieldcam.service", "fieldcam-box.service", "fieldcam-helper.service"] {
        let verdict =
            machine.ask(&format!("systemd-analyze security {unit} --no-pager | grep 'Overall exposure'"));
        eprintln!("{unit}: {verdict}");
        let score = verdict.split_whitespace().find_map(|word| word.parse::<f64>().ok());
        assert!(score.is_some_and(|score| score <= 2.5), "{unit}: {verdict}");
    }
}

/// Each line of the file, as /proc/sys has it.
fn the_kernels_settings_hold(machine: &mut Machine) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/images/common/usr/lib/sysctl.d/90-fieldcam.conf");
    let text = std::fs::read_to_string(file).unwrap();
    let settings: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(" = ")).collect();
    assert!(settings.len() > 20, "the file was not understood: {text}");
    let paths: Vec<String> = settings.iter().map(|(name, _)| name.replace('.', "/")).collect();
    let said = machine.ask(&format!("cd /proc/sys && for f in {}; do cat $f; done", paths.join(" ")));
    let wrong: Vec<_> = settings.iter().zip(said.lines()).filter(|((_, wanted), is)| wanted != is).collect();
    assert!(said.lines().count() == settings.len() && wrong.is_empty(), "{wrong:?} in {said}");
}

fn memory_is_packed(machine: &mut Machine) {
    let swaps = machine.ask("cat /proc/swaps");
    let of_zram = swaps.lines().find(|line| line.starts_with("/dev/zram0")).expect("a swap of zram");
    let kib: u64 = of_zram.split_whitespace().nth(2).unwrap().parse().unwrap();
    let total = machine.ask("sed -n 's/^MemTotal: *\\([0-9]*\\) kB$/\\1/p' /proc/meminfo");
    let half = total.parse::<u64>().unwrap() / 2;
    assert!((half - half / 10..=half).contains(&kib), "{kib} KiB of swap, half of the memory is {half}");
    assert!(machine.ask("cat /sys/block/zram0/comp_algorithm").contains("[zstd]"));
}

fn the_watchdog_is_fed(machine: &mut Machine) {
    let property =
        |machine: &mut Machine, name: &str| machine.ask(&format!("systemctl show --property {name} --value"));
    assert_eq!(property(machine, "RuntimeWatchdogUSec"), "14s");
    // Systemd has it open, and feeds it.
    assert!(property(machine, "WatchdogDevice").starts_with("/dev/watchdog"));
    assert_ne!(property(machine, "WatchdogLastPingTimestampMonotonic"), "0");
}
