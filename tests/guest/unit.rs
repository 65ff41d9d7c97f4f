//! The whole job under the unit file that the images carry.

use std::os::unix::fs::MetadataExt;

use serde_json::json;

use crate::common::{Client, ffmpeg, wait_for};
use crate::machine::Machine;

const CONFIG: &str = r#"
server.listen = "127.0.0.1:0"
health.listen = "127.0.0.1:0"
[cameras]
synthetic = 2
resolution = "640x360"
[mediamtx]
rtsp_listen = "127.0.0.1:0"
hls_listen = "127.0.0.1:0"
webrtc_listen = "127.0.0.1:0"
webrtc_udp = "127.0.0.1:0"
api_listen = "127.0.0.1:0"
"#;

#[test]
#[ignore = "needs root and a guest's system: scripts/test guest"]
fn the_whole_job_runs_under_the_units_sandbox() {
    let mut machine = Machine::boot(CONFIG);
    machine.ok("systemd-sysusers");
    // Returns when the daemon has said READY.
    machine.ok("systemctl start fieldcam");
    assert!(machine.log().contains("fieldcam ready"), "{}", machine.log());

    the_unit_is_closed(&machine);
    its_helper_does_little(&machine);
    the_boxs_helper_does_little(&machine);
    the_job_is_done(&machine);
    it_reloads(&machine);
    it_comes_back_after_a_crash(&machine);
    it_survives_the_loss_of_its_disk(&machine);
    it_stops_in_order(&machine);

    let log = machine.log();
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(machine.ok("systemctl --failed --no-legend --plain"), "");
    // Through its sandbox to systemd: the last errand of this machine.
    let said = ask_the_box(&machine, "fieldcam", "REBOOT");
    // A helper that is stopped with all the rest may not get to say so.
    let silent = said.trim_end().ends_with("Dependency failed: helper:");
    assert!(said.contains("ok") || said.is_empty() || silent, "{said}");
    machine.wait_off();
}

/// The score of `systemd-analyze`, and the sandbox as the running processes have it.
fn the_unit_is_closed(machine: &Machine) {
    let verdict = machine.ok("systemd-analyze security fieldcam --no-pager | grep 'Overall exposure'");
    eprintln!("systemd-analyze security: {verdict}");
    let score = verdict.split_whitespace().find_map(|word| word.parse::<f64>().ok());
    assert!(score.is_some_and(|score| score <= 2.5), "{verdict}");

    let group = machine.property("ControlGroup");
    let pids = machine.ok(&format!("cat /sys/fs/cgroup{group}/cgroup.procs"));
    assert!(pids.lines().count() >= 2, "the daemon and MediaMTX: {pids}");
    for pid in pids.lines() {
        let status = machine.ok(&format!("cat /proc/{pid}/status"));
        let field = |name: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("no {name}: {status}")).trim().to_owned()
        };
        assert_eq!(field("Seccomp"), "2", "system calls are filtered: {status}");
        assert_eq!(field("NoNewPrivs"), "1", "{status}");
        assert_eq!(field("CapBnd").trim_matches('0'), "", "{status}");
        assert!(!field("Uid").starts_with("0\t"), "{status}");
    }
    // Even its user's own files outside of /data cannot be written: the mounts are read-only.
    let inside =
        |command: &str| machine.run(&format!("nsenter -t {} -m -- {command}", machine.property("MainPID")));
    for place in ["/usr/bin", "/etc", "/var/lib", "/root"] {
        assert!(!inside(&format!("touch {place}/written")).status.success(), "{place} can be written");
    }
    assert!(inside("touch /data/written").status.success());
    machine.ok("rm /data/written");
}

