//! The units that run once before the daemon, each in its sandbox: what an operator left is taken, the code is shown.
//! There is no FAT partition in the guest: a folder is mounted in its place.

use serde_json::Value;

use crate::common::Client;
use crate::machine::Machine;

const CONFIG: &str = r#"
server.listen = "127.0.0.1:0"
server.tls = "auto"
auth.claim = true
health.listen = "127.0.0.1:0"
[cameras]
synthetic = 0
v4l2 = false
[mediamtx]
rtsp_listen = "127.0.0.1:0"
rtsps_listen = "127.0.0.1:0"
hls_listen = "127.0.0.1:0"
webrtc_listen = "127.0.0.1:0"
webrtc_udp = "127.0.0.1:0"
api_listen = "127.0.0.1:0"
"#;

const CARD: &str = "/srv/card";
const CODE: &str = "7Q2M-X0KV-94RD";
const KEY: &str = "fk_0123456789_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
#[ignore = "needs root and a guest's system: scripts/test guest"]
fn a_new_box_takes_what_was_left_for_it_and_shows_its_code_until_it_is_claimed() {
    let machine = Machine::boot(CONFIG);
    machine.ok("systemd-sysusers");
    machine.ok(&format!(
        r"mkdir -p {CARD} /etc/systemd/system/run-fieldcam-card.mount.d
          printf '[Mount]\nWhat={CARD}\nType=none\nOptions=bind\n' >/etc/systemd/system/run-fieldcam-card.mount.d/guest.conf
          systemctl daemon-reload"
    ));
    let put = |text: &str| machine.ok(&format!("cat >{CARD}/fieldcam.toml <<'END'\n{text}\nEND"));

    // One that is wrong fails the unit, and nothing else.
    put("[[wifi]]\nssid = \"Yard\"\npsk = \"hunter2\"");
    assert!(!machine.run("systemctl start fieldcam-provision").status.success());

    let told = machine.run(&format!("cat {CARD}/fieldcam-provisioning-errors.txt"));
    let told =
        String::from_utf8_lossy(&told.stdout).into_owned() + &journal(&machine, "-u fieldcam-provision");
    assert!(told.contains("fieldcam.toml:3: wifi[0].psk"), "{told}");
    machine.ok("systemctl reset-failed fieldcam-provision");

    put(&format!(
        "host_name = \"gate-north\"\nclaim_code = \"{CODE}\"\n[[wifi]]\nssid = \"Yard\"\npsk = \"correct horse\"\n\
         [ethernet]\naddress = \"192.0.2.10/24\"\n[config.log]\nlevel = \"debug\""
    ));
    machine.ok("systemctl start fieldcam-provision");
    assert_eq!(machine.ok(&format!("ls {CARD}")), "");
    assert_eq!(machine.ok("cat /etc/hostname; hostname"), "gate-north\ngate-north");
    assert_eq!(machine.ok("stat -c '%U %a' /var/lib/iwd/Yard.psk /var/lib/iwd"), "root 600\nroot 700");
    let config = "/etc/fieldcam/conf.d/50-provisioned.toml";
    assert_eq!(machine.ok(&format!("stat -c '%U %G %a' {config}")), "root fieldcam 640");
    machine.ok("grep Address=192.0.2.10/24 /etc/systemd/network/10-provisioned.network");

    machine.wait("the card is let go of", "! mountpoint -q /run/fieldcam/card");
    machine.ok("systemctl start fieldcam-claim");
    let label = machine.ok(&format!("cat {CARD}/FIELDCAM.txt"));
    assert!(label.contains(CODE), "{label}");
    machine.wait_console(CODE);
    let owned = machine.ok("stat -c '%U %a' /data/fieldcam/secrets/claim /data/fieldcam/secrets/tls.pem");
    assert_eq!(owned, "fieldcam 600\nfieldcam 600");

    machine.ok("systemctl start fieldcam");
    let url = machine.url("ws").unwrap();
    let mut client = Client::try_connect(&url, &[]).unwrap();
    assert_eq!(client.ok("get_server_info", Value::Null)["claimed"], false);
    let address = machine.url("https").unwrap();
    let ctl = |args: &str| {
        let home = "HOME=/tmp XDG_CONFIG_HOME=/tmp/laptop FIELDCAM_STORAGE__DATA_DIR=/nonexistent";
        machine.ok(&format!("{home} fieldcam ctl --host {address} {args}"))
    };
    assert!(ctl(&format!("claim --code {CODE}")).contains("is yours"));
    assert!(ctl("status").contains("certificate"));
    // At its next start it has nothing to show any more.
    machine.ok("systemctl restart fieldcam-provision fieldcam-claim");
    assert_eq!(machine.ok(&format!("ls {CARD}")), "");

    // Keys come to a box that has an owner too, and its database stays the service's.
    machine.ok("systemctl stop fieldcam");
    put(&format!("[[api_key]]\nname = \"office\"\nrole = \"admin\"\nkey = \"{KEY}\""));
    machine.ok("systemctl restart fieldcam-provision; systemctl start fieldcam");
    assert_eq!(machine.ok("find /data/fieldcam ! -user fieldcam"), "");
    let mut client = Client::try_connect(&machine.url("ws").unwrap(), &[]).unwrap();
    client.authenticate(KEY);
    assert_eq!(client.ok("list_api_keys", Value::Null)["total"], 2);

    // It stood on the console and on the card, and nowhere else.
    let journal = journal(&machine, "");
    for secret in [CODE, KEY, "hunter2", "correct horse"] {
        assert!(!journal.contains(secret), "{secret}");
    }
    for unit in ["fieldcam-claim", "fieldcam-provision"] {
        let verdict =
            machine.ok(&format!("systemd-analyze security {unit} --no-pager | grep 'Overall exposure'"));
        eprintln!("systemd-analyze security: {verdict}");
        let score = verdict.split_whitespace().find_map(|word| word.parse::<f64>().ok());
        assert!(score.is_some_and(|score| score <= 2.5), "{verdict}");
    }
    assert_eq!(machine.ok("systemctl --failed --no-legend --plain"), "");
}

fn journal(machine: &Machine, of: &str) -> String {
    machine.ok(&format!("journalctl --boot --no-pager --output=cat {of}"))
}
