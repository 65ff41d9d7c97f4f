//! At most two boxes run at a time on this machine, and a test that measures may have it to itself.
//!
//! Two cores carry two boxes; a third makes every time-out a lottery. Locked files, so that it holds
//! over test programs too, and the kernel gives the turn back whatever happens to the test.

use std::fs::File;

use nix::fcntl::{Flock, FlockArg};

/// Held while a test runs.
pub struct Turn(#[expect(dead_code, reason = "held, not read")] Vec<Flock<File>>);

/// Waits for one of the two places.
pub fn take() -> Turn {
    loop {
        if let Some(place) = (0..2).find_map(|n| Flock::lock(slot(n), FlockArg::LockExclusiveNonblock).ok()) {
            return Turn(vec![place]);
        }
        // Tests run for seconds; how often we look does not matter. No limit: others may be many.
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// Waits for both places, always in the same order.
pub fn alone() -> Turn {
    let lock = |n| Flock::lock(slot(n), FlockArg::LockExclusive).map_err(|(_, e)| e).unwrap();
    Turn((0..2).map(lock).collect())
}

fn slot(number: u32) -> File {
    File::create(format!("{}/turn.{number}", env!("CARGO_TARGET_TMPDIR"))).unwrap()
}
