//! Setting a control: what fits is decided here, before the driver quietly bends it.

use std::fmt;

use serde_json::Value as Json;

use super::list::Listing;
use super::order::automatic_of;
use super::value::Value;
use super::{Control, Flag, Kind};
use crate::v4l2::Driver;

/// Why a control was not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The value does not fit; the rule that it breaks.
    Value(String),
    /// Nobody can ever set it; why.
    Never(&'static str),
    /// It has no effect at present; the control that is automatic instead, when it is known.
    Inactive(Option<String>),
    /// Somebody uses what it would change.
    Busy,
    /// The driver failed: `errno`, or nothing.
    Driver(Option<i32>),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Value(rule) => f.write_str(rule),
            Refused::Never(why) => f.write_str(why),
            Refused::Inactive(Some(automatic)) => {
                write!(f, "it has no effect while {automatic} is automatic")
            }
            Refused::Inactive(None) => f.write_str("it has no effect as other controls are set"),
            Refused::Busy => f.write_str("it cannot be set while the camera delivers"),
            Refused::Driver(Some(errno)) => {
                write!(f, "its driver failed: {}", nix::errno::Errno::from_raw(*errno).desc())
            }
            Refused::Driver(None) => f.write_str("its driver failed"),
        }
    }
}

/// Whether a control can be set to this, and as which value. `Null` is its default.
pub fn check(listing: &Listing, control: &Control, wanted: &Json) -> Result<Value, Refused> {
    if control.has(Flag::Disabled) {
        return Err(Refused::Never("the camera has it switched off"));
    }
    if control.has(Flag::ReadOnly) {
        return Err(Refused::Never("it can only be read"));
    }
    if control.kind == Kind::Compound {
        return Err(Refused::Never("it is a structure, which can only be shown"));
    }
    let value = fitting(control, wanted)?;
    if control.has(Flag::Grabbed) {
        return Err(Refused::Busy);
    }
    if control.has(Flag::Inactive) {
        let automatic = automatic_of(control.id)
            .and_then(|id| listing.controls.iter().find(|other| other.id == id))
            .map(|other| other.name.clone());
        return Err(Refused::Inactive(automatic));
    }
    Ok(value)
}

/// Sets a control to a value that [`check`] gave. Blocks.
pub fn settle(driver: &(impl Driver + ?Sized), control: &Control, value: &Value) -> Result<(), Refused> {
    use nix::libc::{EACCES, EBUSY, EINVAL, ERANGE};
    control.write(driver, value).map_err(|e| match e.raw_os_error() {
        Some(EBUSY) => Refused::Busy,
        Some(ERANGE) => Refused::Value("is out of the range that the camera has".into()),
        Some(EINVAL) => Refused::Value("is none that the camera takes".into()),
        // What it says of a control that depends on another one.
        Some(EACCES) => Refused::Inactive(None),
        errno => Refused::Driver(errno),
    })
}

fn fitting(control: &Control, wanted: &Json) -> Result<Value, Refused> {
    let rule = |rule: String| Err(Refused::Value(rule));
    if control.is_list() {
        return list(control, wanted);
    }
    let Some(range) = control.range else {
        return match wanted {
            Json::Bool(true) | Json::Null => Ok(Value::Number(1)),
            Json::Number(n) if n.as_i64() == Some(1) => Ok(Value::Number(1)),
            _ => rule("must be true, which presses the button".into()),
        };
    };
    if control.kind == Kind::Text {
        let least = usize::try_from(range.minimum).unwrap_or(0);
        let most = usize::try_from(range.maximum).unwrap_or(0);
        let text = match wanted {
            Json::Null => " ".repeat(least),
            Json::String(text) => text.clone(),
            _ => return rule(format!("must be text of {least} to {most} characters")),
        };
        let step = usize::try_from(range.step).unwrap_or(1).max(1);
        let in_steps = (text.len().saturating_sub(least)).is_multiple_of(step);
        return match text.bytes().all(|b| (0x20..0x7f).contains(&b)) && in_steps {
            true if (least..=most).contains(&text.len()) => Ok(Value::Text(text)),
            _ => rule(format!("must be text of {least} to {most} characters of ASCII")),
        };
    }
    if control.kind == Kind::Boolean {
        return match wanted {
            Json::Null => Ok(Value::Number(range.default)),
            Json::Bool(on) => Ok(Value::Number((*on).into())),
            Json::Number(n) if matches!(n.as_i64(), Some(0 | 1)) => {
                Ok(Value::Number(n.as_i64().unwrap_or(0)))
            }
            _ => rule("must be true or false".into()),
        };
    }
    let number = match wanted {
        Json::Null => Some(range.default),
        Json::String(text) if control.kind == Kind::Menu => {
            let item = control.menu.iter().find(|(_, name)| name == text);
            item.map(|(value, _)| *value).or_else(|| text.parse().ok())
        }
        // Some clients have numbers of 53 bits only.
        Json::String(text) => text.parse().ok(),
        wanted => whole(wanted),
    };
    if matches!(control.kind, Kind::Menu | Kind::IntegerMenu) {
        return match number.filter(|n| control.menu.iter().any(|(value, _)| value == n)) {
            Some(number) => Ok(Value::Number(number)),
            None => rule(format!("must be one of {}", items(control))),
        };
    }
    let Some(number) = number.filter(|n| (range.minimum..=range.maximum).contains(n)) else {
        return rule(format!("must be a whole number from {} to {}", range.minimum, range.maximum));
    };
    if control.kind == Kind::Bitmask && number & !range.maximum != 0 {
        return rule(format!("must have no other bits than {:#x}", range.maximum));
    }
    Ok(Value::Number(number))
}

fn list(control: &Control, wanted: &Json) -> Result<Value, Refused> {
    let range = control.range.ok_or(Refused::Never("it can only be shown"))?;
    if matches!(control.kind, Kind::Text | Kind::Menu | Kind::IntegerMenu) {
        return Err(Refused::Never("a list of these can only be shown"));
    }
    let numbers = match wanted {
        Json::Null => Some(vec![range.default; control.elements()]),
        Json::Array(all) => all.iter().map(whole).collect(),
        one if control.elements() == 1 => whole(one).map(|n| vec![n]),
        _ => None,
    };
    let fits = |n: &i64| (range.minimum..=range.maximum).contains(n);
    match numbers.filter(|all| all.len() == control.elements() && all.iter().all(fits)) {
        Some(numbers) => Ok(Value::List(numbers)),
        None => Err(Refused::Value(format!(
            "must be a list of {} whole numbers from {} to {}",
            control.elements(),
            range.minimum,
            range.maximum
        ))),
    }
}

/// `5` and `5.0` alike: some clients have one kind of number only.
fn whole(json: &Json) -> Option<i64> {
    json.as_i64().or_else(|| json.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e15).map(|n| n as i64))
}

/// What a menu has, as far as a line holds it.
fn items(control: &Control) -> String {
    const SHOWN: usize = 24;
    let all = control.menu.iter().take(SHOWN).map(|(value, name)| format!("{value} ({name})"));
    let more = if control.menu.len() > SHOWN { ", …" } else { "" };
    all.collect::<Vec<_>>().join(", ") + more
}
