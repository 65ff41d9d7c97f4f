//! Answers over HTTP: bodies and the JSON that says why not.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::file_body::FileBody;
use super::mjpeg::Mjpeg;
use crate::auth::{self, is_link_refused};
use crate::base::Error;
use crate::live;

/// What an answer carries.
pub(super) enum Body {
    /// Text that is there already.
    Text(Option<Bytes>),
    /// Part of a file, read as the client takes it.
    File(FileBody),
    /// Live video.
    Live(live::Body),
    /// Picture after picture.
    Pictures(Box<Mjpeg>),
}

impl Body {
    pub(super) fn empty() -> Self {
        Self::Text(None)
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Body::Text(text) => Poll::Ready(text.take().map(|t| Ok(Frame::data(t)))),
            Body::File(file) => file.poll(cx).map(|chunk| chunk.map(|r| r.map(Frame::data))),
            Body::Live(live) => Pin::new(live).poll_frame(cx),
            Body::Pictures(stream) => stream.poll(cx).map(|part| part.map(|r| r.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Text(text) => text.is_none(),
            Body::File(file) => file.left() == 0,
            Body::Live(live) => live.is_end_stream(),
            Body::Pictures(stream) => stream.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |t| t.len() as u64)),
            Body::File(file) => SizeHint::with_exact(file.left()),
            Body::Live(live) => live.size_hint(),
            Body::Pictures(_) => SizeHint::default(),
        }
    }
}

/// A body, and what is kept until it has been sent.
pub(super) struct Kept<T> {
    body: Body,
    _kept: T,
}

impl<T> Kept<T> {
    pub(super) fn new(body: Body, kept: T) -> Self {
        Self { body, _kept: kept }
    }
}

impl<T: Unpin> hyper::body::Body for Kept<T> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer of this type; what we answer is for whoever asked, and links stay out of referrers.
pub(super) fn text(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::Text(Some(text.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    guard(&mut response);
    response
}

/// The headers that every answer carries.
pub(super) fn guard(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// `value` as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let mut body = serde_json::to_vec(value).expect("answers are made of strings and numbers");
    body.push(b'\n');
    text(status, "application/json", body)
}

/// A refusal with what to do about it.
pub(super) fn refusal(status: StatusCode, error: &str, hint: &str) -> Response<Body> {
    json(status, &serde_json::json!({"error": error, "hint": hint}))
}

/// A method that is none here; `allowed` are those that are.
pub(super) fn wrong_method(error: &str, hint: &str, allowed: &'static str) -> Response<Body> {
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, error, hint);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// What a box without an owner answers; `authority`: how the client reached it.
pub(super) fn unclaimed(authority: &str) -> Response<Body> {
    let e = auth::unclaimed(Some(authority));
    let hint = e.data().get("suggestion").and_then(|v| v.as_str()).unwrap_or_default();
    refusal(StatusCode::FORBIDDEN, auth::NOT_CLAIMED, hint)
}

/// An error of another room.
pub(super) fn failure(e: &Error) -> Response<Body> {
    let status = if is_link_refused(e) {
        StatusCode::FORBIDDEN
    } else {
        StatusCode::from_u16(e.kind().http_status()).expect("a status of three digits")
    };
    if status.is_server_error() {
        tracing::warn!("{}", e.chain());
    }
    let hint = ["suggestion", "hint"].iter().find_map(|k| e.data().get(*k)?.as_str()).unwrap_or("try again");
    refusal(status, e.message(), hint)
}
