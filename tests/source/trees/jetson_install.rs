//! The real RAUC installs an update through the Jetson backend. Files stand for partitions, and a slot tool that keeps its
//! state in files for NVIDIA's. Needs root (RAUC mounts the bundle) and, on a kernel without device-mapper, a plain bundle.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::jetson::{BACKEND, Board};
use super::tools::{keys, said, text};
use super::{LAYER, at, read};

/// RAUC's service on a bus of its own, and what is asked of it; what the backend was told to change follows each.
const SESSION: &str = r#"
    export DBUS_STARTER_BUS_TYPE=session
    cd "$1"
    rauc --conf=system.conf --override-boot-slot=A service >service.log 2>&1 &
    service=$!
    trap 'kill $service' EXIT
    until rauc status >/dev/null 2>&1; do
        kill -0 $service || { cat service.log; exit 1; }
        sleep 0.1
    done
    changes() { echo "$1: $(grep '^set-' calls | paste -sd, )"; : >calls; }
    : >calls
    rauc install bundle.raucb >install.log 2>&1 || { cat install.log service.log; exit 1; }
    changes install
    rauc status mark-good >/dev/null 2>&1
    changes good
    rauc status mark-bad other >/dev/null 2>&1
    changes bad
    rauc status mark-active other >/dev/null 2>&1
    changes active
"#;

fn prepare(board: &Board) {
    let folder = board.folder.path();
    let path = text(folder);
    let wrapper = format!(
        "#!/bin/sh\necho \"$*\" >>{path}/calls\nexport FIELDCAM_NVBOOTCTRL={} FIELDCAM_SLOT_MARKS={path}/marks \
         FAKE_NVBOOTCTRL={path}\nexec {} \"$@\"\n",
        text(&at("tests/fakes/nvbootctrl")),
        text(&at(BACKEND)),
    );
    fs::write(folder.join("backend"), wrapper).unwrap();
    fs::set_permissions(folder.join("backend"), fs::Permissions::from_mode(0o755)).unwrap();
    let forget = at("images/common/usr/lib/fieldcam/forget-slot");
    fs::write(
        folder.join("forget-slot"),
        format!("#!/bin/sh\nexec {} {path}/facts {path}/system\n", text(&forget)),
    )
    .unwrap();
    fs::set_permissions(folder.join("forget-slot"), fs::Permissions::from_mode(0o755)).unwrap();
    for slot in ["a", "b"] {
        fs::create_dir_all(folder.join(format!("system/slot-{slot}"))).unwrap();
        fs::write(folder.join(format!("system/slot-{slot}/root")), "hash").unwrap();
    }
    fs::create_dir(folder.join("facts")).unwrap();
    fs::write(folder.join("facts/slot"), "A\n").unwrap();
    for slot in ["APP", "APP_b", "A_kernel", "B_kernel"] {
        fs::write(folder.join(slot), vec![0; 1 << 20]).unwrap();
    }
    let conf = read(&format!("{LAYER}/dynamic-layers/tegra/system.conf.in"))
        .replace("@COMPATIBLE@", "fieldcam-test")
        .replace("/data/system/rauc", &format!("{path}/rauc"))
        .replace("/usr/lib/fieldcam/forget-slot", &format!("{path}/forget-slot"))
        .replace("/usr/lib/fieldcam/rauc-nvbootctrl", &format!("{path}/backend"))
        .replace("/etc/rauc/ca.pem", &format!("{path}/ca.pem"))
        .replace("/dev/disk/by-partlabel/", &format!("{path}/"))
        .replace("bundle-formats=verity", "bundle-formats=plain")
        .replace("bootloader=custom\n", &format!("bootloader=custom\nmountprefix={path}/mounts\n"));
    fs::write(folder.join("system.conf"), conf).unwrap();
    fs::create_dir(folder.join("rauc")).unwrap();
    fs::create_dir(folder.join("bundle")).unwrap();
    fs::write(folder.join("bundle/root.img"), [0xa5; 500_000]).unwrap();
    fs::write(folder.join("bundle/kernel.img"), [0x5a; 300_000]).unwrap();
    let manifest = "[update]\ncompatible=fieldcam-test\nversion=2\n\n[image.rootfs]\nfilename=root.img\n\n\
        [image.kernel]\nfilename=kernel.img\n";
    fs::write(folder.join("bundle/manifest.raucm"), manifest).unwrap();
}

fn begins(file: &Path, with: &Path) -> bool {
    let (file, with) = (fs::read(file).unwrap(), fs::read(with).unwrap());
    file.starts_with(&with)
}

#[test]
#[ignore = "needs rauc, dbus and root: scripts/test trees"]
fn rauc_installs_through_the_backend() {
    let board = Board::new();
    prepare(&board);
    let folder = board.folder.path();
    let [_, (_, certificate), (_, key)] = keys(folder);
    let (conf, content, bundle) =
        (folder.join("system.conf"), folder.join("bundle"), folder.join("bundle.raucb"));
    let signer = [format!("--cert={certificate}"), format!("--key={key}")];
    said(
        "rauc",
        &["--conf", text(&conf), "bundle", &signer[0], &signer[1], text(&content), text(&bundle)],
        &[],
    );

    let answers = said("dbus-run-session", &["--", "bash", "-euc", SESSION, "session", text(folder)], &[]);
    let answers: Vec<&str> = answers.lines().collect();
    // In this order, or a cut could leave a half-written slot as the next one.
    assert_eq!(
        answers,
        [
            "install: set-state B bad,set-primary B",
            "good: set-state A good",
            "bad: set-state B bad",
            "active: set-primary B"
        ]
    );
    assert!(begins(&folder.join("APP_b"), &content.join("root.img")));
    assert!(begins(&folder.join("B_kernel"), &content.join("kernel.img")));
    assert!(
        fs::read(folder.join("APP")).unwrap().iter().all(|b| *b == 0),
        "the slot that runs was written to"
    );
    // Whatever was in the slot, it begins with the state of the one that runs.
    assert!(folder.join("system/slot-a/root").exists() && !folder.join("system/slot-b/root").exists());
    assert_eq!(board.start(), "B");
}
