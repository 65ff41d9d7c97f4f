//! Who asks: a bearer token, or the signed query of a link.

use hyper::header::{AUTHORIZATION, HeaderMap};

use super::Inner;
use super::page;
use super::place::signed_path;
use crate::auth::{API_KEY, Login, is_link_late, link_refused, no_login};
use crate::base::query::member;
use crate::base::{CameraId, Error, ErrorKind, Mono, Result};

/// Where links come from.
const LINKS: &str = "a URL that get_camera_list gives out";

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
        if let Some(value) = headers.get(API_KEY) {
            let login = self.auth.verify_key(value.to_str().unwrap_or_default())?;
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
            return Err(no_login(LINKS));
        };
        let judged = self.auth.check_signed("GET", &signed_path(camera), query);
        let login = judged.or_else(|e| {
            let late = is_link_late(&e);
            let going_on = late.then(|| self.viewings.by_link(link, camera, Mono::now())).flatten();
            going_on.ok_or_else(|| link_refused(LINKS))
        })?;
        Ok(Guest { login, link: Some(link.to_owned()), page: None })
    }
}
