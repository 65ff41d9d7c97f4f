//! Who asks: a bearer token, or the signed query of a link.

use hyper::header::{AUTHORIZATION, HeaderMap};

use super::Inner;
use super::failure::LINK;
use super::page;
use super::place::signed_path;
use crate::auth::Login;
use crate::base::query::member;
use crate::base::{CameraId, Error, ErrorKind, Mono, Result};

/// Somebody who may watch a camera.
pub(super) struct Guest {
    pub login: Login,
    /// The signature, when the right came with a link.
    pub link: Option<String>,
    /// The session of the page that asks.
    pub page: Option<String>,
}

impl Inner {
    /// Judges who asks for `camera`. A link that is too old still serves a client whose session,
    /// opened with it, goes on.
    pub(super) fn guest(&self, headers: &HeaderMap, query: &str, camera: CameraId) -> Result<Guest> {
        if let Some(value) = headers.get(AUTHORIZATION) {
            let login = self.auth.verify_header(value.to_str().ok())?;
            return Ok(Guest { login, link: None, page: None });
        }
        if let Some(key) = member(query, page::SESSION) {
            return match self.viewings.enter(key, camera, Mono::now()) {
                Some((viewing, _)) if viewing.inner.is_none() => {
                    Ok(Guest { login: viewing.login, link: None, page: Some(key.to_owned()) })
                }
                _ => Err(Error::new(ErrorKind::AuthFailed, "this page's session has ended")
                    .with("reason", "session_ended")
                    .with("suggestion", "open the page again")),
            };
        }
        let Some(link) = member(query, "sig") else {
            return Err(Error::new(ErrorKind::AuthFailed, "Authentication failed or token expired")
                .with("reason", "not_authenticated")
                .with(
                    "suggestion",
                    "send `Authorization: Bearer TOKEN`, or use a URL that get_camera_list gives out",
                ));
        };
        let judged = self.auth.check_signed("GET", &signed_path(camera), query);
        let login = judged.or_else(|e| {
            // Only an authentic link is told that it is too old.
            let late = e.data().get("reason").is_some_and(|r| r == "link_expired");
            let going_on = late.then(|| self.viewings.by_link(link, camera, Mono::now())).flatten();
            going_on.ok_or_else(|| {
                Error::new(ErrorKind::AuthFailed, "this link is not valid, or not any more")
                    .with("reason", LINK)
                    .with("suggestion", "ask get_camera_list for a new one; it can be opened for 15 minutes")
            })
        })?;
        Ok(Guest { login, link: Some(link.to_owned()), page: None })
    }
}
