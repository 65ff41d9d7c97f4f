//! The first owner of a box: until somebody has claimed it, it lets nobody in.
//!
//! Whoever can see the box (its screen, its serial console, its card) knows the claim code; the one who proves to
//! know it over the network is the owner and gets an administrator's key.

mod code;
mod code_file;
mod desk;
mod proof;
mod tries;

pub use code::ClaimCode;
pub use code_file::ClaimFile;
pub use desk::Claimed;
pub(super) use desk::Desk;
pub use proof::{ClaimKey, Meeting, Nonce, Proof, from_hex, to_hex};

use super::refused;
use crate::base::Error;

/// What there is to say of a box without an owner.
pub const NOT_CLAIMED: &str = "this box is not claimed yet";

/// What an unclaimed box answers to everybody. `host`: by which name the client reached it.
pub fn unclaimed(host: Option<&str>) -> Error {
    let host = host.unwrap_or("HOST");
    refused("unclaimed", &format!("claim it with the code that it shows: fieldcam ctl --host {host} claim"))
        .with("details", NOT_CLAIMED)
}
