//! From a plug to the word of it at a client, beside what is required (P05) and what udev takes of it.
//!
//! Ten cycles in the usual run; `FIELDCAM_TEST_PLUGS=100` for figures worth quoting. All times are of the guest's
//! monotonic clock: `udevadm monitor` says when the kernel's and udevd's events came, and a client in the guest
//! (`fieldcam ctl watch`) when it was told, so that neither our network nor our clock is in them.

use std::io::Write;
use std::time::Duration;

use crate::guest::Guest;
use crate::live::{CONFIG, connected};
use crate::storm::{quantile, setting};
use crate::usbip::UvcCamera;
use crate::uvc::MODEST;

const FEW: u64 = 10;
/// What is required of 95 % of all: after udev's own event a plug, after the kernel's an unplug.
const PLUG: Duration = Duration::from_millis(100);
const UNPLUG: Duration = Duration::from_millis(20);
/// The processor is emulated and has the rest of the machine's work too, and the box is not optimised: half of them may
/// take so many times what is required,
const EMULATED: u32 = 10;
/// and nearly all of them that.
const MOST: Duration = Duration::from_secs(1);

/// Where what was heard is written down, in the guest.
const HEARD: &str = "/run/plugs";
/// Puts the monotonic clock before each line: clock_gettime(2) by its number.
const STAMP: &str = r#"perl -ne "BEGIN { $| = 1 } my \$t = qq(\0) x 16; syscall(228, 1, \$t);
    my (\$s, \$n) = unpack(q(qq), \$t); printf(q(%d.%06d ), \$s, \$n / 1000); print""#;

/// Something that was heard, with the guest's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// The kernel's event of the node that gives pictures.
    Kernel(bool),
    /// udevd's.
    Udevd(bool),
    /// A client was told that it is connected, or not.
    Client(bool),
}

/// `1234.567890` of some clock.
fn time(text: &str) -> Duration {
    let (seconds, micros) = text.trim().split_once('.').unwrap_or_else(|| panic!("{text:?} is no time"));
    Duration::from_secs(seconds.parse().unwrap()) + Duration::from_micros(micros.parse().unwrap())
}

/// `KERNEL[1.000001] add      /devices/…/video0 (video4linux)`; none of other lines and nodes.
fn event(line: &str) -> Option<(Duration, Heard)> {
    let (who, rest) = line.split_once('[')?;
    let (at, rest) = rest.split_once(']')?;
    let mut words = rest.split_whitespace();
    let added = match words.next()? {
        "add" => true,
        "remove" => false,
        _ => return None,
    };
    // The second node of a camera is for its metadata.
    words.next()?.ends_with("/video0").then_some(())?;
    let heard = if who.trim() == "KERNEL" { Heard::Kernel(added) } else { Heard::Udevd(added) };
    Some((time(at), heard))
}

/// A line of `ctl watch --json` with its time.
fn told(line: &str) -> Option<(Duration, Heard)> {
    let (at, note) = line.split_once(' ')?;
    let note: serde_json::Value = serde_json::from_str(note).ok()?;
    let is_it = note["method"] == "camera_status_update" && note["params"]["device"] == "camera0";
    let connected = match note["params"]["status"].as_str()? {
        "CONNECTED" => true,
        "DISCONNECTED" => false,
        _ => return None,
    };
    is_it.then(|| (time(at), Heard::Client(connected)))
}

