use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

/// Programs that note how they were called, one word a line, and print what they are told to.
fn programs(root: &Path, scripts: &[(&str, &str)]) {
    fs::create_dir_all(root.join("bin")).unwrap();
    for (name, script) in scripts {
        let file = root.join("bin").join(name);
        let log = root.join("called");
        let text = format!("#!/bin/sh\nprintf '%s\\n' \"{name} $*\" >>'{}'\n{script}\n", log.display());
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn called(root: &Path) -> Vec<String> {
    let text = fs::read_to_string(root.join("called")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn carrier(root: &Path) -> Carrier {
    fs::create_dir_all(root.join("boot")).unwrap();
    fs::write(root.join("boot/slot"), "B\n").unwrap();
    Carrier::new(Places::below(root)).unwrap()
}

#[test]
fn a_commit_names_the_good_slot_before_rauc_is_told() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    programs(root, &[("fw_setenv", ""), ("rauc", ""), ("systemctl", "")]);
    let carrier = carrier(root);
    assert_eq!(carrier.carry_out(Errand::Commit { fell_back: false }), Ok(String::new()));
    assert_eq!(called(root), ["fw_setenv BOOT_GOOD B", "rauc status mark-good booted"]);
    carrier.carry_out(Errand::Commit { fell_back: true }).unwrap();
    assert_eq!(called(root)[4], "rauc status mark-bad other");
    carrier.carry_out(Errand::Reboot).unwrap();
    assert_eq!(called(root)[5..], ["systemctl --no-block reboot"]);
}

#[test]
fn a_root_that_cannot_be_read_to_its_end_is_not_good() {
    let root = tempfile::tempdir().unwrap();
    programs(root.path(), &[("fw_setenv", ""), ("rauc", "")]);
    let carrier = carrier(root.path());
    // Opens, and fails when it is read.
    fs::create_dir(root.path().join("root")).unwrap();
    let why = carrier.carry_out(Errand::Commit { fell_back: false }).unwrap_err();
    assert!(why.starts_with("the root file system cannot be read"), "{why}");
    assert!(called(root.path()).is_empty(), "nothing is marked");
    fs::remove_dir(root.path().join("root")).unwrap();
    fs::write(root.path().join("root"), vec![7; 3 << 20]).unwrap();
    assert_eq!(carrier.carry_out(Errand::Commit { fell_back: false }), Ok(String::new()));
}

#[test]
fn a_commit_ends_the_trial_once_rauc_was_told() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    programs(root, &[("fw_setenv", ""), ("rauc", "test ! -e \"${0%/*}/../refuse\"")]);
    fs::write(root.join("refuse"), "").unwrap();
    let carrier = carrier(root);
    fs::create_dir_all(root.join("system/slot-a")).unwrap();
    fs::create_dir_all(root.join("system/slot-b")).unwrap();
    let state = ["system/slot-a/root", "system/slot-b/root"];
    for mark in ["system/slot-a/trial", "system/slot-b/trial", "boot/trial"].into_iter().chain(state) {
        fs::write(root.join(mark), "").unwrap();
    }
    carrier.carry_out(Errand::Commit { fell_back: false }).unwrap_err();
    assert!(root.join("system/slot-b/trial").exists() && root.join("boot/trial").exists());
    fs::remove_file(root.join("refuse")).unwrap();
    carrier.carry_out(Errand::Commit { fell_back: false }).unwrap();
    assert!(!root.join("system/slot-b/trial").exists() && !root.join("boot/trial").exists());
    assert!(root.join("system/slot-a/trial").exists(), "the other slot was not judged");
    assert!(!root.join("system/slot-a/root").exists(), "what failed before is not begun with again");
    assert!(root.join("system/slot-b/root").exists());
}

#[test]
fn what_the_bootloader_knows_is_one_line() {
    let root = tempfile::tempdir().unwrap();
    let printed = "printf 'BOOT_ORDER=B A\\nBOOT_A_LEFT=3\\nBOOT_B_LEFT=2\\nBOOT_GOOD=A\\n'";
    programs(root.path(), &[("fw_printenv", printed)]);
    let state = carrier(root.path()).carry_out(Errand::BootState);
    assert_eq!(state.as_deref(), Ok("order=B,A a=3 b=2 good=A"));
}

#[test]
fn a_program_that_fails_is_told_with_its_words_and_ends_the_errand() {
    let root = tempfile::tempdir().unwrap();
    programs(root.path(), &[("fw_setenv", "echo no such device >&2; exit 3"), ("rauc", "")]);
    let why = carrier(root.path()).carry_out(Errand::Commit { fell_back: false }).unwrap_err();
    assert_eq!(why, "fw_setenv failed (exit code 3): no such device");
    assert_eq!(called(root.path()).len(), 1, "RAUC is not told of a slot that was not noted as good");
}

#[test]
fn a_program_that_hangs_is_ended() {
    let root = tempfile::tempdir().unwrap();
    programs(root.path(), &[("fw_setenv", "exec tail -f /dev/null")]);
    let carrier = carrier(root.path());
    let why = carrier.run("fw_setenv", &[], Duration::from_millis(50)).unwrap_err();
    assert!(why.starts_with("fw_setenv did not end within"), "{why}");
}

#[test]
fn a_factory_reset_is_a_wish_on_the_data_partition() {
    let root = tempfile::tempdir().unwrap();
    let carrier = carrier(root.path());
    let wish = Errand::FactoryReset { keep_recordings: true };
    assert!(carrier.carry_out(wish.clone()).unwrap_err().contains("no data partition"));
    fs::create_dir(root.path().join("system")).unwrap();
    carrier.carry_out(wish).unwrap();
    assert_eq!(fs::read_to_string(root.path().join("system/factory-reset")).unwrap(), "keep-recordings\n");
    carrier.carry_out(Errand::FactoryReset { keep_recordings: false }).unwrap();
    assert_eq!(fs::read_to_string(root.path().join("system/factory-reset")).unwrap(), "all\n");
}

#[test]
fn a_data_partition_that_cannot_be_used_has_the_wish_in_its_first_sector() {
    let root = tempfile::tempdir().unwrap();
    let carrier = carrier(root.path());
    let at = |name: &str| root.path().join(name);
    for folder in ["system", "dev"] {
        fs::create_dir(at(folder)).unwrap();
    }
    let all = || carrier.carry_out(Errand::FactoryReset { keep_recordings: false });
    fs::write(at("boot/data"), "missing\n").unwrap();
    assert_eq!(all().unwrap_err(), "there is no data partition");
    fs::write(at("boot/data"), "foreign\n").unwrap();
    for odd in ["../system/x\n", "\n", "gone1\n"] {
        fs::write(at("boot/data-device"), odd).unwrap();
        all().unwrap_err();
    }
    let theirs = vec![0x5a_u8; 4096];
    fs::write(at("dev/vda7"), &theirs).unwrap();
    fs::write(at("boot/data-device"), "vda7\n").unwrap();
    let keep = carrier.carry_out(Errand::FactoryReset { keep_recordings: true });
    assert!(keep.unwrap_err().contains("nothing of it can be kept"));
    // The version before may be able to use it.
    let good = |slot: char| programs(root.path(), &[("fw_printenv", &format!("echo BOOT_GOOD={slot}"))]);
    fs::write(at("boot/slot"), "B\n").unwrap();
    good('A');
    assert!(all().unwrap_err().contains("on trial"));
    assert_eq!(fs::read(at("dev/vda7")).unwrap(), theirs);
    good('B');
    all().unwrap();
    let sector = fs::read(at("dev/vda7")).unwrap();
    let said = String::from_utf8(sector[..512].iter().copied().filter(|b| *b != 0).collect()).unwrap();
    assert!(sector[512..] == theirs[512..] && fs::read_dir(at("system")).unwrap().next().is_none());
    // As the next start reads it.
    let start = include_str!("../../../images/initrd/data");
    assert!(start.contains(&format!("tr -d '\\000')\" = '{said}' ]")), "{said}");
}

/// A box with networkd, whose timer does not end.
fn with_networkd(root: &Path) -> Carrier {
    programs(
        root,
        &[("busctl", "[ \"$8\" != none0 ] || { echo Link none0 not known >&2; exit 1; }"), ("systemctl", "")],
    );
    for folder in ["run", "etc"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    carrier(root)
}

fn network_files(root: &Path) -> Vec<String> {
    let names = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        entries
            .map(move |e| format!("{folder}/{}", e.unwrap().file_name().to_string_lossy()))
            .collect::<Vec<_>>()
    };
    [names("run"), names("etc")].concat()
}

fn setting(text: &str) -> Errand {
    Errand::NetworkTry(crate::addressing::Setting::parse(text).unwrap())
}

const RELOAD: &str = "busctl --quiet call org.freedesktop.network1 /org/freedesktop/network1 \
                      org.freedesktop.network1.Manager Reload";
const TRIAL: &str = "run/01-fieldcam-trial.network";

#[test]
fn a_network_setting_is_tried_with_its_end_in_sight_and_kept() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let carrier = with_networkd(root);
    assert_eq!(carrier.carry_out(Errand::NetworkConfirm).unwrap_err(), "nothing is on trial");
    carrier.carry_out(setting("eth1 192.168.5.10/24")).unwrap();
    let begun = called(root);
    assert!(begun[0].ends_with("Manager GetLinkByName s eth1"), "{begun:?}");
    // What ends it runs before there is anything to end.
    assert_eq!(begun[1..], ["systemctl restart fieldcam-network-revert.timer"]);
    assert_eq!(network_files(root), [TRIAL]);
    assert_eq!(carrier.carry_out(Errand::NetworkConfirm).unwrap_err(), "it does not hold yet");
    carrier.carry_out(Errand::NetworkApply).unwrap();
    assert_eq!(called(root)[2..], [RELOAD]);
    let text = fs::read_to_string(root.join(TRIAL)).unwrap();
    assert!(
        text.starts_with("# Fieldcam: on trial ") && text.contains("\nAddress=192.168.5.10/24\n"),
        "{text}"
    );
    assert_eq!(carrier.carry_out(setting("eth1 dhcp")).unwrap_err(), "another setting is on trial");
    carrier.carry_out(Errand::NetworkConfirm).unwrap();
    assert_eq!(called(root)[3..], ["systemctl stop fieldcam-network-revert.timer"], "nothing is reloaded");
    assert_eq!(network_files(root), [TRIAL, "etc/05-set-eth1.network"]);
    let kept = fs::read_to_string(root.join("etc/05-set-eth1.network")).unwrap();
    assert!(kept.starts_with("# Set over the API.\n[Match]\nName=eth1\n"), "{kept}");
    assert_eq!(fs::read_to_string(root.join(TRIAL)).unwrap(), kept);
    for file in network_files(root) {
        // networkd is not root.
        assert_eq!(fs::metadata(root.join(&file)).unwrap().permissions().mode() & 0o777, 0o644, "{file}");
    }
    // One that was kept is not on trial any more, and another may be.
    for errand in [Errand::NetworkConfirm, Errand::NetworkApply] {
        assert_eq!(carrier.carry_out(errand).unwrap_err(), "nothing is on trial");
    }
    carrier.carry_out(setting("eth1 dhcp")).unwrap();
}

#[test]
fn what_cannot_be_tried_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let carrier = with_networkd(root);
    let why = carrier.carry_out(setting("none0 dhcp")).unwrap_err();
    assert_eq!(why, "busctl failed (exit code 1): Link none0 not known");
    programs(root, &[("systemctl", "echo no such unit >&2; exit 5")]);
    assert!(carrier.carry_out(setting("eth1 dhcp")).unwrap_err().contains("no such unit"));
    assert!(network_files(root).is_empty(), "a trial without an end");
    // networkd does not take it.
    programs(root, &[("systemctl", ""), ("busctl", "[ \"$6\" != Reload ] || { echo broken >&2; exit 1; }")]);
    carrier.carry_out(setting("eth1 dhcp")).unwrap();
    assert!(carrier.carry_out(Errand::NetworkApply).unwrap_err().contains("broken"));
    assert!(network_files(root).is_empty());
}

#[test]
fn a_trial_whose_time_is_over_is_not_kept() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let carrier = with_networkd(root);
    carrier.carry_out(setting("eth1 dhcp")).unwrap();
    carrier.carry_out(Errand::NetworkApply).unwrap();
    let text = fs::read_to_string(root.join(TRIAL)).unwrap();
    let until = text.split(' ').find_map(|word| word.strip_prefix("until=")).unwrap().to_owned();
    fs::write(root.join(TRIAL), text.replace(&until, "1")).unwrap();
    assert_eq!(carrier.carry_out(Errand::NetworkConfirm).unwrap_err(), "nothing is on trial");
    assert_eq!(network_files(root), [TRIAL]);
    // The next one takes its place.
    carrier.carry_out(setting("eth0 dhcp")).unwrap();
}
