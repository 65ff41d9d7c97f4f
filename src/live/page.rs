//! `GET /live/<camera>`: the page that plays a camera, the files it consists of, and the addresses it
//! plays from. The page itself holds nothing but this code, so that anybody may have it; the
//! addresses need a login. `hls.min.js` is MediaMTX's own copy.

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;

use super::Inner;
use super::answer::{self, Body};
use super::place::{File, INDEX, page_path, whep_path};
use super::viewing::Viewing;
use crate::auth::Login;
use crate::base::{CameraId, Error, ErrorKind, Mono, Result, Secret};
use crate::preview;

/// Member of the query that holds a page's session.
pub(super) const SESSION: &str = "page";
/// Nothing from elsewhere; media of hls.js come as `blob:`.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
);

/// The page or one of its files.
pub(super) async fn file(live: &Inner, request: &Request<Incoming>, file: File) -> Result<Response<Body>> {
    readable(request)?;
    let (content_type, text) = match file {
        File::Page => ("text/html; charset=utf-8", include_str!("page/page.html")),
        File::Style => ("text/css; charset=utf-8", include_str!("page/page.css")),
        File::Script => ("text/javascript; charset=utf-8", include_str!("page/page.js")),
        File::Hls => return hls_js(live).await,
    };
    let mut response = answer::whole(StatusCode::OK, content_type, text);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    Ok(response)
}

async fn hls_js(live: &Inner) -> Result<Response<Body>> {
    let asked = Request::get(format!("http://{}/live/hls.min.js", live.upstream.hls));
    let response = live.upstream.send(asked, Bytes::new()).await?;
    if response.status() != StatusCode::OK {
        return Err(Error::dependency("mediamtx", "the media server does not give out hls.min.js"));
    }
    Ok(answer::passed(response, None, None))
}

/// The addresses, for as long as the page asks again within 30 s.
pub(super) async fn urls(
    live: &Inner,
    request: &Request<Incoming>,
    remote: std::net::IpAddr,
    camera: CameraId,
) -> Result<Response<Body>> {
    readable(request)?;
    let guest = live.guest(request.headers(), request.uri().query().unwrap_or_default(), camera)?;
    let name = live.cameras.get(camera)?.name;
    let key = match guest.page {
        Some(key) => key,
        None => {
            live.auth.admit(&guest.login)?;
            let key = Secret::random(16);
            let viewing =
                Viewing { camera, login: guest.login.clone(), link: guest.link, remote, inner: None };
            drop(live.viewings.begin(&key, viewing, Mono::now()));
            // The page gathers its own addresses before it can ask.
            live.cameras.expect_viewer(camera).await;
            key.expose().to_owned()
        }
    };
    let session = format!("{SESSION}={key}");
    let body = json!({
        "camera": camera,
        "name": name,
        "session": session,
        "webrtc": format!("{}?{session}", whep_path(camera)),
        "hls": format!("{}/{INDEX}?{session}", page_path(camera)),
        "mjpeg": mjpeg(live, &guest.login, camera),
    });
    Ok(answer::whole(StatusCode::OK, "application/json", format!("{body}\n")))
}

fn mjpeg(live: &Inner, login: &Login, camera: CameraId) -> String {
    let signature = live.auth.sign_path(login, &preview::signed_path(camera));
    format!("/cameras/{camera}/stream.mjpeg?{signature}")
}

fn readable(request: &Request<Incoming>) -> Result<()> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::MethodNotFound, "this can only be read").with("suggestion", "use GET"))
}
