//! The programs that the initrd's scripts call are the ones that are put there, by all three builders.

use std::collections::BTreeSet;

use super::{LAYER, between, read};

/// What the shell does itself.
const SHELL: [&str; 20] = [
    "break", "case", "cd", "continue", "done", "elif", "esac", "exit", "export", "fi", "for", "in", "local",
    "read", "return", "set", "shift", "trap", "true", "wait",
];
/// What a command may stand behind.
const BEFORE: [&str; 10] = ["if", "then", "else", "elif", "while", "until", "do", "exec", "!", "{"];

/// The first words of all commands of a script, and what `find` is asked to run.
fn commands(script: &str) -> BTreeSet<String> {
    let lines: Vec<&str> = script.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let mut text = lines.join("\n").replace("\\\n", " ");
    // Sums.
    while let Some((head, rest)) = text.split_once("$((") {
        let (_, tail) = rest.split_once("))").expect("a sum ends");
        text = format!("{head}0{tail}");
    }
    for separator in ["$(", "&&", "||", "|", ";", " -exec "] {
        text = text.replace(separator, "\n");
    }
    // What ends a pattern of `case` stays: `A) command`.
    text = text.replace(") ", ")\n");
    let is_name = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    text.lines()
        .filter_map(|line| line.split_whitespace().find(|word| !BEFORE.contains(word)))
        .map(|word| word.strip_prefix("/bin/").unwrap_or(word))
        .filter(is_name)
        .filter(|word| !SHELL.contains(word))
        .map(str::to_owned)
        .collect()
}

fn words(text: &str) -> BTreeSet<String> {
    text.replace("\\\n", " ").split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_commands_of_a_script_are_understood() {
    let script = "# not this\nif one; then\n    two \"$(three x)\" | four && ! five\nfi\nsix() {\n}\n\
                  case $a in\nb) seven ;;\nesac\nn=$((n + 1))\nfind x \\( -a \\) -exec eight {} \\;\n/bin/nine \\\n    more\n";
    let found: Vec<String> = commands(script).into_iter().collect();
    assert_eq!(found, ["eight", "find", "five", "four", "nine", "one", "seven", "three", "two"]);
}

#[test]
fn the_initrd_has_each_program_that_it_calls_and_no_other() {
    let scripts =
        ["images/initrd/init", "images/initrd/data", &format!("{LAYER}/dynamic-layers/tegra/initrd-board")]
            .map(read);
    let mut called = BTreeSet::new();
    for script in &scripts {
        called.extend(commands(script));
    }
    for own in scripts.iter().flat_map(|script| script.lines()).filter_map(|line| line.strip_suffix("() {")) {
        called.remove(own.trim());
    }
    // The script itself is run by it.
    called.insert("sh".into());
    let programs: BTreeSet<String> = words(between(&read("images/lib/root.sh"), "\ninitrd_programs=(", ")"))
        .iter()
        .map(|path| path.rsplit('/').next().unwrap().to_owned())
        .collect();
    let applets = words(between(&read("images/lib/disk.sh"), "    for applet in ", "; do"));
    let mut given: BTreeSet<String> = programs.union(&applets).cloned().collect();
    given.remove("busybox");
    let lacking: Vec<_> = called.difference(&given).collect();
    let unused: Vec<_> = given.difference(&called).collect();
    assert!(lacking.is_empty() && unused.is_empty(), "lacking: {lacking:?}, unused: {unused:?}");

    // Buildroot's busybox is made with them.
    let fragment = read("buildroot-overlay/board/common/busybox.fragment");
    let chosen: BTreeSet<String> = fragment
        .lines()
        .filter_map(|line| line.strip_prefix("CONFIG_")?.strip_suffix("=y"))
        .filter(|name| !name.starts_with("FEATURE_") && *name != "ASH")
        .map(|name| if name == "SH_IS_ASH" { "sh".to_owned() } else { name.to_lowercase() })
        .collect();
    assert_eq!(chosen, applets, "busybox.fragment and images/lib/disk.sh");
}
