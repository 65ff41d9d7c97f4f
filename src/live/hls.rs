//! `GET /live/<camera>/…`: playlists and pieces of video.
//!
//! MediaMTX copies the query of a request onto every address in the playlist that answers it. So the
//! first playlist is asked for with the secret of our session as its only query; every later request
//! brings it back and needs no other login. MediaMTX's own session is kept as the cookie it offers.

use std::net::IpAddr;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{COOKIE, RANGE, SET_COOKIE};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, StatusCode};

use super::Inner;
use super::answer::{self, Body};
use super::place::INDEX;
use super::upstream::{self, Upstream};
use super::viewing::Viewing;
use crate::base::query::member;
use crate::base::{CameraId, Error, ErrorKind, Mono, Result, Secret};
use crate::mediamtx::Track;

/// Member of the query that holds our session's secret.
const SESSION: &str = "view";
/// What a player asks of a low-latency playlist (RFC 8216bis, delivery directives).
const DIRECTIVES: [&str; 3] = ["_HLS_msn", "_HLS_part", "_HLS_skip"];
/// MediaMTX's name for its session's cookie.
const INNER_COOKIE: &str = "hlsSession";
/// Codecs that MediaMTX can put into HLS.
const CARRIED: [&str; 6] = ["AV1", "VP9", "H265", "H264", "Opus", "MPEG-4 Audio"];

pub(super) async fn answer(
    live: &Inner,
    request: &Request<Incoming>,
    remote: IpAddr,
    camera: CameraId,
    file: &str,
) -> Result<Response<Body>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(
            Error::new(ErrorKind::MethodNotFound, "video can only be read").with("suggestion", "use GET")
        );
    }
    let query = request.uri().query().unwrap_or_default();
    match (file, member(query, SESSION)) {
        (INDEX, None) => open(live, request, remote, camera).await,
        (_, Some(key)) => go_on(live, request, camera, file, key).await,
        (_, None) => Err(ended()),
    }
}

/// The first request of a session.
async fn open(
    live: &Inner,
    request: &Request<Incoming>,
    remote: IpAddr,
    camera: CameraId,
) -> Result<Response<Body>> {
    let query = request.uri().query().unwrap_or_default();
    let guest = live.guest(request.headers(), query, camera)?;
    live.auth.admit(&guest.login)?;
    let key = Secret::random(16);
    // With the check's cookie already there, MediaMTX needs no redirect and keeps its own secret
    // out of the playlist.
    let target = format!("/{camera}/{INDEX}?{SESSION}={}&cookieCheck=1", key.expose());
    let asked = asked(live, &target, remote, &guest.login).header(COOKIE, "cookieCheck=1");
    let response = live.through(camera, judge, live.upstream.send(asked, Bytes::new())).await?;
    if response.status() != StatusCode::OK {
        return Err(refused(response).await);
    }
    let inner = inner_session(&response).ok_or_else(|| Error::internal("MediaMTX gave out no session"))?;
    let now = Mono::now();
    let end = Some(guest.login.deadline);
    let viewing = Viewing { camera, login: guest.login, link: guest.link, remote, inner: Some(inner) };
    let lease = live.viewings.begin(&key, viewing, now);
    Ok(answer::passed(response, end, Some(lease)))
}

/// Refuses what HLS cannot carry, naming a protocol that can.
fn judge(tracks: &[Track]) -> Result<()> {
    if tracks.is_empty() || tracks.iter().any(|t| CARRIED.contains(&t.codec.as_str())) {
        return Ok(());
    }
    let codecs: Vec<_> = tracks.iter().map(|t| t.codec.as_str()).collect();
    Err(Error::unsupported("hls", format!("HLS cannot carry {}; use rtsp", codecs.join(" and ")))
        .with("suggestion", "watch it over RTSP, or set the camera to H.264"))
}

/// A later request.
async fn go_on(
    live: &Inner,
    request: &Request<Incoming>,
    camera: CameraId,
    file: &str,
    key: &str,
) -> Result<Response<Body>> {
    let now = Mono::now();
    let (viewing, lease) = live.viewings.enter(key, camera, now).ok_or_else(ended)?;
    let inner = viewing.inner.as_ref().ok_or_else(ended)?;
    let mut target = format!("/{camera}/{file}?{SESSION}={key}");
    let query = request.uri().query().unwrap_or_default();
    for name in DIRECTIVES {
        let plain = |v: &&str| v.len() <= 20 && v.bytes().all(|b| b.is_ascii_alphanumeric());
        if let Some(value) = member(query, name).filter(plain) {
            target.push_str(&format!("&{name}={value}"));
        }
    }
    if file == INDEX {
        target.push_str("&cookieCheck=1");
    }
    let cookie = upstream::sensitive(&format!("{INNER_COOKIE}={}", inner.expose()));
    let mut asked = asked(live, &target, viewing.remote, &viewing.login).header(COOKIE, cookie);
    if let Some(range) = request.headers().get(RANGE) {
        asked = asked.header(RANGE, range);
    }
    let response = live.upstream.send(asked, Bytes::new()).await?;
    match response.status() {
        StatusCode::UNAUTHORIZED => {
            // MediaMTX was restarted, or the camera's stream was.
            live.viewings.end(&lease);
            Err(ended())
        }
        status if status.is_server_error() => Err(refused(response).await),
        _ => {
            let end = Some(viewing.login.deadline);
            Ok(answer::passed(response, end, Some(lease)))
        }
    }
}

fn asked(live: &Inner, target: &str, remote: IpAddr, login: &crate::auth::Login) -> Builder {
    let credential = live.auth.stream_credential(login);
    Upstream::request(Method::GET, live.upstream.hls, target, remote, &credential)
}

fn inner_session(response: &Response<Incoming>) -> Option<Secret> {
    let cookies = response.headers().get_all(SET_COOKIE).iter().filter_map(|c| c.to_str().ok());
    let session =
        cookies.filter_map(|c| c.strip_prefix(INNER_COOKIE)?.strip_prefix('=')?.split(';').next()).next()?;
    let plain = session.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    (plain && !session.is_empty()).then(|| Secret::new(session))
}

fn ended() -> Error {
    Error::new(ErrorKind::AuthFailed, "this viewing session has ended")
        .with("reason", "session_ended")
        .with("suggestion", "open index.m3u8 again; a session ends with its login, after 30 s without a request, or with the stream")
}

async fn refused(response: Response<Incoming>) -> Error {
    let status = response.status();
    let words = upstream::words(response).await;
    Error::dependency("mediamtx", "the stream cannot be had as HLS at present")
        .with("suggestion", "try again in a second; get_stream_status tells how the stream is")
        .caused_by(format!("status {status}: {words}"))
}
