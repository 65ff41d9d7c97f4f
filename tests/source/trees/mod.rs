//! The Buildroot tree and the Yocto layer, as far as they can be judged without Buildroot and BitBake: that they and the
//! image builder agree, and that they have what the real tools ask for.
//! `tools` calls what Debian and PyPI offer, for `scripts/test trees`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

mod agreement;
mod buildroot;
mod caches;
mod developer;
mod initrd;
mod jetson;
mod jetson_install;
mod kernel;
mod tools;
mod yocto;

/// A path of the repository.
fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program that is started in the repository and waited for.
#[expect(clippy::disallowed_methods, reason = "nothing of the box: each ends before its test does")]
fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(at("")).env("LC_ALL", "C");
    command
}

/// The text of a file of the repository.
fn read(path: &str) -> String {
    fs::read_to_string(at(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Every file and link below a folder of the repository, as paths from it, in order.
fn files(folder: &str) -> Vec<String> {
    fn below(folder: &Path, top: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                below(&entry.path(), top, found);
            } else {
                found.push(entry.path().strip_prefix(top).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    let (top, mut found) = (at(folder), Vec::new());
    below(&top, &top, &mut found);
    found.sort();
    found
}

/// The value of `KEY = "VALUE"`, `KEY=VALUE` or `KEY := VALUE` where the key begins a line; quotes taken off.
fn value(text: &str, key: &str) -> String {
    text.lines()
        .find_map(|line| {
            let rest = line.strip_prefix(key)?.trim_start();
            let rest = rest.trim_start_matches(['?', ':', '+']).strip_prefix('=')?;
            Some(rest.trim().trim_matches('"').to_owned())
        })
        .unwrap_or_else(|| panic!("no {key} in:\n{text}"))
}

/// What stands between two marks, the first time.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in:\n{text}"));
    rest.split_once(after).unwrap_or_else(|| panic!("no {after:?} after {before:?} in:\n{text}")).0
}

/// Hexadecimal digits, `length` of them.
fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn defconfigs() -> Vec<String> {
    files("buildroot-overlay/configs")
        .into_iter()
        .map(|name| format!("buildroot-overlay/configs/{name}"))
        .collect()
}

const LAYER: &str = "yocto/meta-fieldcam";

/// The machines of the layer, by their includes.
const MACHINES: [&str; 4] = ["jetson-orin-nano-devkit", "qemuarm64", "raspberrypi4-64", "raspberrypi5"];

/// The include of a machine, with the includes that it requires before it.
fn machine(name: &str) -> String {
    let text = read(&format!("{LAYER}/conf/machine/include/fieldcam-{name}.inc"));
    let mut whole = String::new();
    for line in text.lines() {
        if let Some(other) = line.strip_prefix("require conf/machine/include/fieldcam-") {
            whole.push_str(&machine(other.strip_suffix(".inc").unwrap()));
        }
    }
    // The later line wins where both say something.
    format!("{text}\n{whole}")
}
