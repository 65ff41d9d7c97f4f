//! Who may log in to a box: nobody, unless its image was made for a developer, and then with that key and until that day.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use tempfile::TempDir;

use super::{LAYER, at, between, command, defconfigs, files, read, value};

const FOLDER: &str = "images/developer/usr/lib/fieldcam/developer";

/// Names of servers that let somebody log in.
fn lets_in(text: &str) -> bool {
    let text = text.to_lowercase();
    ["dropbear", "sshd", "openssh-server", "ssh-server", "telnetd", "tinysshd"]
        .iter()
        .any(|n| text.contains(n))
}

#[test]
fn no_image_has_a_shell_to_log_in_to_unless_it_was_asked_for() {
    // What goes into each root.
    for folder in ["images/common", "images/built", "images/boards"] {
        for file in files(folder) {
            let path = at(folder).join(&file);
            let text = fs::read_to_string(&path).unwrap_or_default();
            assert!(!lets_in(&file) && !lets_in(&text), "{folder}/{file} has to do with a log-in");
        }
    }
    assert!(!lets_in(&read("images/lib/root.sh")));
    for lock in files("images/lock").into_iter().filter(|name| name != "developer.lock") {
        assert!(!lets_in(&read(&format!("images/lock/{lock}"))), "{lock} locks a server to log in to");
    }
    for config in defconfigs() {
        assert!(!lets_in(&read(&config)), "{config} has a server to log in to");
    }
    for file in files(LAYER) {
        let text = fs::read_to_string(at(LAYER).join(&file)).unwrap_or_default();
        assert!(!lets_in(&text), "{LAYER}/{file} has a server to log in to");
    }
    // The one way in, and where it is taken.
    assert!(lets_in(&read("images/lib/developer.sh")));
    assert_eq!(value(&read("images/build"), "developer"), "");
    assert!(read("images/lib/root.sh").contains("[[ -z $developer ]] || make_developer \"$folder\"\n"));
}

#[test]
fn the_firewall_lets_in_what_the_product_serves_and_ssh_only_with_the_developers_file() {
    let wall = read("images/common/etc/nftables.conf");
    assert!(wall.contains("type filter hook input priority filter; policy drop;"));
    let tcp: Vec<&str> = wall.lines().map(str::trim).filter(|l| l.starts_with("tcp ")).collect();
    assert_eq!(tcp, ["tcp dport { 8002, 8003, 8554, 8322, 8189 } accept"]);
    assert!(!wall.contains("include"), "what else is read is not judged here");
    // Into the same chain.
    let table = between(&wall, "table ", " {");
    let chain = "input";
    assert!(wall.contains(&format!("chain {chain} {{\n        type filter hook input ")));
    let rule = read(&format!("{FOLDER}/nftables.conf"));
    let rules: Vec<&str> = rule.lines().filter(|l| !l.starts_with('#')).collect();
    assert_eq!(rules, [format!("add rule {table} {chain} tcp dport 22 accept")]);
}

#[test]
fn a_developers_log_in_asks_the_gate_and_takes_no_password() {
    let units = "images/developer/usr/lib/systemd/system";
    let service = read(&format!("{units}/fieldcam-developer@.service"));
    assert_eq!(value(&service, "ExecCondition"), "/usr/lib/fieldcam/developer/gate /data/fieldcam/clock");
    let server = value(&service, "ExecStart");
    let words: Vec<&str> = server.split(' ').collect();
    assert!(words.contains(&"-s"), "{server} takes passwords");
    assert!(server.contains(" -D /usr/lib/fieldcam/developer "), "{server} looks elsewhere for its keys");
    // Of two presets, the one whose name comes first counts, and the common one forbids all others.
    let presets = files("images/developer/usr/lib/systemd/system-preset");
    assert!(presets.iter().all(|name| name.as_str() < "00-fieldcam.preset"), "{presets:?}");
    for program in ["gate", "host-key"] {
        let mode = fs::metadata(at(FOLDER).join(program)).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{program} is no program");
    }
}

/// The gate of an image with this last day, asked at a time (seconds) that the daemon kept.
fn gate(until: &str, kept: Option<&str>) -> Output {
    let folder = TempDir::new().unwrap();
    let (program, clock) = (folder.path().join("gate"), folder.path().join("clock"));
    fs::copy(at(FOLDER).join("gate"), &program).unwrap();
    fs::write(folder.path().join("until"), until).unwrap();
    if let Some(kept) = kept {
        fs::write(&clock, kept).unwrap();
    }
    command("/bin/sh").arg(program).arg(clock).output().unwrap()
}

