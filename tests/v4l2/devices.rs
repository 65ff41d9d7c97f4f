//! Names, pins and the end of a camera that is plugged in.

use serde_json::{Value, json};

use crate::common::{Client, wait_within};
use crate::guest::Guest;
use crate::live::{CONFIG, connected};
use crate::machine::PATIENCE;

fn device(client: &mut Client, id: &str) -> Option<Value> {
    let list = client.ok("list_devices", json!({}));
    list["devices"].as_array().unwrap().iter().find(|d| d["device"] == id).cloned()
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn a_camera_is_named_pinned_and_forgotten() {
    let guest = Guest::take();
    let daemon = guest.fieldcam(CONFIG);
    let mut client = daemon.login("admin");
    let cameras = connected(&mut client, 2);
    let id = cameras[1]["device"].as_str().unwrap();

    let known = device(&mut client, id).unwrap();
    assert_eq!(
        (&known["present"], &known["name"], &known["pinned"]),
        (&json!(true), &Value::Null, &json!(false))
    );
    assert!(known["model"].as_str().unwrap().starts_with("vivid"), "{known}");
    assert!(known["port"].as_str().unwrap().contains("vivid"), "{known}");

    let renamed = client.ok("rename_device", json!({ "device": id, "name": "Gate" }));
    assert_eq!(renamed["name"], "Gate");
    wait_within(PATIENCE, "ctl shows its new name and its model", || {
        let shown = daemon.fieldcam("ctl cameras");
        let line = shown.lines().find(|line| line.starts_with(id)).unwrap_or_default();
        (line.contains("Gate") && line.contains("vivid")).then_some(())
    });
    assert_eq!(device(&mut client, id).unwrap()["name"], "Gate");
    client.ok("pin_device", json!({ "device": id, "pinned": true }));
    assert_eq!(device(&mut client, id).unwrap()["pinned"], true);
    assert_eq!(client.ok("rename_device", json!({ "device": id }))["name"], known["model"]);

    let refused = client.call("forget_device", json!({ "device": id })).unwrap_err();
    assert_eq!((refused.code, &refused.data["state"]), (-32020, &json!("CONNECTED")), "{refused:?}");
    guest.ok("echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind");
    connected(&mut client, 0);
    assert_eq!(client.ok("forget_device", json!({ "device": id }))["forgotten"], true);
    assert_eq!(device(&mut client, id), None);
    assert_eq!(client.ok("get_camera_list", json!({}))["total"], 1);
    let absent = client.call("forget_device", json!({ "device": id })).unwrap_err();
    assert_eq!(absent.code, -32010, "{absent:?}");

    // It is a new one now, with the number that was free.
    guest.ok("echo vivid.0 >/sys/bus/platform/drivers/vivid/bind");
    connected(&mut client, 2);
    let again = wait_within(PATIENCE, "it is known again", || device(&mut client, id));
    assert_eq!((&again["pinned"], &again["port"]), (&json!(false), &known["port"]));
    daemon.stop();
}
