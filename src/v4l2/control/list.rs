//! Which controls a device has, without believing its driver.

use std::io;

use v4l::v4l_sys::{
    V4L2_CTRL_FLAG_DISABLED, V4L2_CTRL_FLAG_EXECUTE_ON_WRITE, V4L2_CTRL_FLAG_GRABBED,
    V4L2_CTRL_FLAG_INACTIVE, V4L2_CTRL_FLAG_MODIFY_LAYOUT, V4L2_CTRL_FLAG_NEXT_COMPOUND,
    V4L2_CTRL_FLAG_NEXT_CTRL, V4L2_CTRL_FLAG_READ_ONLY, V4L2_CTRL_FLAG_SLIDER, V4L2_CTRL_FLAG_UPDATE,
    V4L2_CTRL_FLAG_VOLATILE, V4L2_CTRL_FLAG_WRITE_ONLY, v4l2_query_ext_ctrl, v4l2_queryctrl, v4l2_querymenu,
};

use super::{Control, Flag, Kind, Range};
use crate::v4l2::driver::{Plain, call, plain, requests};
use crate::v4l2::{Driver, input};

plain!(v4l2_query_ext_ctrl, v4l2_queryctrl, v4l2_querymenu);
requests!(
    QUERY_EXT_CTRL: v4l2_query_ext_ctrl = VIDIOC_QUERY_EXT_CTRL,
    QUERYCTRL: v4l2_queryctrl = VIDIOC_QUERYCTRL,
    QUERYMENU: v4l2_querymenu = VIDIOC_QUERYMENU,
);

/// More than any device has (vivid some 60).
pub(super) const MAX_CONTROLS: usize = 512;
/// Of one menu, those that have no name included.
pub(super) const MAX_MENU: i64 = 256;
/// Of an array.
const MAX_DIMS: usize = 4;
/// The number of a control without the bits that ask for another.
const ID: u32 = 0x0fff_ffff;
/// The part of a control's number that is its class's.
const CLASS: u32 = 0x0fff_0000;
/// Numbers that drivers use which cannot be asked for the next one: picture, camera, their own.
const OLD: [std::ops::Range<u32>; 3] =
    [0x0098_0900..0x0098_092d, 0x009a_0901..0x009a_0925, 0x0800_0000..0x0800_0020];

/// The number of `V4L2_CTRL_TYPE_CTRL_CLASS`: the name of a group.
const GROUP: u32 = 6;
/// From this number on types are structures (`V4L2_CTRL_COMPOUND_TYPES`).
const COMPOUND: u32 = 0x100;

/// Everything that can be set on a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// In the driver's order, input and standard first.
    pub controls: Vec<Control>,
    /// What the driver got wrong, for the log.
    pub oddities: Vec<&'static str>,
}

impl Listing {
    /// By name, or by number (`9963776`, `0x980900`).
    pub fn find(&self, name: &str) -> Option<&Control> {
        let number = match name.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => name.parse().ok(),
        };
        let named = self.controls.iter().find(|control| control.name == name);
        named.or_else(|| self.controls.iter().find(|control| Some(control.id) == number))
    }

    fn note(&mut self, oddity: &'static str) {
        if !self.oddities.contains(&oddity) {
            self.oddities.push(oddity);
        }
    }
}

/// Asks for everything that can be set. A driver without any answers with none. Blocks.
pub fn controls(driver: &(impl Driver + ?Sized)) -> Listing {
    let mut listing = Listing::default();
    let mut groups: Vec<(u32, String)> = Vec::new();
    for pseudo in input::controls(driver) {
        listing.controls.push(pseudo);
    }
    for said in all(driver, &mut listing) {
        if said.type_ == GROUP {
            groups.push((said.id & CLASS, label(&said)));
        } else {
            let group = groups.iter().find(|(class, _)| *class == said.id & CLASS);
            let control = control(driver, &said, group.map_or("", |(_, name)| name), &mut listing);
            listing.controls.push(control);
        }
    }
    listing
}