/// What runs as root: it is there for the service's user, in a sandbox of its own, and refuses what is no camera.
fn its_helper_does_little(machine: &Machine) {
    let helper = "fieldcam-helper";
    assert_eq!(machine.ok(&format!("systemctl is-active {helper}.socket")), "active");
    let inactive = machine.run(&format!("systemctl is-active {helper}.service"));
    assert!(!inactive.status.success(), "it runs though nobody has asked");
    // As the service's user, out of the service's sandbox.
    let ask = |user: &str, line: &str| {
        let said =
            machine.run(&format!("setpriv --reuid {user} --clear-groups fieldcam helper --ask '{line}'"));
        format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr))
    };
    for (line, why) in [
        ("rebind ../../etc", "no such request"),
        ("reauthorize usb1", "no such request"),
        ("reauthorize 250-1", "there is no such device"),
        ("rebind no-such.0", "there is no such device"),
    ] {
        let said = ask("fieldcam", line);
        assert!(said.contains(why), "{line}: {said}");
    }
    assert!(ask("nobody", "rebind no-such.0").contains("it cannot be asked"), "its socket is open to all");
    let pid = machine.ok(&format!("systemctl show --property=MainPID --value {helper}"));
    let status = machine.ok(&format!("cat /proc/{pid}/status"));
    for (field, value) in [("Seccomp", "2"), ("NoNewPrivs", "1"), ("CapBnd", "0000000000000000")] {
        assert!(status.contains(&format!("{field}:\t{value}\n")), "{field}: {status}");
    }
    let inside = |command: &str| machine.run(&format!("nsenter -t {pid} -m -- {command}"));
    for place in ["/usr/bin", "/etc", "/data", "/sys/kernel"] {
        assert!(!inside(&format!("touch {place}/written")).status.success(), "{place} can be written");
    }
    let verdict =
        machine.ok(&format!("systemd-analyze security {helper} --no-pager | grep 'Overall exposure'"));
    eprintln!("systemd-analyze security: {verdict}");
}

/// What the box's helper answers to a user, out of the service's sandbox.
fn ask_the_box(machine: &Machine, user: &str, line: &str) -> String {
    let ask = format!("setpriv --reuid {user} --clear-groups fieldcam helper --box --ask '{line}'");
    let said = machine.run(&ask);
    format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr))
}

/// The other process of root's: for the service's user too, with the clock for its one right.
fn the_boxs_helper_does_little(machine: &Machine) {
    let helper = "fieldcam-box";
    assert_eq!(machine.ok(&format!("systemctl is-active {helper}.socket")), "active");
    for (line, why) in [
        ("rebind vivid.0", "no such request"),
        ("COMMIT A", "no such request"),
        ("SET-TIME 1", "no such request"),
        ("BOOT-STATE", "there is no fw_printenv"),
        ("COMMIT", "the slot that runs is not known"),
        ("FACTORY-RESET all", "there is no data partition of an image here"),
    ] {
        let said = ask_the_box(machine, "fieldcam", line);
        assert!(said.contains(why), "{line}: {said}");
    }
    assert!(
        ask_the_box(machine, "nobody", "REBOOT").contains("it cannot be asked"),
        "its socket is open to all"
    );
    let pid = machine.ok(&format!("systemctl show --property=MainPID --value {helper}"));
    let status = machine.ok(&format!("cat /proc/{pid}/status"));
    // CAP_SYS_TIME, as far as the guest has it.
    let bounds = status.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
    assert!(["0000000002000000", "0000000000000000"].contains(&bounds), "{status}");
    for (field, value) in [("Seccomp", "2"), ("NoNewPrivs", "1")] {
        assert!(status.contains(&format!("{field}:\t{value}\n")), "{field}: {status}");
    }
    let inside = |command: &str| machine.run(&format!("nsenter -t {pid} -m -- {command}"));
    for place in ["/usr/bin", "/etc", "/etc/systemd/system", "/data", "/data/fieldcam", "/var/lib"] {
        assert!(!inside(&format!("touch {place}/written")).status.success(), "{place} can be written");
    }
    let verdict =
        machine.ok(&format!("systemd-analyze security {helper} --no-pager | grep 'Overall exposure'"));
    eprintln!("systemd-analyze security: {verdict}");
    let score = verdict.split_whitespace().find_map(|word| word.parse::<f64>().ok());
    assert!(score.is_some_and(|score| score <= 2.0), "{verdict}");
}

/// Waits until a recording has grown to so many seconds.
#[track_caller]
fn wait_recorded(client: &mut Client, name: &str, seconds: u64) {
    wait_for(&format!("{seconds} s of {name} are recorded"), || {
        let info = client.ok("get_recording_info", json!({ "filename": name }));
        (info["duration"].as_u64()? >= seconds).then_some(())
    });
}

/// Starts a recording and lets it grow. Answers with its name.
#[track_caller]
fn record(client: &mut Client, camera: &str, seconds: u64) -> String {
    let started = client.ok("start_recording", json!({ "device": camera }));
    let name = started["filename"].as_str().unwrap().to_owned();
    wait_recorded(client, &name, seconds);
    name
}

