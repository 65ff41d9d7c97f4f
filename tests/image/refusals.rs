//! Bundles that a box must not take.

use serde_json::json;

use crate::bundles::{Bundles, Signer};
use crate::disk::Disk;
use crate::laptop::{Laptop, said};
use crate::machine::Machine;

/// What an update would change: the boot state, and the beginning of the other slot's partitions.
fn other_slot(machine: &mut Machine) -> String {
    machine.ask(
        "fw_printenv | sort; \
         for part in root_b boot_b; do head -c 8M /dev/disk/by-partlabel/$part | sha256sum; done",
    )
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image"]
fn bundles_of_others_for_others_old_and_damaged_ones_are_refused_and_the_box_goes_on() {
    let (laptop, bundles) = (Laptop::new(), Bundles::new());
    let mut machine = Machine::boot(Disk::with_agent());
    laptop.claim(&machine);
    laptop.cameras(&machine, 2);
    let status = laptop.kept(&machine);
    let board = status["board"].as_str().unwrap_or_else(|| panic!("{status}")).to_owned();
    assert_eq!(board, "fieldcam-qemu-arm64");
    let before = other_slot(&mut machine);
    // It records meanwhile.
    let recording = laptop.call(&machine, "start_recording", &json!({ "device": "camera0" }));
    let recording = recording["filename"].as_str().unwrap_or_else(|| panic!("{recording}")).to_owned();

    let whole = bundles.make("whole", &board, "99.0.0", Signer::Ours);
    let end = std::fs::metadata(&whole).unwrap().len() as usize;
    for (bundle, reason, words) in [
        (
            bundles.make("signer", &board, "99.0.0", Signer::Other),
            "bad_signature",
            "was not signed by one whom this box trusts",
        ),
        (
            bundles.make("board", "fieldcam-rpi", "99.0.0", Signer::Ours),
            "wrong_board",
            "the bundle is for fieldcam-rpi, and this box is a fieldcam-qemu-arm64",
        ),
        (
            bundles.make("older", &board, "0.0.1", Signer::Ours),
            "older_version",
            "the bundle is version 0.0.1, which is not known to be as new as",
        ),
        (
            bundles.changed("cut", &whole, |bytes| bytes.truncate(end / 2)),
            "damaged_bundle",
            "damaged or not whole",
        ),
        (
            // The signature stands at the end, before its length.
            bundles.changed("signature", &whole, |bytes| bytes[end - 100] ^= 1),
            "damaged_bundle",
            "damaged or not whole",
        ),
    ] {
        refused(&laptop, &machine, bundle.to_str().unwrap(), reason, words);
        assert_eq!(other_slot(&mut machine), before, "{reason}: something was written");
    }

    // This one shows only when it is read, when the other slot is being written: that one is out of the order then.
    let payload = bundles.changed("payload", &whole, |bytes| bytes[end / 2] ^= 1);
    refused(&laptop, &machine, payload.to_str().unwrap(), "damaged_bundle", "damaged or not whole");
    let state = machine.ask("fw_printenv");
    let has = |line: &str| state.lines().any(|said| said == line);
    assert!(has("BOOT_ORDER=A") && has("BOOT_A_LEFT=3") && has("BOOT_GOOD=A"), "{state}");

    laptop.call(&machine, "stop_recording", &json!({ "device": "camera0" }));
    assert!(laptop.watches(&machine, &recording) >= 3.0);
    assert_eq!(machine.ask("systemctl --failed --no-legend --plain"), "");
}

/// The bundle is refused for this reason, and the box stays as it is.
#[track_caller]
fn refused(laptop: &Laptop, machine: &Machine, bundle: &str, reason: &str, words: &str) {
    let out = laptop.ctl(machine, &["update", bundle]);
    let text = said(&out);
    assert!(!out.status.success(), "{reason}: {text}");
    assert!(text.contains(words) && text.contains(&format!("({reason})")), "{reason}: {text}");
    let status = laptop.call(machine, "update_status", &json!({}));
    assert_eq!((&status["state"], &status["last_error"]["reason"]), (&json!("failed"), &json!(reason)));
    assert_eq!((&status["booted"], &status["next"]), (&json!("A"), &json!("A")), "{status}");
    assert_eq!(status["reboot_needed"], false, "{status}");
}
