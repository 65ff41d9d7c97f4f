//! What BitBake, yocto-check-layer and kas ask of the layer, as text.

use std::collections::BTreeMap;

use super::{LAYER, MACHINES, at, between, files, is_hex, machine, read, value};

fn recipes() -> Vec<String> {
    files(LAYER).into_iter().filter(|f| f.ends_with(".bb")).collect()
}

#[test]
fn the_crates_are_those_of_cargo_lock() {
    let mut wanted = BTreeMap::new();
    for package in read("Cargo.lock").split("[[package]]\n").skip(1).filter(|p| p.contains("\nsource = ")) {
        assert_eq!(value(package, "source"), "registry+https://github.com/rust-lang/crates.io-index");
        let name = format!("{}-{}", value(package, "name"), value(package, "version"));
        assert_eq!(wanted.insert(name, value(package, "checksum")), None);
    }
    assert!(wanted.len() > 100, "Cargo.lock was not understood");
    let text = read(&format!("{LAYER}/recipes-fieldcam/fieldcam/fieldcam-crates.inc"));
    let mut addresses: Vec<String> = text
        .lines()
        .filter_map(|l| l.trim().strip_prefix("crate://crates.io/"))
        .map(|l| l.trim_end_matches([' ', '\\']).replace('/', "-"))
        .collect();
    addresses.sort();
    let mut names: Vec<&String> = wanted.keys().collect();
    names.sort();
    let advice = "run yocto/scripts/crates";
    assert!(addresses.iter().eq(names), "{advice}");
    let sums: BTreeMap<String, String> = text
        .lines()
        .filter_map(|l| l.strip_prefix("SRC_URI["))
        .map(|l| {
            let (name, rest) = l.split_once(".sha256sum] = \"").unwrap();
            (name.to_owned(), rest.trim_end_matches('"').to_owned())
        })
        .collect();
    assert_eq!(sums, wanted, "{advice}");
}

#[test]
fn the_layer_says_what_it_is() {
    let text = read(&format!("{LAYER}/conf/layer.conf"));
    assert_eq!(value(&text, "BBFILE_PATTERN_fieldcam"), "^${LAYERDIR}/");
    assert_eq!(value(&text, "LAYERDEPENDS_fieldcam"), "core openembedded-layer rauc");
    assert_eq!(value(&text, "LAYERSERIES_COMPAT_fieldcam"), "wrynose");
    for name in [
        "BBPATH .=",
        "BBFILES +=",
        "BBFILE_COLLECTIONS +=",
        "BBFILE_PRIORITY_fieldcam =",
        "LAYERVERSION_fieldcam =",
    ] {
        assert!(text.contains(name), "{name}");
    }
    // What a vendor's layer brings is never asked for where that layer is not.
    assert!(text.contains("BBFILES_DYNAMIC +=") && text.contains("tegra:${LAYERDIR}/dynamic-layers/tegra/"));
    let readme = read(&format!("{LAYER}/README.md")).to_lowercase();
    assert!(readme.contains("maintainer") && readme.contains("patch") && readme.contains('@'));
    assert!(readme.contains("not run"));
    assert!(at("SECURITY.md").exists());
}

#[test]
fn every_recipe_says_what_it_is_and_where_it_is_from() {
    assert!(recipes().len() >= 6);
    for recipe in recipes() {
        let text = read(&format!("{LAYER}/{recipe}"));
        for name in ["SUMMARY", "DESCRIPTION", "HOMEPAGE", "SECTION", "LICENSE"] {
            assert!(!value(&text, name).is_empty(), "{recipe}: {name}");
        }
        let licence = value(&text, "LIC_FILES_CHKSUM");
        assert!(is_hex(licence.rsplit_once(";md5=").unwrap().1, 32), "{recipe}: {licence}");
        assert!(["Apache-2.0", "MIT"].contains(&value(&text, "LICENSE").as_str()), "{recipe}");
        if text.contains("https://github.com/") && text.contains(".tar.gz") {
            assert!(is_hex(&value(&text, "SRC_URI[sha256sum]"), 64), "{recipe}");
        }
    }
}

