//! `fieldcam ctl claim`: this user becomes the owner of a box.
//!
//! The code stays here. What is sent is a proof that covers the certificate that the box showed on this very
//! connection (`auth/claim/proof.rs` says in which order and why), and nothing is believed of the box before it has
//! proved that it knows the code too.

use std::io::BufRead;

use serde::Deserialize;
use serde_json::{Value, json};

use super::box_keys::BoxKeys;
use super::dial::Trust;
use super::failure::no_tls_to_claim;
use super::host::{Host, Scheme};
use super::known::Known;
use super::link::Link;
use super::screen;
use crate::auth::{ClaimCode, ClaimKey, Meeting, from_hex, to_hex};
use crate::base::{Error, ErrorKind, Result, Secret};

#[derive(Deserialize)]
struct Challenge {
    nonce: String,
}

#[derive(Deserialize)]
struct Claimed {
    proof: String,
    key: Secret,
    key_id: String,
}

/// Connects to a box that nobody owns yet: with TLS, or on this machine.
pub(super) async fn open(host: &Host) -> Result<Link> {
    if host.is_loopback() {
        return Link::open_as(host, Trust::Claim).await;
    }
    if host.scheme() == Scheme::Plain {
        return Err(no_tls_to_claim(host));
    }
    Link::open_as(&host.clone().speaking(Scheme::Tls), Trust::Claim).await
}

/// Claims the box at the other end.
pub(super) async fn claim(link: &mut Link, code: Option<ClaimCode>, json: bool) -> Result<()> {
    let keys = BoxKeys::open();
    keys.prepare()?;
    // Whether there is anything to claim is known before anybody is asked for a code.
    let mut challenge: Challenge = link.ask("claim_challenge", Value::Null).await?;
    let code = match code {
        Some(code) => code,
        None => {
            let code = asked().await?;
            // The box may have hung up meanwhile; one that is another one now shows it by its proof.
            if link.ask::<Value>("ping", Value::Null).await.is_err() {
                *link = open(&link.host().clone()).await?;
            }
            challenge = link.ask("claim_challenge", Value::Null).await?;
            code
        }
    };
    let key = tokio::task::spawn_blocking(move || ClaimKey::of(&code)).await.map_err(Error::internal)?;
    let meeting = Meeting {
        certificate: link.fingerprint().map_or([0; 32], |f| f.bytes()),
        box_nonce: from_hex(&challenge.nonce).ok_or_else(strange)?,
        laptop_nonce: Meeting::nonce(),
    };
    let ask = json!({
        "nonce": to_hex(&meeting.laptop_nonce), "proof": to_hex(&key.of_laptop(&meeting)), "name": name(),
    });
    let claimed: Claimed = link.ask("claim", ask).await?;
    if !from_hex(&claimed.proof).is_some_and(|proof| key.is_of_box(&meeting, &proof)) {
        return Err(impostor(link.host()));
    }
    let kept = keys.put(link, &claimed.key);
    if let Err(error) = kept {
        // Nobody else will ever be told this key.
        screen::line(claimed.key.expose());
        return Err(error);
    }
    let fingerprint = link.fingerprint();
    if let Some(fingerprint) = fingerprint {
        Known::open().put(link.host(), fingerprint)?;
    }
    link.log_in(claimed.key).await?;
    let host = link.host();
    if json {
        let certificate = fingerprint.map(|f| f.to_string());
        let all = json!({ "claimed": true, "key_id": claimed.key_id, "tls_fingerprint": certificate });
        screen::line(&all.to_string());
    } else {
        screen::line(&format!("{host} is yours"));
        screen::remark(&format!(
            "its key is kept in {} and used from now on; look at the box: fieldcam ctl --host {host} status",
            keys.shown()
        ));
    }
    Ok(())
}

/// The code as somebody types it.
async fn asked() -> Result<ClaimCode> {
    screen::remark(
        "The box shows a code on its screen and its serial console, and in FIELDCAM.txt on its card.",
    );
    let typed = tokio::task::spawn_blocking(|| {
        let mut lines = std::io::stdin().lock().lines();
        for _ in 0..3 {
            screen::prompt("Claim code: ");
            let Some(Ok(line)) = lines.next() else { break };
            if let Some(code) = ClaimCode::parse(&line) {
                return Some(code);
            }
            screen::remark("That is no code: it has twelve letters and digits, such as 0123-ABCD-EFGH.");
        }
        None
    });
    let no_code = || {
        Error::new(ErrorKind::InvalidParams, "There is no claim code to go on with")
            .with("suggestion", "type it when asked, or give --code XXXX-XXXX-XXXX")
    };
    typed.await.map_err(Error::internal)?.ok_or_else(no_code)
}

/// What the box is to call the key.
fn name() -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let plain = |c: &char| !c.is_control();
    let host: String =
        host.unwrap_or_default().chars().filter(plain).filter(char::is_ascii).take(50).collect();
    if host.trim().is_empty() { "owner".into() } else { format!("owner on {host}") }
}

fn impostor(host: &Host) -> Error {
    Error::new(
        ErrorKind::AuthFailed,
        format!("{host} does not know the claim code: it is not the box that shows it"),
    )
    .with("reason", "impostor")
    .with("suggestion", "somebody may be in between; connect the box directly, by a cable of your own")
}

fn strange() -> Error {
    Error::new(ErrorKind::DependencyFailed, "The box answered in an unknown form")
        .with("suggestion", "is this tool of the same version as the box?")
}
