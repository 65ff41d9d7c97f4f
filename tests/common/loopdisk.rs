//! A small disk whose power can be cut: ext4 in a file behind a loop device (needs root).
//!
//! What the daemon has synced is in the backing file, what it has only written is in the kernel's
//! memory above it; so a copy of the backing file is the disk after a power cut.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::ffmpeg::run;

/// A mounted disk; unmounted and removed on drop.
pub struct Disk {
    dir: tempfile::TempDir,
    image: PathBuf,
    device: String,
    mount: PathBuf,
}

/// Whether this machine lets us: `Err` says what is missing.
pub fn available() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("loop devices need root".into());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err("this kernel or container has no loop devices".into());
    }
    Ok(())
}

fn must(program: &str, args: &[&str]) -> Result<String, String> {
    let out = run(program, args);
    if out.status.success() {
        Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    } else {
        Err(format!("{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr).trim()))
    }
}

impl Disk {
    /// Makes and mounts an empty disk.
    pub fn create(mib: u64) -> Result<Disk, String> {
        Disk::create_on(&std::env::temp_dir(), mib)
    }

    /// The same with its backing file below `place`, which may have less room than the disk seems to.
    pub fn create_on(place: &Path, mib: u64) -> Result<Disk, String> {
        available()?;
        let dir = tempfile::tempdir_in(place).map_err(|e| e.to_string())?;
        let image = dir.path().join("disk.img");
        let file = fs::File::create(&image).map_err(|e| e.to_string())?;
        file.set_len(mib << 20).map_err(|e| e.to_string())?;
        must("mkfs.ext4", &["-q", "-F", "-m", "0", &image.to_string_lossy()])?;
        Disk::mount_in(dir, image)
    }

    /// Mounts a copy made by [`Disk::cut`]; the journal is replayed, as after a real power cut.
    pub fn after_cut(copy: &Path) -> Result<Disk, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        Disk::mount_in(dir, copy.to_owned())
    }

    fn mount_in(dir: tempfile::TempDir, image: PathBuf) -> Result<Disk, String> {
        let device = must("losetup", &["-f", "--show", &image.to_string_lossy()])?;
        let mount = dir.path().join("mount");
        fs::create_dir(&mount).map_err(|e| e.to_string())?;
        let disk = Disk { dir, image, device, mount };
        must("mount", &["-t", "ext4", &disk.device, &disk.mount.to_string_lossy()])?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// What the disk would hold if the power failed now, as a file. The copy is of one moment: it is
    /// taken again until nothing that was copied has changed meanwhile (about 15 ms a try). Answers
    /// with when that was, as the squares say time: the start of the copying, whose own load slows
    /// down what comes after.
    pub fn cut(&self, copy: &Path) -> Result<u64, String> {
        for _ in 0..200 {
            let now = super::footage::now_ms();
            must("cp", &["--sparse=always", &self.image.to_string_lossy(), &copy.to_string_lossy()])?;
            if run("cmp", &["-s", &self.image.to_string_lossy(), &copy.to_string_lossy()]).status.success() {
                return Ok(now);
            }
        }
        Err("the disk is written to without a pause of 30 ms".into())
    }

    /// Takes the disk away from its place, as `umount -l` does: what is open stays usable for whoever
    /// has it open.
    pub fn unmount_lazily(&self) -> Result<(), String> {
        must("umount", &["-l", &self.mount.to_string_lossy()]).map(drop)
    }

    /// Mounts the disk at its place again.
    pub fn mount_again(&self) -> Result<(), String> {
        must("mount", &["-t", "ext4", &self.device, &self.mount.to_string_lossy()]).map(drop)
    }

    /// Mounts another disk at this one's place.
    pub fn mount_instead(&self, other: &Disk) -> Result<(), String> {
        must("mount", &["-t", "ext4", &other.device, &self.mount.to_string_lossy()]).map(drop)
    }

    /// Repairs what is not mounted anywhere, as an operator would.
    pub fn repair(&self) {
        // It answers 1 when it repaired something.
        let out = run("e2fsck", &["-fy", &self.device]);
        assert!(out.status.code().is_some_and(|c| c < 4), "{}", String::from_utf8_lossy(&out.stdout));
    }

    /// Makes the file system give up, as it does by itself after an error of its device.
    pub fn abort(&self) -> Result<(), String> {
        must("mount", &["-o", "remount,abort", &self.mount.to_string_lossy()]).map(drop)
    }

    /// Whether anybody still has something open on the disk, though it is not mounted anywhere.
    pub fn is_in_use(&self) -> bool {
        // The kernel gives a block device to one exclusive opener; a file system is one.
        let exclusive = nix::fcntl::OFlag::O_EXCL.bits();
        let open = fs::OpenOptions::new().read(true).custom_flags(exclusive).open(&self.device);
        open.is_err_and(|e| e.raw_os_error() == Some(16))
    }

    /// Everything in the bare mount point.
    pub fn bare(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.mount).unwrap().map(|e| e.unwrap().path()).collect()
    }

    /// Makes the whole disk read-only or writable again.
    pub fn remount(&self, read_only: bool) -> Result<(), String> {
        let option = if read_only { "remount,ro" } else { "remount,rw" };
        must("mount", &["-o", option, &self.mount.to_string_lossy()]).map(drop)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for (program, arg) in [("umount", self.mount.to_string_lossy()), ("losetup", "-d".into())] {
            let device = self.device.as_str();
            let args: Vec<&str> = if program == "losetup" { vec![&arg, device] } else { vec![&arg] };
            if let Err(e) = must(program, &args) {
                eprintln!("{e}");
            }
        }
    }
}
