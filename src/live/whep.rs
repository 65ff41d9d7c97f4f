//! `/live/<camera>/whep`: a WebRTC player's offer (POST), and the session it begins (PATCH, DELETE).
//!
//! The session's address holds MediaMTX's secret for it, 122 random bits, which stands for the login
//! that began it: a player that only knows the address can end its session. Media flow between the
//! player and MediaMTX itself, encrypted with keys that offer and answer agree on, and are ended by
//! MediaMTX's room when the login does.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, IF_MATCH, LOCATION};
use hyper::{Method, Request, Response, StatusCode};

use super::Inner;
use super::answer::{self, Body};
use super::failure;
use super::place::{is_uuid, whep_path};
use super::upstream::{self, Upstream};
use crate::auth::Login;
use crate::base::{CameraId, Error, ErrorKind, Mono, Result};
use crate::mediamtx::Track;

const OFFER: &str = "application/sdp";
const CANDIDATES: &str = "application/trickle-ice-sdpfrag";
/// Browsers' offers have about 6 KiB.
const MAX_BODY: usize = 64 << 10;
/// How long a body of that size may take to come in.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Sessions remembered for PATCH and DELETE. A player that just goes away leaves one behind.
const CALLS_KEPT: usize = 1024;
/// Pictures that MediaMTX can send over WebRTC.
const CARRIED: [&str; 5] = ["AV1", "VP9", "VP8", "H265", "H264"];

/// WebRTC sessions that may still be told something, by their secret.
#[derive(Default)]
pub(super) struct Calls(Mutex<HashMap<String, Call>>);

#[derive(Clone)]
struct Call {
    camera: CameraId,
    login: Login,
    begun: Mono,
}

impl Calls {
    fn begin(&self, secret: String, call: Call) {
        let mut all = self.all();
        if all.len() >= CALLS_KEPT {
            let now = call.begun;
            all.retain(|_, c| c.login.is_valid(now));
            if all.len() >= CALLS_KEPT
                && let Some(oldest) = all.iter().min_by_key(|(_, c)| c.begun).map(|(s, _)| s.clone())
            {
                all.remove(&oldest);
            }
        }
        all.insert(secret, call);
    }

    fn find(&self, secret: &str, camera: CameraId, now: Mono) -> Option<Call> {
        self.all().get(secret).filter(|c| c.camera == camera && c.login.is_valid(now)).cloned()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request for the place where offers go.
pub(super) async fn answer(
    live: &Inner,
    request: Request<Incoming>,
    remote: IpAddr,
    camera: CameraId,
) -> Result<Response<Body>> {
    if !matches!(*request.method(), Method::POST | Method::OPTIONS) {
        return Err(Error::new(ErrorKind::MethodNotFound, "this is where WebRTC players send their offer")
            .with("suggestion", "use POST with an SDP offer (WHEP), or open the page without /whep"));
    }
    let guest = live.guest(request.headers(), request.uri().query().unwrap_or_default(), camera)?;
    live.auth.admit(&guest.login)?;
    let credential = live.auth.stream_credential(&guest.login);
    let asked = |method| {
        Upstream::request(method, live.upstream.webrtc, &format!("/{camera}/whep"), remote, &credential)
    };
    let end = Some(guest.login.deadline);
    if *request.method() == Method::OPTIONS {
        live.cameras.get(camera)?;
        let response = live.upstream.send(asked(Method::OPTIONS), Bytes::new()).await?;
        return if response.status().is_success() {
            Ok(answer::passed(response, end, None))
        } else {
            Err(refused(response).await)
        };
    }
    let offer = body(request, OFFER).await?;
    let ask = live.upstream.send(asked(Method::POST).header(CONTENT_TYPE, OFFER), offer.clone());
    let response = live.through(camera, |tracks| judge(tracks, &offer), ask).await?;
    if response.status() != StatusCode::CREATED {
        return Err(refused(response).await);
    }
    let secret = session_secret(&response).ok_or_else(|| Error::internal("MediaMTX named no session"))?;
    let location = format!("{}/{secret}", whep_path(camera));
    live.calls.begin(secret, Call { camera, login: guest.login, begun: Mono::now() });
    let mut response = answer::passed(response, end, None);
    let location = HeaderValue::from_str(&location).map_err(Error::internal)?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// A request for a session: more candidates (PATCH), or its end (DELETE).
pub(super) async fn go_on(
    live: &Inner,
    request: Request<Incoming>,
    remote: IpAddr,
    camera: CameraId,
    secret: &str,
) -> Result<Response<Body>> {
    let method = request.method().clone();
    if !matches!(method, Method::PATCH | Method::DELETE) {
        return Err(Error::new(ErrorKind::MethodNotFound, "a WebRTC session takes PATCH and DELETE")
            .with("suggestion", "begin a session with POST to the address above"));
    }
    let over = || {
        Error::not_found("Stream", "")
            .with("suggestion", "this WebRTC session is over; begin another one with POST")
    };
    let call = live.calls.find(secret, camera, Mono::now()).ok_or_else(over)?;
    let credential = live.auth.stream_credential(&call.login);
    let target = format!("/{camera}/whep/{secret}");
    let mut asked = Upstream::request(method.clone(), live.upstream.webrtc, &target, remote, &credential);
    let mut candidates = Bytes::new();
    if method == Method::PATCH {
        if let Some(etag) = request.headers().get(IF_MATCH) {
            asked = asked.header(IF_MATCH, etag);
        }
        candidates = body(request, CANDIDATES).await?;
        asked = asked.header(CONTENT_TYPE, CANDIDATES);
    } else {
        live.calls.all().remove(secret);
    }
    let response = live.upstream.send(asked, candidates).await?;
    match response.status() {
        status if status.is_success() => {
            let end = Some(call.login.deadline);
            Ok(answer::passed(response, end, None))
        }
        StatusCode::NOT_FOUND => {
            live.calls.all().remove(secret);
            Err(over())
        }
        _ => Err(refused(response).await),
    }
}

/// The whole body, if it is of this type.
async fn body(request: Request<Incoming>, wanted: &str) -> Result<Bytes> {
    let given = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    if !given.eq_ignore_ascii_case(wanted) {
        let hint = format!("send it with Content-Type: {wanted}");
        return Err(Error::param(failure::CONTENT_TYPE, format!("must be {wanted}"), hint));
    }
    let whole = Limited::new(request.into_body(), MAX_BODY).collect();
    match tokio::time::timeout(BODY_TIME, whole).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(e)) => {
            Err(Error::param("body", "is broken or has more than 64 KiB", "send one SDP").caused_by(e))
        }
        Err(_) => Err(Error::param("body", "took longer than 10 s", "send it at once")),
    }
}

/// Refuses what the two sides cannot agree on, naming a protocol that can carry it.
fn judge(tracks: &[Track], offer: &[u8]) -> Result<()> {
    let Some(video) = tracks.iter().find(|t| t.is_video()) else { return Ok(()) };
    let codec = video.codec.as_str();
    let instead = |reason: String, way: &str| {
        Err(Error::unsupported("webrtc", format!("{reason}; use {way}")).with("codec", codec).with(
            "suggestion",
            "get_camera_list gives out the URLs of rtsp and hls; a camera set to H.264 plays everywhere",
        ))
    };
    if !CARRIED.contains(&codec) {
        return instead(format!("WebRTC cannot carry {codec}"), "rtsp");
    }
    // Every browser takes H.264; the others are named in the offer or cannot be played.
    if codec != "H264" && !offers(offer, codec) {
        return instead(
            format!("the camera sends {codec}, which this player does not take over WebRTC"),
            "hls",
        );
    }
    Ok(())
}

/// Whether an offer names a codec in one of its `a=rtpmap` lines.
fn offers(offer: &[u8], codec: &str) -> bool {
    let text = String::from_utf8_lossy(offer);
    text.lines()
        .filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' '))
        .any(|(_, map)| map.split('/').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(codec)))
}

