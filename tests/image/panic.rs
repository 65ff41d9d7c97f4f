//! What the kernel said last: it outlives the restart after a panic, and whoever helps is told.

use crate::disk::Disk;
use crate::machine::Machine;

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_what_the_kernel_said_at_a_panic_is_kept_and_told() {
    let mut machine = Machine::boot(Disk::with_agent());
    let before = machine.ask("ls -A /var/lib/systemd/pstore 2>/dev/null || true");
    assert_eq!(before, "", "nothing has happened yet");
    machine.send("echo the last word of boot one >/dev/kmsg; echo c >/proc/sysrq-trigger");
    machine.next_boot();
    assert!(machine.console().contains("Kernel panic"), "{}", machine.last_words());
    // The agent may be there before all that is started is.
    machine.run("systemctl is-system-running --wait");
    let unit = machine.ask("systemctl status --no-pager systemd-pstore.service");
    let kept = machine.ask("find /var/lib/systemd/pstore -type f -exec cat {} +");
    for wanted in ["the last word of boot one", "sysrq triggered crash"] {
        assert!(kept.contains(wanted), "{wanted:?} is not in what was kept:\n{kept}\n{unit}");
    }
    // As the daemon does it for its administrators: with its rights.
    let told =
        machine.unpacked("setpriv --reuid fieldcam --regid fieldcam --clear-groups fieldcam diag -o -");
    let rights = machine.ask("ls -lR /var/lib/systemd/pstore; ls -ld /var/lib/systemd; id fieldcam");
    let part = told.split("crashes.txt").last().unwrap_or_default();
    assert!(
        told.contains("the last word of boot one"),
        "`fieldcam diag` leaves it out:\n{rights}\n{unit}\n{part}"
    );
    // What was kept is kept once: the place is free for the next one.
    assert_eq!(machine.ask("ls -A /sys/fs/pstore"), "");
}
