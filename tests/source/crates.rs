//! `images/lock/crates.txt`, the crates of an image and their licences, is what cargo says. `FIELDCAM_WRITE_DOCS=1` writes
//! it anew.

use std::path::Path;
use std::process::Command;

/// `NAME VERSION LICENCE` for each crate of the image's program.
#[expect(clippy::disallowed_methods, reason = "nothing of the box: it ends before its test does")]
fn crates() -> String {
    let out = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--no-dedupe"])
        .args(["--target", "aarch64-unknown-linux-musl", "--format", "{p}|{l}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let mut lines: Vec<String> = String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            // `NAME vVERSION|LICENCE`, with a folder or a mark behind the version of some.
            let (name, licence) = line.split_once('|').unwrap();
            let mut words = name.split(' ');
            let (name, version) = (words.next().unwrap(), words.next().unwrap());
            format!("{name} {} {licence}\n", version.strip_prefix('v').unwrap())
        })
        .filter(|line| !line.starts_with(concat!(env!("CARGO_PKG_NAME"), " ")))
        .collect();
    lines.sort();
    lines.dedup();
    lines.concat()
}

#[test]
fn the_licences_of_the_crates_are_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("images/lock/crates.txt");
    let wanted = crates();
    let nameless: Vec<&str> =
        wanted.lines().filter(|line| line.split(' ').count() < 3 || line.ends_with(' ')).collect();
    assert!(nameless.is_empty(), "these crates name no licence: {nameless:?}");
    if std::env::var_os("FIELDCAM_WRITE_DOCS").is_some() {
        std::fs::write(&file, &wanted).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == wanted,
        "images/lock/crates.txt is stale; run FIELDCAM_WRITE_DOCS=1 cargo test --test source crates::"
    );
}
