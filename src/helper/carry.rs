//! The box's errands carried out: programs by their path, each with a time limit, and the clock.

mod network;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::errand::Errand;
use super::places::Places;
use crate::base::{Error, Result};
use crate::durable;
use crate::supervise::{ChildSpec, Exit, FirstWords, Spawner, Stdio, drain_lines};

/// The bootloader's tools write one sector.
const QUICK: Duration = Duration::from_secs(10);
/// RAUC may be started for the question, and looks at every slot first.
const RAUC: Duration = Duration::from_secs(30);

/// What the next start looks for in the first sector of `data` (`images/initrd/data`).
const NEW_DATA: &str = "fieldcam factory-reset all";

/// Carries out errands.
pub(super) struct Carrier {
    places: Places,
    runtime: Runtime,
    spawner: Spawner,
}

impl Carrier {
    /// A runtime of its own: the program around it has none.
    pub fn new(places: Places) -> Result<Carrier> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::internal)?;
        let spawner = runtime.block_on(async { Spawner::start() })?;
        Ok(Carrier { places, runtime, spawner })
    }

    /// Does what is asked. Answers with what the errand has to say, mostly nothing; `Err` says why it was not done,
    /// for the asker and the log. Blocks.
    pub fn carry_out(&self, errand: Errand) -> std::result::Result<String, String> {
        let done = String::new();
        match errand {
            Errand::Commit { fell_back } => self.commit(fell_back).map(|()| done),
            Errand::BootState => self.boot_state(),
            Errand::Reboot => self.run("systemctl", &["--no-block", "reboot"], QUICK).map(|_| done),
            Errand::SetTime(time) => {
                let spec = TimeSpec::new(time / 1000, time % 1000 * 1_000_000);
                let set = clock_settime(ClockId::CLOCK_REALTIME, spec);
                set.map(|()| done).map_err(|e| format!("the clock cannot be set: {e}"))
            }
            Errand::FactoryReset { keep_recordings } if self.places.data_is_temporary() => {
                self.ask_for_new_data(keep_recordings).map(|()| done)
            }
            Errand::FactoryReset { keep_recordings } => {
                let text = if keep_recordings { "keep-recordings\n" } else { "all\n" };
                ask_for_reset(&self.places.factory_reset(), text).map(|()| done)
            }
            Errand::NetworkTry(setting) => self.network_try(setting).map(|()| done),
            Errand::NetworkApply => self.network_apply().map(|()| done),
            Errand::NetworkConfirm => self.network_confirm().map(|()| done),
        }
    }

    /// All of the root file system is read before, for dm-verity looks at no block that nobody reads: a slot with a damaged
    /// one must not get its tries back. It restarts the machine at such a block.
    ///
    /// The good slot first: whatever fails after that, a box without tries left comes back to this one.
    fn commit(&self, fell_back: bool) -> std::result::Result<(), String> {
        let slot = self.places.slot().ok_or("the slot that runs is not known")?;
        if let Some(root) = self.places.root() {
            read_whole(root).map_err(|e| format!("the root file system cannot be read: {e}"))?;
        }
        self.run("fw_setenv", &["BOOT_GOOD", slot.word()], QUICK)?;
        self.run("rauc", &["status", "mark-good", "booted"], RAUC)?;
        if fell_back {
            self.run("rauc", &["status", "mark-bad", "other"], RAUC)?;
        }
        // What the other one left behind in a trial is not for the next that is tried there.
        if self.places.on_trial(slot.other())[0].exists() {
            end_trial(&self.places.state_of(slot.other()))?;
        }
        self.places.on_trial(slot).iter().try_for_each(|mark| end_trial(mark))
    }

    fn boot_state(&self) -> std::result::Result<String, String> {
        let [order, a, b, good] =
            self.boot_values(["BOOT_ORDER", "BOOT_A_LEFT", "BOOT_B_LEFT", "BOOT_GOOD"])?;
        let order = order.split_whitespace().collect::<Vec<_>>().join(",");
        Ok(format!("order={order} a={a} b={b} good={good}"))
    }

    /// Variables of the boot state; one that is not there is empty.
    fn boot_values<const N: usize>(&self, names: [&str; N]) -> std::result::Result<[String; N], String> {
        let said = self.run("fw_printenv", &names, QUICK)?;
        Ok(names.map(|name| {
            let mut lines = said.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().trim().to_owned()
        }))
    }

    /// A data partition that cannot be used has no files to write the wish to: it goes into the first sector, which no
    /// data of ours is in.
    fn ask_for_new_data(&self, keep_recordings: bool) -> std::result::Result<(), String> {
        if keep_recordings {
            return Err("the data partition cannot be used, so nothing of it can be kept".into());
        }
        let device = self.places.unusable_data().ok_or("there is no data partition")?;
        // A version that cannot use it for a reason of its own must not cost the one before its footage.
        // Where the bootloader can be asked, no answer is no leave to erase.
        if let Some(slot) = self.places.slot()
            && self.places.program("fw_printenv").is_some()
        {
            let [good] = self.boot_values(["BOOT_GOOD"])?;
            if good == slot.other().word() {
                return Err("this version is on trial: restart the box until the one before is back".into());
            }
        }
        let mut sector = [0; 512];
        sector[..NEW_DATA.len()].copy_from_slice(NEW_DATA.as_bytes());
        let written = OpenOptions::new().write(true).open(device).and_then(|mut device| {
            device.write_all(&sector)?;
            device.sync_all()
        });
        written.map_err(|e| format!("the wish cannot be written: {e}"))
    }

    /// Runs a program to its end. Answers with its standard output; `Err` holds the first of its words.
    fn run(&self, name: &str, args: &[&str], limit: Duration) -> std::result::Result<String, String> {
        let program = self.places.program(name).ok_or_else(|| format!("there is no {name}"))?;
        let spec = ChildSpec { stdout: Stdio::Pipe, stderr: Stdio::Pipe, ..ChildSpec::new(name, program) };
        self.runtime.block_on(async {
            let spawned = self.spawner.spawn(spec.args(args)).await;
            let mut child = spawned.map_err(|e| e.chain())?;
            let (out, err) = (child.stdout.take(), child.stderr.take());
            let (mut said, mut complained) = (FirstWords::default(), FirstWords::default());
            let ended = timeout(limit, async {
                let heard = async {
                    if let Some(out) = out {
                        drain_lines(out, |line| said.hear(line)).await;
                    }
                };
                let complaints = async {
                    if let Some(err) = err {
                        drain_lines(err, |line| complained.hear(line)).await;
                    }
                };
                tokio::join!(heard, complaints);
                child.wait().await
            });
            match ended.await {
                Ok(Exit::Code(0)) => Ok(said.lines().join("\n")),
                Ok(exit) => Err(format!("{name} failed ({exit}): {}", complained.text())),
                Err(_) => {
                    child.kill().await;
                    Err(format!("{name} did not end within {limit:?}"))
                }
            }
        })
    }
}

