//! Controls of a camera as clients of the box see and set them.

use serde_json::{Value, json};

use crate::common::{Client, wait_within};
use crate::guest::Guest;
use crate::live::connected;
use crate::machine::PATIENCE;

/// Small and slow: the processor is emulated.
const CONFIG: &str =
    "[cameras]\nresolution = \"320x180\"\nfps = 5\n[auth]\nrate_limit_per_minute = 1000000\n";

/// Every kind that vivid has.
const KINDS: [&str; 12] = [
    "bitmask",
    "boolean",
    "button",
    "compound",
    "integer",
    "integer64",
    "integer_menu",
    "menu",
    "string",
    "u16",
    "u32",
    "u8",
];

#[track_caller]
fn controls(client: &mut Client, camera: &str) -> Value {
    client.ok("get_camera_controls", json!({ "device": camera }))
}

#[track_caller]
fn control(client: &mut Client, camera: &str, name: &str) -> Value {
    let list = controls(client, camera);
    let all = list["controls"].as_array().unwrap();
    all.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no {name} in {list}")).clone()
}

#[track_caller]
fn set(client: &mut Client, camera: &str, name: &str, value: Value) -> Value {
    let params = json!({ "device": camera, "control": name, "value": value });
    let done = client.ok("set_camera_control", params);
    assert_eq!(done["device"], camera);
    done["control"].clone()
}

#[track_caller]
fn refused(client: &mut Client, camera: &str, name: &str, value: Value) -> (i64, Value) {
    let params = json!({ "device": camera, "control": name, "value": value });
    let error = client.refused("set_camera_control", params);
    (error.code, error.data)
}

/// A value that the control has not; `None` = it cannot be set.
fn another(control: &Value) -> Option<Value> {
    let flags = control["flags"].as_array().unwrap();
    if ["read_only", "inactive", "disabled", "grabbed"].iter().any(|f| flags.contains(&json!(f))) {
        return None;
    }
    let (least, most) = (&control["minimum"], &control["maximum"]);
    let end = |now: &Value| if now == most { least.clone() } else { most.clone() };
    let now = &control["value"];
    match control["type"].as_str().unwrap() {
        "compound" => None,
        "button" => Some(json!(true)),
        "boolean" => Some(json!(now == false)),
        "string" => Some(json!("a b")),
        "menu" | "integer_menu" => {
            let items = control["menu"].as_array().unwrap().iter().map(|item| item["value"].clone());
            items.into_iter().find(|item| item != now)
        }
        _ => Some(match now.as_array() {
            Some(list) => list.iter().map(end).collect::<Vec<_>>().into(),
            None => end(now),
        }),
    }
}

/// Which of vivid's cameras it is: the kernel says in no order that they are there.
#[track_caller]
fn instance(client: &mut Client, camera: &str) -> String {
    let input = control(client, camera, "input");
    let name = input["menu"][0]["name"].as_str().unwrap();
    name.strip_prefix("Webcam ").unwrap().split('-').next().unwrap().to_owned()
}

