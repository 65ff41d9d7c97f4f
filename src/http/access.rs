//! Who asks: a bearer token, or the signed query of a link.

use std::io;

use hyper::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Request, Response};

use super::answer::{self, Body};
use super::downloads::Lease;
use super::server::Main;
use crate::auth::{API_KEY, Login, Remembered, Role, Standing, link_refused, no_login};
use crate::base::query::member;
use crate::base::{Error, ErrorKind, Mono};

/// Somebody who was let in.
pub(super) struct Guest {
    pub login: Login,
    /// Keeps a link's session alive while its answer is being sent.
    pub lease: Option<Lease>,
}

/// Lets a request in that may read what `signed` covers; `links` says where its links come from.
pub(super) fn enter<B>(
    main: &Main,
    request: &Request<B>,
    remembered: &Remembered,
    signed: impl FnOnce() -> String,
    links: &str,
) -> Result<Guest, Box<Response<Body>>> {
    let auth = &main.services.auth;
    if let Some(value) = request.headers().get(AUTHORIZATION) {
        let login = auth.verify_again(remembered, value.as_bytes()).map_err(|e| challenge(&e))?;
        return Ok(Guest { login, lease: None });
    }
    if let Some(value) = request.headers().get(API_KEY) {
        let login = auth.verify_key(value.to_str().unwrap_or_default()).map_err(|e| challenge(&e))?;
        return Ok(Guest { login, lease: None });
    }
    let query = request.uri().query().unwrap_or_default();
    if member(query, "sig").is_none() {
        return Err(challenge(&no_login(links)));
    }
    let entered = main.downloads.enter(auth, request.method().as_str(), &signed(), query, Mono::now());
    match entered {
        Ok((login, lease)) => Ok(Guest { login, lease: Some(lease) }),
        // Asking again with a log-in is for the client to decide.
        Err(_) => Err(Box::new(answer::failure(&link_refused(links)))),
    }
}

/// Refuses whoever is no administrator; `what`: what only those may, as in "bundles come from administrators".
pub(super) fn administrator(login: &Login, what: &str) -> Result<(), Error> {
    if login.role >= Role::Admin {
        return Ok(());
    }
    Err(Error::new(ErrorKind::PermissionDenied, format!("Permission denied: {what}"))
        .with("suggestion", "use a token or key of role admin"))
}

/// Whether somebody's answer may go on, piece after piece.
pub(super) fn goes_on(standing: &Standing) -> io::Result<()> {
    if standing.is_revoked() { Err(io::Error::other("the log-in was withdrawn")) } else { Ok(()) }
}

/// "Not logged in", with the header that asks for a log-in.
pub(super) fn challenge(e: &Error) -> Box<Response<Body>> {
    let mut response = answer::failure(e);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"fieldcam\""));
    Box::new(response)
}
