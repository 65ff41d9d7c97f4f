//! New versions of the box's system.

use serde::Serialize;

use crate::base::clock::iso8601;
use crate::base::{Error, Result};
use crate::rpc::params::{Fields, Nothing, Params};
use crate::rpc::session::Call;
use crate::update::{Source, Status, Wish, bundle_name, parse_url};

pub(super) async fn status(call: Call, _: Nothing) -> Result<Status> {
    call.services.update.status().await
}

/// `{url | file, sha256?, allow_downgrade?}`.
pub(super) struct Install {
    url: Option<String>,
    file: Option<String>,
    sha256: Option<String>,
    allow_downgrade: bool,
}

impl Params for Install {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let url = fields.optional_string("url", "the bundle's address, http:// or https://")?;
        let file =
            fields.optional_string("file", "the name of an uploaded bundle (update_status lists them)")?;
        let sha256 = fields.optional_string("sha256", "64 hexadecimal digits")?.map(|sum| sum.to_lowercase());
        if sha256.as_ref().is_some_and(|sum| sum.len() != 64 || !sum.bytes().all(|b| b.is_ascii_hexdigit())) {
            return Err(Error::param("sha256", "must be 64 hexadecimal digits", "as sha256sum prints it"));
        }
        Ok(Self {
            url: url.map(|url| parse_url(&url).map(Into::into)).transpose()?,
            file: file.map(|file| bundle_name(&file)).transpose()?,
            sha256,
            allow_downgrade: fields.optional_switch("allow_downgrade")?.unwrap_or(false),
        })
    }
}

pub(super) async fn install(call: Call, asked: Install) -> Result<Status> {
    // A machine that takes none says that, whatever else is wrong with the wish.
    call.services.update.status().await?;
    let source = match (asked.url, asked.file) {
        (Some(url), None) => Source::Url(url),
        (None, Some(file)) => Source::File(file),
        (None, None) => {
            let hint = "give url, or upload the bundle (PUT /update/NAME.raucb) and give file";
            return Err(Error::param("url", "is required, or file", hint));
        }
        (Some(_), Some(_)) => {
            return Err(Error::param("url", "must not stand beside file", "give one of them"));
        }
    };
    let wish = Wish { source, sha256: asked.sha256, allow_downgrade: asked.allow_downgrade };
    call.services.update.install(wish).await
}

#[derive(Serialize)]
pub(super) struct Rebooting {
    status: &'static str,
    message: &'static str,
    timestamp: String,
}

pub(super) async fn reboot(call: Call, _: Nothing) -> Result<Rebooting> {
    call.services.update.reboot(&call.stop).await?;
    Ok(Rebooting {
        status: "REBOOTING",
        message: "the box restarts; recordings are closed in order and go on after the start",
        timestamp: iso8601(call.services.clock.wall_us()),
    })
}
