//! What Buildroot's own checks ask of an external tree (check-package, check-dotconfig, legal-info), as text.

use std::os::unix::fs::PermissionsExt;

use super::{at, defconfigs, files, is_hex, read, value};

const TREE: &str = "buildroot-overlay";

fn packages() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(at(TREE).join("package"))
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn the_tree_says_what_it_is() {
    assert_eq!(value(&read(&format!("{TREE}/external.desc")).replace(": ", "="), "name"), "FIELDCAM");
    assert_eq!(
        read(&format!("{TREE}/external.mk")),
        "include $(sort $(wildcard $(BR2_EXTERNAL_FIELDCAM_PATH)/package/*/*.mk))\n"
    );
    let sources: Vec<String> = packages()
        .iter()
        .map(|name| format!("source \"$BR2_EXTERNAL_FIELDCAM_PATH/package/{name}/Config.in\""))
        .collect();
    assert_eq!(read(&format!("{TREE}/Config.in")).lines().collect::<Vec<_>>(), sources);
    let readme = read(&format!("{TREE}/README.md"));
    for word in ["Jetson", "2026.02", "not run", "scripts/source-archive"] {
        assert!(readme.to_lowercase().contains(&word.to_lowercase()), "the README does not speak of {word}");
    }
}

#[test]
fn each_package_is_whole() {
    for name in packages() {
        let folder = format!("{TREE}/package/{name}");
        assert_eq!(files(&folder), ["Config.in".to_owned(), format!("{name}.hash"), format!("{name}.mk")]);
        let prefix = name.to_uppercase().replace('-', "_");
        let make = read(&format!("{folder}/{name}.mk"));
        let rule = "#".repeat(80);
        assert!(make.starts_with(&format!("{rule}\n#\n# {name}\n#\n{rule}\n\n")), "{name}: header");
        for variable in ["VERSION", "SITE", "LICENSE", "LICENSE_FILES"] {
            assert!(!value(&make, &format!("{prefix}_{variable}")).is_empty(), "{name}: {variable}");
        }
        for line in make.lines().filter(|l| !l.is_empty() && !l.starts_with(['#', '\t', '$'])) {
            let first = line.split([' ', '=']).next().unwrap();
            assert!(first.starts_with(&prefix) || ["define", "endef"].contains(&first), "{name}: {line}");
        }
        let last = make.lines().last().unwrap();
        assert!(["$(eval $(cargo-package))", "$(eval $(generic-package))"].contains(&last), "{name}: {last}");
        assert!(
            make.lines().all(|l| l == l.trim_end() && l.len() <= 120),
            "{name}: spaces at a line's end, or a long line"
        );
    }
}

#[test]
fn each_package_can_be_chosen_and_says_what_for() {
    for name in packages() {
        let text = read(&format!("{TREE}/package/{name}/Config.in"));
        let symbol = format!("BR2_PACKAGE_{}", name.to_uppercase().replace('-', "_"));
        assert!(text.starts_with(&format!("config {symbol}\n\tbool \"{name}\"\n")), "{name}");
        let entry = text.split("\n\ncomment ").next().unwrap();
        let (head, help) = entry.split_once("\thelp\n").unwrap();
        let first_select = head.find("\tselect ").unwrap_or(head.len());
        assert!(
            !head[first_select..].contains("\tdepends on "),
            "{name}: `depends on` stands before `select`"
        );
        for line in help.lines().filter(|l| !l.is_empty()) {
            assert!(line.starts_with("\t  ") && line.len() <= 65, "{name}: {line:?}");
        }
        assert!(
            help.trim_end().lines().last().unwrap().starts_with("\t  https://"),
            "{name}: help ends with the address"
        );
    }
    let daemon = read(&format!("{TREE}/package/fieldcam/Config.in"));
    for line in [
        "depends on BR2_PACKAGE_HOST_RUSTC_TARGET_ARCH_SUPPORTS",
        "select BR2_PACKAGE_HOST_RUSTC",
        "select BR2_PACKAGE_FFMPEG",
    ] {
        assert!(daemon.lines().any(|l| l.split(" #").next().unwrap().trim() == line), "{line}");
    }
    assert!(read(&format!("{TREE}/package/mediamtx-bin/Config.in")).contains("\tdepends on BR2_aarch64\n"));
    assert!(
        read(&format!("{TREE}/package/mediamtx-bin/mediamtx-bin.mk")).contains("_STRIP_COMPONENTS = 0\n")
    );
}

