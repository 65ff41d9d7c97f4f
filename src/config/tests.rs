//! One test per promise of this room.

mod hostile;
mod layers;
mod rules;

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::base::{CameraId, Error, ErrorKind};

const SECRET: &str = "correct-horse-battery-staple-0123456789";

fn mistakes(text: &str) -> Vec<String> {
    Loaded::from_text(text).expect_err("mistakes").iter().map(Mistake::to_string).collect()
}

/// The one mistake of `text` has each of `parts`.
#[track_caller]
fn one_mistake(text: &str, parts: &[&str]) {
    let found = mistakes(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    for part in parts {
        assert!(found[0].contains(part), "{part:?} is not in {:?}", found[0]);
    }
}

fn env(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(n, v)| (n.into(), v.into())).collect()
}

fn with_env(pairs: &[(&str, &str)]) -> Result<Loaded, Mistakes> {
    load(&Sources { environment: env(pairs), working_dir: Some("/home/me".into()), ..Sources::default() })
}

struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { dir }
    }

    fn main(&self) -> PathBuf {
        self.dir.path().join("fieldcam.toml")
    }

    fn load(&self, environment: &[(&str, &str)]) -> Result<Loaded, Mistakes> {
        load(&Sources { file: Some(self.main()), environment: env(environment), ..Sources::default() })
    }
}

fn origin_of(loaded: &Loaded, section: &str, name: &str) -> String {
    loaded.entries.iter().find(|e| e.section == section && e.name == name).unwrap().origin.to_string()
}
