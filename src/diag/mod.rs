//! `fieldcam diag`: one archive that tells somebody elsewhere what this box is and does.
//!
//! Owns a local socket below `run/` on which the daemon tells what only it knows, and the collection,
//! which runs in a process of its own: `fieldcam diag` on the box, or started by the daemon for an
//! administrator elsewhere. Promises: no secret (every text is scrubbed once more on its
//! way in); at most 1 MiB a part and about a minute in all; a part that fails says so and costs
//! nothing else, so that it works with the daemon down, the database broken or the settings wrong; what
//! the daemon hands out needs no place on a disk. Costs the daemon one sleeping task.

mod apart;
mod archive;
mod boot;
mod camera;
mod collect;
mod disk;
mod inside;
mod process;
mod programs;

pub use apart::{Diagnosis, Rooms, Turn};
pub use archive::{Archive, save};
pub use collect::{Daemon, collect, gather};
pub use inside::{keep_last_words, last_words, serve};
