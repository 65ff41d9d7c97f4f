//! How the machine started, what is known of its last update, what the kernel said when it crashed, and what
//! is kept of the journals of earlier starts.

use std::fmt::Write;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where systemd keeps what a crashed kernel left behind.
pub(super) const PSTORE: &str = "/var/lib/systemd/pstore";
/// Where images keep what their journal, which is in memory, had of importance (`keep-journal`).
pub(super) const KEPT_JOURNAL: &str = "/data/journal";
/// The most that is taken of one small file.
const SMALL: u64 = 16 << 10;
/// The most that is taken of crashes, newest first.
const CRASHES: u64 = 1 << 20;
/// The most that is taken of the kept journal: its end.
const JOURNAL: u64 = 1 << 20;
/// Folders below each other that are looked into: systemd makes one a crash, and one a boot.
const DEPTH: u32 = 3;

/// Slot, version and data of this start, and the last update. Blocks.
pub(super) fn report(facts: &Path, data_dir: &Path) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "command line: {}", text(Path::new("/proc/cmdline"), SMALL).trim());
    let release = text(Path::new("/etc/os-release"), SMALL);
    let of_image = |line: &&str| line.starts_with("IMAGE_") || line.starts_with("VARIANT_ID=");
    release.lines().filter(of_image).for_each(|line| {
        let _ = writeln!(out, "{line}");
    });
    let _ = writeln!(out, "\nwhat the start left behind:");
    let mut files = files_below(facts, 0);
    files.sort();
    if files.is_empty() {
        let _ = writeln!(out, "  nothing");
    }
    for file in files {
        let name = file.strip_prefix(facts).unwrap_or(&file).display().to_string();
        let _ = writeln!(out, "  {name}: {}", text(&file, SMALL).trim());
    }
    for (what, name) in [("last time known (ms)", "clock"), ("last update", "update.json")] {
        let _ = writeln!(out, "\n{what}: {}", text(&data_dir.join(name), SMALL).trim());
    }
    out
}

/// What the kernel said before it went down, newest first. Blocks.
pub(super) fn crashes(pstore: &Path) -> String {
    let age =
        |file: &PathBuf| fs::metadata(file).and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut files = files_below(pstore, 0);
    files.sort_by_key(|file| std::cmp::Reverse(age(file)));
    let (mut out, mut left) = (String::new(), CRASHES);
    for file in files {
        if left == 0 {
            out.push_str("(older ones are left out)\n");
            break;
        }
        let said = text(&file, left);
        left = left.saturating_sub(said.len() as u64);
        let name = file.strip_prefix(pstore).unwrap_or(&file).display().to_string();
        let _ = writeln!(out, "── {name}\n{}\n", said.trim_end());
    }
    if out.is_empty() { "the kernel left nothing behind\n".into() } else { out }
}

/// The newest lines that are kept of the journal, through starts and versions. Blocks.
pub(super) fn kept_journal(folder: &Path) -> String {
    let newest = end_of(&folder.join("log"), JOURNAL);
    let left = JOURNAL.saturating_sub(newest.as_ref().map_or(0, |text| text.len() as u64));
    // One of them alone: the other was not begun yet, or was put aside just now.
    match (end_of(&folder.join("log.before"), left), newest) {
        (Ok(before), Ok(newest)) => before + &newest,
        (Ok(text), Err(_)) | (Err(_), Ok(text)) => text,
        (Err(_), Err(e)) => format!("no journal is kept ({})\n", e.kind()),
    }
}

/// The last `most` bytes of a file, from the start of a line.
fn end_of(file: &Path, most: u64) -> std::io::Result<String> {
    let mut file = fs::File::open(file)?;
    let excess = file.metadata()?.len().saturating_sub(most);
    file.seek(SeekFrom::Start(excess))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let start = match excess {
        0 => 0,
        _ => bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| n + 1),
    };
    Ok(String::from_utf8_lossy(&bytes[start..]).into_owned())
}

fn files_below(folder: &Path, depth: u32) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            Ok(kind) if kind.is_dir() && depth < DEPTH => found.extend(files_below(&entry.path(), depth + 1)),
            _ => {}
        }
    }
    found
}

fn text(file: &Path, most: u64) -> String {
    let mut bytes = Vec::new();
    match fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes)) {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) => format!("({})", e.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crashes_are_told_newest_first_and_only_so_many() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(crashes(dir.path()), "the kernel left nothing behind\n");
        for (day, name) in ["1001/dmesg.txt", "1002/dmesg.txt"].into_iter().enumerate() {
            let file = dir.path().join(name);
            fs::create_dir(file.parent().unwrap()).unwrap();
            fs::write(&file, format!("panic of day {day}")).unwrap();
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(86_400 * (day as u64 + 1));
            fs::File::open(&file).unwrap().set_modified(at).unwrap();
        }
        let told = crashes(dir.path());
        assert!(told.find("panic of day 1").unwrap() < told.find("panic of day 0").unwrap(), "{told}");
        let file = dir.path().join("1003");
        fs::write(&file, vec![b'x'; 2 * CRASHES as usize]).unwrap();
        let told = crashes(dir.path());
        assert!(told.contains("left out") && told.len() < CRASHES as usize + 1000);
    }

    #[test]
    fn of_the_kept_journal_the_newest_lines_are_taken() {
        let dir = tempfile::tempdir().unwrap();
        assert!(kept_journal(dir.path()).contains("no journal is kept"));
        fs::write(dir.path().join("log"), "the newest\n").unwrap();
        assert_eq!(kept_journal(dir.path()), "the newest\n");
        let older: String = (0..200_000).map(|n| format!("older {n}\n")).collect();
        fs::write(dir.path().join("log.before"), older).unwrap();
        let told = kept_journal(dir.path());
        assert!(told.ends_with("\nolder 199999\nthe newest\n"), "{}", told.len());
        assert!(told.starts_with("older ") && told.len() as u64 <= JOURNAL, "{}", told.len());
        fs::remove_file(dir.path().join("log")).unwrap();
        assert!(kept_journal(dir.path()).ends_with("\nolder 199999\n"));
    }

    #[test]
    fn the_start_and_the_last_update_are_told() {
        let (facts, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(report(facts.path(), data.path()).contains("nothing"));
        fs::write(facts.path().join("slot"), "B\n").unwrap();
        fs::write(data.path().join("update.json"), "{\"kept\":\"1.2.3\"}").unwrap();
        let told = report(facts.path(), data.path());
        assert!(told.contains("slot: B\n") && told.contains("\"kept\":\"1.2.3\""), "{told}");
    }
}
