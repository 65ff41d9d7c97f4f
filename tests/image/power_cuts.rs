//! The power goes, at any time: the box boots again, and what it had is there.

use serde_json::{Value, json};

use crate::common::wait_within;
use crate::disk::{Disk, built, fact};
use crate::laptop::{Laptop, refusal};
use crate::machine::{Machine, PATIENCE};

/// What may be lost of a recording, in seconds: two, and what was not measured yet.
const LOST: f64 = 3.0;

/// When it goes.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// U-Boot has counted the try.
    Counted,
    /// The initrd has mounted the data.
    Mounted,
    /// The system is coming up.
    Started,
    /// So many seconds of a recording can be played.
    Recorded(f64),
    /// The installation is so far, in percent.
    Installed(u64),
}

/// A box that somebody owns.
struct Owned {
    laptop: Laptop,
    machine: Machine,
    /// Names of recordings, and what has to be left of each, in seconds.
    recordings: Vec<(String, f64)>,
}

impl Owned {
    fn new() -> Owned {
        let laptop = Laptop::new();
        let machine = Machine::boot(Disk::with_agent());
        laptop.claim(&machine);
        laptop.cameras(&machine, 2);
        Owned { laptop, machine, recordings: Vec::new() }
    }

    /// The power goes at this moment, and comes again.
    fn cut(mut self, cut: Cut) -> Owned {
        match cut {
            Cut::Counted | Cut::Mounted | Cut::Started => {
                let machine = Machine::start(self.machine.cut());
                let mounted = |disk: &Disk| disk.read("data", 1024 + 0x2c, 4);
                let before = mounted(&machine.disk);
                let log = machine.console().len();
                let moment = |machine: &Machine| match cut {
                    Cut::Counted => machine.console()[log..].contains("AB: booting"),
                    Cut::Mounted => mounted(&machine.disk) != before,
                    _ => self.laptop.health(machine).is_some(),
                };
                wait_within(PATIENCE, "the moment comes", || moment(&machine).then_some(()));
                self.machine = machine;
            }
            Cut::Recorded(seconds) => {
                let ask = json!({ "device": "camera0" });
                // After a cut the box goes on with what was recorded, unless it was cut off thrice in five minutes.
                let stop = ["--json", "call", "stop_recording", &ask.to_string()];
                let stopped = self.laptop.ctl(&self.machine, &stop);
                if let Some(error) = refusal(&stopped) {
                    assert_eq!(error["data"]["reason"], "invalid_state", "{error}");
                }
                let begun = self.laptop.call(&self.machine, "start_recording", &ask);
                let name = begun["filename"].as_str().unwrap_or_else(|| panic!("{begun}")).to_owned();
                let info = json!({ "filename": name });
                let seen = wait_within(PATIENCE, "so much is recorded", || {
                    let info = self.laptop.call(&self.machine, "get_recording_info", &info);
                    info["duration"].as_f64().filter(|duration| *duration >= seconds)
                });
                self.recordings.push((name, (seen - LOST).max(0.0)));
            }
            Cut::Installed(percent) => {
                let bundle = built("FIELDCAM_TEST_IMAGE_NEXT").join("qemu-arm64.raucb");
                std::thread::scope(|scope| {
                    let update = || self.laptop.ctl(&self.machine, &["update", bundle.to_str().unwrap()]);
                    let update = scope.spawn(update);
                    wait_within(PATIENCE, "the installation is so far", || {
                        let status = self.laptop.call(&self.machine, "update_status", &json!({}));
                        let far = status["progress"]["percent"].as_u64() >= Some(percent);
                        assert!(!update.is_finished(), "it was over before: {status}");
                        (status["state"] == "installing" && far).then_some(())
                    });
                    self.machine.kill();
                    assert!(!update.join().unwrap().status.success(), "it was cut");
                });
            }
        }
        self.machine = Machine::boot(self.machine.cut());
        self.is_whole(cut);
        self
    }

    /// It runs one of the two versions, its cameras are there, and every recording plays.
    fn is_whole(&mut self, cut: Cut) {
        let (laptop, machine) = (&self.laptop, &mut self.machine);
        wait_within(PATIENCE, "the box answers", || laptop.answers(machine).then_some(()));
        laptop.cameras(machine, 2);
        assert_eq!(machine.ask("cat /run/fieldcam-boot/slot"), "A", "{cut:?}");
        assert!(!machine.run("test -e /run/fieldcam-boot/data").status.eq(&0), "{cut:?}: its data is gone");
        let status = laptop.kept(machine);
        assert_eq!(status["version"], fact(&built("FIELDCAM_TEST_IMAGE"), "version").as_str(), "{status}");
        assert_eq!(
            (&status["booted"], &status["fell_back"]),
            (&json!("A"), &Value::Null),
            "{cut:?}: {status}"
        );
        let list = laptop.call(machine, "list_recordings", &json!({}));
        assert_eq!(list["files"].as_array().unwrap().len(), self.recordings.len(), "{cut:?}: {list}");
        for (name, least) in &self.recordings {
            let length = laptop.watches(machine, name);
            assert!(length >= *least, "{cut:?}: {name} has {length} s of {least} s");
        }
    }

    /// What was cut off is installed after all, and kept.
    fn installs(mut self) {
        let next = built("FIELDCAM_TEST_IMAGE_NEXT");
        let bundle = next.join("qemu-arm64.raucb");
        self.laptop.done(&self.machine, &["update", bundle.to_str().unwrap(), "--reboot"]);
        self.machine.next_boot();
        let status = self.laptop.kept(&self.machine);
        assert_eq!(status["version"], fact(&next, "version").as_str(), "{status}");
        for (name, least) in &self.recordings {
            assert!(self.laptop.watches(&self.machine, name) >= *least, "{name}");
        }
    }
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image"]
fn a_cut_in_a_recording_costs_nothing() {
    Owned::new().cut(Cut::Recorded(6.0));
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_ten_cuts_cost_nothing_and_the_next_version_is_installed_after_them() {
    let mut owned = Owned::new();
    for cut in [
        Cut::Counted,
        Cut::Recorded(1.0),
        Cut::Installed(1),
        Cut::Mounted,
        Cut::Recorded(4.0),
        Cut::Installed(45),
        Cut::Started,
        Cut::Recorded(9.0),
        Cut::Installed(85),
        Cut::Recorded(17.0),
    ] {
        owned = owned.cut(cut);
    }
    owned.installs();
}
