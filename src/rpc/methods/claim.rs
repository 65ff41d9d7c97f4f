//! claim_challenge and claim: a box that nobody owns yet gets its owner. Ours.

use serde::Serialize;

use crate::auth::{ApiKey, Meeting, Nonce, Proof, Role, from_hex, refused, to_hex};
use crate::base::{Error, Result};
use crate::rpc::params::{Fields, Nothing, Params};
use crate::rpc::session::{Call, Session};

/// What the owner's key is called when nobody says.
const OWNER: &str = "owner";

#[derive(Serialize)]
pub(super) struct Challenge {
    nonce: String,
}

/// Answers with the box's nonce for the next claim on this socket.
pub(super) fn challenge(session: &mut Session, _: Nothing) -> Result<Challenge> {
    may_claim(&session.call)?;
    Ok(Challenge { nonce: to_hex(&session.challenge()) })
}

pub(super) struct Claim {
    nonce: Nonce,
    proof: Proof,
    name: Option<String>,
}

impl Params for Claim {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let hint = "what it should be called in list_api_keys";
        let name = fields.optional_string("name", hint)?;
        name.as_deref().map_or(Ok(()), ApiKey::check_name)?;
        Ok(Self {
            nonce: bytes(fields, "nonce", "32 random bytes of yours")?,
            proof: bytes(fields, "proof", "HMAC-SHA256 as the API document describes it")?,
            name,
        })
    }
}

#[derive(Serialize)]
pub(super) struct Claimed {
    claimed: bool,
    proof: String,
    key: String,
    key_id: String,
    role: Role,
}

/// Makes whoever proves to know the code the owner of the box.
pub(super) async fn claim(call: Call, p: Claim) -> Result<Claimed> {
    may_claim(&call)?;
    let box_nonce = call.take_challenge().ok_or_else(|| {
        Error::state("there is no challenge to answer", "UNCHALLENGED", &["CHALLENGED"])
            .with("suggestion", "call claim_challenge on this socket first, before each claim")
    })?;
    let tls = call.services.tls.as_ref().filter(|_| call.reached.secure);
    let meeting = Meeting {
        certificate: tls.map_or([0; 32], |tls| tls.fingerprint().bytes()),
        box_nonce,
        laptop_nonce: p.nonce,
    };
    let name = p.name.as_deref().unwrap_or(OWNER);
    let claimed = call.services.auth.claim(&meeting, &p.proof, name).await?;
    Ok(Claimed {
        claimed: true,
        proof: to_hex(&claimed.proof),
        key: claimed.key.key.expose().to_owned(),
        key_id: claimed.key.shown.id,
        role: claimed.key.shown.role,
    })
}

/// The key that is answered must not cross the network in the clear, whatever else may.
fn may_claim(call: &Call) -> Result<()> {
    call.services.auth.may_be_claimed()?;
    if call.reached.secure || call.reached.near {
        return Ok(());
    }
    let hint = "connect to wss://, with server.tls = \"auto\" on the box";
    Err(refused("tls_required", hint).with("details", "a box is claimed over TLS only"))
}

fn bytes(fields: &Fields<'_>, name: &str, hint: &str) -> Result<Nonce> {
    let broken = || Error::param(name, "must be 64 hexadecimal digits in lower case", hint);
    from_hex(&fields.string(name, hint)?).ok_or_else(broken)
}
