//! The image builder, the Buildroot tree and the Yocto layer say the same.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{LAYER, MACHINES, at, between, defconfigs, files, machine, read, value};

fn sha256(path: &str) -> String {
    Sha256::digest(std::fs::read(at(path)).unwrap()).iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn all_builds_take_the_common_folder_whole() {
    assert!(read("images/lib/root.sh").contains(r#""$root/images/common/." "$folder/""#));
    for config in defconfigs() {
        let overlays = value(&read(&config), "BR2_ROOTFS_OVERLAY");
        let overlays: Vec<&str> = overlays.split(' ').collect();
        assert_eq!(overlays[0], "$(BR2_EXTERNAL_FIELDCAM_PATH)/../images/common", "{config}");
        assert_eq!(overlays[1], "$(BR2_EXTERNAL_FIELDCAM_PATH)/../images/built", "{config}");
    }
    // BitBake packs the units with the daemon and the rest by itself: between them nothing is lost.
    let common = read(&format!("{LAYER}/recipes-fieldcam/fieldcam-common/fieldcam-common_0.1.0.bb"));
    let daemon = read(&format!("{LAYER}/recipes-fieldcam/fieldcam/fieldcam_0.1.0.bb"));
    assert!(common.contains("${S}/common/. ${D}/") && common.contains("${S}/built/. ${D}/"));
    let left_out: Vec<&str> = common.lines().filter_map(|l| l.trim().strip_prefix("rm -rf ${D}")).collect();
    assert_eq!(left_out, ["${systemd_system_unitdir}"]);
    assert!(daemon.contains("file://images/common/usr/lib/systemd/system;subdir=${BP}"));
    assert!(daemon.contains("${S}/images/common/usr/lib/systemd/system/. ${D}${systemd_system_unitdir}/"));
}

#[test]
fn what_only_debian_packages_is_beside_the_common_folder() {
    let built = files("images/built");
    for unit in built.iter().filter(|path| path.contains(".wants/")) {
        let target = std::fs::read_link(at("images/built").join(unit)).unwrap();
        let unit = unit.split_once(".target.wants/").unwrap().1;
        assert_eq!(
            target.to_str(),
            Some(format!("../{unit}").as_str()),
            "a link that the box could not follow"
        );
        assert!(built.contains(&format!("usr/lib/systemd/system/{unit}")), "{unit} is started and not there");
    }
    let common = files("images/common");
    assert!(!built.iter().any(|path| common.contains(path)), "a file stands in both folders");
    // A unit of images/built that runs a program of it.
    assert!(
        read("images/built/usr/lib/systemd/system/fieldcam-zram.service").contains("/usr/lib/fieldcam/zram")
    );
}

#[test]
fn a_boards_button_is_watched_and_every_board_says_which_key_it_is() {
    let rule = read("images/common/usr/lib/udev/rules.d/90-fieldcam-button.rules");
    let unit = between(&rule, "ENV{SYSTEMD_WANTS}+=\"", "%k.service");
    let unit = read(&format!("images/common/usr/lib/systemd/system/{unit}.service"));
    assert!(unit.contains("--device /dev/input/%i") && unit.contains("DeviceAllow=/dev/input/%i r"));
    let file = value(&unit, "EnvironmentFile").trim_start_matches('-').to_owned();
    assert!(
        read("images/lib/root.sh").contains(&format!("$folder{file}")),
        "{file} is what the builder writes"
    );
    for board in
        files("images/boards").into_iter().filter(|file| file.ends_with(".conf") && !file.contains('/'))
    {
        let key = value(&read(&format!("images/boards/{board}")), "reset_key");
        assert!(key.parse::<u16>().is_ok_and(|key| (1..0x300).contains(&key)), "{board}: {key:?}");
    }
}

#[test]
fn what_is_kept_of_the_journal_is_where_the_daemon_reads_it() {
    let folder = value(&read("images/common/usr/lib/fieldcam/keep-journal"), "folder");
    assert!(read("src/diag/boot.rs").contains(&format!("KEPT_JOURNAL: &str = \"{folder}\"")), "{folder}");
    let units = ["fieldcam-journal.service", "fieldcam-journal-end.service"]
        .map(|unit| read(&format!("images/common/usr/lib/systemd/system/{unit}")));
    for unit in &units {
        let made = format!("=+/usr/bin/install -d -o root -g fieldcam -m 0750 {folder}\n");
        assert!(unit.contains(&made) && unit.contains("=/usr/lib/fieldcam/keep-journal\n"), "{unit}");
        assert_eq!(value(unit, "ReadWritePaths"), format!("-{folder}"));
        assert_eq!((value(unit, "Group"), value(unit, "UMask")), ("fieldcam".into(), "0027".into()));
        assert_eq!(value(unit, "RuntimeDirectory"), "fieldcam-journal", "both go on where the other was");
    }
    assert!(units[1].contains("ExecStop=/usr/lib/fieldcam/keep-journal"));
    assert!(value(&units[1], "Before").contains("fieldcam.service"), "it stops after the daemon");
    let preset = read("images/common/usr/lib/systemd/system-preset/00-fieldcam.preset");
    for unit in ["fieldcam-journal.timer", "fieldcam-journal-end.service"] {
        assert!(preset.contains(&format!("enable {unit}\n")), "{unit}");
    }
    assert!(
        value(&read("images/common/usr/lib/systemd/system/fieldcam.service"), "ReadWritePaths") == "/data"
    );
}

#[test]
fn partitions_are_looked_for_on_the_disk_that_the_initrd_wrote_down() {
    let rules = "images/common/usr/lib/udev/rules.d";
    let ours = "61-fieldcam-disk.rules";
    let rule = read(&format!("{rules}/{ours}"));
    let init = read("images/initrd/init");
    let facts = value(&init, "facts");
    assert!(init.contains("echo \"$disk\" >\"$facts/disk\"\n"), "the initrd says nothing of the disk");
    assert!(rule.contains(&format!("/usr/bin/cat {facts}/disk\"")), "{rule}");
    // What it takes away, udev's own rules give before it.
    assert!(ours > "60-persistent-storage.rules");
    assert!(rule.contains("SYMLINK-=\"disk/by-partlabel/$env{ID_PART_ENTRY_NAME}\"\n"), "{rule}");
}

#[test]
fn the_daemon_is_the_same_user_everywhere() {
    let users = read("images/common/usr/lib/sysusers.d/fieldcam.conf");
    let line = users.lines().find(|l| l.starts_with("u fieldcam ")).unwrap();
    // Files on the data disk belong to the number, whoever made the root.
    let number = line.split(' ').nth(2).unwrap();
    assert!(number.parse::<u32>().is_ok(), "{line}");
    // Whose is what a full file system keeps back.
    let mount = read("images/initrd/init");
    assert_eq!(between(&mount, ",resuid=", " "), number);
    assert!(mount.contains(&format!("(user {number})")), "the initrd's comment names another user");
    let mut tail = line.rsplit(' ');
    let (shell, home) = (tail.next().unwrap(), tail.next().unwrap());
    let unit = read("images/common/usr/lib/systemd/system/fieldcam.service");
    let group = value(&unit, "SupplementaryGroups");
    let package = read("buildroot-overlay/package/fieldcam/fieldcam.mk");
    let table = between(&package, "define FIELDCAM_USERS\n\t", "\n");
    assert!(
        table.starts_with(&format!("fieldcam {number} fieldcam {number} * {home} {shell} {group} ")),
        "{table}"
    );
    let daemon = read(&format!("{LAYER}/recipes-fieldcam/fieldcam/fieldcam_0.1.0.bb"));
    assert_eq!(value(&daemon, "GROUPADD_PARAM:${PN}"), format!("--system --gid {number} fieldcam"));
    let user = value(&daemon, "USERADD_PARAM:${PN}").replace("${sbindir}", "/usr/sbin");
    let wanted = [
        format!("--uid {number} --gid fieldcam"),
        format!("--home-dir {home}"),
        format!("--shell {shell}"),
        format!("--groups {group}"),
    ];
    for word in wanted {
        assert!(user.contains(&word), "{user} lacks {word}");
    }
    assert!(user.ends_with(" fieldcam"), "{user}");
}

#[test]
fn mediamtx_is_the_pinned_one_everywhere() {
    let script = read("scripts/get-mediamtx");
    let version = value(&script, "version");
    let number = version.strip_prefix('v').unwrap();
    let hash = between(&script, "[arm64]=", "\n").to_owned();
    let file = format!("mediamtx_{version}_linux_arm64.tar.gz");
    let package = read("buildroot-overlay/package/mediamtx-bin/mediamtx-bin.mk");
    assert_eq!(value(&package, "MEDIAMTX_BIN_VERSION"), number);
    assert!(
        read("buildroot-overlay/package/mediamtx-bin/mediamtx-bin.hash")
            .contains(&format!("sha256  {hash}  {file}\n"))
    );
    let recipe = read(&format!("{LAYER}/recipes-fieldcam/mediamtx-bin/mediamtx-bin_{number}.bb"));
    assert_eq!(value(&recipe, "SRC_URI[sha256sum]"), hash);
    // All three ask the same place.
    let place = "https://github.com/bluenviron/mediamtx/releases/download/";
    assert!(script.contains(place) && package.contains(place) && recipe.contains(place));
}

#[test]
fn one_version_of_the_daemon() {
    let version = value(&read("Cargo.toml"), "version");
    assert_eq!(value(&read("buildroot-overlay/package/fieldcam/fieldcam.mk"), "FIELDCAM_VERSION"), version);
    assert_eq!(value(&read(&format!("{LAYER}/conf/distro/fieldcam.conf")), "DISTRO_VERSION"), version);
    for recipe in
        files(LAYER).iter().filter(|f| f.ends_with(".bb") && f.contains("/fieldcam") && f.contains('_'))
    {
        assert!(recipe.ends_with(&format!("_{version}.bb")), "{recipe} is not of {version}");
    }
    let hashes = read("buildroot-overlay/package/fieldcam/fieldcam.hash");
    for suffix in ["cargo4", "cargo5", "cargo6"] {
        assert!(hashes.contains(&format!("  fieldcam-{version}-{suffix}.tar.gz\n")), "no hash for {suffix}");
    }
    assert!(read("scripts/source-archive").contains("suffixes=(cargo4 cargo5 cargo6)"));
}

#[test]
fn the_compilers_of_both_trees_are_new_enough() {
    let wanted = value(&read("Cargo.toml"), "rust-version");
    let minor: u32 = wanted.strip_prefix("1.").unwrap().parse().unwrap();
    assert!(
        minor <= 88,
        "Buildroot 2026.02 LTS has Rust 1.88, and Yocto 6.0 has 1.94; Cargo.toml wants {wanted}"
    );
}

#[test]
fn licences_are_the_real_ones() {
    let ours = sha256("LICENSE");
    assert!(
        read("buildroot-overlay/package/fieldcam/fieldcam.hash")
            .contains(&format!("sha256  {ours}  LICENSE\n"))
    );
    assert_eq!(sha256(&format!("{LAYER}/COPYING")), ours);
    let md5 = "LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57";
    for recipe in files(LAYER).iter().filter(|f| f.ends_with(".bb") && !f.contains("mediamtx")) {
        assert!(read(&format!("{LAYER}/{recipe}")).contains(md5), "{recipe} has another md5 of LICENSE");
    }
}

#[test]
fn a_bundle_is_for_boxes_of_its_own_kind() {
    // Kind → who makes it.
    let mut kinds = BTreeMap::new();
    for config in defconfigs() {
        let board = value(&read(&config), "BR2_ROOTFS_POST_SCRIPT_ARGS");
        let kind = value(&read(&format!("buildroot-overlay/board/{board}/board.conf")), "variant");
        assert_eq!(kind, format!("buildroot-{board}"));
        assert_eq!(kinds.insert(kind, config), None);
    }
    for name in MACHINES {
        let kind = value(&machine(name), "FIELDCAM_VARIANT");
        assert_eq!(kind, format!("yocto-{name}"));
        assert_eq!(kinds.insert(kind, name.to_owned()), None);
    }
    let boards = files("images/boards");
    for board in boards.iter().filter(|f| !f.contains('/')).filter_map(|f| f.strip_suffix(".conf")) {
        assert_eq!(kinds.insert(board.to_owned(), board.to_owned()), None);
    }
    // The box and its bundle are given the same name by each builder.
    assert!(read("images/lib/root.sh").contains("s/@COMPATIBLE@/fieldcam-$board/"));
    assert!(read("images/build").contains("raucb\" \"fieldcam-$board\" \"$version\""));
    assert!(
        read("buildroot-overlay/board/common/post-build.sh").contains("s/@COMPATIBLE@/fieldcam-$variant/")
    );
    assert!(
        read("buildroot-overlay/board/common/post-image.sh")
            .contains("raucb\" \"fieldcam-$variant\" \"$version\"")
    );
    assert!(
        read(&format!("{LAYER}/recipes-core/rauc/rauc-conf.bbappend"))
            .contains("s/@COMPATIBLE@/fieldcam-${FIELDCAM_VARIANT}/")
    );
    let bundle = read(&format!("{LAYER}/recipes-fieldcam/bundles/fieldcam-bundle.bb"));
    assert_eq!(value(&bundle, "RAUC_BUNDLE_COMPATIBLE"), "fieldcam-${FIELDCAM_VARIANT}");
}

/// Name → MiB, of the image builder.
fn partitions() -> BTreeMap<String, u32> {
    let disk = read("images/lib/disk.sh");
    let sizes: BTreeMap<&str, u32> = disk
        .lines()
        .find(|l| l.starts_with("boot_size="))
        .expect("disk.sh has no line of sizes")
        .split(' ')
        .map(|word| word.split_once('=').unwrap())
        .map(|(name, size)| (name, size.parse().unwrap()))
        .collect();
    let list = between(&disk, "for part in ", "; do").replace("\\\n", " ");
    list.split_whitespace()
        .map(|part| {
            let fields: Vec<&str> = part.split(':').collect();
            (fields[0].to_owned(), sizes[fields[1].trim_start_matches('$')])
        })
        .collect()
}

#[test]
fn partitions_have_the_same_names_and_sizes() {
    let wanted = partitions();
    assert_eq!(wanted.len(), 7, "{wanted:?}");
    let genimage: BTreeMap<String, u32> = read("buildroot-overlay/board/common/genimage.cfg")
        .split("\tpartition ")
        .skip(1)
        .map(|block| {
            let size = between(block, "\t\tsize = ", "M\n").parse().unwrap();
            (block.split_once(' ').unwrap().0.to_owned(), size)
        })
        .collect();
    assert_eq!(genimage, wanted);
    let wic = read(&format!("{LAYER}/wic/fieldcam.wks.in"));
    let parts: BTreeMap<String, u32> = wic
        .lines()
        .filter(|line| line.starts_with("part "))
        .map(|line| {
            let size =
                line.rsplit_once("--fixed-size ").unwrap().1.strip_suffix('M').unwrap().parse().unwrap();
            (between(line, "--part-name ", " ").to_owned(), size)
        })
        .collect();
    assert_eq!(parts, wanted);
    let order: Vec<&str> =
        wic.lines().filter(|l| l.starts_with("part ")).map(|l| between(l, "--part-name ", " ")).collect();
    assert_eq!(order, ["boot", "bootstate", "boot_a", "boot_b", "root_a", "root_b", "data"]);
    let script = read("images/boot/ab.cmd");
    for name in ["bootstate", "boot_a", "boot_b"] {
        assert!(script.contains(name), "the boot script does not know {name}");
    }
    for line in read("images/rauc/system.conf.in")
        .lines()
        .filter_map(|l| l.strip_prefix("device=/dev/disk/by-partlabel/"))
    {
        assert!(wanted.contains_key(line), "RAUC writes to {line}, which is on no disk");
    }
}

#[test]
fn the_roots_cp_takes_the_overlays_attributes_along() {
    assert!(read("images/initrd/init").contains("chroot /root /usr/bin/cp -a "));
    let applets = read("images/lib/disk.sh");
    assert!(between(&applets, "for applet in ", "; do").split_whitespace().any(|name| name == "chroot"));
    // Busybox' would lose them, and so would one that was built without libattr.
    assert!(read("buildroot-overlay/board/common/busybox.fragment").contains("CONFIG_CHROOT=y\n"));
    for config in defconfigs() {
        let text = read(&config);
        for symbol in ["BUSYBOX_SHOW_OTHERS", "ATTR", "COREUTILS"] {
            let wanted = format!("BR2_PACKAGE_{symbol}=y");
            assert!(text.lines().any(|line| line == wanted), "{config} lacks {wanted}");
        }
    }
    let image = read(&format!("{LAYER}/recipes-fieldcam/images/fieldcam-image.bb"));
    assert!(between(&image, "IMAGE_INSTALL = ", "\"\n").contains(" coreutils "));
    let distro = read(&format!("{LAYER}/conf/distro/fieldcam.conf"));
    assert!(!distro.lines().any(|line| line.starts_with("DISTRO_FEATURES:remove") && line.contains("xattr")));
}

#[test]
fn no_key_is_in_the_trees() {
    for folder in ["buildroot-overlay", "yocto", "images"] {
        for file in files(folder) {
            let bytes = std::fs::read(at(folder).join(&file)).unwrap_or_default();
            assert!(
                !String::from_utf8_lossy(&bytes).contains("PRIVATE KEY-----"),
                "{folder}/{file} holds a key"
            );
        }
    }
}
