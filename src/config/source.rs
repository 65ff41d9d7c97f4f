//! Camera sources: the grammar of `camera.source`, and addresses shown without their credentials.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use url::Url;

use super::mistake::nearest;
use crate::base::Secret;

/// The patterns of synthetic cameras; each is a source of FFmpeg's that takes a size and a rate.
pub const PATTERNS: [&str; 6] =
    ["testsrc2", "testsrc", "smptehdbars", "smptebars", "pal75bars", "rgbtestsrc"];

/// What `camera.source` may be, for people.
pub(super) const EXPECTS: &str = "\"v4l2:IDENTITY\", \"rtsp://USER:PASSWORD@HOST/PATH\", \"rtsps://…\", \"test:PATTERN\" or \"file:PATH\" in quotes";

/// Where a camera's pictures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSpec {
    /// A synthetic camera.
    Test(TestPattern),
    /// A network camera.
    Rtsp(RtspUrl),
    /// A video file, played over and over as if it were live.
    File(FilePath),
    /// A camera that is plugged into the box.
    V4l2(V4l2Identity),
}

/// The port of an `rtsp` or `rtsps` URL.
pub fn rtsp_port(url: &Url) -> u16 {
    url.port().unwrap_or(if url.scheme() == "rtsps" { 322 } else { 554 })
}

impl SourceSpec {
    /// What makes two sources the same camera: no credentials, and none of the test knobs' order.
    pub fn identity(&self) -> String {
        match self {
            SourceSpec::Test(pattern) => pattern.to_string(),
            SourceSpec::Rtsp(url) => url.identity(),
            SourceSpec::File(file) => file.to_string(),
            SourceSpec::V4l2(identity) => identity.to_string(),
        }
    }
}

/// Without credentials.
impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceSpec::Test(pattern) => pattern.fmt(f),
            SourceSpec::Rtsp(url) => url.fmt(f),
            SourceSpec::File(file) => file.fmt(f),
            SourceSpec::V4l2(identity) => identity.fmt(f),
        }
    }
}

/// `v4l2:IDENTITY`: what makes a plugged-in camera the same again, as `fieldcam ctl cameras` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V4l2Identity(String);

impl fmt::Display for V4l2Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v4l2:{}", self.0)
    }
}

/// `file:PATH`: absolute, or below `media/` in the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath(PathBuf);

impl FilePath {
    /// Where it is, with `media` as the folder that relative paths start from.
    pub fn within(&self, media: &Path) -> PathBuf {
        media.join(&self.0)
    }

    /// Its name without folder and ending, for people.
    pub fn stem(&self) -> String {
        self.0.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file:{}", self.0.display())
    }
}

/// `test:PATTERN[?deliver=N&lose=K]`; the two knobs make a camera that lies, for tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestPattern {
    /// One of [`PATTERNS`].
    pub pattern: String,
    /// Frames a second that really come, whatever the camera says.
    pub deliver: Option<u32>,
    /// Every how-many-th frame is lost.
    pub lose: Option<u32>,
}

impl fmt::Display for TestPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "test:{}", self.pattern)?;
        let knobs = [("deliver", self.deliver), ("lose", self.lose)];
        for (i, (name, n)) in knobs.iter().filter_map(|(k, n)| n.map(|n| (k, n))).enumerate() {
            write!(f, "{}{name}={n}", if i == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

/// An `rtsp://` or `rtsps://` address. `Debug` and `Display` hide the credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct RtspUrl(Url);

impl RtspUrl {
    /// The address with its credentials, for the one who connects.
    pub fn expose(&self) -> &Url {
        &self.0
    }

    /// The host as written, brackets around IPv6.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The port, the scheme's own when none is written.
    pub fn port(&self) -> u16 {
        rtsp_port(&self.0)
    }

    /// The password as written and as the camera gets it, for the log to hide.
    pub fn secrets(&self) -> Vec<Secret> {
        let Some(written) = self.0.password() else { return Vec::new() };
        let query = format!("p={}", written.replace('+', "%2B").replace('&', "%26"));
        let plain = url::form_urlencoded::parse(query.as_bytes()).next().map(|(_, value)| value.into_owned());
        [Some(written.to_owned()), plain].into_iter().flatten().map(Secret::new).collect()
    }

    /// Scheme, host, port and path with query, without credentials: the same camera under another
    /// password is still the same.
    pub fn identity(&self) -> String {
        let query = self.0.query().map(|q| format!("?{q}")).unwrap_or_default();
        let host = self.host().to_ascii_lowercase();
        let path = self.0.path().trim_end_matches('/');
        hide_pairs(&format!("{}://{host}:{}{path}{query}", self.0.scheme(), self.port()))
    }
}

impl fmt::Display for RtspUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hide_credentials(self.0.as_str()))
    }
}

impl fmt::Debug for RtspUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SourceSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let scheme = text.split(':').next().unwrap_or_default();
        match scheme {
            "test" => parse_pattern(&text["test:".len().min(text.len())..]).map(SourceSpec::Test),
            "file" => parse_file(&text["file:".len().min(text.len())..]).map(SourceSpec::File),
            "rtsp" | "rtsps" => parse_rtsp(text).map(SourceSpec::Rtsp),
            "v4l2" => parse_v4l2(&text["v4l2:".len().min(text.len())..]).map(SourceSpec::V4l2),
            _ => Err("starts with none of v4l2:, rtsp:, rtsps:, test: and file:".into()),
        }
    }
}

