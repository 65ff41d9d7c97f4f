//! The trees through what Debian and PyPI offer of the real tools: genimage, RAUC, veritysetup, U-Boot's tools, kas,
//! oelint. `scripts/test trees` brings them and names what came from PyPI in FIELDCAM_TEST_TREES_TOOLS.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

use super::{LAYER, MACHINES, at, between, command, defconfigs, files, machine, read, value};

const NEEDS: &str = "needs genimage, rauc, veritysetup and more: scripts/test trees";

fn run(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = command(program.as_ref());
    command.args(arguments).envs(environment.iter().copied());
    command.output().unwrap_or_else(|e| panic!("{}: {e} ({NEEDS})", program.as_ref().display()))
}

/// What a program said, when it ended well.
pub(super) fn said(
    program: impl AsRef<std::ffi::OsStr>,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> String {
    let output = run(program.as_ref(), arguments, environment);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "{} {arguments:?}: {}\n{out}\n{err}",
        program.as_ref().display(),
        output.status
    );
    out.into_owned()
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A root as Buildroot and BitBake leave one, small: this machine's own programs for the initrd, an empty module, links
/// that are absolute on the box.
fn small_root() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let tree = folder.path().join("tree");
    let programs = [
        "busybox",
        "dmsetup",
        "e2fsck",
        "mke2fs",
        "resize2fs",
        "sfdisk",
        "partx",
        "shred",
        "blkdiscard",
        "blkid",
    ];
    for part in ["usr/bin", "usr/sbin", "usr/lib/modules/6.12.0/kernel", "etc", "var"] {
        fs::create_dir_all(tree.join(part)).unwrap();
    }
    for program in programs {
        let from = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
            .iter()
            .map(|f| Path::new(f).join(program))
            .find(|p| p.exists());
        let from = from.unwrap_or_else(|| panic!("no {program} here ({NEEDS})"));
        fs::copy(&from, tree.join("usr/sbin").join(program)).unwrap();
        // A static program has no libraries, and ldd fails.
        let listed = run("ldd", &[text(&from)], &[]);
        for library in
            String::from_utf8_lossy(&listed.stdout).split_whitespace().filter(|w| w.starts_with('/'))
        {
            let name = Path::new(library).file_name().unwrap();
            fs::copy(library, tree.join("usr/lib").join(name)).unwrap();
        }
    }
    fs::rename(tree.join("usr/sbin/busybox"), tree.join("usr/bin/busybox.nosuid")).unwrap();
    std::os::unix::fs::symlink("/usr/bin/busybox.nosuid", tree.join("usr/bin/busybox")).unwrap();
    let modules = tree.join("usr/lib/modules/6.12.0");
    fs::write(modules.join("kernel/dm-verity.ko"), "module").unwrap();
    fs::write(modules.join("modules.dep"), "kernel/dm-verity.ko:\n").unwrap();
    let built_in = ["squashfs", "overlay", "ext4", "vfat", "nls_cp437", "nls_iso8859-1"];
    let drivers = ["virtio_blk", "virtio_pci", "i6300esb"];
    let built_in =
        [&built_in[..], &drivers].concat().iter().map(|m| format!("kernel/{m}.ko\n")).collect::<Vec<_>>();
    fs::write(modules.join("modules.builtin"), built_in.concat()).unwrap();
    let images = folder.path().join("images");
    fs::create_dir(&images).unwrap();
    fs::write(images.join("Image"), [0x5a; 300_000]).unwrap();
    said(
        "mksquashfs",
        &[text(&tree), text(&images.join("rootfs.squashfs")), "-quiet", "-no-progress", "-comp", "zstd"],
        &[],
    );
    (folder, tree)
}

