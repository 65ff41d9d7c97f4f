//! `GET /cameras/…`: the newest picture of a camera, and picture after picture.

use std::time::Duration;

use hyper::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, RETRY_AFTER,
};
use hyper::{Method, Request, Response, StatusCode};

use super::access::{self, Guest};
use super::answer::{self, Body};
use super::frame_query::{Asked, Wanted, etag, matches, wanted};
use super::mjpeg::{self, Follower, Mjpeg};
use super::server::Main;
use super::socket::Terms;
use crate::auth::{Remembered, refused};
use crate::base::clock::iso8601;
use crate::base::{CameraId, Error, ErrorKind, Mono, Result};
use crate::preview::{self, Picture, Preview, Stamp};

/// How long `newer_than` waits. Shorter than the idle time of any proxy.
const NEWER_LIMIT: Duration = Duration::from_secs(10);
/// How long a camera may take to its first picture.
const FIRST_LIMIT: Duration = Duration::from_secs(8);

/// What a picture's answer has, with what is said to pages of other origins.
const HEADERS: usize = 12;
const FRAME_NUMBER: HeaderName = HeaderName::from_static("x-frame-number");
const FRAME_AGE: HeaderName = HeaderName::from_static("x-frame-age-ms");
const FRAME_TIME: HeaderName = HeaderName::from_static("x-frame-time");

/// Answers a request whose path starts with `/cameras/`.
pub(super) async fn answer<B>(
    main: &Main,
    request: &Request<B>,
    remembered: &Remembered,
    terms: &Terms,
) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return answer::wrong_method("pictures can only be read", "use GET", "GET, HEAD");
    }
    let path = request.uri().path();
    let wanted = wanted(path);
    let signed = || wanted.map_or_else(|| path.to_owned(), |(camera, _)| preview::signed_path(camera));
    // Before anything about the camera: whether it exists is not for strangers.
    let guest = match access::enter(main, request, remembered, signed, "the links of get_camera_status") {
        Ok(guest) => guest,
        Err(refusal) => return *refusal,
    };
    let answered = match wanted {
        Some((camera, wanted)) => picture(main, request, guest, camera, wanted, terms).await,
        None => Err(Error::not_found("Picture", "").with("suggestion", "GET / says what there is")),
    };
    answered.unwrap_or_else(|e| failure(&e))
}

/// A camera that is away or slow may be there in a moment.
fn failure(e: &Error) -> Response<Body> {
    let mut response = match e.kind() {
        ErrorKind::AuthFailed => *access::challenge(e),
        _ => answer::failure(e),
    };
    if e.kind() == ErrorKind::InvalidState {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    if matches!(response.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

async fn picture<B>(
    main: &Main,
    request: &Request<B>,
    guest: Guest,
    camera: CameraId,
    wanted: Wanted,
    terms: &Terms,
) -> Result<Response<Body>> {
    let asked = Asked::read(request.uri().query().unwrap_or_default())?;
    let preview = main.services.cameras.preview(camera)?;
    match wanted {
        Wanted::Counters => Ok(answer::json(StatusCode::OK, &preview.tally())),
        Wanted::Frame => {
            let seen = request.headers().get(IF_NONE_MATCH).and_then(|v| v.to_str().ok());
            newest(main, &preview, &guest, asked, seen).await
        }
        Wanted::Stream => {
            let head = request.method() == Method::HEAD;
            follow(main, camera, preview, guest, asked, (!head).then_some(terms)).await
        }
    }
}

/// `stream.mjpeg`; without `terms` only its head.
async fn follow(
    main: &Main,
    camera: CameraId,
    preview: Preview,
    guest: Guest,
    asked: Asked,
    terms: Option<&Terms>,
) -> Result<Response<Body>> {
    let body = match terms {
        None => Body::empty(),
        Some(terms) => {
            let place = main.followers.enter(&guest.login)?;
            // Better an answer that says why than a stream without pictures.
            let limit = FIRST_LIMIT.min(guest.login.deadline.from_now());
            if preview.newest().is_none() && preview.newer_than(0, limit).await.is_none() {
                return Err(no_picture());
            }
            terms.live_until(guest.login.deadline);
            let interval = asked.fps.map_or(Duration::ZERO, |fps| Duration::from_secs_f64(1.0 / fps));
            let cameras = main.services.cameras.clone();
            let follower = Follower { cameras, camera, guest, quality: asked.quality, interval, place };
            Body::Pictures(Box::new(Mjpeg::new(follower, preview, main.services.clock.clone())))
        }
    };
    let mut response = Response::new(body);
    answer::guard(&mut response);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(mjpeg::CONTENT_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    // The connection's terms are this answer's alone.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

/// `frame.jpg`.
async fn newest(
    main: &Main,
    preview: &Preview,
    guest: &Guest,
    asked: Asked,
    seen: Option<&str>,
) -> Result<Response<Body>> {
    let run = preview.run();
    let tag = |stamp: Stamp| etag(run, stamp.number, asked.quality);
    let reply = |stamp, tag, body| Reply { stamp, tag, body }.response(main);
    let after = asked.newer_than.map_or(0, |seen| seen.number(run));
    preview.touch();
    let found = match preview.newest().filter(|newest| newest.number != after) {
        Some(newest) => Some(newest),
        None => {
            let limit = if asked.newer_than.is_some() { NEWER_LIMIT } else { FIRST_LIMIT };
            preview.newer_than(after, limit.min(guest.login.deadline.from_now())).await
        }
    };
    if !guest.login.is_valid(Mono::now()) {
        return Err(refused("token_expired", "log in again"));
    }
    let Some(stamp) = found.or_else(|| preview.newest()) else { return Err(no_picture()) };
    let newest = tag(stamp);
    if seen.is_some_and(|seen| matches(seen, &newest)) {
        return reply(stamp, newest, Err(StatusCode::NOT_MODIFIED));
    }
    if found.is_none() {
        return reply(stamp, newest, Err(StatusCode::NO_CONTENT));
    }
    let Some(picture) = preview.picture(asked.quality, after).await? else { return Err(no_picture()) };
    let Picture { number, captured, jpeg } = picture;
    let stamp = Stamp { number, captured };
    reply(stamp, tag(stamp), Ok(jpeg))
}

fn no_picture() -> Error {
    Error::dependency("camera", "it gives no picture")
        .with("suggestion", "check the camera; get_camera_status tells its state")
}

struct Reply {
    stamp: Stamp,
    tag: String,
    /// The picture, or how it is said that there is no other one.
    body: std::result::Result<bytes::Bytes, StatusCode>,
}

impl Reply {
    fn response(self, main: &Main) -> Result<Response<Body>> {
        let mut response = Response::new(Body::empty());
        // All at once: pages poll.
        response.headers_mut().reserve(HEADERS);
        answer::guard(&mut response);
        match self.body {
            Ok(jpeg) => {
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
                *response.body_mut() = Body::Text(Some(jpeg));
            }
            Err(status) => *response.status_mut() = status,
        }
        let age = Mono::now().since(self.stamp.captured);
        let captured = main.services.clock.wall_us() - i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let value = |text: String| HeaderValue::try_from(text).map_err(Error::internal);
        let headers = response.headers_mut();
        // To be kept, and asked for again with its tag each time.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        headers.insert(ETAG, value(self.tag)?);
        headers.insert(FRAME_NUMBER, HeaderValue::from(self.stamp.number));
        headers.insert(FRAME_AGE, HeaderValue::from(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)));
        headers.insert(FRAME_TIME, value(iso8601(captured))?);
        Ok(response)
    }
}
