//! `docs/configuration.md`, written from the table of keys so that it cannot drift from the code.

use std::fmt::Write;

use super::key::{Key, Preset};
use super::settings::keys;

const HEAD: &str = "\
# Configuration

<!-- Generated from src/config; don't edit. `FIELDCAM_WRITE_DOCS=1 cargo test --test source`
     writes it anew. -->

Fieldcam reads TOML. Later layers win over earlier ones:

1. the built-in defaults below;
2. `/etc/fieldcam/fieldcam.toml`, or the file given by `--config FILE`;
3. `conf.d/*.toml` beside that file, in the order of their names;
4. settings made over the API, which the box keeps in its database;
5. the environment: `FIELDCAM_SECTION__KEY`, such as `FIELDCAM_SERVER__LISTEN`.

`[[camera]]` is a list: the cameras of all files add up. `FIELDCAM_CAMERA`, a TOML list, replaces them.

`fieldcam check-config` lists every mistake with file, line and key; an unknown key is one. `fieldcam
config` prints what holds and where each value comes from. `fieldcam ctl reload` and SIGHUP read the
files again: cameras whose section did not change are not touched, and a setting that needs a restart is
named and stays as it was. A file with a mistake changes nothing.

Durations are text such as `\"500ms\"`, `\"10s\"` or `\"15m\"`.
";

/// Where the default would say nothing to a reader.
const EXAMPLES: &[(&str, &str)] = &[
    ("server.allowed_origins", "[\"https://cams.example.org\"]"),
    ("mediamtx.webrtc_hosts", "[\"203.0.113.7\"]"),
    ("discovery.allowed_hosts", "[\"192.168.1.0/24\", \"drone.local:5554\"]"),
    ("auth.jwt_secret", "\"what `openssl rand -hex 32` prints, in place of this\""),
    ("cameras.synthetic", "2"),
    ("camera.id", "\"camera3\""),
    ("camera.name", "\"North gate\""),
    ("camera.resolution", "\"1920x1080\""),
    ("camera.fps", "15"),
    ("camera.encoder", "\"libx264\""),
    ("camera.format", "\"MJPG\""),
    ("camera.keep_warm", "true"),
    ("log.level", "\"info,fieldcam::rpc=debug\""),
];

/// The sources of cameras, each with the keys that mean something to it.
const CAMERAS: &str = r#"
```toml
[[camera]]
source = "rtsp://viewer:secret@192.0.2.20/stream1"  # a network camera
name = "North gate"
audio = true

[[camera]]
source = "file:demo/yard.mp4"  # a video file below media/ in the data directory, as if it were live
resolution = "1280x720"

[[camera]]
source = "test:testsrc2"  # a test camera
id = "camera3"
resolution = "1920x1080"
fps = 15
keep_warm = true
```

Special characters in the user name or password of an address are written as in any URL (`@` is `%40`).
A camera keeps its id for ever, whatever is added, removed or put in another order.
"#;

/// The whole document.
pub fn reference() -> String {
    let keys = keys();
    let mut out = HEAD.to_owned();
    let mut sections: Vec<&str> = Vec::new();
    for key in &keys {
        if !sections.contains(&key.section) {
            sections.push(key.section);
        }
    }
    // Readers look for the sections of one box first; the list of cameras follows what it inherits.
    sections.sort_by_key(|name| *name == "camera");
    for section in sections {
        let rows: Vec<&Key> = keys.iter().filter(|k| k.section == section).collect();
        let is_list = section == "camera";
        let heading = if is_list { "[[camera]]".to_owned() } else { format!("[{section}]") };
        let _ = writeln!(out, "\n## {heading}\n");
        let _ = writeln!(out, "| key | what it does | accepts | default | new value takes effect |");
        let _ = writeln!(out, "|---|---|---|---|---|");
        for key in &rows {
            let effect = if key.live { "on reload" } else { "after a restart" };
            let cells = [&cell(key.about), &cell(&key.expects), &default(key), effect];
            let _ = writeln!(out, "| `{}` | {} |", key.name, cells.join(" | "));
        }
        if is_list {
            out.push_str(CAMERAS);
        } else {
            let _ = writeln!(out, "\n```toml\n{}```", example(section, &rows));
        }
    }
    out
}

/// One section with every key in it.
fn example(section: &str, rows: &[&Key]) -> String {
    let mut out = format!("[{section}]\n");
    for key in rows {
        let path = key.path();
        let written = EXAMPLES.iter().find(|(name, _)| *name == path).map(|(_, value)| (*value).to_owned());
        if let Some(value) = written.or_else(|| key.default()) {
            let _ = writeln!(out, "{} = {value}", key.name);
        }
    }
    out
}

fn default(key: &Key) -> String {
    match &key.default {
        Preset::Is(_) => key.default().map(|text| format!("`{text}`")).unwrap_or_default(),
        Preset::Inherited => format!("as `cameras.{}`", key.name),
        Preset::Absent if key.section == "camera" && key.name == "source" => "must be given".into(),
        Preset::Absent => "not set".into(),
    }
}

/// Text that a table cell can hold.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Loaded;

    #[test]
    fn every_example_is_a_good_configuration() {
        let text = reference();
        let mut blocks = 0;
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            if let Err(mistakes) = Loaded::from_text(block) {
                panic!("{block}\n{mistakes}");
            }
            blocks += 1;
        }
        assert!(blocks > 8, "{blocks} examples");
    }

    #[test]
    fn every_key_is_documented_once_and_every_example_belongs_to_a_key() {
        let text = reference();
        for key in keys() {
            let row = format!("| `{}` | {} |", key.name, cell(key.about));
            assert_eq!(text.matches(&row).count(), 1, "{row}");
        }
        for (path, _) in EXAMPLES {
            assert!(keys().iter().any(|k| k.path() == *path), "{path} is no key");
        }
    }
}
