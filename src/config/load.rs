//! Loading: finds the layers, merges them with figment, reads the settings out of the result.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::Figment;
use figment::value::{Dict, Value};

use super::across;
use super::check::check;
use super::key::{Entry, Key, Preset, Scope};
use super::layer::{Layer, Part};
use super::mistake::{Mistake, Mistakes, Origin};
use super::settings::{CameraSection, Settings, keys};

/// Where the file is when nobody says otherwise.
const USUAL_FILE: &str = "/etc/fieldcam/fieldcam.toml";

/// Where to look.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`: must exist. Without it [`Self::usual_file`], which need not.
    pub file: Option<PathBuf>,
    /// The file when `--config` is not given; tests name another.
    pub usual_file: Option<PathBuf>,
    /// Settings made over the API: path of the key, value as TOML writes it.
    pub api: Vec<(String, String)>,
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Where relative paths in the environment start.
    pub working_dir: Option<PathBuf>,
}

impl Sources {
    /// This process's own, with `--config` if it was given.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        Self {
            file,
            usual_file: Some(USUAL_FILE.into()),
            api: Vec::new(),
            environment: std::env::vars_os().collect(),
            working_dir: std::env::current_dir().ok(),
        }
    }
}

/// What was loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Each key's effective value and origin, secrets hidden, in the order of the table of keys.
    pub entries: Vec<Entry>,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// Settings made over the API that do not fit this version.
    pub ignored: Vec<String>,
}

/// Loads and checks everything.
pub fn load(sources: &Sources) -> Result<Loaded, Mistakes> {
    load_with(sources, None)
}

/// As [`load`], with a drop-in that is not there yet in its place, or instead of the one that is.
pub(super) fn load_with(sources: &Sources, drop_in: Option<(&Path, Layer)>) -> Result<Loaded, Mistakes> {
    let mut mistakes = Vec::new();
    let mut files = Vec::new();
    let mut found = find_files(sources, &mut mistakes);
    let (place, mut layer) = drop_in.map_or((None, None), |(place, layer)| (Some(place), Some(layer)));
    if let Some(place) = place {
        found.retain(|(path, _)| path != place);
        let at = found.iter().skip(1).take_while(|(path, _)| **path < *place).count();
        found.insert((at + 1).min(found.len()), (place.to_owned(), false));
    }
    for (path, must_exist) in found {
        if Some(&*path) == place {
            files.extend(layer.take());
            continue;
        }
        match Layer::file(&path, must_exist) {
            Ok(layer) => files.extend(layer),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    finish(files, sources, mistakes)
}

impl Loaded {
    /// As [`load`] does with one file of this text and an empty environment.
    pub fn from_text(text: &str) -> Result<Self, Mistakes> {
        let path: Arc<Path> = Path::new("fieldcam.toml").into();
        let layer = Layer::toml(&path, text).map_err(|mistake| Mistakes::new(vec![mistake]))?;
        finish(vec![layer], &Sources::default(), Vec::new())
    }
}

/// The file and its drop-ins, each with whether it must exist.
fn find_files(sources: &Sources, mistakes: &mut Vec<Mistake>) -> Vec<(PathBuf, bool)> {
    let (main, must_exist) = match (&sources.file, &sources.usual_file) {
        (Some(file), _) => (file, true),
        (None, Some(file)) => (file, false),
        (None, None) => return Vec::new(),
    };
    let mut files = vec![(main.clone(), must_exist)];
    let folder = main.parent().unwrap_or(Path::new("")).join("conf.d");
    match std::fs::read_dir(&folder) {
        Ok(entries) => {
            let mut found: Vec<_> = entries
                .filter_map(|e| Some(e.ok()?.path()))
                .filter(|p| p.extension().is_some_and(|e| e == "toml"))
                .filter(|p| !p.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b".")))
                .collect();
            found.sort();
            files.extend(found.into_iter().map(|p| (p, true)));
        }
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {}
        Err(e) => mistakes.push(Mistake {
            origin: Origin::file(&folder.into(), None),
            key: String::new(),
            what: format!("cannot be read: {e}"),
            hint: "check its permissions".into(),
        }),
    }
    files
}

fn finish(files: Vec<Layer>, sources: &Sources, mut mistakes: Vec<Mistake>) -> Result<Loaded, Mistakes> {
    let keys = keys();
    let mut layers = vec![Layer::defaults(&keys)];
    let names = files.iter().map(|l| PathBuf::from(&l.name)).collect();
    layers.extend(files);
    let mut ignored = Vec::new();
    layers.push(Layer::api(&sources.api, &keys, &mut ignored));
    let working_dir = sources.working_dir.as_deref();
    layers.push(Layer::environment(&sources.environment, working_dir, &keys, &mut mistakes));
    for layer in &mut layers[1..] {
        mistakes.extend(check(layer, &keys));
    }
    let merged = Merged::new(&layers);
    let mut entries = Vec::new();
    let read = merged.read(&keys, &mut entries, &mut mistakes);
    if let Some(settings) = &read {
        let places: Vec<_> = merged.cameras.iter().map(|c| c.path.clone()).collect();
        let found = across::check(settings, &places, &|key| merged.origin(key), &|i, key| {
            merged.cameras[i].layer.origin(&format!("{}.{key}", merged.cameras[i].path))
        });
        mistakes.extend(found);
    }
    match read {
        Some(settings) if mistakes.is_empty() => Ok(Loaded { settings, entries, files: names, ignored }),
        _ => Err(Mistakes::new(mistakes)),
    }
}

