//! The table of keys: each has one line in [`super::settings`], from which the field, the check, the
//! default and the reference come.

use std::collections::{BTreeMap, BTreeSet};

use figment::value::{Dict, Value};

use super::mistake::{Mistake, Origin};
use super::rule::{Fault, Rule, Shape, Show};

/// One key as the reference documents it.
pub struct Key {
    /// Section; `camera` is a list of sections.
    pub section: &'static str,
    /// Name within the section.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// What it accepts.
    pub expects: String,
    /// Whether a reload is enough for a new value, or it takes a restart.
    pub live: bool,
    pub(super) default: Preset,
    pub(super) shape: Shape,
    #[expect(clippy::type_complexity, reason = "one closure, named once")]
    pub(super) check: Box<dyn Fn(&Value) -> Result<(), Fault>>,
}

/// What holds where a key is not written.
#[derive(Clone, Debug)]
pub(super) enum Preset {
    Is(Value),
    /// The value of the same name in `[cameras]`.
    Inherited,
    Absent,
}

impl<V: Into<Value>> From<V> for Preset {
    fn from(value: V) -> Self {
        Preset::Is(value.into())
    }
}

impl Key {
    pub(super) fn new<T: 'static>(
        section: &'static str,
        name: &'static str,
        default: Preset,
        rule: Rule<T>,
        about: &'static str,
    ) -> Self {
        let (shape, expects) = (rule.shape, rule.expects.clone());
        let check = Box::new(move |value: &Value| rule.read(Some(value)).map(drop));
        Self { section, name, about, expects, live: false, default, shape, check }
    }

    pub(super) fn live(mut self, live: bool) -> Self {
        self.live = live;
        self
    }

    /// `section.name`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The environment variable that sets it; keys of the `camera` list have none of their own.
    pub fn variable(&self) -> String {
        format!("FIELDCAM_{}__{}", self.section, self.name).to_ascii_uppercase()
    }

    /// The default as the file would write it, if there is one.
    pub fn default(&self) -> Option<String> {
        match &self.default {
            Preset::Is(value) => Some(written(value)),
            Preset::Inherited | Preset::Absent => None,
        }
    }
}

/// One effective value, for `fieldcam config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `server`, or `camera[1]` for the second camera of all.
    pub section: String,
    /// Name within the section.
    pub name: &'static str,
    /// As TOML writes it, credentials hidden; nothing when it is not set.
    pub value: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
    /// What the key does.
    pub about: &'static str,
}

/// The values of one section while they are read.
pub(super) struct Scope<'a> {
    /// For entries.
    pub section: String,
    /// For mistakes: as `section`, but a camera is counted within its file.
    pub place: String,
    pub values: Dict,
    pub origins: BTreeMap<String, Origin>,
    /// Where the section itself stands, for what is missing in it.
    pub origin: Origin,
    /// Keys that do nothing here: read, but not shown.
    pub unshown: BTreeSet<&'static str>,
    pub entries: &'a mut Vec<Entry>,
    pub mistakes: &'a mut Vec<Mistake>,
}

impl Scope<'_> {
    /// Reads one key; nothing when it is wrong, which is then among the mistakes.
    pub fn take<T: 'static>(&mut self, name: &'static str, rule: &Rule<T>, about: &'static str) -> Option<T> {
        let value = self.values.get(name);
        let origin = self.origins.get(name).unwrap_or(&self.origin).clone();
        match rule.read(value) {
            Ok(read) => {
                if !self.unshown.contains(name) {
                    let origin = if value.is_some() { origin } else { Origin::Default };
                    let value = value.map(|v| shown(v, rule.show));
                    self.entries.push(Entry { section: self.section.clone(), name, value, origin, about });
                }
                Some(read)
            }
            Err(Fault { what, hint }) => {
                let key = format!("{}.{name}", self.place);
                // What is missing because its layer's check took it out was told there.
                if !self.mistakes.iter().any(|m| m.key == key && m.origin.is_same_file(&origin)) {
                    self.mistakes.push(Mistake { origin, key, what, hint });
                }
                None
            }
        }
    }
}

fn shown(value: &Value, show: Show) -> String {
    match (show, value) {
        (Show::Plain, value) => written(value),
        (Show::Hidden, _) => "\"<hidden>\"".into(),
        (Show::Source, Value::String(_, text)) => quoted(&super::hide_credentials(text)),
        (Show::Source, value) => written(value),
    }
}

/// A value as TOML writes it.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::String(_, text) => quoted(text),
        Value::Array(_, items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Bool(_, on) => on.to_string(),
        Value::Num(_, n) => match (n.to_i128(), n.to_f64()) {
            (Some(whole), _) => whole.to_string(),
            (_, Some(n)) => format!("{n:?}"),
            _ => String::new(),
        },
        // No rule accepts any of these.
        Value::Char(..) | Value::Empty(..) | Value::Dict(..) => String::new(),
    }
}

fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}
