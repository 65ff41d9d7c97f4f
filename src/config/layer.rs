//! Layers: one file or the environment as figment values, each remembering where its keys stand.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use figment::value::{Dict, Empty, Map, Tag, Value};
use figment::{Metadata, Profile, Provider};
use toml_edit::{Document, Item, TableLike};

use super::grammar;
use super::key::{Key, Preset};
use super::mistake::{Mistake, Origin, nearest};
use super::rule::Shape;

/// How cameras are given in the environment.
const CAMERA_VARIABLE: &str = "FIELDCAM_CAMERA='[{source = \"test:testsrc2\"}, …]'";

/// Settings that the API cannot make.
const OUTSIDE: [&str; 2] = ["storage.data_dir", "auth.jwt_secret"];

/// More is no configuration but a mistaken path.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// One layer.
pub(super) struct Layer {
    /// Unique among the layers of one load.
    pub name: String,
    pub values: Dict,
    /// Where each key stands, by its path: `server.listen`, `camera[0]`, `camera[0].source`.
    origins: BTreeMap<String, Origin>,
    whole: Origin,
    /// Cameras of files add up; the environment's replace them.
    pub adds_cameras: bool,
}

impl Layer {
    /// The built-in defaults.
    pub fn defaults(keys: &[Key]) -> Self {
        let mut values = Dict::new();
        for key in keys.iter().filter(|k| k.section != "camera") {
            if let Preset::Is(value) = &key.default {
                insert(&mut values, key.section, key.name, value.clone());
            }
        }
        let (name, origins) = ("defaults".to_owned(), BTreeMap::new());
        Self { name, values, origins, whole: Origin::Default, adds_cameras: false }
    }