/// From each of these to its one of those. It may come before: of a camera's two nodes udevd tells either first, and
/// the box looks for both at once.
fn from_to(all: &[(Duration, Heard)], from: Heard, to: Heard) -> Vec<Duration> {
    let those = |which: Heard| all.iter().filter(move |(_, heard)| *heard == which).map(|(at, _)| *at);
    let mut times: Vec<Duration> =
        those(from).zip(those(to)).map(|(from, to)| to.saturating_sub(from)).collect();
    times.sort_unstable();
    times
}

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn a_plug_and_an_unplug_are_told_within_their_time() {
    let cycles = setting("FIELDCAM_TEST_PLUGS", FEW);
    let guest = Guest::take();
    let _without = guest.without_vivid();
    let camera = UvcCamera::new("FC9105", MODEST);
    // So that its number is known, as of any camera but one that was never seen before.
    let mut plugged = camera.plug(&guest, 0);
    let daemon = guest.fieldcam(CONFIG);
    let mut client = daemon.login("viewer");
    connected(&mut client, 1);
    guest.ok(&format!("rm -rf {HEARD}; mkdir {HEARD}"));
    let monitor = "stdbuf -oL udevadm monitor --kernel --udev --subsystem-match=video4linux";
    let _monitor = guest.service("monitor", &format!("{monitor} >{HEARD}/udev"));
    guest.write(&format!("{HEARD}/stamp"), STAMP);
    let watch = format!("FIELDCAM_STORAGE__DATA_DIR=/data/fieldcam fieldcam ctl --json watch 2>{HEARD}/said");
    let _watch = guest.service("watch", &format!("bash -c \"{watch} | bash {HEARD}/stamp >{HEARD}/told\""));
    guest.wait("the client listens", &format!("grep watching {HEARD}/said"));
    guest.wait("the monitor listens", &format!("grep 'the kernel uevent' {HEARD}/udev"));

    let count = |status: &str, count: u64| {
        let file = format!("{HEARD}/told");
        let word = format!("the client is told {status:?} the {count}th time");
        guest.wait(&word, &format!("test $(grep -c '\"{status}\"' {file}) -ge {count}"));
    };
    for n in 1..=cycles {
        drop(plugged);
        count("DISCONNECTED", n);
        plugged = camera.plug(&guest, 0);
        count("CONNECTED", n);
    }
    drop(plugged);
    let events = guest.ok(&format!("cat {HEARD}/udev"));
    let words = guest.ok(&format!("cat {HEARD}/told"));
    let mut words: Vec<_> = words.lines().filter_map(told).collect();
    // What else is new of a camera comes with the same word.
    words.dedup_by_key(|(_, heard)| *heard);
    let all: Vec<_> = events.lines().filter_map(event).chain(words).collect();

    let rows = [
        ("plug: kernel to udevd", Heard::Kernel(true), Heard::Udevd(true), None),
        ("plug: udevd to client", Heard::Udevd(true), Heard::Client(true), Some(PLUG)),
        ("plug: kernel to client", Heard::Kernel(true), Heard::Client(true), None),
        ("unplug: kernel to udevd", Heard::Kernel(false), Heard::Udevd(false), None),
        ("unplug: kernel to client", Heard::Kernel(false), Heard::Client(false), Some(UNPLUG)),
    ];
    // Past the capture of output: the figures are to be seen in every log.
    let mut out = std::io::stderr();
    let _ =
        writeln!(out, "{cycles} cycles, ms{:16} median      p95    worst  required (p95, not emulated)", "");
    let mut late = Vec::new();
    for (what, from, to, most) in rows {
        let times = from_to(&all, from, to);
        assert!(times.len() as u64 >= cycles, "{what}: {} of {cycles} in\n{events}\n{all:?}", times.len());
        let ms = |percent| quantile(&times, percent).as_secs_f64() * 1e3;
        let required = most.map(|most: Duration| most.as_millis().to_string()).unwrap_or_default();
        if most.is_some_and(|most| quantile(&times, 50) > most * EMULATED || quantile(&times, 95) > MOST) {
            late.push(what);
        }
        let _ = writeln!(out, "{what:26} {:>8.1} {:>8.1} {:>8.1} {required:>9}", ms(50), ms(95), ms(100));
    }
    assert_eq!(late, Vec::<&str>::new(), "half of them take {EMULATED} times too long, or some {MOST:?}");
    daemon.stop();
}
