//! `PUT /update/NAME.raucb`: a new version of the box's system comes in.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::CONTENT_LENGTH;
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout;

use super::access;
use super::answer::{self, Body};
use super::server::Main;
use crate::auth::{Deed, Remembered};
use crate::base::{Error, ErrorKind, Result};
use crate::rpc::Reached;
use crate::update::Stored;

/// The longest silence within a bundle.
const SILENCE: Duration = Duration::from_secs(30);

/// Answers a request whose path starts with `/update/`.
pub(super) async fn answer(
    main: &Main,
    request: Request<Incoming>,
    reached: &Reached,
    remembered: &Remembered,
) -> Response<Body> {
    if *request.method() != Method::PUT {
        return answer::wrong_method("bundles can only be sent here", "use PUT", "PUT");
    }
    // A signed link is for reading; its signature covers the method, so none fits here.
    let signed = || request.uri().path().to_owned();
    let guest = match access::enter(main, &request, remembered, signed, "a log-in of an administrator") {
        Ok(guest) => guest,
        Err(refusal) => return *refusal,
    };
    let name = request.uri().path().trim_start_matches("/update/").to_owned();
    let taken = match access::administrator(&guest.login, "bundles come from administrators") {
        Err(refusal) => Err(refusal),
        Ok(()) => {
            let standing = guest.login.standing.clone();
            take(main, request, &name, || standing.is_revoked()).await
        }
    };
    main.services.auth.audit(Deed {
        user: Some(guest.login.user.clone()),
        address: (!reached.near).then_some(reached.peer),
        action: "upload_bundle",
        target: taken.as_ref().ok().map(|stored| stored.name.clone()),
        failed: taken.as_ref().err().map(Error::kind),
    });
    match taken {
        Ok(stored) => answer::json(StatusCode::CREATED, &stored),
        Err(e) => answer::failure(&e),
    }
}

async fn take(
    main: &Main,
    request: Request<Incoming>,
    name: &str,
    withdrawn: impl Fn() -> bool,
) -> Result<Stored> {
    let ending = "must end in .raucb";
    let name =
        name.strip_suffix(".raucb").ok_or_else(|| Error::param("file", ending, "PUT /update/NAME.raucb"))?;
    let length = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let length: u64 = length.ok_or_else(|| {
        Error::param("Content-Length", "is required", "send the bundle with its size known")
    })?;
    let mut incoming = main.services.update.receive(name, length).await?;
    let mut body = request.into_body();
    let cut = |why: &str| {
        Error::new(ErrorKind::InvalidRequest, format!("The bundle did not come whole: {why}"))
            .with("suggestion", "send it again")
    };
    loop {
        let frame = match timeout(SILENCE, body.frame()).await {
            Err(_) => return Err(cut("no more data came")),
            Ok(None) => return incoming.finish().await,
            Ok(Some(frame)) => frame.map_err(|e| cut("the connection ended").caused_by(e))?,
        };
        if withdrawn() {
            return Err(Error::new(ErrorKind::AuthFailed, "The log-in was withdrawn"));
        }
        if let Ok(bytes) = frame.into_data() {
            incoming.write(&bytes).await?;
        }
    }
}
