//! The newest picture in each quality, there or in the making.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use super::camera::{Picture, Quality};

/// Qualities of one camera kept at the same time; the one not asked for longest makes room.
pub(super) const KEPT: usize = 16;

/// Why there is no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Too much to do.
    Busy,
    /// The camera's own picture is damaged or of an unusual kind.
    Undecodable,
}

/// A picture that will be there. Whoever makes it sets it once; all others wait.
#[derive(Default)]
pub(super) struct Cell {
    made: OnceLock<Result<Picture, Failure>>,
    done: Notify,
}

impl Cell {
    /// Only the first result counts.
    pub fn set(&self, made: Result<Picture, Failure>) {
        if self.made.set(made).is_ok() {
            self.done.notify_waiters();
        }
    }

    fn is_made(&self) -> bool {
        self.made.get().is_some()
    }

    /// The picture, as soon as it is there; cancel-safe.
    pub async fn wait(&self) -> Result<Picture, Failure> {
        loop {
            // Enrolled before the look, so that nothing is missed between look and wait.
            let done = self.done.notified();
            if let Some(made) = self.made.get() {
                return made.clone();
            }
            done.await;
        }
    }
}

/// Whoever makes a picture holds this: given up undone, it tells so.
pub(super) struct Promise(pub Arc<Cell>);

impl Drop for Promise {
    fn drop(&mut self) {
        // Without effect when it was kept.
        self.0.set(Err(Failure::Busy));
    }
}

/// One camera's pictures.
#[derive(Default)]
pub(super) struct Cache {
    slots: Vec<Slot>,
    uses: u64,
}

struct Slot {
    quality: Quality,
    number: u64,
    used: u64,
    cell: Arc<Cell>,
}

/// Where a picture comes from.
pub(super) enum Place {
    /// It is there, or somebody makes it.
    Known(Arc<Cell>),
    /// The caller makes it.
    Make(Arc<Cell>),
}

impl Cache {
    /// The picture `number` in this quality. One that is being made will do as well when it is newer
    /// than `after`: it is a frame older at most, and a second one would only delay both.
    pub fn look(&mut self, quality: Quality, number: u64, after: u64) -> Place {
        self.uses += 1;
        let used = self.uses;
        let cell = Arc::new(Cell::default());
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.quality == quality) else {
            if self.slots.len() >= KEPT
                && let Some(oldest) = (0..self.slots.len()).min_by_key(|&i| self.slots[i].used)
            {
                self.slots.swap_remove(oldest);
            }
            self.slots.push(Slot { quality, number, used, cell: cell.clone() });
            return Place::Make(cell);
        };
        slot.used = used;
        let in_the_making = !slot.cell.is_made() && slot.number > after;
        // A late caller may still hold the frame before the one that is there.
        if slot.number >= number || in_the_making {
            return Place::Known(slot.cell.clone());
        }
        (slot.number, slot.cell) = (number, cell.clone());
        Place::Make(cell)
    }

    /// Forgets a picture that will not be made.
    pub fn forget(&mut self, cell: &Arc<Cell>) {
        self.slots.retain(|slot| !Arc::ptr_eq(&slot.cell, cell));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::base::Mono;

    fn picture(number: u64) -> Picture {
        Picture { number, captured: Mono(number), jpeg: Bytes::from_static(b"jpeg") }
    }

    fn quality(n: u8) -> Quality {
        Quality::new(n).unwrap()
    }

    fn made(place: &Place) -> Option<u64> {
        let (Place::Known(cell) | Place::Make(cell)) = place;
        cell.made.get()?.as_ref().ok().map(|p| p.number)
    }

    #[test]
    fn one_asks_and_all_others_wait_for_it() {
        let mut cache = Cache::default();
        let Place::Make(cell) = cache.look(quality(50), 7, 0) else { panic!("nobody makes it") };
        let others: Vec<_> = (0..20).map(|_| cache.look(quality(50), 7, 0)).collect();
        assert!(others.iter().all(|o| matches!(o, Place::Known(c) if Arc::ptr_eq(c, &cell))));
        assert!(
            matches!(cache.look(quality(51), 7, 0), Place::Make(_)),
            "another quality is another picture"
        );
        cell.set(Ok(picture(7)));
        cell.set(Err(Failure::Busy));
        assert!(others.iter().all(|o| made(o) == Some(7)));
    }

    #[test]
    fn one_in_the_making_does_unless_it_is_known_already() {
        let mut cache = Cache::default();
        let Place::Make(first) = cache.look(quality(50), 7, 0) else { panic!("nobody makes it") };
        assert!(matches!(cache.look(quality(50), 8, 6), Place::Known(_)));
        assert!(matches!(cache.look(quality(50), 8, 7), Place::Make(_)), "that client has it");
        first.set(Ok(picture(7)));
        assert!(matches!(cache.look(quality(50), 8, 0), Place::Known(_)), "the newer one is in the making");
        assert!(matches!(cache.look(quality(50), 7, 0), Place::Known(_)), "a late caller gets the newer one");
    }

    #[test]
    fn a_finished_older_one_does_not_do() {
        let mut cache = Cache::default();
        let Place::Make(cell) = cache.look(Quality::OWN, 7, 0) else { panic!("nobody makes it") };
        cell.set(Ok(picture(7)));
        let Place::Make(cell) = cache.look(Quality::OWN, 8, 0) else { panic!("nobody makes it") };
        cache.forget(&cell);
        assert!(matches!(cache.look(Quality::OWN, 8, 0), Place::Make(_)));
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let cell = Cell::default();
        let (got, ()) = tokio::join!(cell.wait(), async { cell.set(Ok(picture(3))) });
        assert_eq!(got.unwrap().number, 3);
    }

    proptest! {
        #[test]
        fn a_quality_is_made_once_for_each_number_and_memory_is_bounded(
            asks in prop::collection::vec((1u8..=40, 0u64..20), 1..200)
        ) {
            let mut cache = Cache::default();
            let mut newest = 0;
            let mut makes = std::collections::BTreeMap::new();
            for (q, step) in asks {
                newest += step / 10;
                if let Place::Make(cell) = cache.look(quality(q), newest, 0) {
                    cell.set(Ok(picture(newest)));
                    *makes.entry((q, newest)).or_insert(0) += 1;
                }
                prop_assert!(cache.slots.len() <= KEPT);
            }
            let qualities = makes.keys().map(|k| k.0).collect::<std::collections::BTreeSet<_>>();
            if qualities.len() <= KEPT {
                prop_assert!(makes.values().all(|n| *n == 1));
            }
        }
    }
}
