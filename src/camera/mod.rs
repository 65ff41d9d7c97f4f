//! Which cameras this box has: settings and SQLite together give each its lasting number.
//!
//! Promises: an identity keeps its `cameraN` for ever, whatever else is added, removed or reordered;
//! a camera that is no longer configured keeps its number and is listed as gone. Costs one short
//! transaction for each camera at start.

mod roster;

pub use roster::{CameraDef, Gone, Roster, Wanted, roster, wanted};
