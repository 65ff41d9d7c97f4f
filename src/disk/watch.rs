//! The task that looks at the disk, and how looks become a condition.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::held::Refused;
use super::look::{self, Look};
use super::{Condition, DataDisk, Inner};

/// How often the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A disk that answers a stat or a small synced write does so within this.
const PATIENCE: Duration = Duration::from_secs(10);

impl DataDisk {
    /// Looks until `stop`.
    pub async fn watch(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // A look that hangs keeps its thread; the next one waits for it.
        let mut under_way = None;
        loop {
            let doubted = tokio::select! {
                () = stop.cancelled() => return,
                () = self.inner.doubt.notified() => true,
                _ = ticks.tick() => false,
            };
            let inner = self.inner.clone();
            let round = under_way
                .take()
                .unwrap_or_else(|| tokio::task::spawn_blocking(move || round(&inner, doubted)));
            let mut round = round;
            let found = tokio::select! {
                () = stop.cancelled() => return,
                found = tokio::time::timeout(PATIENCE, &mut round) => found,
            };
            let now = match found {
                Ok(Ok(now)) => now,
                Ok(Err(_)) => Condition::Failing,
                Err(_) => {
                    under_way = Some(round);
                    Condition::Failing
                }
            };
            self.inner.tell(now);
        }
    }
}

impl Inner {
    fn tell(&self, now: Condition) {
        self.condition.send_if_modified(|known| {
            if *known == now {
                return false;
            }
            if now.is_fine() {
                tracing::warn!("the data disk is back: {}", now.text());
            } else {
                tracing::error!(reason = now.word(), "{}: {}", now.text(), now.advice());
            }
            *known = now;
            true
        });
    }
}

/// One look with what follows from it. Blocks.
fn round(inner: &Arc<Inner>, doubted: bool) -> Condition {
    let known = *inner.condition.borrow();
    let look = look::at(inner);
    let held = inner.held().seen.is_some();
    match step(known, look, held, doubted) {
        Next::Is(condition) => condition,
        Next::TakeUp => match take_up(inner) {
            Condition::Fine => try_write(inner),
            other => other,
        },
        Next::Try => try_write(inner),
    }
}

fn take_up(inner: &Inner) -> Condition {
    let taken = inner.held().take_up(&inner.root);
    match taken {
        Ok(()) => Condition::Fine,
        Err(Refused::Taken) => Condition::Taken,
        Err(Refused::Other) => Condition::Foreign,
        Err(Refused::Io(e)) => of(&e),
    }
}

fn try_write(inner: &Inner) -> Condition {
    let condition = match look::try_write(&inner.through) {
        Ok(()) => Condition::Fine,
        Err(e) => of(&e),
    };
    // Nobody may be kept from unmounting and repairing a disk that we were only asking.
    if !condition.is_fine() && !inner.condition.borrow().is_readable() {
        inner.held().let_go();
    }
    condition
}

fn of(error: &io::Error) -> Condition {
    Condition::of_error(error).unwrap_or(Condition::Failing)
}

/// What to do after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// That is how it is.
    Is(Condition),
    /// Write something to know.
    Try,
    /// Take the disk in our hands, and write something.
    TakeUp,
}

/// Decides. `held` = the disk is in our hands; `doubted` = somebody could not write.
fn step(known: Condition, look: Look, held: bool, doubted: bool) -> Next {
    match look {
        // Gone for those who hold it, until they let go.
        Look::Back if held => Next::Is(Condition::Gone),
        Look::Back => Next::TakeUp,
        Look::Missing | Look::Foreign | Look::Failing => Next::Is(look.condition()),
        Look::Held { read_only: true } => Next::Is(Condition::ReadOnly),
        Look::Held { read_only: false } => match known {
            Condition::Fine if !doubted => Next::Is(Condition::Fine),
            Condition::Fine | Condition::Full | Condition::ReadOnly => Next::Try,
            // Whoever holds it was told to let go, and will: only then it is taken up anew.
            _ => Next::Is(known),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: Look = Look::Held { read_only: false };

    #[test]
    fn every_case_of_a_look() {
        use Condition::{Failing, Fine, Foreign, Full, Gone, ReadOnly};
        let table = [
            (Fine, HELD, true, false, Next::Is(Fine)),
            (Fine, HELD, true, true, Next::Try),
            (Full, HELD, true, false, Next::Try),
            (ReadOnly, HELD, true, false, Next::Try),
            (Fine, Look::Held { read_only: true }, true, false, Next::Is(ReadOnly)),
            (Fine, Look::Missing, true, false, Next::Is(Gone)),
            (Gone, Look::Missing, false, true, Next::Is(Gone)),
            (Gone, Look::Back, false, false, Next::TakeUp),
            (Failing, Look::Back, false, false, Next::TakeUp),
            (Foreign, Look::Back, false, false, Next::TakeUp),
            (Gone, Look::Foreign, false, false, Next::Is(Foreign)),
            // Mounted again before anybody let go.
            (Fine, Look::Back, true, false, Next::Is(Gone)),
            (Gone, HELD, true, false, Next::Is(Gone)),
            (Failing, HELD, true, true, Next::Is(Failing)),
        ];
        for (known, look, held, doubted, expected) in table {
            assert_eq!(step(known, look, held, doubted), expected, "{known:?} {look:?} {held} {doubted}");
        }
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "a test's task ends with its runtime")]
    async fn a_disk_that_goes_is_told_and_taken_up_again_when_it_is_back() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("data");
        std::fs::create_dir_all(root.join("run")).unwrap();
        let disk = DataDisk::open(&root).unwrap();
        let (mut condition, stop) = (disk.follow(), CancellationToken::new());
        let task = tokio::spawn(disk.clone().watch(stop.clone()));
        assert!(disk.check().is_ok());
        std::fs::rename(&root, place.path().join("away")).unwrap();
        assert_eq!(disk.check().unwrap_err().data()["reason"], "disk_gone");
        condition.wait_for(|c| *c == Condition::Gone).await.unwrap();
        disk.let_go();
        std::fs::create_dir_all(root.join("run")).unwrap();
        super::super::identity::read_or_make(&root).unwrap();
        condition.wait_for(|c| *c == Condition::Foreign).await.unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        std::fs::rename(place.path().join("away"), &root).unwrap();
        condition.wait_for(|c| c.is_fine()).await.unwrap();
        std::fs::write(disk.held().join("a"), "").unwrap();
        assert!(root.join("a").exists() && disk.check().is_ok());
        stop.cancel();
        task.await.unwrap();
    }
}
