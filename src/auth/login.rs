//! Roles, and what is known of somebody who logged in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Standing;
use crate::base::{Error, Mono, Result};

/// What somebody may do; a later one includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    Viewer,
    /// Look, take snapshots, record, stream.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// Every role once, for tables and tests.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// The contract's word.
    pub const fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    /// The `permissions` of authenticate's answer.
    pub const fn permissions(self) -> &'static [&'static str] {
        match self {
            Role::Viewer => &["view"],
            Role::Operator => &["view", "control"],
            Role::Admin => &["view", "control", "admin"],
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Role::ALL.into_iter().find(|r| r.word() == text).ok_or_else(|| {
            Error::param("role", "must be viewer, operator or admin", "the three roles of the contract")
        })
    }
}

/// Somebody who proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Name of the account.
    pub user: String,
    /// What it may do.
    pub role: Role,
    /// When the token was made, microseconds since 1970, by its maker's clock.
    pub issued_us: i64,
    /// When it expires, microseconds since 1970, for a person to read.
    pub expires_us: i64,
    /// When it expires; a step of the wall clock after the log-in does not move this.
    pub deadline: Mono,
    /// Tells tokens apart without giving them away: the same token has the same id.
    pub token_id: String,
    /// Whether what it rests on was withdrawn since.
    pub standing: Standing,
}

impl Login {
    /// Whether the log-in still holds.
    pub fn is_valid(&self, now: Mono) -> bool {
        now < self.deadline && !self.standing.is_revoked()
    }
}
