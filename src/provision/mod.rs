//! What an operator left for a new box on its boot partition: `fieldcam.toml`, taken once.
//!
//! Owns the form of that file, what it turns into below `/etc` and `/var/lib/iwd`, and its end: overwritten, synced,
//! removed. Promises: it is taken whole or not at all, every mistake is told with its line and without a secret,
//! and a power cut at any moment leaves it to be taken or taken. Everything here blocks.

mod card;
mod files;
mod rules;
mod wanted;

pub use card::{Card, Content, lines};
pub use files::{Place, place};
pub use wanted::Wanted;
