//! API keys: made, listed, replaced and revoked by administrators. Ours.

use std::time::Duration;

use serde::Serialize;

use super::shared::Page;
use crate::auth::{ApiKey, NewApiKey, Role};
use crate::base::clock::iso8601;
use crate::base::{Error, Result};
use crate::rpc::params::{Fields, Params};
use crate::rpc::session::Call;

/// Seconds that a key may last: a minute to ten years.
const LASTS: std::ops::RangeInclusive<u64> = 60..=315_360_000;
/// Seconds for which a replaced key may go on: until at once, or for a month.
const OVERLAP: std::ops::RangeInclusive<u64> = 0..=2_592_000;
/// The overlap of who asks for none: a day to bring the new key to where the old one is.
const USUAL_OVERLAP: u64 = 86_400;

pub(super) struct Create {
    name: String,
    role: Role,
    lasts: Option<Duration>,
}

impl Params for Create {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let name = fields.string("name", "say what the key is for, such as recorder-hall")?;
        ApiKey::check_name(&name)?;
        Ok(Self { name, role: fields.parsed("role", "viewer, operator or admin")?, lasts: lasts(fields)? })
    }
}

pub(super) struct Rotate {
    id: String,
    overlap: Duration,
    lasts: Option<Duration>,
}

impl Params for Rotate {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let overlap = fields.optional_integer("overlap", OVERLAP)?.unwrap_or(USUAL_OVERLAP);
        Ok(Self { id: id(fields)?, overlap: Duration::from_secs(overlap), lasts: lasts(fields)? })
    }
}

pub(super) struct Revoke {
    id: String,
}

impl Params for Revoke {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self { id: id(fields)? })
    }
}

fn id(fields: &Fields<'_>) -> Result<String> {
    let hint = "list_api_keys shows the ids";
    let id = fields.string("id", hint)?;
    if !ApiKey::is_id(&id) {
        return Err(Error::param("id", "must be ten hexadecimal digits in lower case", hint));
    }
    Ok(id)
}

fn lasts(fields: &Fields<'_>) -> Result<Option<Duration>> {
    Ok(fields.optional_integer("expires_in", LASTS)?.map(Duration::from_secs))
}

/// A key that was just made, as the API shows it this once.
#[derive(Serialize)]
pub struct Created {
    #[serde(flatten)]
    shown: Shown,
    key: String,
    stream_user: String,
    stream_password: String,
}

impl From<NewApiKey> for Created {
    fn from(new: NewApiKey) -> Self {
        Self {
            shown: new.shown.into(),
            key: new.key.expose().to_owned(),
            stream_user: new.stream_user,
            stream_password: new.stream_password.expose().to_owned(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Rotated {
    #[serde(flatten)]
    new: Created,
    replaces: String,
    replaced_until: String,
}

/// A key as the API lists it.
#[derive(Serialize)]
pub struct Shown {
    id: String,
    name: String,
    role: Role,
    created_at: String,
    expires_at: Option<String>,
    last_used_at: Option<String>,
}

impl From<ApiKey> for Shown {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            role: key.role,
            created_at: iso8601(key.created_us),
            expires_at: key.expires_us.map(iso8601),
            last_used_at: key.used_us.map(iso8601),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Listed {
    keys: Vec<Shown>,
    total: usize,
    limit: u32,
    offset: u64,
}

#[derive(Serialize)]
pub(super) struct Revoked {
    id: String,
    revoked: bool,
    message: &'static str,
}

/// create_api_key.
pub(super) async fn create(call: Call, p: Create) -> Result<Created> {
    let new = call.services.auth.create_api_key(p.role, &p.name, p.lasts).await?;
    tracing::info!(id = new.shown.id, role = p.role.word(), by = call.login().user, "an API key was made");
    Ok(new.into())
}

/// list_api_keys.
pub(super) fn list(call: &Call, page: Page) -> Result<Listed> {
    let all = call.services.auth.api_keys();
    let total = all.len();
    let keys = all.into_iter().skip(page.skip() as usize).take(page.limit as usize);
    Ok(Listed { keys: keys.map(Shown::from).collect(), total, limit: page.limit, offset: page.offset })
}

/// rotate_api_key.
pub(super) async fn rotate(call: Call, p: Rotate) -> Result<Rotated> {
    let (new, until_us) = call.services.auth.rotate_api_key(&p.id, p.overlap, p.lasts).await?;
    tracing::info!(id = new.shown.id, replaces = p.id, by = call.login().user, "an API key was replaced");
    Ok(Rotated { new: new.into(), replaces: p.id, replaced_until: iso8601(until_us) })
}

/// revoke_api_key.
pub(super) async fn revoke(call: Call, p: Revoke) -> Result<Revoked> {
    call.services.auth.revoke_api_key(&p.id).await?;
    tracing::info!(id = p.id, by = call.login().user, "an API key was revoked");
    let message = "the key is revoked; whoever was connected or watching with it is not any more";
    Ok(Revoked { id: p.id, revoked: true, message })
}
