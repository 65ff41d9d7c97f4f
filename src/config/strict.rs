//! Other TOML files than the configuration, read as strictly: every mistake with file, key and line.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use figment::value::{Dict, Value};

use super::key::written;
use super::layer::Layer;
use super::load::{Sources, load_with};
use super::mistake::{Mistake, Mistakes, Origin, nearest};
use super::rule::{Fault, Rule, wrong_type};

/// A file while it is read, and what was found wrong so far.
pub(crate) struct StrictFile {
    layer: Layer,
    mistakes: Vec<Mistake>,
}

/// A table of it: whatever is not taken out of it is unknown.
pub(crate) struct Table {
    path: String,
    values: Dict,
    known: BTreeSet<&'static str>,
}

impl StrictFile {
    /// Reads a text; `path` is how mistakes name the file. Answers with its outermost table too.
    pub fn parse(path: &Path, text: &str) -> Result<(Self, Table), Mistakes> {
        let layer = Layer::toml(&path.into(), text).map_err(|mistake| Mistakes::new(vec![mistake]))?;
        let table = Table::new(String::new(), layer.values.clone());
        Ok((Self { layer, mistakes: Vec::new() }, table))
    }

    /// Notes a mistake at a key, such as `wifi[0].ssid`. Its words must not hold a secret.
    pub fn mistake(&mut self, key: &str, what: impl Into<String>, hint: impl Into<String>) {
        let origin = self.layer.origin(key);
        self.mistakes.push(Mistake { origin, key: key.into(), what: what.into(), hint: hint.into() });
    }

    /// Takes a value out of a table; none when it is wrong, which is then among the mistakes.
    pub fn take<T: 'static>(&mut self, from: &mut Table, name: &'static str, rule: &Rule<T>) -> Option<T> {
        let value = from.remove(name);
        match rule.read(value.as_ref()) {
            Ok(read) => Some(read),
            Err(Fault { what, hint }) => {
                self.mistake(&from.at(name), what, hint);
                None
            }
        }
    }

    /// Takes a table out of a table; none when it is not there or is none.
    pub fn table(&mut self, from: &mut Table, name: &'static str) -> Option<Table> {
        let path = from.at(name);
        match from.remove(name)? {
            Value::Dict(_, values) => Some(Table::new(path, values)),
            other => {
                let what = wrong_type(&other, "").what;
                self.mistake(&path, what, format!("write [{name}] and its keys below it"));
                None
            }
        }
    }

    /// Takes a list of tables out of a table.
    pub fn tables(&mut self, from: &mut Table, name: &'static str) -> Vec<Table> {
        let path = from.at(name);
        let hint = format!("write [[{name}]] and its keys below it, once for each");
        let items = match from.remove(name) {
            None => return Vec::new(),
            Some(Value::Array(_, items)) => items,
            Some(_) => {
                self.mistake(&path, "is no list of sections", hint);
                return Vec::new();
            }
        };
        let mut tables = Vec::new();
        for (i, item) in items.into_iter().enumerate() {
            let path = format!("{path}[{i}]");
            match item {
                Value::Dict(_, values) => tables.push(Table::new(path, values)),
                other => self.mistake(&path, wrong_type(&other, "").what, hint.as_str()),
            }
        }
        tables
    }

    /// Says what is left in a table: nobody knows it.
    pub fn done(&mut self, table: Table) {
        for name in table.values.keys() {
            let hint = match nearest(name, table.known.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => {
                    format!("there are {}", table.known.iter().copied().collect::<Vec<_>>().join(", "))
                }
            };
            self.mistake(&table.at(name), "unknown key", hint);
        }
    }

    /// Judges a table as configuration: as one more file, named `place`, among those of `sources`. Answers with
    /// that file's text.
    pub fn configuration(&mut self, table: Table, sources: &Sources, place: &Path) -> String {
        let overlay = self.layer.below(&table.path, table.values);
        let text = as_toml(&overlay.values);
        let own: Arc<Path> = Path::new(&self.layer.name).into();
        if let Err(found) = load_with(sources, Some((place, overlay))) {
            let here = |origin: &Origin| matches!(origin, Origin::File { path, .. } if *path == own);
            self.mistakes.extend(found.iter().cloned().map(|mut mistake| {
                if here(&mistake.origin) {
                    mistake.key = format!("{}.{}", table.path, mistake.key);
                }
                mistake
            }));
        }
        text
    }

    /// Fails when anything was wrong.
    pub fn finish(self) -> Result<(), Mistakes> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(Mistakes::new(self.mistakes)) }
    }
}

