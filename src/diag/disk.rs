//! The disks: space, inodes, mount options, and how much lies below the data directory.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::statvfs::statvfs;

use crate::base::Mono;
use crate::base::units::show_size;

/// Counting files ends then; a box with a million of them is described well enough.
const COUNT_LIMIT: Duration = Duration::from_secs(5);
const COUNT_MOST: u64 = 200_000;

/// The whole report. Blocks; a dead network disk can hold it up for long.
pub(super) fn report(data_dir: &Path) -> String {
    let mut out = String::new();
    for (what, path) in [("data directory", data_dir), ("root", Path::new("/"))] {
        let _ = writeln!(out, "{what}: {}", space(path));
    }
    let _ = writeln!(out, "\nbelow the data directory:");
    let deadline = Mono::now() + COUNT_LIMIT;
    let mut names: Vec<_> = fs::read_dir(data_dir).into_iter().flatten().flatten().collect();
    names.sort_by_key(fs::DirEntry::file_name);
    for entry in names {
        let mut count = Count { files: 0, bytes: 0, deadline, cut: false };
        count.add(&entry.path(), 0);
        let more = if count.cut { " (counting was cut short)" } else { "" };
        let name = entry.file_name().to_string_lossy().into_owned();
        let _ = writeln!(out, "  {name:<16} {:>8} files {:>12}{more}", count.files, show_size(count.bytes));
    }
    let _ = writeln!(out, "\nmounts:");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for line in mounts.lines().filter_map(mount) {
        let _ = writeln!(out, "  {line}");
    }
    out
}

fn space(path: &Path) -> String {
    match statvfs(path) {
        Ok(s) => {
            let block = s.fragment_size();
            let (total, free, ours) =
                (s.blocks() * block, s.blocks_free() * block, s.blocks_available() * block);
            let used = total.saturating_sub(free);
            let percent = used as f64 * 100.0 / (used + ours).max(1) as f64;
            format!(
                "{} in all, {} used ({percent:.1} %), {} available; {} of {} inodes free; flags {:?}",
                show_size(total),
                show_size(used),
                show_size(ours),
                s.files_free(),
                s.files(),
                s.flags()
            )
        }
        Err(e) => format!("cannot be asked ({e})"),
    }
}

struct Count {
    files: u64,
    bytes: u64,
    deadline: Mono,
    cut: bool,
}

impl Count {
    fn add(&mut self, path: &Path, depth: u32) {
        let Ok(meta) = fs::symlink_metadata(path) else { return };
        if !meta.is_dir() {
            self.files += 1;
            self.bytes += meta.len();
            return;
        }
        self.cut |= depth > 8 || self.files >= COUNT_MOST || Mono::now() >= self.deadline;
        if self.cut {
            return;
        }
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            self.add(&entry.path(), depth + 1);
            if self.cut {
                return;
            }
        }
    }
}

/// Place, type, device and options of a mount that has something to do with files on disks.
fn mount(line: &str) -> Option<String> {
    let (left, right) = line.split_once(" - ")?;
    let place = left.split(' ').nth(4)?;
    let options = left.split(' ').nth(5)?;
    let mut right = right.split(' ');
    let (kind, device, super_options) = (right.next()?, right.next()?, right.next().unwrap_or_default());
    let dull =
        ["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "securityfs", "debugfs", "tracefs", "bpf"];
    (!dull.contains(&kind)).then(|| format!("{place} {kind} {device} {options} {super_options}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mounts_are_told_with_type_and_options() {
        let line = "36 35 8:1 / /data rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro";
        assert_eq!(mount(line).unwrap(), "/data ext4 /dev/sda1 rw,noatime rw,errors=remount-ro");
        assert_eq!(mount("1 2 0:3 / /proc rw - proc proc rw"), None);
    }

    #[test]
    fn a_folder_is_counted_and_a_missing_one_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("recordings/a")).unwrap();
        fs::write(dir.path().join("recordings/a/0.mp4"), [0; 2048]).unwrap();
        let text = report(dir.path());
        assert!(text.contains("recordings") && text.contains("1 files"), "{text}");
        assert!(report(Path::new("/nowhere/at/all")).contains("cannot be asked"));
    }

    proptest! {
        #[test]
        fn no_line_panics(line in ".{0,200}") {
            let _ = mount(&line);
        }
    }
}