#[test]
fn every_download_has_a_hash() {
    let mut lists: Vec<String> =
        packages().iter().map(|name| format!("{TREE}/package/{name}/{name}.hash")).collect();
    lists.push(format!("{TREE}/patches/linux/linux.hash"));
    lists.push(format!("{TREE}/patches/linux-headers/linux-headers.hash"));
    for list in lists {
        let text = read(&list);
        assert!(text.starts_with("# "), "{list} says where its hashes are from");
        let mut named = Vec::new();
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let fields: Vec<&str> = line.split("  ").collect();
            assert!(fields.len() == 3 && fields[0] == "sha256" && is_hex(fields[1], 64), "{list}: {line:?}");
            named.push(fields[2].to_owned());
        }
        assert!(!list.contains("/package/") || named.contains(&"LICENSE".to_owned()), "{list}: no licence");
    }
}

#[test]
fn each_defconfig_is_a_box() {
    let configs = defconfigs();
    assert_eq!(configs.len(), 3, "{configs:?}");
    for config in &configs {
        assert!(!config.contains("jetson") && !config.contains("orin"), "Buildroot has no Jetson");
        let text = read(config);
        for line in [
            "BR2_aarch64=y",
            "BR2_DOWNLOAD_FORCE_CHECK_HASHES=y",
            "BR2_INIT_SYSTEMD=y",
            "BR2_PACKAGE_RAUC=y",
            "BR2_PACKAGE_RAUC_DBUS=y",
            "BR2_PACKAGE_HOST_RAUC=y",
            "BR2_PACKAGE_FIELDCAM=y",
            "BR2_TARGET_ROOTFS_SQUASHFS=y",
            "# BR2_TARGET_ENABLE_ROOT_LOGIN is not set",
            "# BR2_TARGET_GENERIC_GETTY is not set",
        ] {
            assert!(text.lines().any(|l| l == line), "{config} lacks {line}");
        }
        // Written as savedefconfig writes: no comments, nothing twice.
        let mut symbols = Vec::new();
        for line in text.lines() {
            let symbol = line.strip_prefix("# ").unwrap_or(line).split(['=', ' ']).next().unwrap();
            assert!(symbol.starts_with("BR2_"), "{config}: {line}");
            assert!(line.contains('=') || line.ends_with(" is not set"), "{config}: {line}");
            assert!(!symbols.contains(&symbol), "{config}: {symbol} stands twice");
            symbols.push(symbol);
        }
        assert_eq!(
            symbols.last(),
            Some(&"BR2_PACKAGE_FIELDCAM"),
            "symbols of the tree come after Buildroot's"
        );
        // Our own files are there.
        for word in text.split(['"', ' ', '\n']).filter(|w| w.starts_with("$(BR2_EXTERNAL_FIELDCAM_PATH)/")) {
            let path = word.replace("$(BR2_EXTERNAL_FIELDCAM_PATH)", TREE);
            // `images/common` and the like are a folder up.
            assert!(at(&path).exists(), "{config} names {word}, which is not there");
        }
        let board = value(&text, "BR2_ROOTFS_POST_SCRIPT_ARGS");
        assert!(at(TREE).join("board").join(&board).join("board.conf").exists());
        assert!(!text.contains("tryboot"));
    }
}

#[test]
fn the_vendor_kernel_is_a_commit_with_a_hash() {
    for config in defconfigs().iter().filter(|c| c.contains("rpi")) {
        let text = read(config);
        let place = value(&text, "BR2_LINUX_KERNEL_CUSTOM_TARBALL_LOCATION");
        let commit =
            place.strip_prefix("$(call github,raspberrypi,linux,").unwrap().split(')').next().unwrap();
        assert!(is_hex(commit, 40), "{config}: {commit}");
        let file = format!("linux-{commit}.tar.gz");
        assert!(place.ends_with(&format!("/{file}")));
        for hashes in ["linux", "linux-headers"] {
            assert!(read(&format!("{TREE}/patches/{hashes}/{hashes}.hash")).contains(&format!("  {file}\n")));
        }
        let patches = value(&text, "BR2_GLOBAL_PATCH_DIR");
        assert_eq!(patches, "board/raspberrypi/patches $(BR2_EXTERNAL_FIELDCAM_PATH)/patches");
    }
}

#[test]
fn scripts_of_the_tree_can_be_run() {
    for script in files(&format!("{TREE}/board/common")).iter().filter(|f| f.starts_with("post-")) {
        let path = at(TREE).join("board/common").join(script);
        assert!(read(&format!("{TREE}/board/common/{script}")).starts_with("#!/usr/bin/env bash\n"));
        assert_eq!(
            path.metadata().unwrap().permissions().mode() & 0o111,
            0o111,
            "{script} is not executable"
        );
    }
}