impl Table {
    fn new(path: String, values: Dict) -> Self {
        Self { path, values, known: BTreeSet::new() }
    }

    /// Where it stands itself, for [`StrictFile::mistake`].
    pub fn place(&self) -> String {
        self.path.clone()
    }

    /// Where a key of it stands, for [`StrictFile::mistake`].
    pub fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn remove(&mut self, name: &'static str) -> Option<Value> {
        self.known.insert(name);
        self.values.remove(name)
    }
}

/// Sections and lists of sections as a file of their own.
fn as_toml(values: &Dict) -> String {
    let section = |heading: String, keys: &Dict| {
        let lines = keys.iter().map(|(name, value)| format!("{name} = {}\n", written(value)));
        format!("{heading}\n{}", lines.collect::<String>())
    };
    let all = values.iter().flat_map(|(name, value)| match value {
        Value::Dict(_, keys) => vec![section(format!("[{name}]"), keys)],
        Value::Array(_, items) => {
            let tables = items.iter().filter_map(Value::as_dict);
            tables.map(|keys| section(format!("[[{name}]]"), keys)).collect()
        }
        // No configuration has one; the check says so.
        _ => Vec::new(),
    });
    all.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::rule::{line, optional, switch};
    use super::*;

    fn read(text: &str) -> Result<(String, bool, Vec<String>), Mistakes> {
        let (mut file, mut root) = StrictFile::parse(Path::new("card/f.toml"), text)?;
        let name = file.take(&mut root, "name", &line(1, 8));
        let on = file.take(&mut root, "on", &optional(switch()));
        let mut items = Vec::new();
        for mut item in file.tables(&mut root, "item") {
            items.extend(file.take(&mut item, "text", &line(1, 8)));
            file.done(item);
        }
        file.done(root);
        file.finish()?;
        Ok((name.unwrap(), on.unwrap().unwrap_or_default(), items))
    }

    #[test]
    fn everything_is_taken_or_told_with_its_line() {
        let good = read("name = \"a\"\n[[item]]\ntext = \"b\"\n[[item]]\ntext = \"c\"\n").unwrap();
        assert_eq!(good, ("a".into(), false, vec!["b".into(), "c".into()]));
        let wrong = "nmae = \"a\"\non = 1\n\n[[item]]\ntext = \"\"\ntxt = 7\n[other]\nx = 1\n";
        let told = read(wrong).unwrap_err().to_string();
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines.len(), 7, "{told}");
        for part in [
            "card/f.toml: name: is missing",
            "card/f.toml:1: nmae: unknown key; did you mean name?",
            "card/f.toml:2: on: is a number",
            "card/f.toml:5: item[0].text: has 0 characters",
            "card/f.toml:6: item[0].txt: unknown key; did you mean text?",
            "card/f.toml:7: other: unknown key",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(read("name = \"a\"\nitem = 3").unwrap_err().to_string().contains("is no list of sections"));
        assert!(read("name = ").unwrap_err().to_string().contains("card/f.toml:1"));
    }

    #[test]
    fn a_part_is_judged_as_configuration_beside_the_files_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("fieldcam.toml");
        std::fs::write(&main, "[storage]\nwarn_percent = 60\n").unwrap();
        let place = dir.path().join("conf.d/50-x.toml");
        let sources = Sources { usual_file: Some(main), ..Sources::default() };
        let read = |text: &str| {
            let (mut file, mut root) = StrictFile::parse(Path::new("f.toml"), text).unwrap();
            let config = file.table(&mut root, "config").unwrap();
            let text = file.configuration(config, &sources, &place);
            file.finish().map(|()| text)
        };
        let good = "[config.storage]\nrefuse_percent = 80\n[[config.camera]]\nsource = \"test:testsrc2\"\nname = \"a\\\"b\"\n";
        let text = read(good).unwrap();
        assert_eq!(
            text,
            "[[camera]]\nname = 'a\"b'\nsource = \"test:testsrc2\"\n\n[storage]\nrefuse_percent = 80\n"
        );
        std::fs::create_dir(place.parent().unwrap()).unwrap();
        std::fs::write(&place, &text).unwrap();
        assert!(read(good).is_ok(), "it comes in the place of what was there");
        let told = read("x = 1\n[config.storage]\nrefuse_percent = 50\nwarn = 3\n").unwrap_err().to_string();
        assert!(told.contains("f.toml:4: config.storage.warn: unknown key"), "{told}");
        assert!(told.contains("not below storage.refuse_percent (50)"), "{told}");
    }
}
