//! Takes credentials out of text by their looks. Pure; a safety net below code that does not log
//! secrets in the first place, so it rather hides too much.

use std::borrow::Cow;

const HIDDEN: &str = "***";

/// `text` without the passwords of addresses, bearer tokens, JWTs, and values of names such as
/// `sig`, `token` and `password`. What is left of a line still says that something was there.
pub fn redact(text: &str) -> Cow<'_, str> {
    [addresses as fn(&str) -> Option<String>, headers, bearers, jwts, keys, named]
        .into_iter()
        .fold(Cow::Borrowed(text), |text, pass| pass(&text).map_or(text, Cow::Owned))
}

/// As [`redact`], and every occurrence of each of `secrets`.
pub(super) fn redact_with<'a>(text: &'a str, secrets: &[String]) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(text);
    for secret in secrets {
        if text.contains(secret.as_str()) {
            text = Cow::Owned(text.replace(secret.as_str(), HIDDEN));
        }
    }
    match text {
        Cow::Borrowed(text) => redact(text),
        Cow::Owned(text) => Cow::Owned(redact(&text).into_owned()),
    }
}

/// Copies a text and leaves ranges of it out.
struct Copy<'a> {
    text: &'a str,
    out: String,
    done: usize,
}

impl<'a> Copy<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, out: String::new(), done: 0 }
    }

    fn replace(&mut self, start: usize, end: usize, by: &str) {
        self.out.push_str(&self.text[self.done..start]);
        self.out.push_str(by);
        self.done = end;
    }

    fn finish(mut self) -> Option<String> {
        if self.done == 0 {
            return None;
        }
        self.out.push_str(&self.text[self.done..]);
        Some(self.out)
    }
}

/// Where the word at the start of `text` ends.
fn word_end(text: &str, part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !part(c)).unwrap_or(text.len())
}

/// `scheme://user:password@host`, also where the password holds an unescaped `/`, `?` or `#`.
fn addresses(text: &str) -> Option<String> {
    let mut copy = Copy::of(text);
    let mut from = 0;
    while let Some(found) = text[from..].find("://") {
        let start = from + found + 3;
        from = start;
        let run = &text[start..];
        let run = &run
            [..word_end(run, |c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '`' | '<' | '>' | '\\'))];
        // Two addresses joined by a comma: each has its own turn.
        let run = match run.find("://") {
            Some(next) => &run[..run[..next].rfind(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(next)],
            None => run,
        };
        let authority = &run[..word_end(run, |c| !matches!(c, '/' | '?' | '#'))];
        let is_rtsp = text[..start - 3].ends_with("rtsp") || text[..start - 3].ends_with("rtsps");
        let host_and_port = match authority.rsplit_once(':') {
            Some((_, port)) => !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()),
            None => true,
        };
        // Not `http://host/mail?to=a@b`, but anything that a camera's password could make.
        let odd = is_rtsp || !host_and_port;
        let Some(at) = (if odd { run.rfind('@') } else { authority.rfind('@') }) else { continue };
        let user = authority[..at.min(authority.len())].find(':').map_or(0, |colon| colon + 1);
        if &run[user..at] != HIDDEN {
            copy.replace(start + user, start + at, HIDDEN);
        }
        from = start + at;
    }
    copy.finish()
}

/// `Authorization: …` and cookies, up to the end of the line or of the text in quotes.
fn headers(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let mut copy = Copy::of(text);
    for name in ["authorization:", "cookie:"] {
        let mut from = copy.done;
        while let Some(found) = lower[from..].find(name) {
            let start = from + found + name.len();
            let value = &text[start..];
            let start = start + word_end(value, |c| c == ' ');
            let end = start + word_end(&text[start..], |c| !matches!(c, '\r' | '\n'));
            if start < end && &text[start..end] != HIDDEN {
                copy.replace(start, end, HIDDEN);
            }
            from = end;
        }
    }
    copy.finish()
}

/// `Bearer xyz`.
fn bearers(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let mut copy = Copy::of(text);
    let mut from = 0;
    while let Some(found) = lower[from..].find("bearer ") {
        let start = from + found + "bearer ".len();
        let start = start + word_end(&text[start..], |c| c == ' ');
        let end = start + word_end(&text[start..], |c| c.is_ascii_alphanumeric() || "-._~+/=".contains(c));
        if start < end {
            copy.replace(start, end, HIDDEN);
        }
        from = end;
    }
    copy.finish()
}

