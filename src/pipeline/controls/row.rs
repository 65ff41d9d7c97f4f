//! A control as clients see it.

use serde::Serialize;
use serde_json::Value as Json;

use crate::v4l2::{Control, Flag, Value};

/// A control and what it is set to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ControlView {
    /// What it is called in calls.
    pub name: String,
    /// The driver's number of it.
    pub id: u32,
    /// The driver's name of it.
    pub label: String,
    /// The driver's name of its group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What it is set to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// What it is when nobody has set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Json>,
    /// Least number, or characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<i64>,
    /// Most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<i64>,
    /// Between two values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// What can be chosen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub menu: Vec<Item>,
    /// Elements in each direction, of lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dims: Vec<u32>,
    /// What else the driver says of it.
    pub flags: Vec<&'static str>,
    /// An operator set it: it is set again whenever the camera is opened.
    pub kept: bool,
}

/// An item of a menu.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// What it is chosen by.
    pub value: i64,
    /// What it means.
    pub name: String,
}

/// All controls of a camera.
#[derive(Clone, Debug, Serialize)]
pub struct ControlList {
    /// In the driver's order.
    pub controls: Vec<ControlView>,
    /// What is wrong with what is connected to an analog input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
}

impl ControlList {
    /// `signal`: what is wrong with it, and which standard it has as far as that can be found.
    pub(super) fn new(controls: Vec<ControlView>, signal: Option<(&'static str, Option<String>)>) -> Self {
        let signal = signal.map(|(words, found)| match found {
            Some(standard) => format!("{words} (found: {standard})"),
            None => words.to_owned(),
        });
        Self { controls, signal }
    }
}

impl ControlView {
    pub(super) fn of(control: &Control, value: Option<Value>, kept: bool) -> Self {
        let range = control.range;
        // A text has no default that a driver says, and the source none that anybody knows.
        let has_default = control.kind != crate::v4l2::Kind::Text && !control.is_source();
        let default = range.filter(|_| has_default).map(|r| Value::Number(r.default).to_json(control.kind));
        let bounds = range.filter(|_| control.kind != crate::v4l2::Kind::Boolean);
        Self {
            name: control.name.clone(),
            id: control.id,
            label: control.label.clone(),
            group: control.group.clone(),
            kind: control.kind.word(),
            value: value.map(|value| value.to_json(control.kind)),
            default,
            minimum: bounds.map(|r| r.minimum),
            maximum: bounds.map(|r| r.maximum),
            step: bounds.map(|r| r.step),
            menu: control
                .menu
                .iter()
                .map(|(value, name)| Item { value: *value, name: name.clone() })
                .collect(),
            dims: control.dims.clone(),
            flags: control.flags.iter().map(|flag| flag.word()).collect(),
            kept,
        }
    }

    /// Whether clients are to hear of it. What changes by itself is read when somebody asks.
    pub(super) fn differs(&self, other: &ControlView) -> bool {
        let by_itself = |row: &ControlView| row.flags.contains(&Flag::Volatile.word());
        if by_itself(self) && by_itself(other) {
            let silent = |row: &ControlView| ControlView { value: None, ..row.clone() };
            return silent(self) != silent(other);
        }
        self != other
    }
}
