//! `GET /files/…`: who asks, for what, and which part of it.

mod content;
pub(super) mod wanted;

use std::io;

use hyper::header::{HeaderMap, IF_RANGE};
use hyper::{Method, Request, Response, StatusCode};

use self::content::Found;
use self::wanted::{Wanted, wanted};
use super::access;
use super::answer::{self, Body};
use super::downloads;
use super::file_body::Hold;
use super::server::Main;
use crate::auth::{Remembered, Standing};
use crate::base::Result;
use crate::recording::Lease;

/// What is held while an answer is sent: the right to go on, and the recording's files.
struct Held {
    _entry: Option<downloads::Lease>,
    files: Option<Lease>,
    standing: Standing,
}

impl Hold for Held {
    fn progress(&self) -> io::Result<()> {
        access::goes_on(&self.standing)?;
        match &self.files {
            Some(files) if !files.progress() => Err(io::Error::other("the recording is being deleted")),
            _ => Ok(()),
        }
    }
}

/// Answers a request whose path starts with `/files/`.
pub(super) async fn answer<B>(main: &Main, request: &Request<B>, remembered: &Remembered) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return answer::refusal(StatusCode::METHOD_NOT_ALLOWED, "files can only be read", "use GET");
    }
    let query = request.uri().query().unwrap_or_default();
    // Before anything about the file: whether a name exists is not for strangers.
    let signed = || request.uri().path().to_owned();
    let guest = match access::enter(main, request, remembered, signed, "the download_url of an answer") {
        Ok(guest) => guest,
        Err(refusal) => return *refusal,
    };
    let sent = async {
        let wanted = wanted(request.uri().path(), query)?;
        let files = match &wanted {
            Wanted::Film(name, _) | Wanted::Segment(name, _) | Wanted::Thumbnail(name) => {
                Some(main.services.recordings.lease(name, &guest.login.user)?)
            }
            Wanted::Snapshot(_) => None,
        };
        let found = find(main, wanted, request.headers()).await?;
        let hold = Box::new(Held { _entry: guest.lease, files, standing: guest.login.standing });
        content::send(content::open(found).await?, request.method(), request.headers(), hold)
    };
    match sent.await {
        Ok(response) => response,
        Err(e) => answer::failure(&e),
    }
}

/// Looks up the file; its size may be less than the disk says while it is being written.
async fn find(main: &Main, wanted: Wanted, headers: &HeaderMap) -> Result<Found> {
    match wanted {
        Wanted::Film(name, cut) => {
            let as_of = headers.get(IF_RANGE).and_then(|v| v.to_str().ok());
            Ok(Found::Film(main.services.footage.film(&name, cut, as_of).await?))
        }
        Wanted::Segment(name, number) => {
            let segment = main.services.recordings.segment_path(&name, number).await?;
            let name = format!("{name}_{number}.mp4");
            Ok(Found::File { path: segment.path, size: Some(segment.size), name, content_type: "video/mp4" })
        }
        Wanted::Thumbnail(name) => {
            let path = main.services.footage.thumbnail(&name).await?;
            Ok(Found::File { path, size: None, name: format!("{name}.jpg"), content_type: "image/jpeg" })
        }
        Wanted::Snapshot(name) => {
            let path = main.services.snapshots.path_of(&name).await?;
            Ok(Found::File { path, size: None, name, content_type: "image/jpeg" })
        }
    }
}
