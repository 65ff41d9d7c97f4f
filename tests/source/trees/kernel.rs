//! Options of the kernel: every build takes every fragment.

use std::collections::BTreeMap;

use super::{LAYER, MACHINES, defconfigs, files, machine, read, value};

/// Name → value of one fragment.
fn options(path: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in read(path).lines().filter(|l| l.starts_with("CONFIG_")) {
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("{path}: {line}"));
        assert!(matches!(value, "y" | "m") || value.parse::<u32>().is_ok(), "{path}: {line}");
        assert_eq!(found.insert(name.to_owned(), value.to_owned()), None, "{path}: {name} stands twice");
    }
    found
}

fn common() -> Vec<String> {
    files("images/kernel").into_iter().filter(|f| f.ends_with(".cfg") && !f.contains('/')).collect()
}

#[test]
fn a_box_has_what_it_needs_of_the_kernel() {
    let mut all = BTreeMap::new();
    for name in common() {
        for (option, value) in options(&format!("images/kernel/{name}")) {
            assert_eq!(all.insert(option.clone(), value), None, "{option} stands in two fragments");
        }
    }
    // Before there is a root nothing can be loaded from it.
    for built_in in
        ["DM_VERITY", "SQUASHFS", "SQUASHFS_ZSTD", "OVERLAY_FS", "EXT4_FS", "EFI_PARTITION", "BLK_DEV_INITRD"]
    {
        assert_eq!(all.get(&format!("CONFIG_{built_in}")).map(String::as_str), Some("y"), "{built_in}");
    }
    for wanted in [
        "VIDEO_DEV",
        "USB_VIDEO_CLASS",
        "USB",
        "ZRAM",
        "PSTORE_RAM",
        "WATCHDOG",
        "NF_TABLES",
        "CGROUPS",
        "SECCOMP_FILTER",
        "USER_NS",
        "BPF_SYSCALL",
        "BLK_DEV_LOOP",
        "VFAT_FS",
    ] {
        assert!(all.contains_key(&format!("CONFIG_{wanted}")), "{wanted}");
    }
    // Only for tests: never there by itself.
    assert_eq!(all["CONFIG_VIDEO_VIVID"], "m");
    for board in files("images/kernel/boards") {
        for option in options(&format!("images/kernel/boards/{board}")).keys() {
            assert!(!all.contains_key(option), "{option} is of all boards already");
        }
    }
}

#[test]
fn buildroot_merges_every_fragment() {
    for config in defconfigs() {
        let text = read(&config);
        let listed = value(&text, "BR2_LINUX_KERNEL_CONFIG_FRAGMENT_FILES");
        let ours: Vec<&str> = listed
            .split(' ')
            .filter_map(|f| f.strip_prefix("$(BR2_EXTERNAL_FIELDCAM_PATH)/../images/kernel/"))
            .collect();
        let (board, rest) = ours.split_last().unwrap();
        assert_eq!(rest, common(), "{config}");
        assert!(
            files("images/kernel/boards").contains(&board.strip_prefix("boards/").unwrap().to_owned()),
            "{config}: {board}"
        );
        assert!(board.contains("rpi") == config.contains("rpi"), "{config} has the options of {board}");
    }
}

#[test]
fn bitbake_merges_every_fragment() {
    let class = read(&format!("{LAYER}/classes-global/fieldcam_kernel.bbclass"));
    // It lists the folder itself; what it appends is all that ends in .cfg, and the board's.
    assert!(
        class.contains("'images', 'kernel'") && class.contains("os.listdir(folder) if name.endswith('.cfg')")
    );
    assert!(class.contains("fragments + [board + '.cfg']"));
    assert_eq!(value(&read(&format!("{LAYER}/conf/distro/fieldcam.conf")), "INHERIT"), "fieldcam_kernel");
    for name in MACHINES {
        let board = value(&machine(name), "FIELDCAM_KERNEL_BOARD");
        assert!(files("images/kernel/boards").contains(&format!("{board}.cfg")), "{name}: {board}");
    }
}

#[test]
fn u_boot_is_told_the_same_by_both() {
    for config in defconfigs() {
        let board = if config.contains("rpi") { "rpi" } else { "qemu-arm64" };
        let folder = "$(BR2_EXTERNAL_FIELDCAM_PATH)/../images/boot";
        assert_eq!(
            value(&read(&config), "BR2_TARGET_UBOOT_CONFIG_FRAGMENT_FILES"),
            format!("{folder}/uboot.cfg {folder}/uboot-{board}.cfg")
        );
    }
    let append = read(&format!("{LAYER}/recipes-bsp/u-boot/u-boot_%.bbappend"));
    assert!(append.contains("file://uboot.cfg file://uboot-%s.cfg"));
    for (name, board, binary) in
        [("qemuarm64", "qemu-arm64", "qemu_arm64"), ("raspberrypi5", "rpi", "rpi_arm64")]
    {
        let text = machine(name);
        assert_eq!(value(&text, "FIELDCAM_UBOOT_CONFIG"), board);
        assert!(value(&text, "UBOOT_MACHINE").starts_with(binary));
        assert!(defconfigs().iter().any(|c| value(&read(c), "BR2_TARGET_UBOOT_BOARD_DEFCONFIG") == binary));
    }
    let common = read("images/boot/uboot.cfg");
    // No prompt, nothing kept, and the parser that the script was written for.
    for line in ["CONFIG_BOOTDELAY=-2", "CONFIG_ENV_IS_NOWHERE=y", "CONFIG_HUSH_OLD_PARSER=y"] {
        assert!(common.lines().any(|l| l == line), "{line}");
    }
    for board in ["rpi", "qemu-arm64"] {
        let command = value(&read(&format!("images/boot/uboot-{board}.cfg")), "CONFIG_BOOTCOMMAND");
        assert!(command.contains("bootmeths script") && command.ends_with("; reset"), "{command}");
    }
}
