//! rotate_secret: another secret for the box. Ours.

use std::time::Duration;

use serde::Serialize;

use crate::base::Result;
use crate::base::clock::iso8601;
use crate::rpc::params::{Fields, Params};
use crate::rpc::session::Call;

/// Seconds for which the former secret may count: at least as long as whoever is logged in needs to get
/// another token, at most a month.
const GRACE: std::ops::RangeInclusive<u64> = 60..=2_592_000;
/// The grace of who asks for none: the life of the tokens that `fieldcam token` makes.
const USUAL_GRACE: u64 = 86_400;

pub(super) struct Rotate {
    grace: Duration,
}

impl Params for Rotate {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let grace = fields.optional_integer("grace", GRACE)?.unwrap_or(USUAL_GRACE);
        Ok(Self { grace: Duration::from_secs(grace) })
    }
}

#[derive(Serialize)]
pub(super) struct Rotated {
    former_until: String,
    message: &'static str,
}

/// Makes the new one.
pub(super) async fn rotate(call: Call, p: Rotate) -> Result<Rotated> {
    let until_us = call.services.auth.rotate_secret(p.grace).await?;
    tracing::info!(by = call.login().user, "the box has another secret");
    let message = "new tokens are made with the new secret; those of the former one count until then";
    Ok(Rotated { former_until: iso8601(until_us), message })
}
