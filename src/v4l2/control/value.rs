//! Values of controls, in the API and in the driver's memory.

use serde_json::Value as Json;

use super::kernel::{Access, Payload};
use super::{Control, Kind, MAX_PAYLOAD};
use crate::device::plain;
use crate::v4l2::{Driver, input};

/// What a control is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number; of menus the one that stands for what is chosen, of booleans 0 or 1.
    Number(i64),
    /// Text.
    Text(String),
    /// The elements of an array, the last dimension first.
    List(Vec<i64>),
}

impl Value {
    /// As the API has it.
    pub fn to_json(&self, kind: Kind) -> Json {
        match self {
            Value::Number(number) if kind == Kind::Boolean => Json::from(*number != 0),
            Value::Number(number) => Json::from(*number),
            Value::Text(text) => Json::from(text.as_str()),
            Value::List(list) => Json::from(list.as_slice()),
        }
    }
}

impl Control {
    /// How long its value is in memory; `None` = it is no text or array, or longer than anybody wants.
    fn payload(&self) -> Option<usize> {
        let whole = match self.kind {
            Kind::Text => self.elem_size.max(usize::try_from(self.range?.maximum).ok()?.checked_add(1)?),
            _ => self.elem_size.checked_mul(self.elems)?,
        };
        (1..=MAX_PAYLOAD).contains(&whole).then_some(whole)
    }

    /// Whether its value is a list of numbers.
    pub(super) fn is_list(&self) -> bool {
        !self.dims.is_empty() || matches!(self.kind, Kind::U8 | Kind::U16 | Kind::U32)
    }

    /// What it is set to now; `None` = it cannot be read, or has no value that can be shown. Blocks.
    pub fn read(&self, driver: &(impl Driver + ?Sized)) -> Option<Value> {
        if self.is_source() {
            return input::read(driver, self.id);
        }
        if matches!(self.kind, Kind::Button | Kind::Compound)
            || self.has(super::Flag::WriteOnly)
            || self.has(super::Flag::Disabled)
        {
            return None;
        }
        let number = |mut payload: Payload<'_>| {
            driver.control(Access::Get, self.id, &mut payload).ok()?;
            match payload {
                // Bits have no sign.
                Payload::Number(n) if self.kind == Kind::Bitmask => Some(Value::Number(i64::from(n as u32))),
                Payload::Number(n) => Some(Value::Number(n.into())),
                Payload::Wide(n) => Some(Value::Number(n)),
                Payload::Bytes(_) => None,
            }
        };
        if !self.is_list() && self.kind != Kind::Text {
            let wide = self.kind == Kind::Integer64;
            return number(if wide { Payload::Wide(0) } else { Payload::Number(0) });
        }
        let mut bytes = vec![0; self.payload()?];
        driver.control(Access::Get, self.id, &mut Payload::Bytes(&mut bytes)).ok()?;
        if self.kind == Kind::Text && !self.is_list() {
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            return Some(Value::Text(shown(&bytes[..end])));
        }
        let elements = bytes.chunks_exact(self.elem_size.max(1));
        let number = |element: &[u8]| match (self.kind, element) {
            (Kind::U8, &[a]) => Some(a.into()),
            (Kind::U16, &[a, b]) => Some(u16::from_ne_bytes([a, b]).into()),
            (Kind::U32 | Kind::Bitmask, &[a, b, c, d]) => Some(u32::from_ne_bytes([a, b, c, d]).into()),
            (Kind::Integer64, element) => Some(i64::from_ne_bytes(element.try_into().ok()?)),
            (Kind::Text, _) => None,
            (_, &[a, b, c, d]) => Some(i32::from_ne_bytes([a, b, c, d]).into()),
            _ => None,
        };
        elements.map(number).collect::<Option<_>>().map(Value::List)
    }

    /// Sets it to a value that was found to fit. Fails as the driver does. Blocks.
    pub(super) fn write(&self, driver: &(impl Driver + ?Sized), value: &Value) -> std::io::Result<()> {
        let invalid = || std::io::Error::from_raw_os_error(nix::libc::EINVAL);
        if self.is_source() {
            let Value::Number(number) = value else { return Err(invalid()) };
            return input::write(driver, self.id, *number);
        }
        match value {
            Value::Number(number) if self.kind == Kind::Integer64 => {
                driver.control(Access::Set, self.id, &mut Payload::Wide(*number))
            }
            Value::Number(number) => {
                let short = i32::try_from(*number).or_else(|_| u32::try_from(*number).map(u32::cast_signed));
                let short = short.map_err(|_| invalid())?;
                driver.control(Access::Set, self.id, &mut Payload::Number(short))
            }
            Value::Text(text) => {
                let mut bytes = text.as_bytes().to_vec();
                bytes.resize(self.payload().ok_or_else(invalid)?, 0);
                driver.control(Access::Set, self.id, &mut Payload::Bytes(&mut bytes))
            }
            Value::List(list) => {
                let mut bytes: Vec<u8> =
                    list.iter().flat_map(|n| n.to_ne_bytes().into_iter().take(self.elem_size)).collect();
                if cfg!(target_endian = "big") || Some(bytes.len()) != self.payload() {
                    return Err(invalid());
                }
                driver.control(Access::Set, self.id, &mut Payload::Bytes(&mut bytes))
            }
        }
    }

    /// How many elements it has.
    pub(super) fn elements(&self) -> usize {
        self.elems
    }
}

/// Text of a driver: spaces count here, all else that cannot be printed does not.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        text.into_owned()
    } else {
        plain(&text, bytes.len())
    }
}
