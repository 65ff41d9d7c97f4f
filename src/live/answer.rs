//! What is sent to the client: text of ours, or a body of MediaMTX's as it comes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use tokio::time::Sleep;

use super::viewing::Lease;
use crate::base::Mono;

/// A body.
pub struct Body(Inner);

enum Inner {
    Whole(Option<Bytes>),
    Passed(Box<Passed>),
}

/// A body of MediaMTX's. Its lease keeps the viewing session alive while it is being sent.
struct Passed {
    body: Incoming,
    end: Option<Pin<Box<Sleep>>>,
    _lease: Option<Lease>,
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.0 {
            Inner::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Inner::Passed(passed) => {
                if passed.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready()) {
                    return Poll::Ready(Some(Err(io::Error::other("the login ended"))));
                }
                Pin::new(&mut passed.body).poll_frame(cx).map(|f| f.map(|r| r.map_err(io::Error::other)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Whole(bytes) => bytes.is_none(),
            Inner::Passed(passed) => passed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Inner::Passed(passed) => passed.body.size_hint(),
        }
    }
}

/// An answer of ours.
pub(super) fn whole(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Body(Inner::Whole(Some(body.into()))));
    *response.status_mut() = status;
    guard(response.headers_mut());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Headers of MediaMTX's answer that mean the same from us. All others stay behind: those of the
/// connection, its cookies, its `Server`, and its view of origins.
const PASSED: [HeaderName; 7] = [
    HeaderName::from_static("accept-patch"),
    HeaderName::from_static("accept-post"),
    CONTENT_TYPE,
    hyper::header::ETAG,
    hyper::header::CONTENT_RANGE,
    hyper::header::ACCEPT_RANGES,
    hyper::header::LINK,
];

/// MediaMTX's answer, cut off when `end` is over.
pub(super) fn passed(from: Response<Incoming>, end: Option<Mono>, lease: Option<Lease>) -> Response<Body> {
    let (parts, body) = from.into_parts();
    let end = end.map(|end| Box::pin(tokio::time::sleep(end.from_now())));
    let mut response = Response::new(Body(Inner::Passed(Box::new(Passed { body, end, _lease: lease }))));
    *response.status_mut() = parts.status;
    guard(response.headers_mut());
    for name in PASSED {
        for value in parts.headers.get_all(&name) {
            response.headers_mut().append(&name, value.clone());
        }
    }
    response
}

/// What every answer carries: it is for whoever asked, it is new each time, and its links stay out
/// of referrers.
fn guard(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
