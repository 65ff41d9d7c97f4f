//! The network of the image, set over the API. QEMU forwards to one address; another one is a mistake to be taken back.

use serde_json::{Value, json};

use crate::common::wait_within;
use crate::disk::Disk;
use crate::laptop::Laptop;
use crate::machine::{Machine, PATIENCE};

/// What QEMU's network gives by DHCP, and where it forwards to.
const OWN: &str = "10.0.2.15";

/// A method's result; none while the box cannot be reached, or refuses.
fn result(laptop: &Laptop, machine: &Machine, method: &str) -> Option<Value> {
    let out = laptop.ctl(machine, &["call", method, "{}"]);
    out.status.success().then(|| serde_json::from_slice(&out.stdout).unwrap())
}

#[track_caller]
fn set(laptop: &Laptop, machine: &Machine, port: &str, address: &str) {
    let wish = json!({ "port": port, "method": "static", "address": address, "gateway": "10.0.2.2" });
    let begun = laptop.call(machine, "set_network", &wish);
    assert_eq!(begun["trial"]["address"], address, "{begun}");
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image"]
fn a_network_setting_is_taken_back_unless_it_is_confirmed_and_then_survives_a_restart() {
    let laptop = Laptop::new();
    let mut machine = Machine::boot(Disk::with_agent());
    laptop.claim(&machine);
    let all = laptop.call(&machine, "get_network", &json!({}));
    let is_ours = |port: &&Value| {
        let addresses = port["addresses"].as_array().into_iter().flatten();
        addresses.filter_map(Value::as_str).any(|address| address == format!("{OWN}/24"))
    };
    let row = all["ports"].as_array().unwrap().iter().find(is_ours).unwrap_or_else(|| panic!("{all}"));
    assert_eq!((&row["method"], &row["carrier"]), (&json!("dhcp"), &json!(true)), "{row}");
    let port = row["port"].as_str().unwrap().to_owned();

    set(&laptop, &machine, &port, "10.0.2.99/24");
    wait_within(PATIENCE, "the wrong address holds", || {
        machine.ask("networkctl status --no-pager --lines=0 --all").contains("10.0.2.99").then_some(())
    });
    let row = wait_within(PATIENCE, "the box is reached as before", || {
        let all = result(&laptop, &machine, "get_network")?;
        all["ports"].as_array()?.iter().find(is_ours).cloned()
    });
    assert_eq!((&row["method"], &row["on_trial"]), (&json!("dhcp"), &json!(false)), "{row}");

    set(&laptop, &machine, &port, &format!("{OWN}/24"));
    // Refused while it does not hold yet.
    let kept = wait_within(PATIENCE, "it is confirmed", || result(&laptop, &machine, "confirm_network"));
    assert_eq!((&kept["status"], &kept["port"]), (&json!("CONFIRMED"), &json!(port)), "{kept}");
    machine.ask("systemctl --no-block reboot");
    machine.next_boot();
    let row = wait_within(PATIENCE, "the box is reached by its own address", || {
        let all = result(&laptop, &machine, "get_network")?;
        all["ports"].as_array()?.iter().find(is_ours).cloned()
    });
    assert_eq!((&row["method"], &row["on_trial"]), (&json!("static"), &json!(false)), "{row}");
    let failed = machine.ask("systemctl --failed --no-legend --plain");
    assert_eq!(failed, "", "{}", machine.ask("journalctl -b -p warning --no-pager"));
}
