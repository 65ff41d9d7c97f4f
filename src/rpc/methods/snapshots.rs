//! Stills.

use serde::Serialize;

use super::shared::{Deleted, FileRow, Files, Page};
use crate::base::clock::iso8601;
use crate::base::id::{PLAIN_NAME_RULE, is_plain_name};
use crate::base::{CameraId, Error, Result};
use crate::rpc::params::{Fields, Params};
use crate::rpc::session::Call;

/// `{device, filename?}`.
pub(super) struct Take {
    device: CameraId,
    filename: Option<String>,
}

impl Params for Take {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let filename =
            fields.optional_string("filename", "such as gate.jpg; leave it out for a name of ours")?;
        let filename = filename.map(|name| checked(&name).map(|()| name)).transpose()?;
        Ok(Self { device: fields.device()?, filename })
    }
}

fn checked(name: &str) -> Result<()> {
    if !is_plain_name(name) {
        return Err(Error::param("filename", PLAIN_NAME_RULE, "such as gate.jpg"));
    }
    if !name.ends_with(".jpg") {
        return Err(Error::param("filename", "must end in .jpg", "such as gate.jpg"));
    }
    Ok(())
}

#[derive(Serialize)]
pub(super) struct Taken {
    device: CameraId,
    filename: String,
    status: &'static str,
    timestamp: String,
    file_size: u64,
    file_path: String,
    /// Our addition: how old the picture was when it was stored.
    frame_age_ms: u64,
}

pub(super) async fn take(call: Call, p: Take) -> Result<Taken> {
    let taken = call.services.cameras.take_snapshot(p.device, p.filename).await?;
    Ok(Taken {
        device: p.device,
        status: "SUCCESS",
        timestamp: iso8601(taken.created_us),
        file_size: taken.size,
        file_path: format!("/snapshots/{}", taken.name),
        filename: taken.name,
        frame_age_ms: taken.frame_age_ms,
    })
}

pub(super) async fn list(call: Call, p: Page) -> Result<Files> {
    let found = call.services.snapshots.list(p.limit, p.skip()).await?;
    Ok(p.answer(found, |s| FileRow {
        file_size: s.size,
        modified_time: iso8601(s.created_us),
        download_url: call.snapshot_url(&s.name),
        duration: None,
        protected: None,
        filename: s.name,
    }))
}

/// `{filename}` of a still.
pub(super) struct OfSnapshot(String);

impl Params for OfSnapshot {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let name = fields.string("filename", "use a name from list_snapshots")?;
        if is_plain_name(&name) {
            Ok(Self(name))
        } else {
            Err(Error::param("filename", PLAIN_NAME_RULE, "use a name from list_snapshots"))
        }
    }
}

#[derive(Serialize)]
pub(super) struct Info {
    filename: String,
    file_size: u64,
    created_time: String,
    download_url: String,
}

pub(super) async fn info(call: Call, OfSnapshot(name): OfSnapshot) -> Result<Info> {
    let s = call.services.snapshots.info(&name).await?;
    Ok(Info {
        file_size: s.size,
        created_time: iso8601(s.created_us),
        download_url: call.snapshot_url(&s.name),
        filename: s.name,
    })
}

pub(super) async fn delete(call: Call, OfSnapshot(name): OfSnapshot) -> Result<Deleted> {
    call.services.snapshots.delete(&name).await?;
    Ok(Deleted { filename: name, deleted: true, message: "the snapshot is deleted" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder_and_end_in_jpg() {
        let take = |text: &str| {
            let json = serde_json::json!({ "device": "camera0", "filename": text }).to_string();
            Take::read(&Fields::parse(Some(&json)).unwrap())
        };
        assert_eq!(take("gate.jpg").unwrap().filename.as_deref(), Some("gate.jpg"));
        for bad in
            ["", "gate", "gate.png", "../gate.jpg", "/etc/gate.jpg", "a\\b.jpg", ".jpg", "a\n.jpg", "ä.jpg"]
        {
            let e = take(bad).err().unwrap_or_else(|| panic!("taken: {bad:?}"));
            assert_eq!(e.data()["param"], "filename", "{bad:?}");
        }
    }
}
