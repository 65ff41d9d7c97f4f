//! Whose box it is: from nobody's to the owner's, by code and by file, and back.

use std::process::Command;

use serde_json::{Value, json};

use crate::common::wait_within;
use crate::disk::{Disk, RESET, done};
use crate::laptop::{Laptop, code, refusal, said};
use crate::machine::{Machine, PATIENCE};

/// The code that the box shows, another one than `before`.
#[track_caller]
fn another_code(machine: &Machine, before: &str) -> String {
    wait_within(PATIENCE, "the box shows a new claim code", || {
        code(&machine.console()).filter(|code| code != before)
    })
}

/// Everything but the claim is closed.
#[track_caller]
fn is_closed(laptop: &Laptop, machine: &Machine) {
    wait_within(PATIENCE, "the box answers", || laptop.answers(machine).then_some(()));
    let mut stranger = Laptop::stranger(machine);
    let info = stranger.ok("get_server_info", Value::Null);
    assert_eq!(info["claimed"], false, "{info}");
    for (method, params) in [
        ("get_camera_list", json!({})),
        ("take_snapshot", json!({ "device": "camera0" })),
        ("get_stream_url", json!({ "device": "camera0" })),
        ("factory_reset", json!({ "confirm": "x" })),
        ("reboot", json!({})),
    ] {
        let error = stranger.refused(method, params);
        assert_eq!((error.code, &error.data["reason"]), (-32001, &json!("unclaimed")), "{method}: {error}");
    }
    // The last is asked as a player does, with an offer.
    let places =
        ["", "cameras/camera0/frame.jpg", "live/camera0", "live/camera0/index.m3u8", "live/camera0/whep"];
    for path in places {
        let url = format!("https://127.0.0.1:{}/{path}", machine.outside(8002));
        let mut curl = Command::new("curl");
        curl.args(["-sk", "-m", "60", "-w", "%{http_code}", &url]);
        if path.ends_with("/whep") {
            curl.args(["-H", "Content-Type: application/sdp", "--data-binary", "v=0\r\n"]);
        }
        let answer = done(&mut curl);
        assert!(answer.ends_with("403") && answer.contains("claim"), "{path}: {answer}");
    }
}

