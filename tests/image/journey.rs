//! From the flashed card to the next version, as its owner goes.

use serde_json::json;

use crate::common::wait_within;
use crate::disk::{Disk, built, fact};
use crate::laptop::Laptop;
use crate::machine::{Machine, PATIENCE};

/// A camera is seen from outside, by RTSP.
#[track_caller]
fn is_live(laptop: &Laptop, machine: &Machine, camera: &str) {
    let stream = laptop.call(machine, "get_stream_url", &json!({ "device": camera }));
    let url = stream["stream_url"].as_str().unwrap();
    // A box with TLS speaks RTSPS.
    assert!(url.starts_with("rtsps:"), "{stream}");
    wait_within(PATIENCE, &format!("{camera} is live"), || {
        (Laptop::pictures(machine, url, 5).len() >= 5 * 320 * 180).then_some(())
    });
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image"]
fn a_box_is_claimed_shows_and_records_is_updated_and_has_its_footage_still() {
    let laptop = Laptop::new();
    let mut machine = Machine::boot(Disk::with_agent());
    laptop.claim(&machine);

    // What runs is what was built, and all of it.
    assert_eq!(machine.ask("cat /run/fieldcam-boot/slot"), "A");
    let failed = machine.ask("systemctl --failed --no-legend --plain");
    assert_eq!(failed, "", "{}", machine.ask("journalctl -b -p warning --no-pager"));
    let writing = machine.run("touch /usr/bin/mine");
    assert!(writing.status != 0 && writing.err.contains("Read-only"), "{writing:?}");
    laptop.cameras(&machine, 2);
    for camera in ["camera0", "camera1"] {
        is_live(&laptop, &machine, camera);
    }

    // Footage, and a setting.
    laptop.call(&machine, "rename_device", &json!({ "device": "camera0", "name": "Gate" }));
    laptop.call(&machine, "start_recording", &json!({ "device": "camera0", "duration": 10 }));
    let recordings = |machine: &Machine| laptop.call(machine, "list_recordings", &json!({}));
    let name = wait_within(PATIENCE, "the recording has ended", || {
        let status = laptop.call(&machine, "get_stream_status", &json!({ "device": "camera0" }));
        let list = recordings(&machine);
        let file = list["files"].get(0)?;
        (file["file_size"].as_u64()? > 0 && status["ready"] == true).then(|| file["filename"].clone())
    });
    let name = name.as_str().unwrap().to_owned();
    let info = || laptop.call(&machine, "get_recording_info", &json!({ "filename": name }));
    wait_within(PATIENCE, "ten seconds are recorded", || (info()["duration"].as_f64()? >= 9.0).then_some(()));

    // The next version.
    let next = built("FIELDCAM_TEST_IMAGE_NEXT");
    let bundle = next.join("qemu-arm64.raucb");
    laptop.done(&machine, &["update", bundle.to_str().unwrap(), "--reboot"]);
    machine.next_boot();
    assert_eq!(machine.ask("cat /run/fieldcam-boot/slot"), "B");
    let status = laptop.kept(&machine);
    assert_eq!(
        (&status["state"], status["version"].as_str()),
        (&json!("committed"), Some(&*fact(&next, "version")))
    );
    laptop.cameras(&machine, 2);
    let list = laptop.call(&machine, "get_camera_list", &json!({}));
    assert_eq!(list["cameras"][0]["name"], "Gate", "{list}");
    assert!(laptop.watches(&machine, &name) >= 9.0);
    assert!(!machine.console().contains("syntax error"), "{}", machine.console());
}
