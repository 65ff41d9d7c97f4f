//! The network of a box set over the API: the real networkd, the units' own sandbox, and a laptop at the other end of a
//! cable. The guest has a network of its own, and so has the laptop.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::document::document;
use crate::common::testbox::PROGRAM;
use crate::common::{Client, wait_for, wait_within};
use crate::machine::Machine;

const CONFIG: &str = r#"
server.listen = "0.0.0.0:8002"
server.tls = "auto"
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

/// A cable: one end is the box's port; at the other is a network with DHCP, and a laptop later. What the image has says
/// nothing of such a port.
const CABLE: &str = r"
mkdir -p /etc/systemd/network
printf '[NetDev]\nName=lan0\nKind=veth\n[Peer]\nName=cable0\n' >/etc/systemd/network/10-cable.netdev
printf '[Match]\nName=lan0\n[Network]\nAddress=192.0.2.10/24\n' >/etc/systemd/network/50-lan.network
printf '[Match]\nName=cable0\n[Network]\nAddress=203.0.113.1/24\nDHCPServer=yes\n' \
    >/etc/systemd/network/50-cable.network
systemctl start systemd-networkd";

/// As the box's unit has it.
const MINUTE: Duration = Duration::from_secs(60);

/// A network of its own, and what this user knows of boxes.
struct Laptop {
    /// Lives in that network.
    keeper: Child,
    home: tempfile::TempDir,
    token: String,
}

impl Laptop {
    /// At the other end of the guest's cable, in two networks there.
    #[track_caller]
    fn beside(machine: &Machine, token: String) -> Laptop {
        let mut keeper = Command::new("unshare");
        keeper.args(["--net", "sleep", "infinity"]).stdin(Stdio::null());
        let keeper = keeper.spawn().unwrap();
        let laptop = Laptop { keeper, home: tempfile::tempdir().unwrap(), token };
        let own = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        wait_for("the laptop has a network of its own", || {
            (own(laptop.keeper.id()) != own(std::process::id())).then_some(())
        });
        let to = laptop.keeper.id().to_string();
        ok(in_net(machine.leader(), "ip", &["link", "set", "cable0", "netns", &to]));
        for words in [
            "address add 192.0.2.1/24 dev cable0",
            "address add 198.51.100.1/24 dev cable0",
            "link set cable0 up",
        ] {
            ok(in_net(laptop.keeper.id(), "ip", &words.split(' ').collect::<Vec<_>>()));
        }
        laptop
    }

    /// `fieldcam ctl --host HOST ARGS…`
    fn command(&self, host: &str, args: &str) -> Command {
        let mut command = in_net(self.keeper.id(), PROGRAM, &["ctl", "--host", host]);
        command.args(args.split(' ')).env("XDG_CONFIG_HOME", self.home.path());
        command.env("FIELDCAM_TOKEN", &self.token).env("FIELDCAM_STORAGE__DATA_DIR", "/nonexistent");
        command
    }

    fn ctl(&self, host: &str, args: &str) -> Output {
        self.command(host, args).output().unwrap()
    }

    /// The same, which has to succeed; what it said.
    #[track_caller]
    fn done(&self, host: &str, args: &str) -> String {
        let out = self.ctl(host, args);
        assert!(out.status.success(), "{args}: {}", said(&out));
        said(&out)
    }
}

impl Drop for Laptop {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// A program of this system in the network of a process.
fn in_net(process: u32, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &process.to_string(), "--net", "--", program]).args(args);
    command.stdin(Stdio::null());
    command
}

#[track_caller]
fn ok(mut command: Command) {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", said(&out));
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&[&out.stdout[..], &out.stderr].concat()).into_owned()
}

