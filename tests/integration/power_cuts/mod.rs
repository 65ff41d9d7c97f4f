//! Power cuts of a busy box: two cameras record with a new file every 10 s, recordings end and begin,
//! are downloaded and deleted; at random moments the disk is copied as a power cut would leave it, and
//! a box is started on the copy.
//!
//! Every recording plays, at most 2 s before the cut are lost, no row is without its file and no file
//! without its row. Three cuts by default; `scripts/power-cuts` makes 200.

mod busy;
mod check;
mod journal;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::common::loopdisk::Disk;
use crate::common::{Setup, turn, wait_for};

use busy::Busy;
use check::Cut;
use journal::{Journal, Line};

/// The footage before a cut that may be missing.
const MOST_LOST: f64 = 2.0;

fn setup() -> Setup {
    Setup::new()
        .cameras(2)
        .env("CAMERAS__RESOLUTION", "320x180")
        .env("CAMERAS__FPS", "15")
        .env("RECORDING__SEGMENT_DURATION", "10s")
}

/// A pause that no two cuts share, so that they fall anywhere between two syncs.
fn some_time() {
    let until = Instant::now() + Duration::from_millis(rand::random_range(200..2000));
    wait_for("a random while passes", || (Instant::now() >= until).then_some(()));
}

#[test]
fn a_busy_box_loses_at_most_2_s_and_agrees_with_its_disk_after_power_cuts() {
    let _turn = turn::alone();
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<usize>().ok());
    let wanted = number("FIELDCAM_POWER_CUTS").unwrap_or(3);
    let mut journal = Journal::open(std::env::var_os("FIELDCAM_POWER_CUTS_FILE").map(PathBuf::from));
    if journal.lines.len() < wanted {
        let disk = match Disk::create(96) {
            Ok(disk) => disk,
            Err(why) => return eprintln!("left out: {why}"),
        };
        let mut busy = Busy::start(setup().data_dir(disk.path().join("data")).start());
        let mut seen = HashSet::new();
        while journal.lines.len() < wanted {
            some_time();
            let line = one(&disk, &busy, &mut seen, journal.lines.len() + 1, journal.folder());
            println!("{line}");
            journal.add(line);
        }
        busy.end();
    }
    let (worst, median) = journal.losses();
    let failed: Vec<&Line> = journal.lines.iter().filter(|l| l.fault.is_some()).collect();
    println!(
        "{} power cuts: worst loss {worst:.2} s, median {median:.2} s, {} failed",
        journal.lines.len(),
        failed.len()
    );
    assert!(failed.is_empty(), "{}", failed.iter().map(|l| format!("\n{l}")).collect::<String>());
    assert!(worst <= MOST_LOST, "{worst} s");
}

/// One cut, from the copy to the verdict. The copy of one that failed is kept in `keep`.
fn one(disk: &Disk, busy: &Busy, seen: &mut HashSet<u64>, number: usize, keep: Option<PathBuf>) -> Line {
    let begun = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("cut.img");
    let before = busy.steady();
    let at_ms = disk.cut(&image).unwrap();
    let after = busy.steady();
    let kept = keep.map(|k| k.join(format!("power-cut-{number}.img")));
    if let Some(kept) = &kept {
        // Looking at it changes it.
        crate::common::ffmpeg::run(
            "cp",
            &["--sparse=always", &image.to_string_lossy(), &kept.to_string_lossy()],
        );
    }
    let steady = [0, 1].map(|n| before[n].is_some() && before[n] == after[n]);
    let cut = Cut { image, at_ms, steady };
    let found = catch_unwind(AssertUnwindSafe(|| check::check(&cut, seen)));
    let found = found.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default())
    });
    if found.is_ok()
        && let Some(kept) = &kept
    {
        let _ = std::fs::remove_file(kept);
    }
    Line::new(number, found, begun.elapsed())
}
