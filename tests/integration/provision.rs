//! What an operator leaves on the boot partition is taken once, whole, and not without being right.

use std::process::{Command, Output};

use fieldcam::auth::{ClaimCode, ClaimFile};
use fieldcam::store::is_claimed;
use serde_json::Value;

use crate::common::testbox::PROGRAM;
use crate::common::{Setup, TestBox};
use crate::faults_daemon::compiled;

const KEY: &str = "fk_0123456789_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const ERRORS: &str = "fieldcam-provisioning-errors.txt";

/// A box that is switched off, with its boot partition and a tree to write to.
struct Off {
    testbox: TestBox,
}

impl Off {
    /// One that has to be claimed.
    fn new() -> Off {
        let mut testbox = Setup::new().env("SERVER__TLS", "auto").env("AUTH__CLAIM", "true").start();
        testbox.stop();
        for folder in ["card", "root"] {
            std::fs::create_dir(testbox.scratch().join(folder)).unwrap();
        }
        Off { testbox }
    }

    fn card(&self, name: &str) -> std::path::PathBuf {
        self.testbox.scratch().join("card").join(name)
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.testbox.scratch().join("root").join(path)).unwrap_or_default()
    }

    /// `fieldcam provision` with this file on the card.
    fn provision(&self, text: &str) -> Output {
        std::fs::write(self.card("fieldcam.toml"), text).unwrap();
        self.again()
    }

    fn again(&self) -> Output {
        let scratch = self.testbox.scratch();
        let paths = ["card", "root"].map(|name| scratch.join(name).to_str().unwrap().to_owned());
        self.testbox.fieldcam(&["provision", "--from", &paths[0], "--root", &paths[1]])
    }
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&[&out.stdout[..], &out.stderr].concat()).into_owned()
}

#[test]
fn a_box_with_keys_is_claimed_and_has_what_was_wanted() {
    let mut off = Off::new();
    let text = format!(
        "host_name = \"gate-north\"\n[[wifi]]\nssid = \"Yard\"\npsk = \"correct horse\"\n\
         [ethernet]\naddress = \"192.0.2.10/24\"\n\
         [[api_key]]\nname = \"office\"\nrole = \"admin\"\nkey = \"{KEY}\"\n[config.log]\nlevel = \"warn\"\n"
    );
    let out = off.provision(&text);
    assert!(out.status.success(), "{}", said(&out));
    assert!(!off.card("fieldcam.toml").exists());
    assert_eq!(off.read("etc/hostname"), "gate-north\n");
    assert!(off.read("var/lib/iwd/Yard.psk").contains("Passphrase=correct horse"));
    assert!(off.read("etc/systemd/network/10-provisioned.network").contains("Address=192.0.2.10/24"));
    assert!(off.read("etc/fieldcam/conf.d/50-provisioned.toml").ends_with("[log]\nlevel = \"warn\"\n"));
    assert!(off.read("data/system/provisioned").is_empty(), "nothing is left of it");
    // The same once more, as after a power cut before it was noted: nothing is there twice.
    let out = off.provision(&text);
    assert!(out.status.success(), "{}", said(&out));
    assert!(said(&off.again()).contains("there is no provisioning file"));
    assert!(!said(&out).contains(KEY) && !said(&out).contains("horse"));

    off.testbox.start_again();
    let mut client = off.testbox.connect();
    client.authenticate(KEY);
    assert_eq!(client.ok("get_server_info", Value::Null)["claimed"], true);
    let keys = client.ok("list_api_keys", Value::Null);
    assert_eq!((keys["total"].as_u64(), &keys["keys"][0]["name"]), (Some(1), &"office".into()));
}

#[test]
fn a_code_of_the_operators_own_claims_the_box() {
    let off = Off::new();
    assert!(off.provision("claim_code = \"7q2m-x0kv-94rd\"\n").status.success());
    let file = ClaimFile::below(&off.testbox.data().join("secrets"));
    assert!(file.read().unwrap() == ClaimCode::parse("7Q2M-X0KV-94RD"));
    let screen = off.testbox.scratch().join("screen");
    std::fs::write(&screen, "").unwrap();
    assert!(off.testbox.fieldcam(&["claim-code", "--to", screen.to_str().unwrap()]).status.success());
    assert!(std::fs::read_to_string(screen).unwrap().contains("7Q2M-X0KV-94RD"));
}

#[test]
fn a_wrong_file_changes_nothing_and_is_told_beside_it() {
    let off = Off::new();
    let wrong = format!(
        "host_name = \"gate\"\n[[api_key]]\nname = \"office\"\nrole = \"admin\"\nkey = \"{KEY}\"\n\
         [[wifi]]\nssid = \"Yard\"\npsk = \"hunter2\"\n[config.server]\nlisen = \":1\"\n"
    );
    for _ in 0..2 {
        let out = off.provision(&wrong);
        assert_eq!(out.status.code(), Some(1));
        let told = std::fs::read_to_string(off.card(ERRORS)).unwrap();
        for text in [&told, &said(&out)] {
            assert!(text.contains("fieldcam.toml:8: wifi[0].psk: is no WPA passphrase"), "{text}");
            assert!(
                text.contains("fieldcam.toml:10: config.server.lisen: unknown key; did you mean listen?"),
                "{text}"
            );
            assert!(!text.contains("hunter2") && !text.contains(KEY), "{text}");
        }
        assert_eq!(std::fs::read_to_string(off.card("fieldcam.toml")).unwrap(), wrong, "it is left as it is");
        let root = std::fs::read_dir(off.testbox.scratch().join("root")).unwrap();
        assert_eq!(root.count(), 0);
    }
    std::fs::write(off.card("fieldcam.toml"), b"h\xff").unwrap();
    assert!(said(&off.again()).contains("fieldcam.toml:1: is not UTF-8 text"));
}