fn parse_v4l2(text: &str) -> Result<V4l2Identity, String> {
    /// Longer than any that the box gives.
    const LONGEST: usize = 200;
    match text {
        "" => Err("names no camera (`fieldcam ctl cameras` shows the identities)".into()),
        _ if text.len() > LONGEST || !text.bytes().all(|b| b.is_ascii_graphic()) => {
            Err("is no identity of a camera (`fieldcam ctl cameras` shows them)".into())
        }
        _ => Ok(V4l2Identity(text.to_owned())),
    }
}

fn parse_file(text: &str) -> Result<FilePath, String> {
    if text.is_empty() || text.ends_with('/') {
        return Err("names no file".into());
    }
    if text.chars().any(char::is_control) {
        return Err("has a control character in its path".into());
    }
    let path = Path::new(text);
    if path.components().any(|part| matches!(part, Component::ParentDir)) {
        return Err("has '..' in its path".into());
    }
    // `file:///x`, `file:./x` and doubled slashes are the same file, and so the same camera.
    let plain: PathBuf = path.components().filter(|part| !matches!(part, Component::CurDir)).collect();
    if plain.file_name().is_none() { Err("names no file".into()) } else { Ok(FilePath(plain)) }
}

fn parse_pattern(text: &str) -> Result<TestPattern, String> {
    let (pattern, query) = text.split_once('?').unwrap_or((text, ""));
    if !PATTERNS.contains(&pattern) {
        let near = nearest(pattern, PATTERNS).map(|n| format!("; did you mean {n}?")).unwrap_or_default();
        return Err(format!("names no pattern: {pattern:?}{near} (there are {})", PATTERNS.join(", ")));
    }
    let mut found = TestPattern { pattern: pattern.to_owned(), deliver: None, lose: None };
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (knob, low, high) = match name {
            "deliver" => (&mut found.deliver, 1, 240),
            "lose" => (&mut found.lose, 2, 10_000),
            _ => return Err(format!("has the unknown knob {name:?} (there are deliver=N and lose=K)")),
        };
        let n = value.parse().ok().filter(|n| (low..=high).contains(n));
        *knob = Some(n.ok_or_else(|| format!("has {name} outside {low} to {high}"))?);
    }
    Ok(found)
}

/// Never quotes the text: what makes it unparsable may be its password.
fn parse_rtsp(text: &str) -> Result<RtspUrl, String> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("is an address with a space in it (write %20)".into());
    }
    let url = Url::parse(text).map_err(|e| match e {
        url::ParseError::InvalidPort => {
            "has a port that is no number (write '/', '?', '#', ':' and '@' in a password as %2F, %3F, %23, %3A and %40)"
                .to_owned()
        }
        e => format!("is not an address: {e}"),
    })?;
    if !text[url.scheme().len()..].starts_with("://") || url.host_str().is_none_or(str::is_empty) {
        return Err("names no host".into());
    }
    if url.port() == Some(0) {
        return Err("has port 0".into());
    }
    if url.fragment().is_some() {
        return Err("has a '#' (write %23)".into());
    }
    Ok(RtspUrl(url))
}

/// `text` with the password of `scheme://user:password@` and every `password=…`, `token=…` and the
/// like replaced by `***`. Works on broken addresses too.
pub fn hide_credentials(text: &str) -> String {
    let start = text.find("://").map_or(0, |i| i + 3);
    let (scheme, rest) = text.split_at(start);
    // A password may hold an unescaped '/': whatever stands before the last '@' is taken as one.
    let Some(at) = rest.rfind('@') else { return hide_pairs(text) };
    let user = rest[..at].split(':').next().filter(|u| u.len() < at).unwrap_or_default();
    let user = if user.contains(['/', '?', '@']) { "" } else { user };
    format!("{scheme}{user}:***{}", hide_pairs(&rest[at..]))
}

/// `text` with every `password=…` and the like replaced by `***`: cheap cameras take
/// `…/user=admin&password=secret&channel=1`, in the query and in the path.
pub fn hide_pairs(text: &str) -> String {
    let is_end = |c: char| matches!(c, '&' | '/' | '?' | ';' | '_' | '#');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(equals) = rest.find('=') {
        let (head, tail) = rest.split_at(equals + 1);
        let name = head[..equals].rsplit(is_end).next().unwrap_or_default().to_ascii_lowercase();
        out.push_str(head);
        rest = tail;
        let telling = ["pass", "pwd", "psw", "token", "secret", "auth", "key", "sig"];
        if telling.iter().any(|t| name.contains(t)) {
            let end = tail.find(['&', '/', '?', ';', '#']).unwrap_or(tail.len());
            if end > 0 {
                out.push_str("***");
            }
            rest = &tail[end..];
        }
    }
    out.push_str(rest);
    out
}

/// The origin in the form a browser sends, or nothing when `text` is not one.
pub(super) fn web_origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|u| matches!(u.scheme(), "http" | "https"))?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    (bare && anonymous).then(|| url.origin().ascii_serialization())
}
