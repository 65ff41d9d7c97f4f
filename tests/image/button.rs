//! The board's button. QEMU's keyboard has one that the board's file names (F12).

use serde_json::json;

use crate::common::wait_within;
use crate::disk::Disk;
use crate::laptop::{Laptop, code};
use crate::machine::{Machine, PATIENCE};

fn button(machine: &Machine, down: bool) {
    let key = json!({ "type": "key", "data": { "down": down, "key": { "type": "qcode", "data": "f12" } } });
    machine.qmp("input-send-event", &json!({ "events": [key] }));
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_a_button_that_is_held_resets_the_box() {
    let laptop = Laptop::new();
    let mut machine = Machine::boot(Disk::with_agent());
    laptop.claim(&machine);
    let (name, first) = (machine.ask("cat /etc/hostname"), code(&machine.console()).unwrap());
    wait_within(PATIENCE, "the button is watched", || {
        let units = machine.ask("systemctl list-units --no-legend --plain 'fieldcam-button@*'");
        units.contains("active running").then_some(())
    });
    // A short press is none; the next one counts from its own beginning.
    button(&machine, true);
    button(&machine, false);
    button(&machine, true);
    // The agent goes with the data.
    let second = wait_within(PATIENCE, "the box belongs to nobody", || {
        code(&machine.console()).filter(|second| *second != first)
    });
    button(&machine, false);
    assert_eq!(machine.console().matches("AB: booting A").count(), 2, "{}", machine.last_words());
    let shown = wait_within(PATIENCE, "the box says its name", || {
        let console = machine.console();
        let behind = console.rsplit_once(&second)?.1.split_once("Box:")?.1.to_owned();
        behind.contains('\n').then_some(behind)
    });
    assert!(!shown.contains(&name), "{shown}");
}