/// What the driver says of each control, groups included.
fn all(driver: &(impl Driver + ?Sized), listing: &mut Listing) -> Vec<v4l2_query_ext_ctrl> {
    let next = V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND;
    let extended = |id: u32| {
        let mut it = v4l2_query_ext_ctrl { id: id | next, ..v4l2_query_ext_ctrl::zeroed() };
        call(driver, QUERY_EXT_CTRL, &mut it).map(|()| it)
    };
    match extended(0) {
        Ok(_) => return walk(extended, listing),
        Err(e) if e.raw_os_error() == Some(nix::libc::ENOTTY) => {}
        Err(_) => return Vec::new(),
    }
    let plain = |id: u32| {
        let mut it = v4l2_queryctrl { id, ..v4l2_queryctrl::zeroed() };
        call(driver, QUERYCTRL, &mut it).map(|()| widened(&it))
    };
    if plain(V4L2_CTRL_FLAG_NEXT_CTRL).is_ok() {
        return walk(|id| plain(id | V4L2_CTRL_FLAG_NEXT_CTRL), listing);
    }
    let mut found = Vec::new();
    for id in OLD.into_iter().flatten() {
        if let Ok(it) = plain(id) {
            found.push(v4l2_query_ext_ctrl { id, ..it });
        }
    }
    found
}

fn walk(
    next: impl Fn(u32) -> io::Result<v4l2_query_ext_ctrl>,
    listing: &mut Listing,
) -> Vec<v4l2_query_ext_ctrl> {
    let (mut found, mut last) = (Vec::new(), 0);
    // EINVAL is the end; whatever else it says, there is no more to be had.
    while let Ok(mut it) = next(last) {
        it.id &= ID;
        if it.id <= last || found.len() == MAX_CONTROLS {
            listing.note("a list of controls that does not end");
            break;
        }
        last = it.id;
        found.push(it);
    }
    found
}

/// What an older driver says, as newer ones say it.
fn widened(it: &v4l2_queryctrl) -> v4l2_query_ext_ctrl {
    let mut wide = v4l2_query_ext_ctrl {
        id: it.id,
        type_: it.type_,
        minimum: it.minimum.into(),
        maximum: it.maximum.into(),
        step: u64::try_from(it.step).unwrap_or(0),
        default_value: it.default_value.into(),
        flags: it.flags,
        elem_size: if it.type_ == 7 { u32::try_from(it.maximum).unwrap_or(0).saturating_add(1) } else { 4 },
        elems: 1,
        ..v4l2_query_ext_ctrl::zeroed()
    };
    for (wide, byte) in wide.name.iter_mut().zip(it.name) {
        *wide = i8::from_ne_bytes([byte]) as _;
    }
    wide
}

fn label(it: &v4l2_query_ext_ctrl) -> String {
    input::text(&it.name.map(|c| c.to_ne_bytes()[0]))
}

/// As v4l2-ctl names them: letters and digits in small, whatever is between as one `_`.
pub(super) fn normalised(label: &str) -> String {
    let words = label.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_").to_ascii_lowercase()
}

fn kind(it: &v4l2_query_ext_ctrl) -> Kind {
    match it.type_ {
        1 => Kind::Integer,
        2 => Kind::Boolean,
        3 => Kind::Menu,
        4 => Kind::Button,
        5 => Kind::Integer64,
        7 => Kind::Text,
        8 => Kind::Bitmask,
        9 => Kind::IntegerMenu,
        COMPOUND => Kind::U8,
        0x101 => Kind::U16,
        0x102 => Kind::U32,
        _ => Kind::Compound,
    }
}

/// Bytes of an element, as far as they are for the kind to say.
fn element(kind: Kind) -> Option<usize> {
    match kind {
        Kind::U8 => Some(1),
        Kind::U16 => Some(2),
        Kind::Integer64 => Some(8),
        Kind::Text | Kind::Compound => None,
        _ => Some(4),
    }
}

fn control(
    driver: &(impl Driver + ?Sized),
    it: &v4l2_query_ext_ctrl,
    group: &str,
    listing: &mut Listing,
) -> Control {
    let label = label(it);
    let mut kind = kind(it);
    let mut elems = it.elems as usize;
    let elem_size = it.elem_size as usize;
    if element(kind).is_some_and(|size| elem_size != size && (elems > 1 || kind == Kind::U8)) {
        listing.note("a control whose elements have no size that can be");
        (kind, elems) = (Kind::Compound, 0);
    }
    let dims: Vec<u32> = it.dims.into_iter().take((it.nr_of_dims as usize).min(MAX_DIMS)).collect();
    let range = range(it, kind, listing);
    let menu = if matches!(kind, Kind::Menu | Kind::IntegerMenu) && dims.is_empty() {
        menu(driver, it, kind, listing)
    } else {
        Vec::new()
    };
    let mut name = normalised(&label);
    let is_ours = ["input", "standard"].contains(&name.as_str());
    if name.is_empty() || is_ours || listing.controls.iter().any(|known| known.name == name) {
        name = format!("{name}{}{:08x}", if name.is_empty() { "control_" } else { "_" }, it.id);
    }
    Control {
        id: it.id,
        label: if label.is_empty() { name.clone() } else { label },
        name,
        group: group.to_owned(),
        kind,
        range,
        menu,
        flags: flags(it.flags),
        dims,
        elem_size,
        elems,
    }
}