    /// A file; nothing when it does not exist and need not.
    pub fn file(path: &Path, must_exist: bool) -> Result<Option<Self>, Mistake> {
        let path: Arc<Path> = path.into();
        let mistake = |what: String, hint: &str| Mistake {
            origin: Origin::file(&path, None),
            key: String::new(),
            what,
            hint: hint.into(),
        };
        let read = std::fs::File::open(&path).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map(|_| bytes)
        });
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !must_exist => return Ok(None),
            Err(e) => {
                return Err(mistake(format!("cannot be read: {e}"), "check the path and its permissions"));
            }
        };
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(mistake("is larger than 1 MiB".into(), "check that it is a configuration file"));
        }
        let text = String::from_utf8(bytes).map_err(|e| {
            let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|b| **b == b'\n').count() + 1;
            let mut m = mistake("is not UTF-8 text".into(), "save it as UTF-8");
            m.origin = Origin::file(&path, Some(line));
            m
        })?;
        Self::toml(&path, &text).map(Some)
    }

    /// The text of a file.
    pub fn toml(path: &Arc<Path>, text: &str) -> Result<Self, Mistake> {
        let starts: Vec<usize> = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1))
            .collect();
        let line_of = |offset: usize| starts.partition_point(|s| *s <= offset);
        let not_toml = |what: &str, offset: usize| {
            let offset = offset.min(text.len());
            let line = line_of(offset);
            let column = text.get(starts[line - 1]..offset).map(|s| s.chars().count() + 1);
            Mistake {
                origin: Origin::File { path: path.clone(), line: Some(line), column },
                key: String::new(),
                what: format!("is not TOML: {}", what.replace('\n', ", ")),
                hint: "correct the text there (text values stand in quotes)".into(),
            }
        };
        if let Some((what, offset)) = grammar::mistake(text) {
            return Err(not_toml(&what, offset));
        }
        // The whole message quotes the line, which may hold a secret.
        let document =
            Document::parse(text).map_err(|e| not_toml(e.message(), e.span().map_or(0, |s| s.start)))?;
        let mut walk = Walk { path, line_of: &line_of, origins: BTreeMap::new() };
        let values = walk.table(document.as_table(), "");
        let origins = walk.origins;
        let (name, whole) = (path.display().to_string(), Origin::file(path, None));
        Ok(Self { name, values, origins, whole, adds_cameras: true })
    }

    /// Settings made over the API. What no longer fits (the box was updated, or went back) is left out
    /// and said in `ignored`: nobody could correct it in a file.
    pub fn api(pairs: &[(String, String)], keys: &[Key], ignored: &mut Vec<String>) -> Self {
        let (mut values, mut origins) = (Dict::new(), BTreeMap::new());
        for (path, text) in pairs {
            // The first says where the database is; the others would be lost with it.
            let here = |k: &&Key| k.path() == *path && k.section != "camera" && !OUTSIDE.contains(&&**path);
            let value = toml_value(text);
            match (keys.iter().find(here), value) {
                (Some(key), Some(value)) if (key.check)(&value).is_ok() => {
                    insert(&mut values, key.section, key.name, value);
                    origins.insert(key.path(), Origin::Api);
                }
                _ => ignored.push(path.clone()),
            }
        }
        Self { name: "API".into(), values, origins, whole: Origin::Api, adds_cameras: false }
    }

    /// The variables named `FIELDCAM_SECTION__KEY`; others of the prefix are not configuration.
    pub fn environment(
        variables: &[(OsString, OsString)],
        working_dir: Option<&Path>,
        keys: &[Key],
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        let (mut values, mut origins) = (Dict::new(), BTreeMap::new());
        let settable: Vec<&Key> = keys.iter().filter(|k| k.section != "camera").collect();
        let mut sorted: Vec<_> = variables.iter().filter_map(|(n, v)| Some((n.to_str()?, v))).collect();
        sorted.sort();
        for (name, value) in sorted {
            let Some(rest) = name.strip_prefix("FIELDCAM_") else { continue };
            let mut mistake = |what: String, hint: String| {
                let key = rest.to_ascii_lowercase().replace("__", ".");
                mistakes.push(Mistake { origin: Origin::Variable(name.into()), key, what, hint });
            };
            let key = settable.iter().find(|k| k.variable() == name);
            if key.is_none() && name != "FIELDCAM_CAMERA" {
                let flat = settable.iter().find(|k| k.variable().replace("__", "_") == name);
                if let Some(meant) = flat {
                    mistake("names no key".into(), format!("did you mean {}?", meant.variable()));
                } else if rest.contains("__") && !rest.starts_with("TEST_") {
                    let all: Vec<String> = settable.iter().map(|k| k.variable()).collect();
                    let hint = if rest.starts_with("CAMERA__") {
                        format!("cameras are set all at once: {CAMERA_VARIABLE}")
                    } else {
                        match nearest(name, all.iter().map(String::as_str)) {
                            Some(near) => format!("did you mean {near}?"),
                            None => "`fieldcam config` lists every key as FIELDCAM_SECTION__KEY".into(),
                        }
                    };
                    mistake("names no key".into(), hint);
                }
                continue;
            }
            let Some(text) = value.to_str() else {
                mistake("is not UTF-8 text".into(), "set it to UTF-8 text".into());
                continue;
            };
            match key {
                Some(key) => {
                    insert(&mut values, key.section, key.name, typed(text, key.shape, working_dir));
                    origins.insert(key.path(), Origin::Variable(name.into()));
                }
                None => match toml_value(text) {
                    Some(cameras @ Value::Array(..)) => {
                        values.insert("camera".into(), cameras);
                        origins.insert("camera".into(), Origin::Variable(name.into()));
                    }
                    _ => mistake("is not a list in TOML".into(), format!("write {CAMERA_VARIABLE}")),
                },
            }
        }
        let whole = Origin::Default;
        Self { name: "environment".into(), values, origins, whole, adds_cameras: false }
    }

    /// A table of this layer, found at `path` in it, as a layer of its own.
    pub fn below(&self, path: &str, values: Dict) -> Self {
        let start = format!("{path}.");
        let inner = self.origins.iter().filter_map(|(at, origin)| Some((at.strip_prefix(&start)?, origin)));
        let origins = inner.map(|(at, origin)| (at.to_owned(), origin.clone())).collect();
        Self { name: self.name.clone(), values, origins, whole: self.origin(path), adds_cameras: true }
    }

    /// Where `path` is written, or what it stands in.
    pub fn origin(&self, path: &str) -> Origin {
        let mut path = path;
        loop {
            if let Some(origin) = self.origins.get(path) {
                return origin.clone();
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.whole.clone(),
            }
        }
    }
}