#[test]
fn the_gate_is_open_through_its_last_day_by_the_later_of_two_clocks() {
    // 2199-12-31T23:59:59.999Z, the last moment of the day; this machine's own clock is before that.
    let open = "7258118399999";
    assert!(gate("2199-12-31\n", None).status.success());
    assert!(gate("2199-12-31\n", Some(open)).status.success());
    assert!(gate("2199-12-31\n", Some("")).status.success());
    assert!(gate("2199-12-31\n", Some("nothing")).status.success());
    for (until, kept) in [
        // A millisecond later, though this machine's clock is far from it.
        ("2199-12-31\n", Some("7258118400000")),
        ("2001-01-01\n", None),
        // A kept time that is behind is none.
        ("2001-01-01\n", Some("0")),
        ("", None),
        ("never\n", None),
        ("2199-12-31\n2199-12-31\n", None),
    ] {
        let output = gate(until, kept);
        assert!(!output.status.success(), "{until:?} {kept:?} was let through");
        // 255 and a signal are failures to systemd, all others say no.
        assert!(output.status.code().is_some_and(|code| code < 255));
        assert!(output.stdout.is_empty(), "what goes out there goes to whoever knocked");
    }
}

/// A function of images/lib/developer.sh.
fn builder(arguments: &[&str]) -> Output {
    let lines = "set -euo pipefail; source scripts/lib.sh; source images/lib/developer.sh; \"$@\"";
    command("bash").args(["-c", lines, "build"]).args(arguments).output().unwrap()
}

/// Made for this by ssh-keygen, and thrown away.
const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOmOhG+4G4mmh8KisXL2IJKZE7Id/IBiNcY6u06u2xMv";

fn key(text: &str) -> Output {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("key.pub");
    fs::write(&file, text).unwrap();
    builder(&["developer_key", file.to_str().unwrap()])
}

#[test]
fn one_whole_public_key_without_options_is_taken() {
    for text in [
        format!("ssh-ed25519 {KEY}"),
        format!("ssh-ed25519 {KEY}\n"),
        format!("ssh-ed25519 {KEY} somebody at a desk\n"),
    ] {
        let output = key(&text);
        assert!(output.status.success(), "{text:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("ssh-ed25519 {KEY}\n"));
    }
    for text in [
        String::new(),
        "\n".to_owned(),
        format!("\nssh-ed25519 {KEY}\n"),
        format!("ssh-ed25519 {KEY}\nssh-ed25519 {KEY}\n"),
        format!("no-pty ssh-ed25519 {KEY}\n"),
        format!("command=\"sh\" ssh-ed25519 {KEY}\n"),
        format!("ssh-rsa {KEY}\n"),
        format!("ssh-dss {KEY}\n"),
        "ssh-ed25519\n".to_owned(),
        "ssh-ed25519 $(id)\n".to_owned(),
        format!("ssh-ed25519 {}\n", &KEY[..KEY.len() - 4]),
        // An RSA key of 1024 bits begins so; too short in any case.
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ==\n".to_owned(),
        "-----BEGIN OPENSSH PRIVATE KEY-----\n".to_owned(),
    ] {
        let output = key(&text);
        assert!(!output.status.success() && output.stdout.is_empty(), "{text:?} was taken");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--developer: "), "{text:?}");
    }
}

#[test]
fn the_last_day_is_a_day_that_is_not_over() {
    for day in ["2199-12-31", "2096-02-29"] {
        assert!(builder(&["developer_until", day]).status.success(), "{day}");
    }
    for day in ["2001-01-01", "2199-02-29", "2199-13-01", "2199-1-1", "tomorrow", "21991231", ""] {
        assert!(!builder(&["developer_until", day]).status.success(), "{day:?} was taken");
    }
}

#[test]
fn a_developers_version_is_the_same_version() {
    for (version, said) in [("1.2.3", "1.2.3+developer\n"), ("1.2.3+a", "1.2.3+a.developer\n")] {
        assert_eq!(String::from_utf8_lossy(&builder(&["developer_version", version]).stdout), said);
    }
}
