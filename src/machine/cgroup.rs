//! The control groups (version 2) that we are in, and what they allow.
//!
//! systemd's `MemoryMax=` and `CPUQuota=` stand in `memory.max` and `cpu.max` of our group or of one
//! above it; the tightest binds.

use std::fs;
use std::path::{Path, PathBuf};

/// Where version 2 is mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// Our group and those above it.
pub(super) struct Groups(Vec<PathBuf>);

/// Processor time of one group that has a quota.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Share {
    /// Which group.
    pub folder: PathBuf,
    /// Used so far, microseconds.
    pub used_us: u64,
    /// Processors that it may keep busy.
    pub processors: f64,
}

/// The groups of this process.
pub(super) fn own() -> Groups {
    Groups::of(Path::new(ROOT), &fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
}

impl Groups {
    /// `membership` as `/proc/self/cgroup` has it.
    pub(super) fn of(root: &Path, membership: &str) -> Self {
        // Parts that climb (a group outside of our namespace, "/../x") would leave the tree.
        let own = membership.lines().find_map(|line| line.strip_prefix("0::/"));
        let own = own.filter(|own| own.split('/').all(|part| part != ".."));
        let folder = own.map(|own| root.join(own));
        let levels = folder.iter().flat_map(|folder| folder.ancestors());
        Self(levels.take_while(|level| level.starts_with(root)).map(Path::to_owned).collect())
    }

    /// The tightest limit, bytes.
    pub(super) fn memory_max(&self) -> Option<u64> {
        self.0.iter().filter_map(|folder| limit(&read(folder, "memory.max")?)).min()
    }

    /// Memory in use of the group that is nearest to its limit, percent. What the kernel can drop at once
    /// (pages of files that nobody used again, which a recorder makes many of) is not in use.
    pub(super) fn memory_percent(&self) -> Option<f64> {
        let percent = |folder: &PathBuf| {
            let max = limit(&read(folder, "memory.max")?)?;
            let current: u64 = read(folder, "memory.current")?.trim().parse().ok()?;
            let droppable = value(&read(folder, "memory.stat")?, "inactive_file").unwrap_or(0);
            let used = current.saturating_sub(droppable);
            (max > 0).then(|| (100.0 * used as f64 / max as f64).min(100.0))
        };
        self.0.iter().filter_map(percent).max_by(f64::total_cmp)
    }

    /// Every group that has a quota.
    pub(super) fn shares(&self) -> Vec<Share> {
        let share = |folder: &PathBuf| {
            let processors = quota(&read(folder, "cpu.max")?)?;
            let used_us = value(&read(folder, "cpu.stat")?, "usage_usec")?;
            Some(Share { folder: folder.clone(), used_us, processors })
        };
        self.0.iter().filter_map(share).collect()
    }
}

fn read(folder: &Path, file: &str) -> Option<String> {
    fs::read_to_string(folder.join(file)).ok()
}

/// A number, or `max` for none.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// `QUOTA PERIOD` in microseconds, or `max PERIOD`.
fn quota(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

/// One line `NAME VALUE` of many.
fn value(text: &str, name: &str) -> Option<u64> {
    let of = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(of)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A tree such as systemd makes for a unit in a slice.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const UNIT: &str = "0::/system.slice/fieldcam.service\n";

    #[test]
    fn the_limits_of_a_unit_and_of_its_slice_are_found() {
        let root = tree(&[
            ("system.slice/fieldcam.service/memory.max", "1000000\n"),
            ("system.slice/fieldcam.service/memory.current", "700000\n"),
            ("system.slice/fieldcam.service/memory.stat", "anon 1\nfile 2\ninactive_file 200000\n"),
            ("system.slice/fieldcam.service/cpu.max", "150000 100000\n"),
            ("system.slice/fieldcam.service/cpu.stat", "usage_usec 42\nuser_usec 40\n"),
            ("system.slice/memory.max", "800000\n"),
            ("system.slice/memory.current", "720000\n"),
            ("system.slice/memory.stat", "inactive_file 0\n"),
            ("system.slice/cpu.max", "max 100000\n"),
        ]);
        let groups = Groups::of(root.path(), UNIT);
        assert_eq!(groups.memory_max(), Some(800_000));
        assert_eq!(groups.memory_percent(), Some(90.0), "the slice is nearer to its limit");
        let folder = root.path().join("system.slice/fieldcam.service");
        assert_eq!(groups.shares(), [Share { folder, used_us: 42, processors: 1.5 }]);
    }

    #[test]
    fn a_unit_without_limits_and_a_machine_without_groups_have_none() {
        let root = tree(&[
            ("system.slice/fieldcam.service/memory.max", "max\n"),
            ("system.slice/fieldcam.service/cpu.max", "max 100000\n"),
        ]);
        let outside = tree(&[("x/memory.max", "5")]);
        let climbing = format!("0::/../{}/x", outside.path().file_name().unwrap().to_str().unwrap());
        for membership in [UNIT, "", "4:memory:/user\n", "0::/nowhere", &climbing] {
            let groups = Groups::of(root.path(), membership);
            assert_eq!((groups.memory_max(), groups.memory_percent()), (None, None), "{membership}");
            assert!(groups.shares().is_empty());
        }
    }

    #[test]
    fn in_a_container_the_root_has_the_limits() {
        let root = tree(&[("memory.max", "100"), ("memory.current", "50"), ("memory.stat", "")]);
        assert_eq!(Groups::of(root.path(), "0::/\n").memory_percent(), Some(50.0));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(0::|/|\\.\\.|max|[0-9]{0,25}| |usage_usec|\n|\\PC){0,12}") {
            let _ = Groups::of(Path::new("/nowhere"), &text);
            let _ = (limit(&text), quota(&text), value(&text, "usage_usec"));
        }
    }
}