fn slot(tree: &Path, images: &Path, out: &Path, board: &str) {
    let (squashfs, kernel) = (images.join("rootfs.squashfs"), images.join("Image"));
    said(
        at("images/lib/slot"),
        &[
            "--tree",
            text(tree),
            "--squashfs",
            text(&squashfs),
            "--kernel",
            text(&kernel),
            "--out",
            text(out),
            "--console",
            "ttyS0",
        ],
        &[("SOURCE_DATE_EPOCH", "1767225600"), ("FIELDCAM_INITRD_BOARD", board)],
    );
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[test]
#[ignore = "needs genimage, rauc, veritysetup and more: scripts/test trees"]
fn a_slot_is_made_of_a_root_the_same_way_twice() {
    let (folder, tree) = small_root();
    let images = folder.path().join("images");
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    slot(&tree, &images, &one, "");
    slot(&tree, &images, &two, "");
    for name in ["root.img", "boot.img", "initrd.img", "arguments"] {
        assert!(fs::read(one.join(name)).unwrap() == fs::read(two.join(name)).unwrap(), "{name} differs");
    }

    // The tree that init opens is where it looks for it, and finds a flipped byte.
    let arguments = fs::read_to_string(one.join("arguments")).unwrap();
    let verity = arguments.split(' ').find_map(|w| w.strip_prefix("fieldcam.verity=")).unwrap();
    let [blocks, hash, salt] = verity.split(',').collect::<Vec<_>>()[..] else { panic!("{verity}") };
    let offset = blocks.parse::<u64>().unwrap() * 4096;
    let root = one.join("root.img");
    let options = [
        "verify",
        text(&root),
        text(&root),
        hash,
        &format!("--hash-offset={offset}"),
        &format!("--salt={salt}"),
    ];
    said("veritysetup", &options, &[]);
    let mut damaged = fs::read(&root).unwrap();
    damaged[5000] ^= 1;
    fs::write(&root, damaged).unwrap();
    assert!(!run("veritysetup", &options, &[]).status.success(), "a flipped byte went by");

    // What U-Boot reads: an environment with its checksum, and the checksums of kernel and initrd in both spellings.
    let boot = one.join("boot.img");
    let get = |name: &str| {
        let to = folder.path().join(name);
        said("mcopy", &["-i", text(&boot), &format!("::/{name}"), text(&to)], &[]);
        fs::read(to).unwrap()
    };
    let env = get("slot.env");
    assert_eq!(env.len(), 4096);
    assert_eq!(env[..4], crc(&env[4..]).to_le_bytes());
    let words: BTreeMap<&str, &str> = std::str::from_utf8(&env[4..])
        .unwrap_or_else(|e| std::str::from_utf8(&env[4..4 + e.valid_up_to()]).unwrap())
        .split('\0')
        .filter_map(|w| w.split_once('='))
        .collect();
    assert_eq!(words["slot_args"], arguments);
    for (file, name) in [("vmlinuz", "kernel_crc"), ("initrd.img", "initrd_crc")] {
        let sum = crc(&get(file));
        assert_eq!(words[name], format!("{sum:08x}"), "{file}");
        assert_eq!(words[format!("{name}x").as_str()], format!("{:08x}", sum.swap_bytes()), "{file}");
    }
    assert_eq!(get("vmlinuz"), fs::read(images.join("Image")).unwrap());

    // The initrd has what init calls, by whatever name the root has it; and a board's own words where there are some.
    let list = |out: &Path| {
        let script = "set -o pipefail; zcat \"$1\" | cpio -t --quiet";
        said("bash", &["-c", script, "list", text(&out.join("initrd.img"))], &[])
    };
    let plain = list(&one);
    for name in [
        "init",
        "lib/fieldcam-data",
        "bin/busybox",
        "bin/sh",
        "bin/dmsetup",
        "bin/e2fsck",
        "modules/dm-verity.ko",
        "usr",
    ] {
        assert!(plain.lines().any(|l| l == name), "the initrd lacks {name}");
    }
    slot(&tree, &images, &two, text(&at(LAYER).join("dynamic-layers/tegra/initrd-board")));
    assert!(!plain.contains("lib/fieldcam-board\n") && list(&two).contains("lib/fieldcam-board\n"));
}

/// Keys as a release has them: an authority, and a signer for code alone.
pub(super) fn keys(folder: &Path) -> [(&'static str, String); 3] {
    let script = r#"cd "$1" && openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=CA -days 30 2>/dev/null
        openssl req -new -newkey rsa:2048 -nodes -keyout signer.key -out signer.csr -subj /CN=Signer 2>/dev/null
        printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\n' >ext
        openssl x509 -req -in signer.csr -CA ca.pem -CAkey ca.key -set_serial 1 -days 30 -extfile ext -out signer.pem 2>/dev/null"#;
    said("bash", &["-euc", script, "keys", text(folder)], &[]);
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    [
        ("FIELDCAM_CA", path("ca.pem")),
        ("FIELDCAM_SIGNING_CERT", path("signer.pem")),
        ("FIELDCAM_SIGNING_KEY", path("signer.key")),
    ]
}

#[test]
#[ignore = "needs genimage, rauc, veritysetup and more: scripts/test trees"]
fn buildroots_scripts_make_a_disk_and_a_bundle() {
    let (folder, tree) = small_root();
    let images = folder.path().join("images");
    let keys_of = |name: &str| {
        fs::create_dir(folder.path().join(name)).unwrap();
        keys(&folder.path().join(name))
    };
    let (keys, stranger) = (keys_of("ours"), keys_of("stranger"));
    for config in defconfigs() {
        let board = value(&read(&config), "BR2_ROOTFS_POST_SCRIPT_ARGS");
        let facts = read(&format!("buildroot-overlay/board/{board}/board.conf"));
        for file in between(&facts, "firmware=(", ")").split_whitespace() {
            fs::create_dir_all(images.join(file).parent().unwrap()).unwrap();
            fs::write(images.join(file), file).unwrap();
        }
        let mut environment: Vec<(&str, &str)> =
            keys.iter().map(|(name, path)| (*name, path.as_str())).collect();
        environment.extend([("TARGET_DIR", text(&tree)), ("SOURCE_DATE_EPOCH", "1767225600")]);
        said(at("buildroot-overlay/board/common/post-build.sh"), &[text(&tree), &board], &environment);
        said(at("buildroot-overlay/board/common/post-image.sh"), &[text(&images), &board], &environment);

        // The bundle is signed, in the format that boxes take, and for the kind that the box's own RAUC asks for.
        let conf = tree.join("etc/rauc/system.conf");
        let compatible = value(&fs::read_to_string(&conf).unwrap(), "compatible");
        let bundle = images.join("fieldcam.raucb");
        let asked = folder.path().join("box.conf");
        let read_by = |authority: &str| {
            let conf = fs::read_to_string(&conf).unwrap();
            fs::write(&asked, conf.replace("path=/etc/rauc/ca.pem", &format!("path={authority}"))).unwrap();
            run("rauc", &["--conf", text(&asked), "info", "--output-format=json", text(&bundle)], &[])
        };
        assert!(!read_by(&stranger[0].1).status.success(), "a box of somebody else took the bundle");
        // The box's configuration takes the verity format alone.
        let info = read_by(&keys[0].1);
        assert!(info.status.success(), "{}", String::from_utf8_lossy(&info.stderr));
        let info = String::from_utf8(info.stdout).unwrap();
        let info: serde_json::Value = serde_json::from_str(info.lines().last().unwrap()).unwrap();
        assert_eq!(info["compatible"], compatible, "{board}");
        assert_eq!(compatible, format!("fieldcam-buildroot-{board}"));
        assert_eq!(info["version"], value(&read("Cargo.toml"), "version"));
        assert_eq!(
            value(&fs::read_to_string(tree.join("usr/lib/os-release")).unwrap(), "VARIANT_ID"),
            format!("buildroot-{board}")
        );

        // The disk: names and sizes in order, the flag that U-Boot looks for, the slot's images in their places.
        let disk = images.join("fieldcam.img");
        let table: serde_json::Value =
            serde_json::from_str(&said("sfdisk", &["-J", text(&disk)], &[])).unwrap();
        let parts = table["partitiontable"]["partitions"].as_array().unwrap();
        let names: Vec<&str> = parts.iter().map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["boot", "bootstate", "boot_a", "boot_b", "root_a", "root_b", "data"]);
        assert_eq!(parts[0]["attrs"], "LegacyBIOSBootable");
        assert_eq!(parts[0]["start"], 8192);
        let whole = fs::read(&disk).unwrap();
        for (part, image) in [(0, "selection.img"), (2, "boot.img"), (4, "root.img")] {
            let start = usize::try_from(parts[part]["start"].as_u64().unwrap()).unwrap() * 512;
            let content = fs::read(images.join(image)).unwrap();
            assert!(whole[start..start + content.len()] == content, "{board}: {image} is not in its place");
        }
        let listed = said("mdir", &["-b", "-i", text(&images.join("selection.img")), "::/"], &[]);
        for file in between(&facts, "firmware=(", ")").split_whitespace().chain(["boot.scr"]) {
            let name = Path::new(file).file_name().unwrap().to_str().unwrap();
            assert!(listed.contains(&format!("/{name}")), "{board}: the firmware finds no {name}");
        }
    }
}

/// Whether RAUC can read a system configuration; it refuses what it does not know.
fn rauc_reads(conf: &str) -> Result<(), String> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("system.conf");
    fs::write(&file, conf).unwrap();
    let output = run("rauc", &["--conf", text(&file), "info", "/nonexistent"], &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // It gets as far as looking for the bundle.
    if said.contains("No such file: /nonexistent") { Ok(()) } else { Err(said) }
}

#[test]
#[ignore = "needs genimage, rauc, veritysetup and more: scripts/test trees"]
fn rauc_reads_every_configuration() {
    let mut templates = vec!["images/rauc/system.conf.in".to_owned()];
    templates.extend(MACHINES.map(|name| value(&machine(name), "FIELDCAM_SYSTEM_CONF")));
    templates.sort();
    templates.dedup();
    assert_eq!(templates.len(), 2);
    for template in templates {
        let conf = read(&template).replace("@COMPATIBLE@", "fieldcam-test");
        rauc_reads(&conf).unwrap_or_else(|said| panic!("{template}: {said}"));
        let misspelt = conf.replacen("bundle-formats=", "bundle-format=", 1);
        assert!(rauc_reads(&misspelt).is_err(), "{template}: a misspelt key went by");
    }
}

/// The programs from PyPI.
fn pypi(name: &str) -> PathBuf {
    let folder = std::env::var_os("FIELDCAM_TEST_TREES_TOOLS").expect(NEEDS);
    Path::new(&folder).join("bin").join(name)
}

#[test]
#[ignore = "needs genimage, rauc, veritysetup and more: scripts/test trees"]
fn kas_takes_every_file() {
    let check = "import json, os, sys, jsonschema, kas, yaml\n\
        schema = json.load(open(os.path.join(os.path.dirname(kas.__file__), 'schema-kas.json')))\n\
        jsonschema.Draft4Validator(schema).validate(yaml.safe_load(open(sys.argv[1])))";
    let folder = TempDir::new().unwrap();
    for file in files(&format!("{LAYER}/kas")) {
        let path = at(LAYER).join("kas").join(&file);
        said(pypi("python"), &["-c", check, text(&path)], &[]);
        let wrong = folder.path().join(&file);
        fs::write(&wrong, format!("{}\nmachines: none\n", fs::read_to_string(&path).unwrap())).unwrap();
        assert!(
            !run(pypi("python"), &["-c", check, text(&wrong)], &[]).status.success(),
            "{file}: an unknown key went by"
        );
    }
}

#[test]
#[ignore = "needs genimage, rauc, veritysetup and more: scripts/test trees"]
fn oelint_finds_nothing_in_the_layer() {
    let all: Vec<String> = files(LAYER)
        .into_iter()
        .filter(|f| {
            [".bb", ".bbappend", ".bbclass"].iter().any(|e| f.ends_with(e)) || f.ends_with("layer.conf")
        })
        .map(|f| format!("{LAYER}/{f}"))
        .collect();
    // A bundle has no source and no version in its name; and no page can be reached from here.
    let (bundle, rest): (Vec<String>, Vec<String>) =
        all.into_iter().partition(|f| f.ends_with("fieldcam-bundle.bb"));
    let common = [
        "--hide",
        "info",
        "--relpaths",
        "--quiet",
        "--constantmods",
        "+yocto/oelint.json",
        "--suppress",
        "oelint.vars.homepageping",
    ];
    for (list, also) in
        [(rest, &[][..]), (bundle, &["oelint.file.underscores", "oelint.var.mandatoryvar.SRC_URI"][..])]
    {
        assert!(!list.is_empty());
        let mut arguments = common.to_vec();
        for rule in also {
            arguments.extend(["--suppress", rule]);
        }
        arguments.push("--");
        arguments.extend(list.iter().map(String::as_str));
        let output = run(pypi("oelint-adv"), &arguments, &[]);
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.trim().is_empty(), "{said}");
    }
}

#[test]
#[ignore = "needs genimage, rauc, veritysetup and more: scripts/test trees"]
fn the_md5_of_the_licence_is_the_real_one() {
    let sum = said("md5sum", &["LICENSE"], &[]);
    let recipe = read(&format!("{LAYER}/recipes-fieldcam/fieldcam/fieldcam_0.1.0.bb"));
    assert_eq!(
        value(&recipe, "LIC_FILES_CHKSUM"),
        format!("file://LICENSE;md5={}", sum.split(' ').next().unwrap())
    );
}