#[test]
fn nothing_is_written_in_the_ways_that_bitbake_gave_up() {
    for file in files(LAYER)
        .iter()
        .filter(|f| [".bb", ".bbappend", ".bbclass", ".inc", ".conf"].iter().any(|e| f.ends_with(e)))
    {
        let text = read(&format!("{LAYER}/{file}"));
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let name = line.split(['=', ' ', '[', '(']).next().unwrap();
            assert!(
                !["_append", "_prepend", "_remove", "_class-"].iter().any(|old| name.contains(old)),
                "{file}: {line}"
            );
            assert!(!line.contains("S = \"${WORKDIR}"), "{file}: {line}");
            assert!(!line.contains("INSANE_SKIP"), "{file}: {line}");
            assert!(!line.contains("\"/var") && !line.contains(" /var/"), "{file}: {line}");
        }
    }
}

#[test]
fn other_recipes_are_changed_only_for_our_distribution() {
    for append in files(LAYER).iter().filter(|f| f.ends_with(".bbappend")) {
        let text = read(&format!("{LAYER}/{append}"));
        for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with(['#', ' ', '\t', '}'])) {
            let guarded = line.split(['=', '(']).next().unwrap().contains(":fieldcam")
                || line.contains("d.getVar('FIELDCAM_");
            assert!(guarded, "{append}: {line}");
        }
    }
    for class in files(&format!("{LAYER}/classes-global")) {
        let name = class.strip_suffix(".bbclass").unwrap();
        assert!(
            read(&format!("{LAYER}/conf/distro/fieldcam.conf")).contains(name),
            "{class} is inherited by nobody"
        );
    }
}

#[test]
fn the_daemon_and_the_image_are_made_as_they_should() {
    let daemon = read(&format!("{LAYER}/recipes-fieldcam/fieldcam/fieldcam_0.1.0.bb"));
    let inherits = daemon.lines().find(|l| l.starts_with("inherit ")).unwrap();
    for class in ["cargo", "cargo-update-recipe-crates", "systemd", "useradd"] {
        assert!(inherits.split(' ').any(|w| w == class), "{inherits}");
    }
    assert!(daemon.contains("\nrequire fieldcam-crates.inc\n"));
    let mediamtx = files(&format!("{LAYER}/recipes-fieldcam/mediamtx-bin"));
    let mediamtx = read(&format!("{LAYER}/recipes-fieldcam/mediamtx-bin/{}", mediamtx[0]));
    assert_eq!(value(&mediamtx, "COMPATIBLE_HOST"), "aarch64.*-linux");
    let image = read(&format!("{LAYER}/recipes-fieldcam/images/fieldcam-image.bb"));
    assert!(image.contains("\ninherit core-image fieldcam_slot\n"));
    assert_eq!(value(&image, "IMAGE_FEATURES"), "read-only-rootfs");
    let distro = read(&format!("{LAYER}/conf/distro/fieldcam.conf"));
    assert_eq!(value(&distro, "INIT_MANAGER"), "systemd");
    assert_eq!(value(&distro, "SERIAL_CONSOLES"), "", "no getty on any line");
    // OpenEmbedded's systemd has no systemd-pstore.service by itself, and the preset enables it.
    assert_eq!(value(&distro, "PACKAGECONFIG:append:pn-systemd"), " pstore");
}

