//! What the image is set to is in force on the machine that runs.

use crate::disk::{Disk, built, fact};
use crate::machine::Machine;

/// Most that a root may be, packed.
const ROOT: u64 = 150 << 20;

#[test]
#[ignore = "needs root and QEMU: scripts/test image"]
fn what_the_image_is_set_to_is_in_force() {
    let verity = fact(&built("FIELDCAM_TEST_IMAGE"), "verity");
    let blocks: u64 = verity.split(',').next().unwrap().parse().unwrap();
    assert!(blocks * 4096 <= ROOT, "the root is {} MiB", (blocks * 4096) >> 20);
    let mut machine = Machine::boot(Disk::with_agent());
    the_units_are_closed(&mut machine);
    the_kernels_settings_hold(&mut machine);
    memory_is_packed(&mut machine);
    the_watchdog_is_fed(&mut machine);
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
