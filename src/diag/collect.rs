//! Collecting: part by part, each within its time, whatever the others do.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::archive::{Archive, Parts, destination, save};
use super::inside::{self, Told};
use super::{boot, disk, process, programs};
use crate::base::{Clock, Error, Result, Secret};
use crate::config::{self, Loaded, Mistakes};
use crate::supervise::Spawner;
use crate::{log, machine, store};

/// The most that one part may take; a disk that hangs costs its own part only.
const PART_LIMIT: Duration = Duration::from_secs(10);
const PROGRAM_LIMIT: Duration = Duration::from_secs(5);
/// `quick_check` of a large database on a slow card takes long; what it found until then is kept.
const DATABASE_LIMIT: Duration = Duration::from_secs(8);
/// Where images keep their data; asked only when the settings cannot be read.
const USUAL_DATA_DIR: &str = "/data/fieldcam";
/// Where the start of an image leaves what it found, the same way.
const USUAL_BOOT_FACTS: &str = "/run/fieldcam-boot";

/// Writes the archive and answers with its path. `data_dir` counts when the settings are broken.
///
/// Fails only when the archive cannot be written.
pub async fn collect(
    loaded: std::result::Result<Loaded, Mistakes>,
    data_dir: Option<PathBuf>,
    output: Option<PathBuf>,
) -> Result<PathBuf> {
    let Archive { name, bytes } = gather(loaded, data_dir, Daemon::Asked).await?;
    let path = destination(output, &name);
    save(&path, &bytes)?;
    Ok(path)
}

/// Where the daemon's own word comes from.
#[derive(Clone, Copy, Debug)]
pub enum Daemon {
    /// Its socket, where there is one.
    Asked,
    /// Our standard input: the daemon started us.
    Heard,
}

/// The archive in memory; the rest as with [`collect`].
pub async fn gather(
    loaded: std::result::Result<Loaded, Mistakes>,
    data_dir: Option<PathBuf>,
    daemon: Daemon,
) -> Result<Archive> {
    let data_dir = match &loaded {
        Ok(loaded) => loaded.settings.storage.data_dir.clone(),
        Err(_) => data_dir.unwrap_or_else(|| USUAL_DATA_DIR.into()),
    };
    hide_secrets(&loaded, &data_dir);
    let spawner = Spawner::start()?;
    let now = Clock::new().wall();
    let host = host();
    let name = format!("fieldcam-diag-{host}-{}", now.strftime("%Y-%m-%d_%H-%M-%S"));
    let told = match daemon {
        Daemon::Asked => inside::ask(&data_dir).await,
        Daemon::Heard => inside::hear().await,
    };
    let mut parts = Parts::default();
    let mut summary = format!(
        "fieldcam {} diagnosis of {host}, made {now}\ndata directory: {}\n",
        env!("CARGO_PKG_VERSION"),
        data_dir.display()
    );
    let _ = match &told {
        Ok(told) => writeln!(summary, "daemon: runs as process {} (version {})", told.pid, told.version),
        Err(why) => writeln!(summary, "daemon: {why}"),
    };
    parts.add("summary.txt", &summary);
    parts.add("versions.txt", &versions(&spawner, &loaded).await);
    parts.add("system.txt", &blocking(system).await);
    parts.add("configuration.toml", &configuration(&loaded));
    add_daemon(&mut parts, &told, &data_dir);
    parts.add("journal.txt", &programs::journal(&spawner).await.unwrap_or_else(|why| why + "\n"));
    let pid = told.as_ref().map(|t| t.pid).ok().or_else(|| written_pid(&data_dir));
    let processes =
        blocking(move || pid.map_or_else(|| "no daemon was found\n".into(), process::table)).await;
    parts.add("processes.txt", &processes);
    let dir = data_dir.clone();
    parts.add("disk.txt", &blocking(move || disk::report(&dir)).await);
    let facts = match &loaded {
        Ok(loaded) => loaded.settings.update.boot_facts.clone(),
        Err(_) => USUAL_BOOT_FACTS.into(),
    };
    let dir = data_dir.clone();
    parts.add("boot.txt", &blocking(move || boot::report(&facts, &dir)).await);
    parts.add("crashes.txt", &blocking(|| boot::crashes(Path::new(boot::PSTORE))).await);
    let kept = blocking(|| boot::kept_journal(Path::new(boot::KEPT_JOURNAL))).await;
    parts.add("kept-journal.txt", &kept);
    let file = data_dir.join("fieldcam.db");
    parts.add("database.txt", &blocking(move || store::inspect(&file, DATABASE_LIMIT)).await);
    let bytes = parts.pack(&name, now).map_err(Error::internal)?;
    Ok(Archive { name: format!("{name}.tar.gz"), bytes })
}