/// From here on this thread connects within the guest, by its loopback.
fn move_into(machine: &Machine) {
    let net = std::fs::File::open(format!("/proc/{}/ns/net", machine.leader())).unwrap();
    nix::sched::setns(net, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
}

/// The port's IPv4 addresses, as the kernel has them.
fn addresses(machine: &Machine) -> Vec<String> {
    // Link-local ones come and go beside.
    all_addresses(machine).into_iter().filter(|ip| !ip.starts_with("169.254.")).collect()
}

fn all_addresses(machine: &Machine) -> Vec<String> {
    let out = in_net(machine.leader(), "ip", &["-json", "-4", "address", "show", "lan0"]).output().unwrap();
    let all: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
    let all = all[0]["addr_info"].as_array().cloned().unwrap_or_default();
    all.iter().filter_map(|info| info["local"].as_str()).map(str::to_owned).collect()
}

#[track_caller]
fn wait_address(machine: &Machine, limit: Duration, address: &str) {
    wait_within(limit, &format!("the port has {address}"), || {
        (addresses(machine) == [address]).then_some(())
    });
}

/// The port's row of get_network.
fn port(client: &mut Client) -> Value {
    let all = client.ok("get_network", Value::Null);
    let mut ports = all["ports"].as_array().unwrap().clone().into_iter();
    ports.find(|port| port["port"] == "lan0").unwrap_or_else(|| panic!("{all}"))
}

fn has_trial_file(machine: &Machine) -> bool {
    machine.run("test -e /run/systemd/network/01-fieldcam-trial.network").status.success()
}

#[test]
#[ignore = "needs root and a guest's system: scripts/test guest"]
fn a_network_setting_is_kept_when_it_is_confirmed_through_itself_and_else_taken_back() {
    let machine = Machine::boot_alone(CONFIG);
    move_into(&machine);
    machine.ok("systemd-sysusers");
    machine.ok(CABLE);
    wait_for("the cable is there", || {
        machine.run("test -d /sys/class/net/cable0").status.success().then_some(())
    });
    machine.ok("systemctl start fieldcam");
    let token = machine.ok("FIELDCAM_STORAGE__DATA_DIR=/data/fieldcam fieldcam token --role admin");
    what_dhcp_gives_confirms(&machine, &token);
    let laptop = Laptop::beside(&machine, token);
    wait_address(&machine, MINUTE, "192.0.2.10");
    let told = wait_for("the laptop reaches the box", || {
        let out = laptop.ctl("192.0.2.10", "network");
        out.status.success().then(|| said(&out))
    });
    assert!(told.contains("lan0") && told.contains("static") && told.contains("192.0.2.10/24"), "{told}");

    nothing_is_tried_that_cannot_be(&machine);
    what_nobody_confirms_is_taken_back(&machine, &laptop);
    what_is_reached_is_kept(&machine, &laptop);
    without_a_lease_the_link_local_address_confirms_late(&machine, &laptop);

    for unit in ["fieldcam-box", "fieldcam-network-revert"] {
        let verdict =
            machine.ok(&format!("systemd-analyze security {unit} --no-pager | grep 'Overall exposure'"));
        eprintln!("systemd-analyze security: {verdict}");
        let score = verdict.split_whitespace().find_map(|word| word.parse::<f64>().ok());
        assert!(score.is_some_and(|score| score <= 2.0), "{verdict}");
    }
    assert_eq!(machine.ok("systemctl --failed --no-legend --plain"), "");
}

/// Which address that is nobody knows before.
fn what_dhcp_gives_confirms(machine: &Machine, token: &str) {
    wait_address(machine, MINUTE, "192.0.2.10");
    let mut client = machine.login("admin");
    let begun = client.ok("set_network", json!({ "port": "lan0", "method": "dhcp" }));
    let name = format!("{}.local", begun["host_name"].as_str().unwrap());
    assert_eq!(begun["trial"]["confirm_at"], json!([name]), "{begun}");
    let leased = wait_within(MINUTE / 2, "the port has an address by DHCP", || {
        addresses(machine).into_iter().find(|ip| ip.starts_with("203.0.113."))
    });
    let mut client = Client::try_connect(&format!("ws://{leased}:8002/ws"), &[]).unwrap();
    client.authenticate(token);
    assert_eq!(client.ok("get_network", Value::Null)["trial"]["confirm_at"], json!([leased]));
    assert_eq!(client.ok("confirm_network", Value::Null)["port"], "lan0");
    let row = port(&mut client);
    assert_eq!((&row["method"], &row["on_trial"]), (&json!("dhcp"), &json!(false)), "{row}");
    // As it was before.
    machine.ok("rm /etc/systemd/network/05-set-lan0.network /run/systemd/network/01-fieldcam-trial.network");
    machine.ok("networkctl reload");
}

fn nothing_is_tried_that_cannot_be(machine: &Machine) {
    let mut client = machine.login("admin");
    for (params, param) in [
        (json!({ "port": "lan7", "method": "dhcp" }), "port"),
        (json!({ "port": "lo", "method": "dhcp" }), "port"),
        (json!({ "port": "lan0", "method": "static", "address": "192.0.2.0/24" }), "address"),
        (
            json!({ "port": "lan0", "method": "static", "address": "192.0.2.11/24", "gateway": "10.0.0.1" }),
            "gateway",
        ),
    ] {
        let refused = client.call("set_network", params.clone()).unwrap_err();
        assert_eq!(
            (refused.code, refused.data["param"].as_str()),
            (-32602, Some(param)),
            "{params}: {refused}"
        );
    }
    let refused = client.call("confirm_network", Value::Null).unwrap_err();
    assert_eq!((refused.code, refused.data["state"].as_str()), (-32020, Some("NO_TRIAL")), "{refused}");
    // Past the daemon, which looks before it asks.
    let ask = |line: &str| {
        let ask = format!("setpriv --reuid fieldcam --clear-groups fieldcam helper --box --ask '{line}'");
        said(&machine.run(&ask))
    };
    for line in
        ["NETWORK-TRY lan7 dhcp", "NETWORK-TRY lan0 192.0.2.0/24", "NETWORK-TRY ../x dhcp", "NETWORK-APPLY"]
    {
        assert!(ask(line).contains("no"), "{line}");
    }
    assert!(!has_trial_file(machine));
}

/// A laptop that does not reach the box any more. Neither the daemon nor the helper lives when the minute is over.
fn what_nobody_confirms_is_taken_back(machine: &Machine, laptop: &Laptop) {
    let mut client = machine.login("admin");
    client.ok("subscribe_events", json!({ "topics": ["network_update"] }));
    let asked = Instant::now();
    let mut ctl = laptop.command("192.0.2.10", "network set lan0 203.0.113.10/24 --gateway 203.0.113.1");
    let ctl = ctl.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = client.notification(|note| note["params"]["trial"].is_object());
    assert_eq!(begun["params"]["trial"]["confirm_at"], json!(["203.0.113.10"]), "{begun}");
    let refused = client.call("set_network", json!({ "port": "lan0", "method": "dhcp" })).unwrap_err();
    assert_eq!(refused.data["state"], "ON_TRIAL", "{refused}");
    wait_address(machine, MINUTE / 2, "203.0.113.10");
    let heard = client.notification(|note| note["params"]["trial"]["applied"] == true);
    assert_eq!(document().fault_in_notification(&heard), None);
    assert_eq!(heard["params"]["trial"]["port"], "lan0", "{heard}");
    // Whoever came by another way does not know whether the new one works.
    let refused = client.call("confirm_network", Value::Null).unwrap_err();
    assert!(refused.message.contains("older than the setting"), "{refused}");
    let refused = machine.login("admin").call("confirm_network", Value::Null).unwrap_err();
    assert!(refused.message.contains("came through 127.0.0.1"), "{refused}");
    assert_eq!(port(&mut client)["on_trial"], true);

    machine.ok(
        "systemctl kill --signal=KILL fieldcam-box; systemctl stop fieldcam-box.socket fieldcam-box fieldcam",
    );
    machine.ok("systemctl reset-failed");
    wait_address(machine, MINUTE * 2, "192.0.2.10");
    let took = asked.elapsed();
    let ctl = ctl.wait_with_output().unwrap();
    eprintln!("ctl: {}", said(&ctl));
    assert_eq!(ctl.status.code(), Some(1), "{}", said(&ctl));
    assert!(
        said(&ctl).contains("is set as before: the box was not reached at 203.0.113.10:8002"),
        "{}",
        said(&ctl)
    );
    eprintln!("taken back after {:.1} s", took.as_secs_f64());
    assert!(took >= MINUTE - Duration::from_secs(1), "taken back after {took:?}");
    assert!(!has_trial_file(machine));
    machine.ok("systemctl start fieldcam-box.socket fieldcam");
}

fn what_is_reached_is_kept(machine: &Machine, laptop: &Laptop) {
    wait_for("the laptop reaches the box as before", || {
        laptop.ctl("192.0.2.10", "network").status.success().then_some(())
    });
    let told = laptop.done("192.0.2.10", "network set lan0 198.51.100.10/24 --dns 198.51.100.1");
    assert!(told.contains("reached at 198.51.100.10:8002") && told.contains("is kept"), "{told}");
    assert_eq!(addresses(machine), ["198.51.100.10"]);
    // By its new address it is known already, by the certificate of before.
    let known = std::fs::read_to_string(laptop.home.path().join("fieldcam/known_boxes")).unwrap();
    let prints: Vec<_> = known.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert_eq!((prints.len(), prints[0].1), (2, prints[1].1), "{known}");
    assert_eq!(prints[1].0, "198.51.100.10:8002");

    // Nothing ends it any more, and a restart has it from its disk.
    assert_eq!(said(&machine.run("systemctl is-active fieldcam-network-revert.timer")).trim(), "inactive");
    let file = "/etc/systemd/network/05-set-lan0.network";
    assert_eq!(machine.ok(&format!("stat -c '%U %a' {file}")), "root 644");
    machine.ok("rm /run/systemd/network/01-fieldcam-trial.network; systemctl restart systemd-networkd");
    wait_address(machine, MINUTE, "198.51.100.10");
    let row = port(&mut machine.login("admin"));
    assert_eq!((&row["method"], &row["on_trial"]), (&json!("static"), &json!(false)), "{row}");
    wait_for("the laptop reaches the box", || {
        laptop.ctl("198.51.100.10", "network").status.success().then_some(())
    });
}

/// A bare cable: nobody gives addresses there.
fn without_a_lease_the_link_local_address_confirms_late(machine: &Machine, laptop: &Laptop) {
    ok(in_net(laptop.keeper.id(), "ip", &["address", "add", "169.254.77.1/16", "dev", "cable0"]));
    machine.login("admin").ok("set_network", json!({ "port": "lan0", "method": "dhcp" }));
    wait_within(MINUTE / 2, "the static address is gone", || addresses(machine).is_empty().then_some(()));
    // networkd has an IPv4 one only where there is no lease.
    let own = wait_within(MINUTE / 2, "the port has a link-local address", || {
        all_addresses(machine).into_iter().find(|ip| ip.starts_with("169.254."))
    });
    // A lease may still come.
    wait_for("the box answers at its link-local address", || {
        let out = laptop.ctl(&own, "network confirm");
        assert!(!out.status.success(), "{}", said(&out));
        said(&out).contains("no lease has come yet").then_some(())
    });
    let kept = wait_within(MINUTE, "the setting is kept", || {
        let out = laptop.ctl(&own, "network confirm");
        out.status.success().then(|| said(&out))
    });
    assert!(
        kept.contains("no lease has come: the port has only the addresses that it has without one"),
        "{kept}"
    );
    let row = port(&mut machine.login("admin"));
    assert_eq!((&row["method"], &row["on_trial"]), (&json!("dhcp"), &json!(false)), "{row}");
}
