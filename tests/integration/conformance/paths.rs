//! Paths where no path belongs: in every string that a method takes, the nested ones too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::cases;
use crate::common::TestBox;
use crate::common::document::document;

/// Lies beside the data directory and in it; nothing that the API answers may have it.
const BAIT: &str = "bait-4711-kept-from-everybody";

fn files_below(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_below(&path, found)
        } else {
            let _ = found.insert(path);
        }
    }
}

/// Every file but those of folders that the box writes by itself.
fn outside(testbox: &TestBox) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    files_below(testbox.scratch(), &mut found);
    let own = ["recordings", "snapshots", "run", "backup"].map(|name| testbox.data().join(name));
    found.retain(|file| {
        let name = file.file_name().unwrap().to_string_lossy();
        !own.iter().any(|folder| file.starts_with(folder)) && !name.starts_with("fieldcam.db")
    });
    found
}

/// The parameters with `text` in each place of a string, one at a time.
fn placed(good: &Map<String, Value>, text: &str) -> Vec<Map<String, Value>> {
    let mut all = Vec::new();
    for (name, value) in good {
        let changed = match value {
            Value::String(_) => vec![json!(text)],
            Value::Array(_) => vec![json!([text])],
            Value::Object(members) => placed(members, text).into_iter().map(Value::from).collect(),
            _ => Vec::new(),
        };
        all.extend(changed.into_iter().map(|value| {
            let mut params = good.clone();
            params.insert(name.clone(), value);
            params
        }));
    }
    all
}

#[test]
fn a_path_in_any_string_reads_writes_and_removes_nothing() {
    let testbox = TestBox::start();
    let baits = [testbox.scratch().join("bait.mp4"), testbox.data().join("secrets/bait.jpg")];
    for bait in &baits {
        fs::write(bait, BAIT).unwrap();
    }
    let before = outside(&testbox);
    let whole = baits[0].to_string_lossy();
    let texts = [
        "../bait.mp4",
        "../../bait.mp4",
        "../../../bait.mp4",
        "../bait",
        "../secrets/bait.jpg",
        "secrets/bait.jpg",
        "..\\secrets\\bait.jpg",
        "%2e%2e%2fsecrets%2fbait.jpg",
        "..%252fsecrets%252fbait.jpg",
        "camera0/../../bait.mp4",
        "../secrets/jwt.key",
        "file:///etc/passwd",
        "bait.mp4\0.jpg",
        &*whole,
    ];
    let mut client = testbox.login("admin");
    let (mut calls, mut places) = (0, 0);
    for (name, method) in document().methods() {
        // Every parameter, also those that its examples leave out.
        let mut good = cases::example(method);
        for (param, schema) in document().params(method) {
            if document().resolve(&schema["schema"])["type"] == "string" {
                good.entry(param).or_insert_with(|| json!("x"));
            }
        }
        places += placed(&good, "").len();
        for text in texts {
            for params in placed(&good, text) {
                calls += 1;
                let shown = Value::from(params.clone());
                let reply = match client.call(name, params.into()) {
                    Ok(result) => result.to_string(),
                    Err(error) => error.to_string(),
                };
                assert!(!reply.contains(BAIT) && !reply.contains("root:"), "{name} {shown}: {reply}");
            }
        }
    }
    println!("{calls} calls with a path in one of {places} strings");
    assert!(places > 20, "{places}");
    assert_eq!(outside(&testbox), before);
    for bait in &baits {
        assert_eq!(fs::read_to_string(bait).unwrap(), BAIT);
    }
    testbox.login("admin").assert_alive();
}