/// All layers as one, each value tagged by figment with the layer it comes from.
struct Merged<'a> {
    figment: Figment,
    layers: &'a [Layer],
    cameras: Vec<Camera<'a>>,
}

struct Camera<'a> {
    layer: &'a Layer,
    /// Within its layer.
    path: String,
    values: Dict,
}

impl<'a> Merged<'a> {
    fn new(layers: &'a [Layer]) -> Self {
        let mut figment = Figment::new();
        for layer in layers {
            let (list, sections): (Dict, Dict) = layer
                .values
                .clone()
                .into_iter()
                .partition(|(name, _)| name == "camera" && layer.adds_cameras);
            figment = figment.merge(Part(&layer.name, sections)).admerge(Part(&layer.name, list));
        }
        let mut merged = Self { figment, layers, cameras: Vec::new() };
        let mut counts = BTreeMap::<&str, usize>::new();
        if let Ok(Value::Array(_, items)) = merged.figment.find_value("camera") {
            for item in items {
                let layer = merged.layer_of(&item);
                let count = counts.entry(&layer.name).or_default();
                let path = format!("camera[{count}]");
                *count += 1;
                let Value::Dict(_, values) = item else { continue };
                merged.cameras.push(Camera { layer, path, values });
            }
        }
        merged
    }

    fn layer_of(&self, value: &Value) -> &'a Layer {
        let name = self.figment.get_metadata(value.tag()).map(|m| m.name.as_ref());
        self.layers.iter().find(|l| Some(l.name.as_str()) == name).unwrap_or(&self.layers[0])
    }

    fn origin(&self, key: &str) -> Origin {
        self.figment.find_value(key).map_or(Origin::Default, |v| self.layer_of(&v).origin(key))
    }

    fn section(&self, name: &str) -> (Dict, BTreeMap<String, Origin>) {
        let values = self.figment.find_value(name).ok().and_then(Value::into_dict).unwrap_or_default();
        let origins = values
            .iter()
            .map(|(k, v)| (k.clone(), self.layer_of(v).origin(&format!("{name}.{k}"))))
            .collect();
        (values, origins)
    }

    fn read(&self, keys: &[Key], entries: &mut Vec<Entry>, mistakes: &mut Vec<Mistake>) -> Option<Settings> {
        let mut camera_entries = Vec::new();
        let cameras = (0..self.cameras.len())
            .map(|i| self.read_camera(i, keys, &mut camera_entries, mistakes))
            .collect();
        let settings = Settings::read(cameras, |name, read| {
            let (values, origins) = self.section(name);
            let (section, place) = (name.to_owned(), name.to_owned());
            let (origin, unshown) = (Origin::Default, BTreeSet::new());
            read(&mut Scope { section, place, values, origins, origin, unshown, entries, mistakes });
        });
        entries.extend(camera_entries);
        settings
    }

    fn read_camera(
        &self,
        i: usize,
        keys: &[Key],
        entries: &mut Vec<Entry>,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<CameraSection> {
        let Camera { layer, path, values } = &self.cameras[i];
        let mut values = values.clone();
        let mut origins: BTreeMap<_, _> =
            values.keys().map(|k| (k.clone(), layer.origin(&format!("{path}.{k}")))).collect();
        let source = values.get("source").and_then(Value::as_str).and_then(|s| s.parse().ok());
        let idle = source.as_ref().map_or(&[][..], across::idle_keys);
        for name in idle.iter().filter(|name| values.contains_key(**name)) {
            mistakes.push(Mistake {
                origin: origins[*name].clone(),
                key: format!("{path}.{name}"),
                what: "does nothing for a camera of this source".into(),
                hint: "remove it".into(),
            });
        }
        let (shared, shared_origins) = self.section("cameras");
        for key in
            keys.iter().filter(|k| k.section == "camera" && !values.contains_key(k.name)).collect::<Vec<_>>()
        {
            let name = key.name.to_owned();
            match &key.default {
                Preset::Inherited => {
                    origins.extend(shared_origins.get(key.name).map(|o| (name.clone(), o.clone())));
                    values.extend(shared.get(key.name).map(|v| (name, v.clone())));
                }
                Preset::Is(value) => {
                    origins.insert(name.clone(), Origin::Default);
                    values.insert(name, value.clone());
                }
                Preset::Absent => {}
            }
        }
        let (section, place, origin) = (format!("camera[{i}]"), path.clone(), layer.origin(path));
        let unshown = idle.iter().copied().collect();
        CameraSection::read(&mut Scope {
            section,
            place,
            values,
            origins,
            origin,
            unshown,
            entries,
            mistakes,
        })
    }
}
