//! Whether a program that children are started from is there, known beforehand and without waiting.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use tokio::sync::watch;

use super::Group;
use super::child::SEARCH_PATH;

/// How often it is looked for: one `stat`, or one for each folder of the search path.
const EVERY: Duration = Duration::from_secs(1);

/// A program, looked for once a second. Clones share what is known.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    there: watch::Receiver<bool>,
}

impl Program {
    /// Looks for it now, and in `group` from now on. `path` is a path, or a name in the search path
    /// that children get.
    pub fn watch(path: PathBuf, group: &Group) -> Self {
        let (sender, there) = watch::channel(can_run(&path));
        let (stop, program) = (group.stop().clone(), path.clone());
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        group.spawn(format!("program {name}"), async move {
            let mut look = tokio::time::interval(EVERY);
            look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while stop.run_until_cancelled(look.tick()).await.is_some() {
                let found = can_run(&program);
                let changed = sender.send_if_modified(|there| std::mem::replace(there, found) != found);
                match (changed, found) {
                    (true, true) => tracing::info!("the program {name} is there now"),
                    (true, false) => tracing::error!("the program {name} is gone"),
                    (false, _) => {}
                }
            }
        });
        Self { path, there }
    }

    /// As configured.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was there when it was last looked for. Never waits.
    pub fn is_there(&self) -> bool {
        *self.there.borrow()
    }

    /// Returns when it came or went; never once nobody looks for it any more. Cancel-safe.
    pub async fn changed(&mut self) {
        if self.there.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

/// Whether a program is there: by its path, or by its name somewhere in the search path.
fn can_run(program: &Path) -> bool {
    let runs = |file: &Path| file.is_file() && access(file, AccessFlags::X_OK).is_ok();
    if program.components().count() > 1 {
        return runs(program);
    }
    std::env::split_paths(SEARCH_PATH).any(|folder| runs(&folder.join(program)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::Phases;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_program_is_found_as_children_find_it() {
        assert!(can_run(Path::new("sh")));
        assert!(can_run(Path::new("/bin/sh")));
        assert!(!can_run(Path::new("there-is-no-such-program")));
        assert!(!can_run(Path::new("/bin")));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text");
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(!can_run(&file));
    }

    #[tokio::test]
    async fn one_that_comes_later_is_noticed() {
        let mut phases = Phases::default();
        let folder = tempfile::tempdir().unwrap();
        let mut program = Program::watch(folder.path().join("tool"), &phases.add("test"));
        assert!(!program.is_there());
        symlink("/bin/sh", program.path()).unwrap();
        let noticed = tokio::time::timeout(Duration::from_secs(30), program.changed());
        noticed.await.expect("it is noticed");
        assert!(program.is_there());
        assert!(phases.shutdown(Duration::from_secs(5)).await.is_empty());
    }
}