/// Waits for the word that a control is so.
#[track_caller]
fn told(client: &mut Client, camera: &str, name: &str, wanted: impl Fn(&Value) -> bool) {
    client.notification(|note| {
        let control = &note["params"]["control"];
        let is_it = note["method"] == "camera_control_update" && control["name"] == name;
        is_it && note["params"]["device"] == camera && wanted(control)
    });
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn what_is_set_is_told_to_all_and_is_set_again_when_the_camera_comes_back() {
    let guest = Guest::take();
    let daemon = guest.fieldcam(CONFIG);
    let mut client = daemon.login("operator");
    let mut other = daemon.login("viewer");
    other.ok(
        "subscribe_events",
        json!({ "topics": ["camera.control_change"], "filters": { "device": "camera0" } }),
    );
    connected(&mut client, 2);

    let list = controls(&mut client, "camera0");
    let all = list["controls"].as_array().unwrap().clone();
    let mut kinds: Vec<_> = all.iter().map(|c| c["type"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, KINDS);
    // The others of vivid break it on purpose.
    let mut expected = Vec::new();
    for control in all.iter().filter(|c| c["group"] == "User Controls") {
        let name = control["name"].as_str().unwrap();
        let Some(value) = another(control) else { continue };
        let done = set(&mut client, "camera0", name, value.clone());
        if control["type"] != "button" {
            assert_eq!((&done["value"], &done["kept"]), (&value, &json!(true)), "{done}");
            told(&mut other, "camera0", name, |c| c["value"] == value);
            expected.push((name.to_owned(), value));
        }
    }
    assert!(expected.len() > 15, "{expected:?}");

    // Each way to fail, in its own words.
    assert_eq!(refused(&mut client, "camera0", "brightnes", json!(1)).1["param"], "control");
    let (code, data) = refused(&mut client, "camera0", "brightness", json!(256));
    assert_eq!((code, &data["rule"]), (-32602, &json!("must be a whole number from 0 to 255")));
    assert_eq!(refused(&mut client, "camera0", "menu", json!(2)).0, -32602, "a hole in the menu");
    assert_eq!(refused(&mut client, "camera0", "read_only_integer_32_bits", json!(1)).0, -32030);
    assert_eq!(set(&mut client, "camera0", "gain_automatic", json!(true))["value"], true);
    told(&mut other, "camera0", "gain", |c| c["flags"].as_array().unwrap().contains(&json!("inactive")));
    let (code, data) = refused(&mut client, "camera0", "gain", json!(7));
    assert_eq!((code, &data["state"]), (-32020, &json!("INACTIVE")));
    assert!(data["suggestion"].as_str().unwrap().contains("gain_automatic"), "{data}");
    set(&mut client, "camera0", "0x980912", json!(false));
    set(&mut client, "camera0", "gain", json!(7));
    expected.retain(|(name, _)| !["gain", "gain_automatic", "contrast"].contains(&name.as_str()));
    expected.extend([("gain_automatic".into(), json!(false)), ("gain".into(), json!(7))]);

    // While it delivers, what another program changes is told, and its input cannot be changed.
    client.ok("start_streaming", json!({ "device": "camera0" }));
    let instance = instance(&mut client, "camera0");
    let node = guest.ok(&format!("grep -l vivid-{instance} /sys/class/video4linux/*/name | cut -d/ -f5"));
    // The box listens from about the first picture on.
    let mut value = 10;
    wait_within(PATIENCE, "another program's change is told", || {
        value += 1;
        guest.ok(&format!("v4l2-ctl -d /dev/{node} --set-ctrl contrast={value}"));
        other.ok("ping", json!({}));
        let heard = other.heard();
        heard.iter().any(|n| n["params"]["control"]["name"] == "contrast").then_some(())
    });
    let (code, data) = refused(&mut client, "camera0", "input", json!(1));
    assert_eq!((code, &data["state"]), (-32020, &json!("BUSY")));
    client.ok("stop_streaming", json!({ "device": "camera0" }));

    let vivid = |verb: &str| guest.ok(&format!("echo vivid.0 >/sys/bus/platform/drivers/vivid/{verb}"));
    vivid("unbind");
    connected(&mut client, 0);
    let gone = client.refused("get_camera_controls", json!({ "device": "camera0" }));
    assert_eq!((gone.code, &gone.data["state"]), (-32020, &json!("DISCONNECTED")));
    vivid("bind");
    connected(&mut client, 2);
    // It is in the list from the moment it is plugged in, and set a moment later: all of it, or nothing yet.
    wait_within(PATIENCE, "the camera is set as it was", || {
        (control(&mut client, "camera0", "brightness")["value"] == 255).then_some(())
    });
    let list = controls(&mut client, "camera0");
    let is = |name: &str| list["controls"].as_array().unwrap().iter().find(|c| c["name"] == name).unwrap();
    for (name, value) in &expected {
        assert_eq!((&is(name)["value"], &is(name)["kept"]), (value, &json!(true)), "{name}");
    }
    let back = set(&mut client, "camera0", "brightness", Value::Null);
    assert_eq!((&back["value"], &back["kept"]), (&json!(128), &json!(false)));
    let said = daemon.fieldcam("ctl control camera0 saturation");
    assert!(said.contains("saturation") && said.contains("255"), "{said}");
    assert!(!daemon.log().contains("cannot be set as it was"), "{}", daemon.log());
    daemon.stop();
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn a_camera_with_several_inputs_has_the_one_that_is_set_and_says_when_nothing_is_connected() {
    let guest = Guest::take();
    let daemon = guest.fieldcam(CONFIG);
    let mut client = daemon.login("operator");
    connected(&mut client, 2);
    // vivid's webcam has some sizes, its tuner any.
    let takes_any = |client: &mut Client| {
        let can = client.ok("get_camera_capabilities", json!({ "device": "camera1" }));
        can["resolutions"].as_array().unwrap().contains(&json!("16x16"))
    };
    assert!(!takes_any(&mut client));
    let tuner = format!("TV {}-0", instance(&mut client, "camera1"));
    set(&mut client, "camera1", "input", json!(tuner));
    assert!(control(&mut client, "camera1", "standard")["menu"].as_array().unwrap().len() > 10);
    let set_standard = set(&mut client, "camera1", "standard", json!("NTSC"));
    assert_eq!(set_standard["value"], 0);
    wait_within(PATIENCE, "the camera has the sizes of its input", || takes_any(&mut client).then_some(()));
    assert!(controls(&mut client, "camera1").get("signal").is_none());
    set(&mut client, "camera1", "standard_signal_mode", json!("No Signal"));
    assert_eq!(controls(&mut client, "camera1")["signal"], "the input has no signal");
    daemon.stop();
    // vivid keeps what it was set to, also for the tests after this one.
    guest.ok("modprobe --remove vivid && modprobe vivid && udevadm settle");
}
