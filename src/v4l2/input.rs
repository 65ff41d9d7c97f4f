//! Inputs and standards of analog devices, as two controls like any other.

use std::io;
use std::os::raw::c_int;

use v4l::v4l_sys::{
    V4L2_IN_ST_NO_ACCESS, V4L2_IN_ST_NO_CARRIER, V4L2_IN_ST_NO_COLOR, V4L2_IN_ST_NO_H_LOCK,
    V4L2_IN_ST_NO_POWER, V4L2_IN_ST_NO_SIGNAL, V4L2_IN_ST_NO_STD_LOCK, V4L2_IN_ST_NO_SYNC,
    V4L2_IN_ST_NO_V_LOCK, v4l2_input, v4l2_standard, v4l2_std_id,
};

use super::Driver;
use super::control::{Control, INPUT, STANDARD, Value};
use super::driver::{Plain, call, plain, requests};
use crate::device::plain as plain_text;

plain!(v4l2_input, v4l2_standard, v4l2_std_id);
requests!(
    ENUMINPUT: v4l2_input = VIDIOC_ENUMINPUT,
    G_INPUT: c_int = VIDIOC_G_INPUT,
    S_INPUT: c_int = VIDIOC_S_INPUT,
    ENUMSTD: v4l2_standard = VIDIOC_ENUMSTD,
    G_STD: v4l2_std_id = VIDIOC_G_STD,
    S_STD: v4l2_std_id = VIDIOC_S_STD,
    QUERYSTD: v4l2_std_id = VIDIOC_QUERYSTD,
);

/// More than any device has (vivid 4 at most by default).
const MAX_INPUTS: u32 = 32;
/// The kernel's own list has 21.
const MAX_STANDARDS: u32 = 64;

/// Up to the first zero, as plain text.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    plain_text(&String::from_utf8_lossy(&bytes[..end]), bytes.len())
}

/// The input and the standard, as far as there is a choice.
pub(super) fn controls(driver: &(impl Driver + ?Sized)) -> Vec<Control> {
    let mut all = Vec::new();
    let inputs: Vec<_> = (0..MAX_INPUTS).map_while(|index| input(driver, index).ok()).collect();
    if inputs.len() > 1 {
        let menu = (0..).zip(inputs.iter().map(|it| text(&it.name)));
        all.push(Control::chosen(INPUT, "input", "Input", menu.collect()));
    }
    let standards = standards(driver);
    if standards.len() > 1 {
        let menu = (0..).zip(standards.into_iter().map(|(_, name)| name));
        all.push(Control::chosen(STANDARD, "standard", "Video Standard", menu.collect()));
    }
    all
}

fn input(driver: &(impl Driver + ?Sized), index: u32) -> io::Result<v4l2_input> {
    let mut it = v4l2_input { index, ..v4l2_input::zeroed() };
    call(driver, ENUMINPUT, &mut it).map(|()| it)
}

/// In the driver's order. The same name twice cannot be told apart, so the second is left out.
fn standards(driver: &(impl Driver + ?Sized)) -> Vec<(v4l2_std_id, String)> {
    let mut all: Vec<(v4l2_std_id, String)> = Vec::new();
    for index in 0..MAX_STANDARDS {
        let mut it = v4l2_standard { index, ..v4l2_standard::zeroed() };
        if call(driver, ENUMSTD, &mut it).is_err() {
            break;
        }
        let name = text(&it.name);
        if !all.iter().any(|(id, known)| *id == it.id || *known == name) {
            all.push((it.id, name));
        }
    }
    all
}

/// Which one is set.
pub(super) fn read(driver: &(impl Driver + ?Sized), id: u32) -> Option<Value> {
    if id == INPUT {
        let mut index: c_int = 0;
        call(driver, G_INPUT, &mut index).ok()?;
        return Some(Value::Number(index.into()));
    }
    let mut set: v4l2_std_id = 0;
    call(driver, G_STD, &mut set).ok()?;
    let all = standards(driver);
    // A driver may name one of several that it has set at a time.
    let one = all.iter().position(|(bits, _)| *bits == set);
    let one = one.or_else(|| all.iter().position(|(bits, _)| bits & set != 0))?;
    i64::try_from(one).ok().map(Value::Number)
}

/// Sets it.
pub(super) fn write(driver: &(impl Driver + ?Sized), id: u32, wanted: i64) -> io::Result<()> {
    let invalid = || io::Error::from_raw_os_error(nix::libc::EINVAL);
    if id == INPUT {
        let mut index = c_int::try_from(wanted).map_err(|_| invalid())?;
        return call(driver, S_INPUT, &mut index);
    }
    let all = standards(driver);
    let at = usize::try_from(wanted).map_err(|_| invalid())?;
    let mut bits = all.get(at).ok_or_else(invalid)?.0;
    call(driver, S_STD, &mut bits)
}

/// What is wrong with what is connected, for people; `None` = nothing, or the driver does not say. Blocks.
pub fn signal(driver: &(impl Driver + ?Sized)) -> Option<&'static str> {
    let mut index: c_int = 0;
    call(driver, G_INPUT, &mut index).ok()?;
    let it = input(driver, u32::try_from(index).ok()?).ok()?;
    let all = [
        (V4L2_IN_ST_NO_POWER, "the input has no power"),
        (V4L2_IN_ST_NO_SIGNAL, "the input has no signal"),
        (
            V4L2_IN_ST_NO_SYNC | V4L2_IN_ST_NO_H_LOCK | V4L2_IN_ST_NO_V_LOCK,
            "the input's signal is not stable",
        ),
        (V4L2_IN_ST_NO_STD_LOCK, "the input's signal has another standard"),
        (V4L2_IN_ST_NO_CARRIER, "the tuner finds no carrier"),
        (V4L2_IN_ST_NO_ACCESS, "the input's signal is encrypted"),
        (V4L2_IN_ST_NO_COLOR, "the input's signal has no colour"),
    ];
    all.into_iter().find(|(bits, _)| it.status & bits != 0).map(|(_, words)| words)
}

/// Which standard the signal has; `None` = none is found, or there is no such thing. Blocks.
pub fn detected(driver: &(impl Driver + ?Sized)) -> Option<String> {
    let mut found: v4l2_std_id = 0;
    call(driver, QUERYSTD, &mut found).ok()?;
    standards(driver).into_iter().find(|(bits, _)| *bits != 0 && found & bits == *bits).map(|(_, name)| name)
}