/// Whether bytes stand anywhere in a partition; as long as the partition is on the disk now.
fn holds(disk: &Disk, partition: &str, wanted: &[u8]) -> bool {
    let (begin, length) = disk.partition(partition);
    let length = if partition == "data" { disk.size() - begin } else { length };
    let (step, overlap) = (16 << 20, wanted.len() as u64);
    (0..length.div_ceil(step)).any(|n| {
        let at = n * step;
        let piece = disk.read(partition, at, (length - at).min(step + overlap) as usize);
        memchr::memmem::find(&piece, wanted).is_some()
    })
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image"]
fn a_box_is_closed_until_its_code_is_proved_and_belongs_to_nobody_after_a_factory_reset() {
    let laptop = Laptop::new();
    let mut machine = Machine::boot(Disk::with_agent());
    let shown = another_code(&machine, "");
    is_closed(&laptop, &machine);
    let label = String::from_utf8(machine.disk.file("boot", "FIELDCAM.txt")).unwrap();
    let host = machine.ask("cat /etc/hostname");
    for part in [&shown, &host] {
        assert!(label.contains(part.as_str()), "{part:?} is missing in {label:?}");
    }

    // A stranger's guesses, and the owner who comes after them.
    for n in 1..=5 {
        let wrong = laptop.ctl(&machine, &["claim", "--code", "0123-4567-89AB"]);
        assert_eq!(wrong.status.code(), Some(1), "{n}: {}", said(&wrong));
        assert!(said(&wrong).contains("is not this box's claim code"), "{n}: {}", said(&wrong));
    }
    let hasty = wait_within(PATIENCE, "a try is one too many", || {
        let out = laptop.ctl(&machine, &["--json", "claim", "--code", "0123-4567-89AB"]);
        refusal(&out).filter(|error| error["code"] == -32040)
    });
    assert!(hasty["data"]["retry_after_ms"].as_u64() > Some(0), "{hasty}");
    wait_within(PATIENCE, "the pause ends, and the box is claimed", || {
        laptop.ctl(&machine, &["claim", "--code", &shown]).status.success().then_some(())
    });
    assert_eq!(laptop.call(&machine, "get_server_info", &json!({}))["claimed"], true);

    // What the box says of itself is told to whoever helps; the code is not.
    let journal = machine.ask("journalctl --no-pager -o export | tr -d '\\000'");
    let diag = machine.unpacked("fieldcam diag -o -");
    assert!(journal.len() > 10_000 && diag.len() > 10_000, "{} and {} bytes", journal.len(), diag.len());
    for text in [&journal, &diag] {
        for code in [&shown, &shown.replace('-', "")] {
            assert!(!text.contains(code.as_str()), "the claim code can be read");
        }
    }

    // Its owner has the same without a log-in.
    let diag = laptop.diag(&machine);
    assert!(diag.contains("runs as process") && !diag.contains(&shown), "{diag}");

    // It is worth something now.
    laptop.cameras(&machine, 2);
    let recording = laptop.record(&machine, "camera0", 4);
    let stream = laptop.call(&machine, "get_stream_url", &json!({ "device": "camera0" }));
    let stream = stream["stream_url"].as_str().unwrap().to_owned();
    assert!(!Laptop::pictures(&machine, &stream, 1).is_empty());
    let secret = machine.ask("sed -n 4p /data/fieldcam/secrets/tls.pem");
    assert!(secret.len() > 30, "{secret:?}");
    // As it lies on the disk, in one piece.
    machine.ask("sync");
    assert!(holds(&machine.disk, "data", secret.as_bytes()));

    let other = laptop.ctl(&machine, &["factory-reset", "--confirm", "another-box", "--keep-recordings"]);
    assert!(said(&other).contains("another box is meant"), "{}", said(&other));
    laptop.done(&machine, &["factory-reset", "--confirm", &host, "--keep-recordings"]);
    let again = another_code(&machine, &shown);
    is_closed(&laptop, &machine);
    assert!(Laptop::pictures(&machine, &stream, 1).is_empty(), "the password of before opens it");
    let label = String::from_utf8(machine.disk.file("boot", "FIELDCAM.txt")).unwrap();
    assert!(label.contains(&again) && !label.contains(&shown), "{label}");
    let new = Laptop::new();
    new.done(&machine, &["claim", "--code", &again]);
    assert!(new.watches(&machine, &recording) >= 3.0, "recordings were to stay");
    assert!(!holds(&machine.disk, "data", secret.as_bytes()), "the key of before can be read on the disk");
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image"]
fn a_provisioning_file_is_taken_once_and_a_file_resets_the_box() {
    const PASSPHRASE: &str = "sesame-for-the-yard";
    let key = format!("fk_0123456789_{}", "0123456789abcdef".repeat(4));
    let disk = Disk::with_agent();
    let text = format!(
        "host_name = \"gate-north\"\n[[wifi]]\nssid = \"Yard\"\npsk = \"{PASSPHRASE}\"\ncountry = \"DE\"\n\
         [ethernet]\naddress = \"10.0.2.15/24\"\ngateway = \"10.0.2.2\"\n[[api_key]]\nname = \"me\"\nrole = \"admin\"\nkey = \"{key}\"\n[config.recording]\nsegment_duration = \"7m\"\n"
    );
    disk.put("boot", "fieldcam.toml", text.as_bytes());
    let laptop = Laptop::new();
    let mut machine = Machine::boot(disk);
    wait_within(PATIENCE, "the box answers", || laptop.answers(&machine).then_some(()));
    // It has an owner, and so no label, and is what the file says.
    assert_eq!(code(&machine.console()), None);
    let file = machine.disk.beside("key");
    std::fs::write(&file, &key).unwrap();
    let ask = |method| laptop.done(&machine, &["--token-file", file.to_str().unwrap(), "call", method, "{}"]);
    let keys = ask("list_api_keys");
    assert!(keys.contains("0123456789"), "{keys}");
    // The address that QEMU leads to, but not by DHCP.
    let network: Value = serde_json::from_str(&ask("get_network")).unwrap();
    let is_fixed = |port: &Value| {
        let addresses = port["addresses"].as_array().unwrap();
        port["method"] == "static" && addresses.contains(&json!("10.0.2.15/24"))
    };
    assert!(network["ports"].as_array().unwrap().iter().any(is_fixed), "{network}");
    assert_eq!(machine.ask("hostname; cat /etc/hostname"), "gate-north\ngate-north");
    let config = machine.ask("fieldcam config | grep segment_duration");
    assert!(config.contains("7m"), "{config}");
    let wifi = machine.ask("cat /var/lib/iwd/Yard.psk");
    assert!(wifi.contains(PASSPHRASE), "{wifi}");
    let files = machine.disk.files("boot");
    for gone in ["fieldcam.toml", "FIELDCAM.txt", "fieldcam-provisioning-errors.txt"] {
        assert!(!files.iter().any(|file| file.eq_ignore_ascii_case(gone)), "{files:?}");
    }
    for secret in [PASSPHRASE, &key] {
        assert!(!holds(&machine.disk, "boot", secret.as_bytes()), "it was not overwritten");
    }

    assert_eq!(machine.disk.answer_to_reset(), "");

    // What somebody with the card in a laptop does. A word that it does not know resets nothing.
    assert!(holds(&machine.disk, "data", PASSPHRASE.as_bytes()));
    let disk = machine.cut();
    disk.put("boot", RESET, b"everything\r\n");
    let mut machine = Machine::boot(disk);
    assert_eq!(machine.ask("hostname"), "gate-north");
    let answer = machine.disk.answer_to_reset();
    assert!(answer.contains("factory-reset.txt: ") && answer.contains("keep-recordings"), "{answer}");
    // As PowerShell writes it.
    let disk = machine.cut();
    let word: Vec<u8> = "\u{feff}All\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    disk.put("boot", RESET, &word);
    let machine = Machine::start(disk);
    let shown = another_code(&machine, "");
    let new = Laptop::new();
    is_closed(&new, &machine);
    assert!(!machine.console().contains("gate-north"), "it has a name of its own again");
    new.done(&machine, &["claim", "--code", &shown]);
    let keys = new.done(&machine, &["call", "list_api_keys", "{}"]);
    assert!(keys.contains("owner") && !keys.contains("0123456789"), "{keys}");
    // The disk does nothing when it is told to discard.
    assert!(!holds(&machine.disk, "data", PASSPHRASE.as_bytes()), "the passphrase can be read on the disk");
    assert!(!machine.disk.files("boot").contains(&RESET.to_owned()), "the next start would do it again");
    assert_eq!(machine.disk.answer_to_reset(), "");
}
