//! What browsers ask before a page of another origin may talk to us. Which origins may is decided
//! before ([`super::hosts`]); here it is only said.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue,
    ORIGIN, VARY,
};
use hyper::{Method, Request, Response, StatusCode};

use super::answer::{self, Body};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE, OPTIONS");
const HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, If-Match, If-None-Match, Range, X-API-Key");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Accept-Patch, Accept-Ranges, Content-Range, ETag, Link, Location, Retry-After, X-Frame-Age-Ms, \
     X-Frame-Number, X-Frame-Time",
);
/// How long a browser may remember the answer, seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The answer to a browser that asks whether it may ask.
pub(super) fn preflight<B>(request: &Request<B>) -> Option<Response<Body>> {
    let headers = request.headers();
    let asks = *request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    asks.then(|| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        answer::guard(&mut response);
        let out = response.headers_mut();
        out.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        out.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        out.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        response
    })
}

/// Lets pages of `origin`, which was checked, read the answer.
pub(super) fn allow(response: &mut Response<Body>, origin: Option<HeaderValue>) {
    let out = response.headers_mut();
    out.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        out.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}