/// A part of a layer as figment takes it; its name leads back to the layer.
pub(super) struct Part<'a>(pub &'a str, pub Dict);

impl Provider for Part<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.0.to_owned())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.1.clone()))
    }
}

fn insert(values: &mut Dict, section: &str, name: &str, value: Value) {
    if let Value::Dict(_, section) =
        values.entry(section.to_owned()).or_insert_with(|| Value::Dict(Tag::Default, Dict::new()))
    {
        section.insert(name.to_owned(), value);
    }
}

/// The value of an environment variable. What does not parse stays text, for the rule to refuse.
fn typed(text: &str, shape: Shape, working_dir: Option<&Path>) -> Value {
    let plain = || Value::from(text);
    match shape {
        Shape::Text => plain(),
        Shape::Toml => toml_value(text).unwrap_or_else(plain),
        Shape::List if text.trim_start().starts_with('[') => toml_value(text).unwrap_or_else(plain),
        Shape::List => text.split(',').map(str::trim).filter(|t| !t.is_empty()).collect::<Vec<_>>().into(),
        Shape::Path | Shape::Program => match working_dir.filter(|_| !text.is_empty()) {
            Some(dir) if shape == Shape::Path || text.contains('/') => {
                dir.join(text).to_str().map_or_else(plain, Value::from)
            }
            _ => plain(),
        },
    }
}

fn toml_value(text: &str) -> Option<Value> {
    let path: Arc<Path> = Path::new("").into();
    let mut walk = Walk { path: &path, line_of: &|_| 1, origins: BTreeMap::new() };
    Some(walk.item(&Item::Value(text.trim().parse().ok()?), ""))
}

/// Turns parsed TOML into figment values and notes where each key stands.
struct Walk<'a> {
    path: &'a Arc<Path>,
    line_of: &'a dyn Fn(usize) -> usize,
    origins: BTreeMap<String, Origin>,
}

impl Walk<'_> {
    fn note(&mut self, path: &str, span: Option<std::ops::Range<usize>>) {
        if let Some(span) = span {
            let origin = Origin::file(self.path, Some((self.line_of)(span.start)));
            self.origins.insert(path.to_owned(), origin);
        }
    }

    fn table(&mut self, table: &dyn TableLike, base: &str) -> Dict {
        let mut values = Dict::new();
        for (name, item) in table.iter() {
            let path = if base.is_empty() { name.to_owned() } else { format!("{base}.{name}") };
            let key = table.get_key_value(name).and_then(|(key, _)| key.span());
            self.note(&path, key.or_else(|| item.span()));
            let value = self.item(item, &path);
            values.insert(name.to_owned(), value);
        }
        values
    }

    fn item(&mut self, item: &Item, path: &str) -> Value {
        if let Some(table) = item.as_table_like() {
            return self.table(table, path).into();
        }
        if let Some(tables) = item.as_array_of_tables() {
            return self.items(tables.iter().map(|t| Item::Table(t.clone())), path);
        }
        match item.as_value() {
            Some(toml_edit::Value::String(s)) => s.value().as_str().into(),
            Some(toml_edit::Value::Integer(n)) => (*n.value()).into(),
            Some(toml_edit::Value::Float(n)) => (*n.value()).into(),
            Some(toml_edit::Value::Boolean(b)) => (*b.value()).into(),
            Some(toml_edit::Value::Array(a)) => self.items(a.iter().map(|v| Item::Value(v.clone())), path),
            // A date; no key takes one.
            _ => Value::Empty(Tag::Default, Empty::Unit),
        }
    }

    fn items(&mut self, items: impl Iterator<Item = Item>, path: &str) -> Value {
        let mut values = Vec::new();
        for (i, item) in items.enumerate() {
            let path = format!("{path}[{i}]");
            self.note(&path, item.span());
            values.push(self.item(&item, &path));
        }
        Value::Array(Tag::Default, values)
    }
}
