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
    carrier.carry_out(Errand::Poweroff).unwrap();
    assert_eq!(called(root)[5..], ["systemctl --no-block reboot", "systemctl --no-block poweroff"]);
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
    for mark in ["system/slot-a/trial", "system/slot-b/trial", "boot/trial"] {
        fs::write(root.join(mark), "").unwrap();
    }
    carrier.carry_out(Errand::Commit { fell_back: false }).unwrap_err();
    assert!(root.join("system/slot-b/trial").exists() && root.join("boot/trial").exists());
    fs::remove_file(root.join("refuse")).unwrap();
    carrier.carry_out(Errand::Commit { fell_back: false }).unwrap();
    assert!(!root.join("system/slot-b/trial").exists() && !root.join("boot/trial").exists());
    assert!(root.join("system/slot-a/trial").exists(), "the other slot was not judged");
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
    assert!(carrier.carry_out(wish).unwrap_err().contains("no data partition"));
    fs::create_dir(root.path().join("system")).unwrap();
    carrier.carry_out(wish).unwrap();
    assert_eq!(fs::read_to_string(root.path().join("system/factory-reset")).unwrap(), "keep-recordings\n");
    carrier.carry_out(Errand::FactoryReset { keep_recordings: false }).unwrap();
    assert_eq!(fs::read_to_string(root.path().join("system/factory-reset")).unwrap(), "all\n");
}
