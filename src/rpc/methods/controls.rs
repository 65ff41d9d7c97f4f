//! get_camera_controls and set_camera_control: brightness, exposure and the like of V4L2 cameras. Ours.

use serde::Serialize;
use serde_json::Value as Json;

use super::shared::Device;
use crate::base::{CameraId, Error, Result};
use crate::pipeline::{ControlList, ControlView};
use crate::rpc::params::{Fields, Params};
use crate::rpc::session::Call;

/// Longer than any name that a driver has room for.
const NAME: usize = 64;
/// Largest value that is taken, as JSON: 1000 numbers of an array.
const VALUE: usize = 16 << 10;

#[derive(Serialize)]
pub(super) struct Listed {
    device: CameraId,
    #[serde(flatten)]
    list: ControlList,
}

/// `{device, control, value}`.
pub(super) struct Set {
    device: CameraId,
    control: String,
    value: Json,
}

impl Params for Set {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let hint = "use a name from get_camera_controls, such as brightness";
        let device = fields.device()?;
        let control = fields.string("control", hint)?;
        if control.is_empty() || control.len() > NAME {
            return Err(Error::param("control", format!("must have 1 to {NAME} characters"), hint));
        }
        Ok(Self { device, control, value: fields.json("value", VALUE, "send null for the default")? })
    }
}

#[derive(Serialize)]
pub(super) struct Done {
    device: CameraId,
    control: ControlView,
}

/// Everything that can be set on a camera, with what it is now.
pub(super) async fn list(call: Call, Device(device): Device) -> Result<Listed> {
    let list = call.services.cameras.controls(device)?.list().await?;
    Ok(Listed { device, list })
}

/// Sets one and keeps it.
pub(super) async fn set(call: Call, Set { device, control, value }: Set) -> Result<Done> {
    let control = call.services.cameras.controls(device)?.set(control, value).await?;
    Ok(Done { device, control })
}
