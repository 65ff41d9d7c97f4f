//! A slot that begins with the other one's state: what was changed in `/etc` and `/var`, and what was removed.

use crate::disk::Disk;
use crate::machine::Machine;

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_what_was_removed_is_not_back_in_the_other_slot() {
    let disk = Disk::with_agent();
    disk.copy("boot_a", "boot_b");
    disk.copy("root_a", "root_b");
    let mut machine = Machine::boot(disk);
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
