//! The import order of the rooms: each may import only from rooms that stand before it in the table
//! of `src/lib.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The rooms in order, from the doc comment of `lib.rs`: table rows `//! | room | what it owns |`.
fn rooms() -> Vec<String> {
    let text = fs::read_to_string(source_root().join("lib.rs")).unwrap();
    text.lines()
        .filter_map(|l| l.strip_prefix("//! | `"))
        .filter_map(|l| l.split('`').next())
        .map(str::to_owned)
        .collect()
}

fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Rooms that a text names in a path of this crate, comments left out. Knows `crate::room`,
/// `crate::{room, other::x}`.
fn imported(text: &str) -> BTreeSet<String> {
    let code: String =
        text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for (at, root) in code.match_indices("crate::") {
        let rest = &code[at + root.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(name_at(rest));
            continue;
        };
        let mut depth = 1;
        let mut expect = true;
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => expect = true,
                c if expect && c.is_ascii_lowercase() => {
                    found.insert(name_at(&group[i..]));
                    expect = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

fn name_at(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

#[test]
fn every_room_imports_only_from_rooms_before_it() {
    let rooms = rooms();
    assert!(rooms.len() >= 10, "the table of lib.rs was not found: {rooms:?}");
    let mut wrong = Vec::new();
    for (place, room) in rooms.iter().enumerate() {
        let mut files = Vec::new();
        files_below(&source_root().join(room), &mut files);
        assert!(!files.is_empty(), "room {room} of the table has no files");
        for file in files {
            for other in imported(&fs::read_to_string(&file).unwrap()) {
                let Some(theirs) = rooms.iter().position(|r| *r == other) else { continue };
                if theirs > place {
                    wrong.push(format!("{} imports {other}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "against the order of lib.rs:\n{}", wrong.join("\n"));
}

#[test]
fn every_folder_under_src_is_in_the_table() {
    let rooms: BTreeSet<String> = rooms().into_iter().collect();
    let folders: BTreeSet<String> = fs::read_dir(source_root())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir())
        .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(folders, rooms);
}

#[test]
fn the_reader_of_imports_sees_groups_and_ignores_comments() {
    let text = "use crate::{base::{Error, Mono}, store};\n// crate::rpc\nlet x = crate::auth::Role::Admin;";
    let expected: BTreeSet<String> = ["base", "store", "auth"].map(String::from).into();
    assert_eq!(imported(text), expected);
}

#[test]
fn every_room_opens_with_what_it_owns() {
    for room in rooms() {
        let head = fs::read_to_string(source_root().join(&room).join("mod.rs")).unwrap();
        assert!(head.starts_with("//!"), "src/{room}/mod.rs does not open with what the room owns");
    }
}
