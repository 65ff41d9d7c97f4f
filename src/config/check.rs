//! Checks of one layer, before layers are merged: unknown names, wrong shapes, wrong values. What is
//! wrong is taken out, so that the checks across keys go on with the rest.

use figment::value::{Dict, Value};

use super::key::Key;
use super::layer::Layer;
use super::mistake::{Mistake, nearest};
use super::rule::{Fault, wrong_type};
use super::settings::SECTIONS;

/// Takes every wrong thing out of `layer` and says what it was.
pub(super) fn check(layer: &mut Layer, keys: &[Key]) -> Vec<Mistake> {
    let values = std::mem::take(&mut layer.values);
    let mut check = Check { layer, keys, found: Vec::new() };
    let sound = check.sections(values);
    let found = check.found;
    layer.values = sound;
    found
}

struct Check<'a> {
    layer: &'a Layer,
    keys: &'a [Key],
    found: Vec<Mistake>,
}

impl Check<'_> {
    fn mistake(&mut self, key: &str, what: impl Into<String>, hint: impl Into<String>) {
        let origin = self.layer.origin(key);
        self.found.push(Mistake { origin, key: key.into(), what: what.into(), hint: hint.into() });
    }

    fn sections(&mut self, values: Dict) -> Dict {
        let mut sound = Dict::new();
        for (name, value) in values {
            if name == "camera" {
                if let Some(cameras) = self.cameras(value) {
                    sound.insert(name, Value::from(cameras));
                }
            } else if !SECTIONS.contains(&name.as_str()) {
                self.unknown_section(&name, &value);
            } else if let Value::Dict(_, section) = value {
                let section = self.section(&name, &name, section);
                sound.insert(name, section.into());
            } else {
                let Fault { what, .. } = wrong_type(&value, "");
                self.mistake(&name, what, format!("write a section: [{name}] and its keys below it"));
            }
        }
        sound
    }

    fn cameras(&mut self, value: Value) -> Option<Vec<Dict>> {
        let hint = "write [[camera]] and its keys below it, once for each camera";
        let Value::Array(_, items) = value else {
            let what =
                if matches!(value, Value::Dict(..)) { "is a single section" } else { "is not a section" };
            self.mistake("camera", what, hint);
            return None;
        };
        let mut sound = Vec::new();
        for (i, item) in items.into_iter().enumerate() {
            let path = format!("camera[{i}]");
            let camera = match item {
                Value::Dict(_, camera) => self.section("camera", &path, camera),
                other => {
                    self.mistake(&path, wrong_type(&other, "").what, hint);
                    continue;
                }
            };
            sound.push(camera);
        }
        Some(sound)
    }

    fn section(&mut self, section: &str, path: &str, values: Dict) -> Dict {
        let mut sound = Dict::new();
        for (name, value) in values {
            let path = format!("{path}.{name}");
            match self.keys.iter().find(|k| k.section == section && k.name == name) {
                None => self.unknown_key(section, &name, &path),
                Some(key) => match (key.check)(&value) {
                    Ok(()) => drop(sound.insert(name, value)),
                    Err(Fault { what, hint }) => self.mistake(&path, what, hint),
                },
            }
        }
        sound
    }

    fn unknown_key(&mut self, section: &str, name: &str, path: &str) {
        let here: Vec<_> = self.keys.iter().filter(|k| k.section == section).map(|k| k.name).collect();
        let hint = if let Some(near) = nearest(name, here.iter().copied()) {
            format!("did you mean {near}?")
        } else if let Some(key) = self.keys.iter().find(|k| k.name == name) {
            format!("did you mean {}?", key.path())
        } else {
            format!("the keys of this section are {}", here.join(", "))
        };
        self.mistake(path, "unknown key", hint);
    }

    fn unknown_section(&mut self, name: &str, value: &Value) {
        let sections = || SECTIONS.iter().copied().chain(["camera"]);
        let homes: Vec<_> = self.keys.iter().filter(|k| k.name == name).map(Key::path).collect();
        if !matches!(value, Value::Dict(..) | Value::Array(..)) && !homes.is_empty() {
            self.mistake(
                name,
                "stands outside of any section",
                format!("did you mean {}?", homes.join(" or ")),
            );
        } else {
            let hint = match nearest(name, sections()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("the sections are {}", sections().collect::<Vec<_>>().join(", ")),
            };
            self.mistake(name, "unknown section", hint);
        }
    }
}
