//! As many boxes run at a time on this machine as two cores carry, and a test that measures may have
//! it to itself.
//!
//! Two cores carry two boxes; a third makes every time-out a lottery. Locked files, so that it holds
//! over test programs too, and the kernel gives the turn back whatever happens to the test. Whatever
//! starts a box takes the turn of its test by itself; a test takes it first where it prepares more.

use std::cell::Cell;
use std::fs::File;

use nix::fcntl::{Flock, FlockArg};

thread_local! {
    /// Whether this test holds its turn already: each runs in a thread of its own.
    static HELD: Cell<bool> = const { Cell::new(false) };
}

/// Held while a test runs. Empty for all but the first of a test.
pub struct Turn(Vec<Flock<File>>);

impl Turn {
    fn first(places: Vec<Flock<File>>) -> Turn {
        HELD.set(true);
        Turn(places)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            HELD.set(false);
        }
    }
}

/// Waits for one of the two places, unless this test has one.
pub fn take() -> Turn {
    if HELD.get() {
        return Turn(Vec::new());
    }
    loop {
        if let Some(place) = (0..2).find_map(|n| Flock::lock(slot(n), FlockArg::LockExclusiveNonblock).ok()) {
            return Turn::first(vec![place]);
        }
        // Tests run for seconds; how often we look does not matter. No limit: others may be many.
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// Waits for both places, always in the same order.
pub fn alone() -> Turn {
    assert!(!HELD.get(), "a test that holds a place would wait for itself");
    let lock = |n| Flock::lock(slot(n), FlockArg::LockExclusive).map_err(|(_, e)| e).unwrap();
    Turn::first((0..2).map(lock).collect())
}

fn slot(number: u32) -> File {
    File::create(format!("{}/turn.{number}", env!("CARGO_TARGET_TMPDIR"))).unwrap()
}