fn session_secret(response: &Response<Incoming>) -> Option<String> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let secret = location.split('?').next()?.rsplit('/').next()?;
    is_uuid(secret).then(|| secret.to_owned())
}

async fn refused(response: Response<Incoming>) -> Error {
    let status = response.status();
    let words = upstream::words(response).await;
    let cause = format!("status {status}: {words}");
    match status {
        StatusCode::BAD_REQUEST if words.contains("codec") => Error::unsupported(
            "webrtc",
            "the camera sends nothing that this player takes over WebRTC; use hls",
        )
        .caused_by(cause),
        StatusCode::BAD_REQUEST | StatusCode::NOT_ACCEPTABLE => {
            Error::param("body", "is no offer that can be answered", "send an SDP offer to receive video")
                .caused_by(cause)
        }
        _ => Error::dependency("mediamtx", "the stream cannot be had over WebRTC at present")
            .with("suggestion", "try again in a second; get_stream_status tells how the stream is")
            .caused_by(cause),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::auth::{Role, Standing};

    fn track(codec: &str) -> Track {
        Track { codec: codec.into(), ..Track::default() }
    }

    #[test]
    fn a_codec_the_player_cannot_take_names_another_way() {
        let plain = b"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 H264/90000\r\n";
        let modern = b"a=rtpmap:96 H264/90000\r\na=rtpmap:100 h265/90000\r\n";
        assert!(judge(&[track("H264")], plain).is_ok());
        assert!(judge(&[track("MPEG-4 Audio"), track("H264")], plain).is_ok());
        assert!(judge(&[], plain).is_ok(), "what is not known is for MediaMTX to say");
        assert!(judge(&[track("H265")], modern).is_ok());
        let e = judge(&[track("H265")], plain).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.message().contains("hls") && e.message().contains("H265"), "{e}");
        let e = judge(&[track("M-JPEG")], modern).unwrap_err();
        assert!(e.message().contains("rtsp"), "{e}");
    }

    #[test]
    fn sessions_end_with_their_login_and_do_not_pile_up() {
        let calls = Calls::default();
        let now = Mono::now();
        let login = Login {
            user: "ann".into(),
            role: Role::Viewer,
            issued_us: 0,
            expires_us: 0,
            deadline: now + Duration::from_secs(10),
            token_id: "abcdefghijkl".into(),
            standing: Standing::default(),
        };
        for n in 0..=CALLS_KEPT as u64 {
            let call = Call { camera: CameraId(0), login: login.clone(), begun: Mono(n) };
            calls.begin(n.to_string(), call);
        }
        assert_eq!(calls.all().len(), CALLS_KEPT);
        assert!(calls.find("0", CameraId(0), now).is_none(), "the oldest has gone");
        assert!(calls.find("1", CameraId(0), now).is_some());
        assert!(calls.find("1", CameraId(1), now).is_none());
        assert!(calls.find("1", CameraId(0), now + Duration::from_secs(10)).is_none());
    }

    proptest! {
        #[test]
        fn no_offer_panics(offer in prop::collection::vec(any::<u8>(), 0..200), codec in "(H26[45]|M-JPEG|.{0,5})") {
            let _ = judge(&[track(&codec)], &offer);
        }
    }
}
