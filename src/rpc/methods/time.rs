//! set_time: ours, for boxes that have neither a time server nor a battery for their clock.

use serde::Serialize;

use crate::base::clock::iso8601;
use crate::base::{Error, Result};
use crate::rpc::params::{Fields, Params};
use crate::rpc::session::Call;

/// `{time}`.
pub(super) struct Time(i64);

impl Params for Time {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let hint = "ISO 8601 with its zone, such as 2026-11-22T12:00:00Z";
        let text = fields.string("time", hint)?;
        let time: jiff::Timestamp =
            text.parse().map_err(|_| Error::param("time", "must be a time in ISO 8601", hint))?;
        Ok(Self(time.as_millisecond()))
    }
}

#[derive(Serialize)]
pub(super) struct Set {
    time: String,
    clock: &'static str,
    /// For a log-in by token: another one, as long as the old one had left.
    auth_token: Option<String>,
    message: &'static str,
}

pub(super) async fn set(call: Call, Time(asked_ms): Time) -> Result<Set> {
    let services = &call.services;
    // How long the log-in holds is known by a clock that nobody sets.
    let left = call.login().deadline.from_now();
    services.timing.set(asked_ms).await?;
    let login = call.login();
    // An API key holds whatever the time; a token's claims are times.
    let token = services.auth.is_token(login).then(|| services.auth.mint(login.role, &login.user, left));
    Ok(Set {
        time: iso8601(services.clock.wall_us()),
        clock: services.clock.trust().word(),
        auth_token: token.transpose()?.map(|token| token.expose().to_owned()),
        message: "the clock is set; tokens made before may be expired by it, so log in anew with auth_token",
    })
}