/// Three parts in base64url joined by dots, the first a JSON object: `eyJ….….…`.
fn jwts(text: &str) -> Option<String> {
    let mut copy = Copy::of(text);
    let mut from = 0;
    while let Some(found) = text[from..].find("eyJ") {
        let start = from + found;
        let end =
            start + word_end(&text[start..], |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if text[start..end].bytes().filter(|b| *b == b'.').count() >= 2 {
            copy.replace(start, end, "<jwt>");
        }
        from = end;
    }
    copy.finish()
}

/// API keys of ours, but not their ids alone.
fn keys(text: &str) -> Option<String> {
    let mut copy = Copy::of(text);
    let mut from = 0;
    while let Some(found) = text[from..].find("fk_") {
        let start = from + found;
        let end = start + word_end(&text[start..], |c| c.is_ascii_alphanumeric() || c == '_');
        if end - start > 20 {
            copy.replace(start, end, "<key>");
        }
        from = end;
    }
    copy.finish()
}

/// Ends of names whose values are secrets.
const TELLING: [&str; 11] = [
    "sig",
    "signature",
    "token",
    "password",
    "passwd",
    "pass",
    "pwd",
    "secret",
    "api_key",
    "apikey",
    "credential",
];

/// `?sig=xyz`, `token="xyz"`, `password: "xyz"`, `"auth_token":"xyz"`, also with `\"`.
fn named(text: &str) -> Option<String> {
    let mut copy = Copy::of(text);
    for (i, separator) in text.match_indices(['=', ':']) {
        if i < copy.done {
            continue;
        }
        let before = text[..i].trim_end_matches(' ');
        let bare = before.trim_end_matches(['"', '\'', '\\']);
        let is_quoted_name = bare.len() < before.len();
        let name = &bare[bare
            .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
            .map_or(0, |n| n + bare[n..].chars().next().map_or(1, char::len_utf8))..];
        let name = name.to_ascii_lowercase().replace('-', "_");
        if !TELLING.iter().any(|t| name.ends_with(t)) {
            continue;
        }
        let after = &text[i + 1..];
        let spaces = word_end(after, |c| c == ' ');
        let (start, end) = match quote(&after[spaces..]) {
            Some(opening) => {
                let start = i + 1 + spaces + opening.len();
                (start, start + closing(&text[start..], opening))
            }
            None if separator == "=" && spaces == 0 || is_quoted_name => {
                let start = i + 1 + spaces;
                (
                    start,
                    start + word_end(&text[start..], |c| !c.is_whitespace() && !"&\"'`,;)}]\\".contains(c)),
                )
            }
            // Prose: "secret: must be longer".
            None => continue,
        };
        if start < end && ![HIDDEN, "<jwt>", "<secret>", "<hidden>"].contains(&&text[start..end]) {
            copy.replace(start, end, HIDDEN);
        }
    }
    copy.finish()
}

/// The quote that `text` starts with, escaped or not.
fn quote(text: &str) -> Option<&'static str> {
    ["\"", "'", "\\\"", "\\'"].into_iter().find(|q| text.starts_with(q))
}

