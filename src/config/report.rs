//! What `check-config` and `config` print.

use std::fmt::Write;

use super::load::Loaded;
use super::mistake::{Mistakes, Origin};

/// One line for each mistake, and how many there are.
pub fn report_mistakes(mistakes: &Mistakes) -> String {
    let mut out = String::new();
    for mistake in mistakes.iter() {
        let _ = writeln!(out, "{mistake}");
    }
    let n = mistakes.count();
    let _ = writeln!(out, "{n} mistake{} in the configuration", if n == 1 { "" } else { "s" });
    out
}

/// The effective settings as a TOML file, secrets hidden, with what each key does and where its
/// value comes from.
pub fn report_effective(loaded: &Loaded) -> String {
    let mut out = String::from(
        "# Effective settings of Fieldcam. Each key: what it does; value; where the value comes from.\n",
    );
    let _ = match loaded.files.as_slice() {
        [] => writeln!(out, "# No configuration file was read."),
        files => files.iter().try_for_each(|f| writeln!(out, "# Read: {}", f.display())),
    };
    let mut section = "";
    for entry in &loaded.entries {
        if entry.section != section {
            section = &entry.section;
            let heading =
                if section.starts_with("camera[") { "[[camera]]".to_owned() } else { format!("[{section}]") };
            let _ = writeln!(out, "\n{heading}");
        }
        let _ = writeln!(out, "# {}", entry.about);
        let _ = match &entry.value {
            Some(value) => writeln!(out, "{} = {value}  # {}", entry.name, one_line(&entry.origin)),
            None => writeln!(out, "# {} is not set", entry.name),
        };
    }
    out
}

/// A path may hold any character; a comment ends with its line.
fn one_line(origin: &Origin) -> String {
    origin.to_string().replace(char::is_control, "?")
}
