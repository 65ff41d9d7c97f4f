//! authenticate.

use serde::Serialize;
use uuid::Uuid;

use crate::auth::{Role, refused, tls_needed};
use crate::base::Result;
use crate::base::clock::iso8601;
use crate::rpc::params::{Fields, Params};
use crate::rpc::session::Session;

pub(super) struct Authenticate {
    auth_token: String,
}

impl Params for Authenticate {
    /// What is missing or no string is a failed log-in here, not a bad parameter (contract.md).
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let hint = "send auth_token, a JSON web token as text; `fieldcam token` makes one";
        fields
            .string("auth_token", hint)
            .map(|auth_token| Self { auth_token })
            .map_err(|e| refused("missing_token", hint).caused_by(e))
    }
}

#[derive(Serialize)]
pub(super) struct Authenticated {
    authenticated: bool,
    role: Role,
    permissions: &'static [&'static str],
    expires_at: String,
    session_id: Uuid,
}

/// Logs in, or changes the role of a socket that is.
pub(super) fn authenticate(session: &mut Session, p: Authenticate) -> Result<Authenticated> {
    if !session.call.reached.may_log_in() {
        return Err(tls_needed());
    }
    let login = session.call.services.auth.verify(&p.auth_token)?;
    let answer = Authenticated {
        authenticated: true,
        role: login.role,
        permissions: login.role.permissions(),
        expires_at: iso8601(login.expires_us),
        session_id: session.id,
    };
    tracing::info!(user = login.user, role = login.role.word(), "logged in");
    session.log_in(login);
    Ok(answer)
}