#[test]
fn wherever_the_power_is_cut_the_file_is_taken_or_still_to_be_taken() {
    let scratch = tempfile::tempdir().unwrap();
    let library = match compiled("cut_off.c", scratch.path()) {
        Ok(library) => library,
        Err(why) => return eprintln!("left out: cutting a program off needs a C compiler: {why}"),
    };
    let text = format!(
        "host_name = \"gate\"\n[[wifi]]\nssid = \"Yard\"\npsk = \"correct horse\"\n\
         [[api_key]]\nname = \"office\"\nrole = \"admin\"\nkey = \"{KEY}\"\n[config.log]\nlevel = \"warn\"\n# {}\n",
        "x".repeat(1000)
    );
    let mut calls = 0;
    loop {
        calls += 1;
        let dir = tempfile::tempdir().unwrap();
        let [card, root, data] = ["card", "root", "data"].map(|name| {
            let path = dir.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        });
        let file = card.join("fieldcam.toml");
        std::fs::write(&file, &text).unwrap();
        let run = |cut: Option<usize>, args: &[&str]| {
            let mut command = Command::new(PROGRAM);
            command.env("FIELDCAM_STORAGE__DATA_DIR", &data).args(args);
            if let Some(cut) = cut {
                command.env("LD_PRELOAD", &library).env("CUT_OFF", cut.to_string());
            }
            command.output().unwrap()
        };
        let provision = ["provision", "--from", card.to_str().unwrap(), "--root", root.to_str().unwrap()];
        let cut = run(Some(calls), &provision);
        if cut.status.success() {
            break;
        }
        assert_eq!(cut.status.code(), Some(137), "{}", said(&cut));
        let left = std::fs::read(&file).unwrap_or_default();
        let whole = left == text.as_bytes();
        assert!(whole || left.is_empty() || left[..512].iter().all(|b| *b == 0), "cut at {calls}");
        let has_all = || {
            root.join("etc/hostname").exists()
                && root.join("var/lib/iwd/Yard.psk").exists()
                && root.join("etc/fieldcam/conf.d/50-provisioned.toml").exists()
                && is_claimed(&data.join("fieldcam.db"))
        };
        assert!(whole || has_all(), "cut at {calls}: it went before all of it was done");
        let again = run(None, &provision);
        assert!(again.status.success(), "cut at {calls}: {}", said(&again));
        assert!(has_all(), "cut at {calls}");
        let keys = run(None, &["key", "list"]);
        assert_eq!(String::from_utf8_lossy(&keys.stdout).matches("0123456789").count(), 1, "{}", said(&keys));
        for folder in [&card, &root.join("data/system")] {
            let left: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
            // What a cut leaves unfinished has a name of its own, and goes with the next that is written.
            assert!(
                left.iter().all(|name| name.to_string_lossy().ends_with(".new")),
                "cut at {calls}: {left:?}"
            );
        }
    }
    println!("cut off at each of {} calls", calls - 1);
    assert!(calls > 20, "{calls}");
}

#[test]
fn a_file_is_taken_for_now_and_stays_where_nothing_can_be_kept() {
    let mut off = Off::new();
    let facts = off.testbox.scratch().join("facts");
    std::fs::create_dir(&facts).unwrap();
    std::fs::write(facts.join("data"), "broken\n").unwrap();
    off.testbox.change(|setup| setup.env("UPDATE__BOOT_FACTS", facts.to_str().unwrap()));
    let text = "host_name = \"gate\"\n";
    for out in [off.provision(text), off.again()] {
        assert!(out.status.success() && said(&out).contains("stays"), "{}", said(&out));
        assert_eq!(off.read("etc/hostname").trim(), "gate");
        assert_eq!(std::fs::read_to_string(off.card("fieldcam.toml")).unwrap(), text);
    }
    // What was taken before cannot be told from what was torn.
    let out = off.provision("\0\0\0\0");
    assert!(out.status.success() && off.card("fieldcam.toml").exists(), "{}", said(&out));
    std::fs::remove_file(facts.join("data")).unwrap();
    let out = off.provision(text);
    assert!(out.status.success() && !off.card("fieldcam.toml").exists(), "{}", said(&out));
}

#[test]
fn a_file_that_was_not_copied_to_its_end_stays_and_is_told() {
    let off = Off::new();
    for torn in [String::new(), "\0".repeat(700)] {
        let out = off.provision(&torn);
        assert_eq!(out.status.code(), Some(1), "{}", said(&out));
        let told = std::fs::read_to_string(off.card(ERRORS)).unwrap();
        assert!(told.contains("copy it again"), "{told}");
        assert_eq!(std::fs::read_to_string(off.card("fieldcam.toml")).unwrap(), torn);
    }
    // Noted by one that was cut off at its end, they are those of its own.
    std::fs::create_dir_all(off.testbox.scratch().join("root/data/system")).unwrap();
    let note = format!("{} 700\n", "5a".repeat(32));
    std::fs::write(off.testbox.scratch().join("root/data/system/provisioned"), note).unwrap();
    let out = off.again();
    assert!(out.status.success() && !off.card("fieldcam.toml").exists(), "{}", said(&out));
    let out = off.provision("host_name = \"gate\"\n");
    assert!(out.status.success() && !off.card(ERRORS).exists(), "{}", said(&out));
}
