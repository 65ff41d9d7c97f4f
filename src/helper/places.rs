//! Where the box's helper finds what it works with.

use std::path::{Path, PathBuf};

use super::trial::{TRIAL_FOLDER, Trial};
use crate::disk::Temporary;

/// Places, each as on the image unless a test says otherwise.
#[derive(clap::Args, Clone, Debug)]
pub struct Places {
    /// Folder of the programs, searched first
    #[arg(long, value_name = "DIR", hide = true, default_value = "/usr/bin")]
    programs: PathBuf,
    /// What the start of the system left behind
    #[arg(long, value_name = "DIR", hide = true, default_value = "/run/fieldcam-boot")]
    boot: PathBuf,
    /// Folder of the devices
    #[arg(long, value_name = "DIR", hide = true, default_value = "/dev")]
    devices: PathBuf,
    /// The root file system, of which every block is verified when it is read
    #[arg(long, value_name = "FILE", hide = true, default_value = "/dev/mapper/root")]
    root: PathBuf,
    /// Root's own part of the data partition
    #[arg(long, value_name = "DIR", hide = true, default_value = "/data/system")]
    system: PathBuf,
    /// networkd's files that are gone after a restart
    #[arg(long, value_name = "DIR", hide = true, default_value = TRIAL_FOLDER)]
    trial: PathBuf,
    /// Those that stay
    #[arg(long, value_name = "DIR", hide = true, default_value = "/etc/systemd/network")]
    network: PathBuf,
}

/// One of the two places that a system is installed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// As the bootloader writes it.
    pub const fn word(self) -> &'static str {
        match self {
            Slot::A => "A",
            Slot::B => "B",
        }
    }

    /// Reads the bootloader's word.
    pub fn parse(word: &str) -> Option<Slot> {
        match word {
            "A" => Some(Slot::A),
            "B" => Some(Slot::B),
            _ => None,
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Slot {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    /// The slot that runs, from what the start left in `boot`, else from the kernel's command line. `None` on a
    /// machine without slots.
    pub fn running(boot: &Path) -> Option<Slot> {
        let noted = std::fs::read_to_string(boot.join("slot")).ok();
        noted.and_then(|text| Slot::parse(text.trim())).or_else(|| {
            let line = std::fs::read_to_string("/proc/cmdline").ok()?;
            line.split_whitespace().find_map(|word| Slot::parse(word.strip_prefix("rauc.slot=")?))
        })
    }
}

impl Places {
    /// A program by its name: the first that is there. Never one of the search path.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        let folders = [self.programs.as_path(), Path::new("/usr/bin"), Path::new("/usr/sbin")];
        folders.into_iter().map(|folder| folder.join(name)).find(|file| file.is_file())
    }

    /// The slot that runs.
    pub(super) fn slot(&self) -> Option<Slot> {
        Slot::running(&self.boot)
    }

    /// What says that a slot was never marked good: for the next start, and for `fieldcam-trial.timer` in this one.
    pub(super) fn on_trial(&self, slot: Slot) -> [PathBuf; 2] {
        [self.own(slot).join("trial"), self.boot.join("trial")]
    }

    /// What says whose state of `/etc` and `/var` a slot has. Without it the next start there begins with the other's.
    pub(super) fn state_of(&self, slot: Slot) -> PathBuf {
        self.own(slot).join("root")
    }

    fn own(&self, slot: Slot) -> PathBuf {
        self.system.join(format!("slot-{}", slot.word().to_ascii_lowercase()))
    }

    /// The verified root file system. `None`: this machine has none.
    pub(super) fn root(&self) -> Option<&Path> {
        self.root.exists().then_some(&self.root)
    }

    /// What the next start looks for.
    pub(super) fn factory_reset(&self) -> PathBuf {
        self.system.join("factory-reset")
    }

    /// The start of the system found no data partition to use, and has put memory in its place.
    pub(super) fn data_is_temporary(&self) -> bool {
        Temporary::of_start(&self.boot).is_some()
    }

    /// The data partition that could not be used. `None`: there is none.
    pub(super) fn unusable_data(&self) -> Option<PathBuf> {
        let name = std::fs::read_to_string(self.boot.join("data-device")).ok()?;
        let name = Some(name.trim()).filter(|name| !name.is_empty() && !name.contains(['/', '.']))?;
        Some(self.devices.join(name))
    }

    /// What is on trial.
    pub(super) fn trial(&self) -> PathBuf {
        Trial::path(&self.trial)
    }

    /// A network setting that stays.
    pub(super) fn network(&self, name: &str) -> PathBuf {
        self.network.join(name)
    }
}

#[cfg(test)]
impl Places {
    /// Everything below one folder.
    pub(super) fn below(root: &Path) -> Places {
        Places {
            programs: root.join("bin"),
            boot: root.join("boot"),
            devices: root.join("dev"),
            root: root.join("root"),
            system: root.join("system"),
            trial: root.join("run"),
            network: root.join("etc"),
        }
    }
}
