//! The request that reads or sets a control, whose structure holds an address.

use std::io;

use v4l::v4l_sys::{v4l2_control, v4l2_ext_control, v4l2_ext_controls};

use crate::v4l2::Driver;
use crate::v4l2::driver::{Plain, call, plain, requests};

/// Whether a control is read or set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Get,
    /// Set.
    Set,
}

/// The value of a control as the kernel takes and gives it.
#[derive(Debug)]
pub enum Payload<'a> {
    /// In 32 bits.
    Number(i32),
    /// In 64 bits.
    Wide(i64),
    /// Text, or an array; as long as the driver says that it is.
    Bytes(&'a mut [u8]),
}

plain!(v4l2_control, v4l2_ext_control, v4l2_ext_controls);
requests!(
    G_CTRL: v4l2_control = VIDIOC_G_CTRL,
    S_CTRL: v4l2_control = VIDIOC_S_CTRL,
    G_EXT_CTRLS: v4l2_ext_controls = VIDIOC_G_EXT_CTRLS,
    S_EXT_CTRLS: v4l2_ext_controls = VIDIOC_S_EXT_CTRLS,
);

/// Reads or sets one control of a driver that is the kernel's.
pub(in crate::v4l2) fn control(
    device: &impl Driver,
    access: Access,
    id: u32,
    payload: &mut Payload<'_>,
) -> io::Result<()> {
    let mut one = v4l2_ext_control { id, ..v4l2_ext_control::zeroed() };
    match payload {
        Payload::Number(number) => one.__bindgen_anon_1.value = *number,
        Payload::Wide(number) => one.__bindgen_anon_1.value64 = *number,
        Payload::Bytes(bytes) => {
            one.size = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            one.__bindgen_anon_1.p_u8 = bytes.as_mut_ptr();
        }
    }
    let mut all = v4l2_ext_controls { count: 1, controls: &raw mut one, ..v4l2_ext_controls::zeroed() };
    let request = if access == Access::Get { G_EXT_CTRLS } else { S_EXT_CTRLS };
    match call(device, request, &mut all) {
        // Drivers from before there were such controls.
        Err(e) if e.raw_os_error() == Some(nix::libc::ENOTTY) => return old(device, access, id, payload),
        other => other?,
    }
    #[expect(unsafe_code, reason = "numbers, as was asked for")]
    match payload {
        Payload::Number(number) => *number = unsafe { one.__bindgen_anon_1.value },
        Payload::Wide(number) => *number = unsafe { one.__bindgen_anon_1.value64 },
        Payload::Bytes(_) => {}
    }
    Ok(())
}

fn old(device: &impl Driver, access: Access, id: u32, payload: &mut Payload<'_>) -> io::Result<()> {
    let Payload::Number(number) = payload else {
        return Err(io::Error::from_raw_os_error(nix::libc::ENOTTY));
    };
    let mut one = v4l2_control { id, value: *number };
    call(device, if access == Access::Get { G_CTRL } else { S_CTRL }, &mut one)?;
    *number = one.value;
    Ok(())
}
