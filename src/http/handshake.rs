//! The WebSocket handshake, decided from the request's head (RFC 6455, section 4.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{
    CONNECTION, HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::answer::{self, Body};

/// 101, or why not.
pub(super) fn answer<B>(request: &Request<B>) -> Result<Response<Body>, Box<Response<Body>>> {
    let headers = request.headers();
    let no = |status, error, hint| Err(Box::new(answer::refusal(status, error, hint)));
    if request.method() != Method::GET {
        return no(StatusCode::METHOD_NOT_ALLOWED, "WebSockets are opened by GET", "use a WebSocket client");
    }
    let asked = request.version() == Version::HTTP_11
        && has_token(headers, CONNECTION, "upgrade")
        && has_token(headers, UPGRADE, "websocket");
    if !asked || headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|v| v != "13") {
        let mut refusal = answer::refusal(
            StatusCode::UPGRADE_REQUIRED,
            "this address speaks WebSocket, version 13",
            "use a WebSocket client, or `fieldcam ctl`",
        );
        let names = [(UPGRADE, "websocket"), (SEC_WEBSOCKET_VERSION, "13"), (CONNECTION, "upgrade")];
        for (name, value) in names {
            refusal.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
        }
        return Err(Box::new(refusal));
    }
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .map(|k| k.as_bytes())
        .filter(|k| STANDARD.decode(k).is_ok_and(|bytes| bytes.len() == 16));
    let Some(key) = key else {
        return no(
            StatusCode::BAD_REQUEST,
            "Sec-WebSocket-Key is missing or broken",
            "use a WebSocket client",
        );
    };
    Ok(Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, derive_accept_key(key))
        .body(Body::empty())
        .expect("the parts are valid header values"))
}

fn has_token(headers: &HeaderMap, name: hyper::header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|t| t.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(change: impl FnOnce(&mut Request<()>)) -> Request<()> {
        let mut request = Request::builder()
            .uri("/ws")
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "WebSocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(())
            .unwrap();
        change(&mut request);
        request
    }

    #[test]
    fn the_example_of_the_rfc() {
        let response = answer(&request(|_| {})).ok().unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_no_handshake_is_told_so() {
        let status = |change: fn(&mut Request<()>)| answer(&request(change)).err().unwrap().status().as_u16();
        assert_eq!(status(|r| *r.method_mut() = Method::POST), 405);
        assert_eq!(status(|r| drop(r.headers_mut().remove("upgrade"))), 426);
        assert_eq!(status(|r| drop(r.headers_mut().remove("connection"))), 426);
        assert_eq!(
            status(|r| drop(r.headers_mut().insert("sec-websocket-version", "8".parse().unwrap()))),
            426
        );
        assert_eq!(status(|r| drop(r.headers_mut().remove("sec-websocket-key"))), 400);
        assert_eq!(
            status(|r| drop(r.headers_mut().insert("sec-websocket-key", "AAAA".parse().unwrap()))),
            400
        );
        assert_eq!(status(|r| *r.version_mut() = Version::HTTP_10), 426);
    }
}
