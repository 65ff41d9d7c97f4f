//! How a client reached us: by which name, from which page, with TLS or without, and whether it may.

use hyper::header::{AUTHORIZATION, CONNECTION, HOST, HeaderMap, ORIGIN};
use hyper::{Request, Response, StatusCode, Version};

use super::answer::{self, Body};
use super::hosts::{Authority, Hosts, host_of};
use super::server::Ends;
use crate::auth::API_KEY;
use crate::rpc::Reached;

/// Decides whether whoever asks may, and by which name they reached us (contract.md, "Transport").
pub(super) fn checked_host<B>(
    hosts: &Hosts,
    request: &Request<B>,
    ends: Ends,
) -> Result<Authority, Box<Response<Body>>> {
    let (headers, local) = (request.headers(), ends.local);
    let no = |status, error, hint| Err(Box::new(answer::refusal(status, error, hint)));
    let mut named = headers.get_all(HOST).iter();
    let host = match (named.next(), named.next()) {
        (Some(host), None) => host.to_str().ok().and_then(|h| hosts.check(h)),
        (None, _) if request.version() == Version::HTTP_10 => {
            Some(Authority { host: host_of(local.ip()), port: Some(local.port()) })
        }
        _ => {
            let error = "one Host header is needed";
            let mut refusal = answer::refusal(StatusCode::BAD_REQUEST, error, "use an HTTP/1.1 client");
            // Whoever sends this may be smuggling: nothing more is read from them.
            refusal.headers_mut().insert(CONNECTION, hyper::header::HeaderValue::from_static("close"));
            return Err(Box::new(refusal));
        }
    };
    let Some(host) = host else {
        return no(
            StatusCode::MISDIRECTED_REQUEST,
            "this box does not go by that name",
            "use its address, or its name in .local; other names go into server.allowed_origins",
        );
    };
    if let Some(origin) = headers.get(ORIGIN) {
        let allowed = origin.to_str().is_ok_and(|o| hosts.allows_origin(o, &host));
        if !allowed {
            return no(
                StatusCode::FORBIDDEN,
                "pages of this origin may not talk to this box",
                "add the origin to server.allowed_origins",
            );
        }
    }
    Ok(host)
}

/// Refuses what has to come with TLS. Everything but the page that says what this is needs a log-in, and
/// whoever is refused here learns where to go before it says more; a socket is told when it logs in.
pub(super) fn checked_wire<B>(request: &Request<B>, reached: &Reached) -> Result<(), Box<Response<Body>>> {
    let path = request.uri().path();
    let open = match path {
        "/" => true,
        "/ws" => !shows_login(request.headers()),
        _ => false,
    };
    if open || reached.may_log_in() {
        return Ok(());
    }
    let Reached { host, port, .. } = reached;
    // A path that came in a request line has no character that JSON or a log would trip over.
    let place = if path == "/ws" { format!("wss://{host}:{port}") } else { format!("https://{host}:{port}") };
    let hint = format!("use {place}{path}, or set server.allow_plain = true");
    Err(Box::new(answer::refusal(
        StatusCode::FORBIDDEN,
        "this box takes log-ins and links over TLS only",
        &hint,
    )))
}

fn shows_login(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION) || headers.contains_key(API_KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(path: &str, header: &str, change: impl FnOnce(&mut Reached)) -> u16 {
        let request = Request::get(path).header(header, "x").body(()).unwrap();
        let mut reached = Reached {
            host: "box7".into(),
            port: 8002,
            near: false,
            peer: [192, 0, 2, 9].into(),
            local: [192, 0, 2, 7].into(),
            since: crate::base::Mono::now(),
            secure: false,
            plain_allowed: false,
        };
        change(&mut reached);
        checked_wire(&request, &reached).map_or_else(|r| r.status().as_u16(), |()| 200)
    }

    #[test]
    fn without_tls_others_get_the_first_page_and_an_unauthenticated_socket() {
        for (path, header, wanted) in [
            ("/", "accept", 200),
            ("/ws", "upgrade", 200),
            ("/ws", "Authorization", 403),
            ("/ws", "X-API-Key", 403),
            ("/files/snapshots/a.jpg", "accept", 403),
            ("/files/snapshots/a.jpg?sig=1", "accept", 403),
            ("/cameras/camera0/frame.jpg", "Authorization", 403),
            ("/live/camera0", "accept", 403),
            ("/nowhere", "accept", 403),
        ] {
            assert_eq!(status(path, header, |_| {}), wanted, "{path} with {header}");
            assert_eq!(status(path, header, |r| r.near = true), 200);
            assert_eq!(status(path, header, |r| r.secure = true), 200);
            assert_eq!(status(path, header, |r| r.plain_allowed = true), 200);
        }
    }
}
