//! What never stands in anything that a box says: looked for in the words of every box of the suite.

use std::path::Path;

/// The shortest word of a file below `secrets/` that is one; ids are shorter, and may be seen.
const SECRET_MIN: usize = 32;

/// Fails the test when a box of this data directory said a secret, its own or one that looks like one.
#[track_caller]
pub fn assert_none(log: &str, data: &Path, configured: &[(String, String)]) {
    let files = std::fs::read_dir(data.join("secrets")).into_iter().flatten().flatten();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    let words: Vec<String> = texts
        .flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .chain(configured.iter().filter(|(key, _)| key.ends_with("SECRET")).map(|(_, value)| value.clone()))
        .filter(|word| word.len() >= SECRET_MIN)
        // The claim code is short, so that people can type it.
        .chain(std::fs::read_to_string(data.join("secrets/claim")).ok().map(|code| code.trim().to_owned()))
        .collect();
    for line in log.lines() {
        let own = words.iter().any(|word| line.contains(word.as_str()));
        assert!(!own, "a secret of the box is in its log: {line}");
        assert_eq!(found(line), None, "in the log: {line}");
    }
}

/// What in a line looks like a token, a key, a signed link or a password.
pub fn found(line: &str) -> Option<&'static str> {
    let after = |mark: &'static str, looks: fn(&str) -> bool| {
        line.match_indices(mark).any(|(at, _)| looks(&line[at + mark.len()..]))
    };
    if after("eyJ", |rest| word(rest, "._-").split('.').filter(|part| part.len() >= 8).count() >= 2) {
        return Some("a token");
    }
    if after("fk_", |rest| word(rest, "_").len() > 20) {
        return Some("an API key");
    }
    if after("sig=", |rest| word(rest, "_-").len() >= 8) {
        return Some("a signed link");
    }
    let shows_password: fn(&str) -> bool = |rest| {
        let host = rest.split(['/', ' ', '"', '?']).next().unwrap_or_default();
        let password = host.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
        password.is_some_and(|(_, password)| !password.is_empty() && !password.starts_with('*'))
    };
    after("://", shows_password).then_some("a password in an address")
}

/// The letters, digits and `others` that a text begins with.
fn word<'a>(text: &'a str, others: &str) -> &'a str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !others.contains(c)).unwrap_or(text.len());
    &text[..end]
}