/// Reads a device to its end, and leaves memory to those who need it.
fn read_whole(device: &Path) -> std::io::Result<()> {
    let mut device = File::open(device)?;
    let mut part = vec![0; 1 << 20];
    while device.read(&mut part)? > 0 {}
    // Advice: a kernel that does not take it has the memory back when it wants it.
    let _ = posix_fadvise(&device, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    Ok(())
}

/// The wish stands before anything is restarted, and survives a power cut.
fn ask_for_reset(file: &Path, text: &str) -> std::result::Result<(), String> {
    let failed = |e: std::io::Error| format!("the wish cannot be written: {e}");
    let folder = file.parent().filter(|folder| folder.is_dir());
    let folder = folder.ok_or("there is no data partition of an image here")?;
    durable::replace_private(file, text.as_bytes()).map_err(failed)?;
    durable::sync_dir(folder).map_err(failed)
}

/// Takes away what says that a slot is on trial; it is gone after a power cut too.
fn end_trial(mark: &Path) -> std::result::Result<(), String> {
    let failed = |e: std::io::Error| format!("the slot is good, but stays on trial: {e}");
    match std::fs::remove_file(mark) {
        Ok(()) => mark.parent().map_or(Ok(()), |folder| durable::sync_dir(folder).map_err(failed)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(failed(e)),
    }
}

#[cfg(test)]
mod tests;
