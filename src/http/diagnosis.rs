//! `GET /diag`: what tells how the box is, as one archive, for administrators.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response};

use super::access::{self, Guest};
use super::answer::{self, Body};
use super::file_body::{FileBody, Hold, Source};
use super::server::Main;
use super::socket::Terms;
use crate::auth::{Deed, Remembered, Standing};
use crate::base::{Error, ErrorKind, Mono, Result};
use crate::diag::{Archive, Turn};
use crate::rpc::Reached;

/// A client that has not taken it by then is cut off, for the sake of the next one.
const SEND_LIMIT: Duration = Duration::from_secs(300);
const RETRY_AFTER_S: &str = "10";

/// While it is sent, nobody else has one made.
struct Held {
    _turn: Turn,
    standing: Standing,
}

impl Hold for Held {
    fn progress(&self) -> io::Result<()> {
        access::goes_on(&self.standing)
    }
}

impl Source for Archive {
    fn read(&self, start: u64, length: usize) -> io::Result<Vec<u8>> {
        let start = usize::try_from(start).map_err(io::Error::other)?;
        let piece = self.bytes.get(start..start + length);
        piece.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Answers a request for `/diag`.
pub(super) async fn answer<B>(
    main: &Main,
    request: &Request<B>,
    reached: &Reached,
    remembered: &Remembered,
    terms: &Terms,
) -> Response<Body> {
    if *request.method() != Method::GET {
        return answer::wrong_method("a diagnosis can only be read", "use GET", "GET");
    }
    // No answer has a link to it; `fieldcam ctl` asks with its log-in.
    let signed = || request.uri().path().to_owned();
    let guest = match access::enter(main, request, remembered, signed, "a log-in of an administrator") {
        Ok(guest) => guest,
        Err(refusal) => return *refusal,
    };
    let user = guest.login.user.clone();
    let made = make(main, guest).await;
    main.services.auth.audit(Deed {
        user: Some(user),
        address: (!reached.near).then_some(reached.peer),
        action: "download_diagnosis",
        target: made.as_ref().ok().map(|(archive, _)| archive.name.clone()),
        failed: made.as_ref().err().map(Error::kind),
    });
    let sent = made.and_then(|(archive, held)| {
        terms.live_until(Mono::now() + SEND_LIMIT);
        send(archive, held)
    });
    sent.unwrap_or_else(|e| {
        let mut response = answer::failure(&e);
        if e.kind() == ErrorKind::RateLimited {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        response
    })
}

async fn make(main: &Main, guest: Guest) -> Result<(Archive, Held)> {
    access::administrator(&guest.login, "diagnoses are for administrators")?;
    let turn = main.services.diagnosis.turn()?;
    let archive = main.services.diagnosis.make(&turn).await?;
    Ok((archive, Held { _turn: turn, standing: guest.login.standing }))
}

fn send(archive: Archive, held: Held) -> Result<Response<Body>> {
    let name = format!("attachment; filename=\"{}\"", archive.name);
    let name = HeaderValue::from_str(&name).map_err(Error::internal)?;
    let range = 0..archive.bytes.len() as u64;
    let mut response = Response::new(Body::File(FileBody::new(Arc::new(archive), range, Box::new(held))));
    answer::guard(&mut response);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
    headers.insert(CONTENT_DISPOSITION, name);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    // The connection's terms are this answer's alone.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}