#[test]
fn each_machine_makes_what_its_bundle_takes() {
    let bundle = read(&format!("{LAYER}/recipes-fieldcam/bundles/fieldcam-bundle.bb"));
    assert!(bundle.contains("\ninherit bundle\n"));
    assert_eq!(value(&bundle, "RAUC_BUNDLE_FORMAT"), "verity");
    // As the other two builds' manifests have it.
    let manifest = read("images/lib/disk.sh");
    let root = between(&manifest, "[image.rootfs]\n", "\n\n");
    assert_eq!(value(&bundle, "RAUC_SLOT_rootfs[adaptive]"), value(root, "adaptive"));
    for name in ["RAUC_KEY_FILE", "RAUC_CERT_FILE"] {
        assert!(bundle.contains(&format!("\n{name} ?= \"\"\n")), "{name} is given from outside");
    }
    let includes: Vec<String> = files(&format!("{LAYER}/conf/machine/include"));
    for name in MACHINES {
        assert!(includes.contains(&format!("fieldcam-{name}.inc")));
        let text = machine(name);
        let types = text.lines().find(|l| l.starts_with("IMAGE_FSTYPES")).unwrap();
        let conf = read(&value(&text, "FIELDCAM_SYSTEM_CONF"));
        for slot in value(&text, "FIELDCAM_BUNDLE_SLOTS").split(' ') {
            let kind = value(&bundle, &format!("RAUC_SLOT_{slot}[fstype]"));
            assert!(types.split(['"', ' ']).any(|t| t == kind), "{name}: {slot} is a {kind}, of {types}");
            for number in ["0", "1"] {
                assert!(
                    conf.contains(&format!("\n[slot.{slot}.{number}]\n")),
                    "{name}: RAUC has no {slot}.{number}"
                );
            }
        }
        for variable in ["FIELDCAM_CONSOLE", "FIELDCAM_BOARD_INSTALL"] {
            assert!(!value(&text, variable).is_empty(), "{name}: {variable}");
        }
    }
}

#[test]
fn kas_has_one_file_for_each_machine_with_pinned_layers() {
    let kas = files(&format!("{LAYER}/kas"));
    let wanted: Vec<String> = ["common"].iter().chain(&MACHINES).map(|m| format!("{m}.yml")).collect();
    assert_eq!(kas.iter().cloned().collect::<std::collections::BTreeSet<_>>(), wanted.into_iter().collect());
    for file in kas {
        let text = read(&format!("{LAYER}/kas/{file}"));
        assert!(text.contains("\nheader:\n  version: 19\n"), "{file}");
        if file != "common.yml" {
            assert_eq!(between(&text, "\nmachine: ", "\n"), file.strip_suffix(".yml").unwrap());
            // From the top of the repository, not from the file.
            let include = between(&text, "includes:\n    - ", "\n");
            assert_eq!(include, format!("{LAYER}/kas/common.yml"));
            assert!(at(include).exists());
        }
        let Some((_, repos)) = text.split_once("\nrepos:\n") else { continue };
        let repos = repos.split("\nlocal_conf_header:").next().unwrap();
        let mut seen = 0;
        for block in repos.split("\n\n") {
            let Some(name) =
                block.lines().find(|l| l.starts_with("  ") && !l.starts_with("   ") && l.ends_with(':'))
            else {
                continue;
            };
            seen += 1;
            let field = |key: &str| {
                block
                    .lines()
                    .find_map(|l| l.strip_prefix(&format!("    {key}: ")))
                    .map(|v| v.trim_matches('"').to_owned())
            };
            if name.trim() == "fieldcam:" {
                assert!(field("url").is_none() && field("path").is_none(), "our own repository has neither");
                assert!(block.contains(&format!("      {LAYER}:")));
                continue;
            }
            assert!(field("url").unwrap().starts_with("https://"), "{file}: {name}");
            let branch = field("branch").unwrap();
            assert_eq!(branch, if name.trim() == "bitbake:" { "2.18" } else { "wrynose" });
            assert!(is_hex(&field("commit").unwrap(), 40), "{file}: {name}");
            assert!(name.trim() != "bitbake:" || block.contains("      .: disabled"));
        }
        assert!(seen > 0 || file == "qemuarm64.yml", "{file}: no repository was understood");
    }
}
