//! When the database is copied: once a day, as far as a box that is switched off at night has days.

use std::time::Duration;

use super::Store;
use super::copies;
use crate::base::{Clock, Error, Mono, Result};
use crate::supervise::Group;

/// How often, and when.
#[derive(Clone, Copy)]
struct Rhythm {
    /// Not while the box is busy starting.
    first: Duration,
    every: Duration,
    /// After one that failed.
    again: Duration,
}

const DAILY: Rhythm = Rhythm {
    first: Duration::from_secs(300),
    every: Duration::from_secs(24 * 3600),
    again: Duration::from_secs(3600),
};

impl Store {
    /// Copies the database once a day until `group` is stopped.
    pub fn keep_copies(&self, group: &Group, clock: Clock) {
        self.keep_copies_every(DAILY, group, clock);
    }

    fn keep_copies_every(&self, rhythm: Rhythm, group: &Group, clock: Clock) {
        let (store, stop) = (self.clone(), group.stop().clone());
        group.spawn("copies of the database", async move {
            let mut next = Mono::now() + rhythm.first_in(store.newest_copy_us(), clock.wall_us());
            while stop.run_until_cancelled(tokio::time::sleep(next.from_now())).await.is_some() {
                let wait = match store.copy().await {
                    Ok(copy) => {
                        tracing::info!(copy, "the database was copied");
                        rhythm.every
                    }
                    Err(error) => {
                        tracing::warn!(error = %error.chain(), "the database could not be copied");
                        rhythm.again
                    }
                };
                next = Mono::now() + wait;
            }
        });
    }

    async fn copy(&self) -> Result<u32> {
        // A database that was let go because its disk is away is not opened behind that back.
        self.read(|_| Ok(())).await?;
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.copy_now()).await.map_err(Error::internal)?
    }

    /// When the newest copy was made, microseconds since 1970.
    fn newest_copy_us(&self) -> Option<i64> {
        use std::os::unix::fs::MetadataExt;
        let places = self.places.as_deref()?;
        let newest = copies::list(places).into_iter().next()?;
        let meta = std::fs::metadata(places.copies.join(newest.file())).ok()?;
        Some(meta.mtime().saturating_mul(1_000_000))
    }
}

impl Rhythm {
    /// How long until the first copy of this run. A copy from the future means that one of the clocks
    /// was wrong, and then it is as good as none.
    fn first_in(self, newest_us: Option<i64>, now_us: i64) -> Duration {
        let age = newest_us.and_then(|at| u64::try_from(now_us.saturating_sub(at)).ok());
        let left = age.map_or(Duration::ZERO, |us| self.every.saturating_sub(Duration::from_micros(us)));
        left.max(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StorePlaces;
    use crate::supervise::Phases;

    #[tokio::test]
    async fn a_box_that_runs_on_has_a_copy_of_each_period() {
        let data = tempfile::tempdir().unwrap();
        let (store, _) = Store::open_at(StorePlaces::below(data.path())).unwrap();
        let mut phases = Phases::default();
        let ms = Duration::from_millis;
        let quick = Rhythm { first: ms(1), every: ms(100), again: ms(1) };
        store.keep_copies_every(quick, &phases.add("background"), Clock::new());
        let newest = || copies::list(store.places.as_deref().unwrap()).first().map_or(0, |g| g.number);
        let several = async {
            while newest() < 3 {
                tokio::time::sleep(ms(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), several).await.unwrap();
        assert!(phases.shutdown(Duration::from_secs(10)).await.is_empty());
    }

    #[test]
    fn a_copy_is_due_a_day_after_the_last_one_and_never_at_once() {
        let hour = 3_600_000_000i64;
        assert_eq!(DAILY.first_in(None, 100 * hour), DAILY.first);
        assert_eq!(DAILY.first_in(Some(99 * hour), 100 * hour), Duration::from_secs(23 * 3600));
        assert_eq!(DAILY.first_in(Some(0), 100 * hour), DAILY.first);
        assert_eq!(DAILY.first_in(Some(101 * hour), 100 * hour), DAILY.first);
    }
}
