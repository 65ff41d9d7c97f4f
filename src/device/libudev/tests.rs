use std::process::Command;

use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};

use super::*;
use crate::device::tree::Tree;
use crate::device::{Sysfs, recorded};

/// libudev looks into `/sys` alone and wants a real one there, but for this.
const NO_CHECK: &str = "SYSTEMD_DEVICE_VERIFY_SYSFS";

#[test]
fn both_ways_tell_the_same_of_this_machine() {
    let (ours, libudevs) =
        (Sysfs::new(Path::new("/sys"), Path::new("/run")), Libudev::new(Path::new("/run")));
    assert_eq!(libudevs.list().unwrap(), ours.list().unwrap());
    assert_eq!(libudevs.scan().unwrap(), ours.scan().unwrap());
    assert_eq!(libudevs.read("/devices/none/video4linux/video0"), None);
    assert_eq!(libudevs.read("/../etc"), None);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it is waited for")]
fn both_ways_tell_the_same_of_every_recorded_device() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not root: no tree can be put in the place of /sys");
        return;
    }
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "device::libudev::tests::of_recorded_trees", "--ignored", "--nocapture"])
        .env(NO_CHECK, "0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn of_recorded_trees() {
    assert!(std::env::var_os(NO_CHECK).is_some());
    // Of this thread alone: nothing outside of it sees another /sys.
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
    for recorded in recorded::ALL {
        let tree = Tree::new();
        (recorded.put)(&tree);
        let expected = tree.devices().scan().unwrap();
        assert_eq!(expected.len(), recorded.told.len());
        mount(Some(tree.path()), "/sys", None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        let scanned = Libudev::new(Path::new("/run")).scan().unwrap();
        umount("/sys").unwrap();
        assert_eq!(scanned, expected, "{}", recorded.what);
    }
}

#[tokio::test]
async fn monitors_open_and_wait() {
    let mut listener = Libudev::new(Path::new("/run")).listen().unwrap();
    let quiet = tokio::time::timeout(std::time::Duration::from_millis(20), listener.next()).await;
    assert!(quiet.is_err(), "no device came");
}