/// Pictures, footage and live video, as a client sees them.
fn the_job_is_done(machine: &Machine) {
    let mut client = machine.login("operator");
    wait_for("both cameras are connected", || {
        (client.ok("get_camera_list", json!({}))["connected"] == 2).then_some(())
    });
    let taken = client.ok("take_snapshot", json!({ "device": "camera1" }));
    assert_eq!(taken["status"], "SUCCESS", "{taken}");
    let stream = client.ok("get_stream_url", json!({ "device": "camera1" }));
    assert_eq!(ffmpeg::size(stream["stream_url"].as_str().unwrap()), (640, 360));

    let name = record(&mut client, "camera0", 4);
    client.ok("stop_recording", json!({ "device": "camera0" }));
    let length = machine.plays(&name);
    assert!(length >= 3.0, "{length}");

    // Others on the box cannot read what it keeps.
    assert_eq!(machine.data().metadata().unwrap().mode() & 0o7777, 0o750);
    let secrets = machine.data().join("secrets").metadata().unwrap();
    assert_eq!(secrets.mode() & 0o7777, 0o700);
    assert_ne!(secrets.uid(), 0);

    let fed = machine.property("WatchdogTimestampMonotonic");
    wait_for("systemd's watchdog is fed again", || {
        (machine.property("WatchdogTimestampMonotonic") != fed).then_some(())
    });
}

/// `systemctl reload` returns when the daemon has read the file; a good one holds, a bad one does not.
fn it_reloads(machine: &Machine) {
    let cameras = || {
        let list = machine.login("viewer").ok("get_camera_list", json!({}));
        list["cameras"].as_array().unwrap().len()
    };
    let file = machine.etc("fieldcam.toml");
    let more = format!("{CONFIG}[[camera]]\nname = \"Gate\"\nsource = \"test:testsrc2\"\n");
    std::fs::write(&file, &more).unwrap();
    machine.ok("systemctl reload fieldcam");
    assert_eq!(cameras(), 3, "{}", machine.log());
    std::fs::write(&file, "nonsense = [").unwrap();
    machine.ok("systemctl reload fieldcam");
    assert_eq!(machine.property("ActiveState"), "active");
    // The command that makes the token reads the same file.
    std::fs::write(&file, &more).unwrap();
    assert_eq!(cameras(), 3, "{}", machine.log());
}

/// A daemon that was killed is started by systemd, and its recording goes on.
fn it_comes_back_after_a_crash(machine: &Machine) {
    let name = record(&mut machine.login("operator"), "camera0", 3);
    let pid = machine.property("MainPID");
    machine.ok(&format!("kill -KILL {pid}"));
    wait_for("systemd has started it again", || {
        let again = machine.property("MainPID") != pid && machine.property("ActiveState") == "active";
        again.then_some(())
    });
    assert_eq!(machine.property("NRestarts"), "1");
    let mut client = machine.login("operator");
    let info = client.ok("get_recording_info", json!({ "filename": name }));
    wait_recorded(&mut client, &name, info["duration"].as_u64().unwrap() + 3);
    let stopped = client.ok("stop_recording", json!({ "device": "camera0" }));
    assert_eq!(stopped["filename"], name.as_str(), "another recording was running");
    let length = machine.plays(&name);
    assert!(length >= 5.0, "{length}");
}

/// The sandbox has mounts of its own, and must see the disk go and come back all the same.
fn it_survives_the_loss_of_its_disk(machine: &Machine) {
    machine.ok("umount --lazy /data");
    wait_for("it is noticed", || machine.log().contains("the data disk is gone").then_some(()));
    assert_eq!(machine.ok("ls -A /data"), "", "something was written to the bare mount point");
    assert_eq!(machine.property("ActiveState"), "active");
    machine.ok("mount --bind /mnt /data");
    wait_for("it is back", || machine.log().contains("the data disk is back: ").then_some(()));
    let mut client = machine.login("operator");
    let name = record(&mut client, "camera1", 2);
    client.ok("stop_recording", json!({ "device": "camera1" }));
    machine.plays(&name);
}

/// `systemctl stop` ends a recording in order, and nothing of the service is left running.
fn it_stops_in_order(machine: &Machine) {
    let name = record(&mut machine.login("operator"), "camera0", 2);
    machine.ok("systemctl stop fieldcam");
    assert_eq!(machine.property("Result"), "success");
    assert_eq!(machine.ok("find /proc -maxdepth 1 -name '[1-9]*' -user fieldcam"), "");
    machine.ok("systemctl start fieldcam");
    let length = machine.plays(&name);
    assert!(length >= 1.0, "{length}");
}