/// What must not appear whoever wrote it down: the settings' secrets, and all of `secrets/`.
fn hide_secrets(loaded: &std::result::Result<Loaded, Mistakes>, data_dir: &Path) {
    if let Ok(loaded) = loaded {
        log::hide_settings(&loaded.settings);
    }
    for file in std::fs::read_dir(data_dir.join("secrets")).into_iter().flatten().flatten() {
        if let Ok(text) = std::fs::read_to_string(file.path()) {
            // A former secret stands behind its time. Ids of keys are shorter, and may be seen.
            let words = text.lines().map(str::trim).chain(text.split_whitespace());
            words.filter(|word| word.len() >= 32).for_each(|word| log::hide(&Secret::new(word)));
        }
    }
}

fn add_daemon(parts: &mut Parts, told: &std::result::Result<Told, String>, data_dir: &Path) {
    match told {
        Ok(told) => {
            parts.add("health.txt", &told.health);
            parts.add("mediamtx.txt", &told.paths);
            parts.add("cameras.txt", &told.cameras);
            parts.add("faults.txt", &told.faults);
            parts.add("log.txt", &told.log);
        }
        Err(_) => {
            let last = inside::last_log(data_dir).unwrap_or_else(|why| why + "\n");
            let faults: String = last.lines().filter(|l| is_fault(l)).flat_map(|l| [l, "\n"]).collect();
            parts.add("faults.txt", &faults);
            parts.add("log.txt", &last);
        }
    }
}

/// Lines carry their level as a word of their own, right-aligned in five columns.
fn is_fault(line: &str) -> bool {
    line.split_whitespace().take(2).any(|word| matches!(word, "WARN" | "ERROR"))
}

async fn versions(spawner: &Spawner, loaded: &std::result::Result<Loaded, Mistakes>) -> String {
    let mut out = format!(
        "fieldcam {} built {} with {} for {}\n",
        env!("CARGO_PKG_VERSION"),
        env!("FIELDCAM_BUILD_DATE"),
        env!("FIELDCAM_RUSTC"),
        std::env::consts::ARCH
    );
    let Ok(Loaded { settings, .. }) = loaded else { return out };
    for (program, argument) in
        [(&settings.mediamtx.binary, "--version"), (&settings.ffmpeg.binary, "-version")]
    {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let _ = match programs::said(spawner, program, &[argument], PROGRAM_LIMIT).await {
            Ok(text) => writeln!(out, "{name}: {}", text.lines().next().unwrap_or("says nothing")),
            Err(why) => writeln!(out, "{name}: {why}"),
        };
    }
    out
}

fn configuration(loaded: &std::result::Result<Loaded, Mistakes>) -> String {
    match loaded {
        Ok(loaded) => config::report_effective(loaded),
        Err(mistakes) => config::report_mistakes(mistakes),
    }
}

fn system() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let first = |path: &str| read(path).lines().next().unwrap_or_default().to_owned();
    let mut out = String::new();
    let _ = writeln!(out, "kernel: {}", first("/proc/version"));
    let os = read("/etc/os-release");
    let os = os.lines().find_map(|l| l.strip_prefix("PRETTY_NAME=")).unwrap_or("?");
    let _ = writeln!(out, "system: {os}");
    let _ = writeln!(out, "board: {}", first("/proc/device-tree/model").trim_end_matches('\0'));
    let _ = writeln!(out, "up: {} s", first("/proc/uptime").split(' ').next().unwrap_or_default());
    let _ = writeln!(out, "load: {}", first("/proc/loadavg"));
    for line in read("/proc/meminfo").lines().take(5) {
        let _ = writeln!(out, "{line}");
    }
    for zone in 0..8 {
        let degrees = first(&format!("/sys/class/thermal/thermal_zone{zone}/temp"));
        if let Ok(milli) = degrees.parse::<f64>() {
            let _ = writeln!(out, "temperature {zone}: {:.1} °C", milli / 1000.0);
        }
    }
    out
}

/// The process that holds the lock of the data directory, as it wrote down.
fn written_pid(data_dir: &Path) -> Option<u32> {
    std::fs::read_to_string(data_dir.join("run/lock")).ok()?.trim().parse().ok()
}

/// Runs what may hang beside us; a part that is late is left out.
async fn blocking(work: impl FnOnce() -> String + Send + 'static) -> String {
    match tokio::time::timeout(PART_LIMIT, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(text)) => text,
        Ok(Err(_)) => "this part could not be collected\n".into(),
        Err(_) => format!("this part was not ready in {} s\n", PART_LIMIT.as_secs()),
    }
}

/// The box's name as it may stand in a file name.
fn host() -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
    let name: String = machine::host_name().chars().map(plain).take(63).collect();
    if name.is_empty() { "box".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_by_their_level() {
        assert!(is_fault("2026-01-01T00:00:00Z  WARN fieldcam::x: y"));
        assert!(is_fault("2026-01-01T00:00:00Z ERROR fieldcam::x: y"));
        assert!(!is_fault("2026-01-01T00:00:00Z  INFO fieldcam::x: ERROR in a name"));
    }
}