/// Where the text after `opening` ends: at the same quote, unless that one is escaped itself.
fn closing(text: &str, opening: &str) -> usize {
    text.match_indices(opening)
        .map(|(i, _)| i)
        .find(|i| {
            let escapes = text[..*i].bytes().rev().take_while(|b| *b == b'\\').count();
            escapes % 2 == 0
        })
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_of_credential_is_hidden_and_the_rest_stays() {
        for (text, redacted) in [
            ("open rtsp://admin:pw@10.0.0.2:554/x", "open rtsp://admin:***@10.0.0.2:554/x"),
            ("open \"rtsps://admin:p@w@cam/x\"", "open \"rtsps://admin:***@cam/x\""),
            ("rtsp://pw@cam", "rtsp://***@cam"),
            ("rtsp://admin:p/w@cam/x", "rtsp://admin:***@cam/x"),
            ("rtsp://admin:12/34@cam/x", "rtsp://admin:***@cam/x"),
            ("rtsp://cam/a,rtsp://u:pw@b", "rtsp://cam/a,rtsp://u:***@b"),
            ("http://u:pw@127.0.0.1:9997/v3", "http://u:***@127.0.0.1:9997/v3"),
            ("Bearer abc.def-1_2 refused", "Bearer *** refused"),
            ("header authorization: Basic YWRtaW46cHc=", "header authorization: ***"),
            ("Authorization: Digest username=\"a\", response=\"b\"\nnext", "Authorization: ***\nnext"),
            ("got eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYWRtaW4ifQ.c2ln ok", "got <jwt> ok"),
            ("GET /files/a?exp=12&sig=deadbeef&x=1", "GET /files/a?exp=12&sig=***&x=1"),
            ("login token=\"abc\" user=me", "login token=\"***\" user=me"),
            ("login token=abc user=me", "login token=*** user=me"),
            ("Login { password: \"a\\\"b\", user: \"me\" }", "Login { password: \"***\", user: \"me\" }"),
            ("{\"auth_token\":\"abc\",\"id\":1}", "{\"auth_token\":\"***\",\"id\":1}"),
            ("line=\"{\\\"auth_token\\\":\\\"abc\\\"}\"", "line=\"{\\\"auth_token\\\":\\\"***\\\"}\""),
            ("{\"password\": 1234}", "{\"password\": ***}"),
            ("jwt_secret = 'abc'", "jwt_secret = '***'"),
            ("X-Api-Key=abc", "X-Api-Key=***"),
            ("key fk_0a1b2c3d4e_00112233445566778899 ok", "key <key> ok"),
        ] {
            assert_eq!(redact(text), redacted);
        }
    }

    #[test]
    fn ordinary_lines_are_not_copied() {
        for text in [
            "",
            "camera0 streaming at http://127.0.0.1:8888/camera0/index.m3u8?x=1",
            "mail http://host:80/to?who=a@b",
            "the secret: must be at least 32 bytes",
            "token_id=7 tokens=3 fps=30 ",
            "fk_0a1b2c3d4e is an id",
            "ключ: значение = é",
            "password=\"\" secret=<secret>",
        ] {
            assert!(matches!(redact(text), Cow::Borrowed(_)), "{}", redact(text));
        }
    }

    #[test]
    fn registered_secrets_are_hidden_anywhere() {
        let secrets = ["hunter2".to_owned()];
        assert_eq!(redact_with("xhunter2y ok", &secrets), "x***y ok");
        assert!(matches!(redact_with("nothing", &secrets), Cow::Borrowed(_)));
    }

    /// Text full of what the passes look for.
    fn tricky() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "://",
            "rtsp",
            "@",
            ":",
            "/",
            "?",
            "#",
            "=",
            "\"",
            "'",
            "\\",
            "\\\"",
            "Bearer ",
            "authorization:",
            "eyJ",
            ".",
            "sig",
            "token",
            "password",
            " ",
            "\n",
            "***",
            "<jwt>",
            ",",
            "é",
            "日",
            "x1",
            "&",
            "Cookie: ",
        ]);
        prop::collection::vec(prop_oneof![4 => pieces.prop_map(str::to_owned), 1 => any::<String>()], 0..16)
            .prop_map(|p| p.concat())
    }

    proptest! {
        #[test]
        fn no_text_panics_nor_grows_without_end(text in tricky()) {
            let mut again = redact(&text).into_owned();
            for _ in 0..20 {
                again = redact(&again).into_owned();
            }
            prop_assert_eq!(redact(&again), again.as_str());
        }

        #[test]
        fn whatever_the_password_is_it_is_hidden(
            before in "[a-z ]{0,8}",
            password in "[A-Z0-9!$%&()*+,;=_~?./:@-]{6,24}",
            after in "[a-z/ ]{0,8}",
        ) {
            // No address can be told from two addresses then.
            prop_assume!(!format!("admin:{password}").contains("://"));
            for text in [
                format!("{before} rtsp://admin:{password}@cam{after}"),
                format!("{before} password=\"{password}\" {after}"),
                format!("{before} {{\"auth_token\":\"{password}\"}} {after}"),
            ] {
                prop_assert!(!redact(&text).contains(&password), "{} -> {}", text, redact(&text));
            }
        }

        #[test]
        fn whatever_the_token_is_it_is_hidden(token in "[A-Za-z0-9._~+/-]{8,40}", after in "[ \"'&]?[a-z ]{0,8}") {
            for text in [
                format!("Bearer {token}{}", if after.starts_with(char::is_alphabetic) { "" } else { &after }),
                format!("GET /x?sig={token}&{after}"),
                format!("token={token} {after}"),
                format!("Authorization: Basic {token}"),
            ] {
                prop_assert!(!redact(&text).contains(&token), "{} -> {}", text, redact(&text));
            }
        }
    }
}
