//! V4L2 cameras as things with a lasting identity: which there are, their names, pins, and the end of one.

use serde::Serialize;

use super::shared::Device;
use crate::base::clock::iso8601;
use crate::base::{CameraId, Error, Result};
use crate::hotplug::{self, KnownCamera};
use crate::rpc::params::{Fields, Nothing, Params};
use crate::rpc::session::Call;

#[derive(Serialize)]
pub(super) struct Devices {
    devices: Vec<Row>,
    total: usize,
    present: usize,
}

#[derive(Serialize)]
struct Row {
    device: CameraId,
    identity: String,
    name: Option<String>,
    model: String,
    serial: Option<String>,
    port: String,
    pinned: bool,
    present: bool,
    first_seen: Option<String>,
    last_seen: Option<String>,
}

impl From<KnownCamera> for Row {
    fn from(known: KnownCamera) -> Self {
        Self {
            device: known.camera,
            identity: known.identity,
            name: known.name,
            model: known.model,
            serial: known.serial,
            port: known.port,
            pinned: known.pinned,
            present: known.present,
            first_seen: known.first_us.map(iso8601),
            last_seen: known.seen_us.map(iso8601),
        }
    }
}

pub(super) fn list(call: &Call, _: Nothing) -> Result<Devices> {
    let devices: Vec<Row> = call.services.hotplug.known().into_iter().map(Row::from).collect();
    let present = devices.iter().filter(|row| row.present).count();
    Ok(Devices { total: devices.len(), present, devices })
}

/// `{device, name?}`.
pub(super) struct Rename {
    device: CameraId,
    name: Option<String>,
}

impl Params for Rename {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let hint = "a name for people such as Gate; left out, it is called by its model";
        let name = fields.optional_string("name", hint)?;
        name.as_deref().map_or(Ok(()), hotplug::check_name)?;
        Ok(Self { device: fields.device()?, name })
    }
}

#[derive(Serialize)]
pub(super) struct Renamed {
    device: CameraId,
    name: String,
    message: String,
}

pub(super) async fn rename(call: Call, Rename { device, name }: Rename) -> Result<Renamed> {
    let services = &call.services;
    must_be_a_device(&call, device)?;
    if services.reloader.names(device).await {
        return Err(Error::state(format!("the configuration file names {device}"), "CONFIGURED", &["FREE"])
            .with("suggestion", "change `name` in its [[camera]] section, then reload"));
    }
    services.hotplug.rename(device, name).await?;
    services.reloader.take_devices().await?;
    let defs = services.cameras.defs();
    let now = defs.into_iter().find(|def| def.id == device).map(|def| def.name);
    let name = now.ok_or_else(|| Error::not_found("Camera", device))?;
    Ok(Renamed { device, message: format!("{device} is called {name}"), name })
}

/// `{device, pinned}`.
pub(super) struct Pin {
    device: CameraId,
    pinned: bool,
}

impl Params for Pin {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self { device: fields.device()?, pinned: fields.switch("pinned")? })
    }
}

#[derive(Serialize)]
pub(super) struct Pinned {
    device: CameraId,
    pinned: bool,
    message: String,
}

pub(super) async fn pin(call: Call, Pin { device, pinned }: Pin) -> Result<Pinned> {
    must_be_a_device(&call, device)?;
    call.services.hotplug.pin(device, pinned).await?;
    let what = if pinned { "the one of its kind at its port" } else { "itself, wherever it is plugged in" };
    Ok(Pinned { device, pinned, message: format!("{device} is {what}") })
}

#[derive(Serialize)]
pub(super) struct Forgotten {
    device: CameraId,
    forgotten: bool,
    message: String,
}

pub(super) async fn forget(call: Call, Device(device): Device) -> Result<Forgotten> {
    must_be_a_device(&call, device)?;
    call.services.hotplug.forget(device).await?;
    call.services.reloader.take_devices().await?;
    Ok(Forgotten { device, forgotten: true, message: format!("{device} is forgotten") })
}

/// A camera of another source is no device; one that is neither is left to be not found.
fn must_be_a_device(call: &Call, id: CameraId) -> Result<()> {
    let is_device = call.services.hotplug.known().iter().any(|known| known.camera == id);
    if is_device || call.services.cameras.get(id).is_err() {
        return Ok(());
    }
    Err(Error::state(format!("{id} is no V4L2 camera"), "CONFIGURED", &["PLUGGED_IN"])
        .with("suggestion", "it is named and removed where it comes from: in the configuration file, or by remove_external_stream"))
}