/// Least and most, made to fit each other.
fn range(it: &v4l2_query_ext_ctrl, kind: Kind, listing: &mut Listing) -> Option<Range> {
    let (mut minimum, mut maximum, mut default) = (it.minimum, it.maximum, it.default_value);
    match kind {
        Kind::Button | Kind::Compound => return None,
        Kind::Boolean => (minimum, maximum) = (0, 1),
        Kind::Bitmask => {
            minimum = 0;
            // Drivers hand 32 bits on with or without a sign.
            maximum &= 0xffff_ffff;
            default &= maximum;
        }
        _ => {}
    }
    let floor =
        if kind == Kind::Text || kind == Kind::Menu || kind == Kind::IntegerMenu { 0 } else { i64::MIN };
    if minimum > maximum {
        listing.note("a control whose least value is above its most");
        (minimum, maximum) = (maximum, minimum);
    }
    (minimum, maximum) = (minimum.max(floor), maximum.max(floor));
    if !matches!(kind, Kind::Text) && !(minimum..=maximum).contains(&default) {
        listing.note("a control whose default is out of its range");
    }
    if it.step == 0 && matches!(kind, Kind::Integer | Kind::Integer64) {
        listing.note("a control in steps of nothing");
    }
    let default = default.clamp(minimum, maximum);
    Some(Range { minimum, maximum, step: it.step.clamp(1, maximum.abs_diff(minimum).max(1)), default })
}

/// What a menu has; numbers that it has not are left out.
fn menu(
    driver: &(impl Driver + ?Sized),
    it: &v4l2_query_ext_ctrl,
    kind: Kind,
    listing: &mut Listing,
) -> Vec<(i64, String)> {
    let Some(Range { minimum, maximum, .. }) = range(it, kind, listing) else { return Vec::new() };
    let last = maximum.min(minimum.saturating_add(MAX_MENU - 1)).min(u32::MAX.into());
    if last < maximum {
        listing.note("a menu that does not end");
    }
    let mut all = Vec::new();
    for at in minimum..=last {
        let Ok(index) = u32::try_from(at) else { break };
        let mut item = v4l2_querymenu { id: it.id, index, ..v4l2_querymenu::zeroed() };
        if call(driver, QUERYMENU, &mut item).is_err() {
            continue;
        }
        let said = item.__bindgen_anon_1;
        #[expect(unsafe_code, reason = "both are numbers, whichever was meant")]
        let (name, value) = unsafe { (said.name, said.value) };
        let name = if kind == Kind::Menu { input::text(&name) } else { value.to_string() };
        all.push((at, name));
    }
    all
}

fn flags(bits: u32) -> Vec<Flag> {
    let all = [
        (V4L2_CTRL_FLAG_DISABLED, Flag::Disabled),
        (V4L2_CTRL_FLAG_GRABBED, Flag::Grabbed),
        (V4L2_CTRL_FLAG_READ_ONLY, Flag::ReadOnly),
        (V4L2_CTRL_FLAG_UPDATE, Flag::Update),
        (V4L2_CTRL_FLAG_INACTIVE, Flag::Inactive),
        (V4L2_CTRL_FLAG_SLIDER, Flag::Slider),
        (V4L2_CTRL_FLAG_WRITE_ONLY, Flag::WriteOnly),
        (V4L2_CTRL_FLAG_VOLATILE, Flag::Volatile),
        (V4L2_CTRL_FLAG_EXECUTE_ON_WRITE, Flag::ExecuteOnWrite),
        (V4L2_CTRL_FLAG_MODIFY_LAYOUT, Flag::ModifyLayout),
    ];
    all.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, flag)| flag).collect()
}
