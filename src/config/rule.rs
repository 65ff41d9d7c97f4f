//! Rules: what one key accepts, as text for people and as code, in one place.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::value::{Num, Value};

use super::mistake::nearest;
use super::source;
use crate::base::{Secret, units};

/// Why a value is refused, and what to write instead. Must not quote a secret.
#[derive(Debug)]
pub(crate) struct Fault {
    pub what: String,
    pub hint: String,
}

impl Fault {
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

/// How the text of an environment variable becomes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The text itself, be it `1234` or `true`.
    Text,
    /// A number, a switch or a list as TOML writes it.
    Toml,
    /// As `Toml`; without brackets it is split at commas.
    List,
    /// The text; a relative path starts at the working directory, as in any command.
    Path,
    /// As `Path`, but a bare name is looked up in `PATH`.
    Program,
}

/// How a value is shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    Plain,
    Hidden,
    Source,
}

/// What one key accepts.
pub(crate) struct Rule<T> {
    pub shape: Shape,
    pub show: Show,
    /// For people: "a whole number from 1 to 100".
    pub expects: String,
    #[expect(clippy::type_complexity, reason = "one closure, named once")]
    read: Box<dyn Fn(&Value) -> Result<T, Fault> + Send + Sync>,
    absent: Option<fn() -> T>,
}

impl<T: 'static> Rule<T> {
    pub fn new(
        shape: Shape,
        expects: impl Into<String>,
        read: impl Fn(&Value) -> Result<T, Fault> + Send + Sync + 'static,
    ) -> Self {
        Self { shape, show: Show::Plain, expects: expects.into(), read: Box::new(read), absent: None }
    }

    /// A rule over text in quotes; `parse` says what is wrong with it.
    pub fn text(
        shape: Shape,
        expects: impl Into<String>,
        parse: impl Fn(&str) -> Result<T, String> + Send + Sync + 'static,
    ) -> Self {
        let expects = expects.into();
        let wanted = expects.clone();
        Self::new(shape, expects, move |value| {
            let text = as_text(value).ok_or_else(|| wrong_type(value, &wanted))?;
            parse(text).map_err(|what| Fault::new(what, format!("write {wanted}")))
        })
    }

    pub fn shown(mut self, show: Show) -> Self {
        self.show = show;
        self
    }

    pub fn read(&self, value: Option<&Value>) -> Result<T, Fault> {
        match (value, self.absent) {
            (Some(value), _) => (self.read)(value),
            (None, Some(absent)) => Ok(absent()),
            (None, None) => Err(Fault::new("is missing", format!("write {}", self.expects))),
        }
    }
}

/// The key may be left out.
pub(crate) fn optional<T: 'static>(rule: Rule<T>) -> Rule<Option<T>> {
    let Rule { shape, show, expects, read, .. } = rule;
    Rule { shape, show, expects, read: Box::new(move |v| read(v).map(Some)), absent: Some(|| None) }
}

fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::String(_, text) => Some(text),
        _ => None,
    }
}

fn as_whole(value: &Value) -> Option<i64> {
    match value {
        Value::Num(_, Num::I64(n)) => Some(*n),
        _ => None,
    }
}

pub(super) fn wrong_type(value: &Value, wanted: &str) -> Fault {
    let found = match value {
        Value::String(..) | Value::Char(..) => "text",
        Value::Bool(..) => "true or false",
        Value::Num(_, Num::F64(_) | Num::F32(_)) => "a number with a fraction",
        Value::Num(..) => "a number",
        Value::Empty(..) => "a date",
        Value::Dict(..) => "a section",
        Value::Array(..) => "a list",
    };
    Fault::new(format!("is {found}"), format!("write {wanted}"))
}

/// `low..=high`.
pub(super) fn whole(low: u32, high: u32) -> Rule<u32> {
    let expects = format!("a whole number from {low} to {high}");
    let wanted = expects.clone();
    Rule::new(Shape::Toml, expects, move |value| {
        let n = as_whole(value).ok_or_else(|| wrong_type(value, &wanted))?;
        u32::try_from(n)
            .ok()
            .filter(|n| (low..=high).contains(n))
            .ok_or_else(|| Fault::new(format!("is {n}, out of range"), format!("write {wanted}")))
    })
}

/// A percentage strictly between 0 and 100.
pub(super) fn percent() -> Rule<f64> {
    let wanted = "a number above 0 and below 100, such as 70";
    Rule::new(Shape::Toml, wanted, move |value| {
        let n = match value {
            Value::Num(_, Num::F64(n)) => *n,
            _ => as_whole(value).ok_or_else(|| wrong_type(value, wanted))? as f64,
        };
        if n > 0.0 && n < 100.0 {
            Ok(n)
        } else {
            Err(Fault::new(format!("is {n}, out of range"), format!("write {wanted}")))
        }
    })
}

/// A number above 0, fractions too.
pub(super) fn positive() -> Rule<f64> {
    let wanted = "a number above 0, such as 7 or 0.5";
    Rule::new(Shape::Toml, wanted, move |value| {
        let n = match value {
            Value::Num(_, Num::F64(n)) => *n,
            _ => as_whole(value).ok_or_else(|| wrong_type(value, wanted))? as f64,
        };
        if n > 0.0 && n.is_finite() {
            Ok(n)
        } else {
            Err(Fault::new(format!("is {n}, out of range"), format!("write {wanted}")))
        }
    })
}

pub(crate) fn switch() -> Rule<bool> {
    let wanted = "true or false, without quotes";
    Rule::new(Shape::Toml, wanted, move |value| match value {
        Value::Bool(_, on) => Ok(*on),
        _ => Err(wrong_type(value, wanted)),
    })
}

/// `low..=high`, and 0 as well when `or_zero`.
pub(super) fn duration(low: Duration, high: Duration, or_zero: bool) -> Rule<Duration> {
    let zero = if or_zero { ", or \"0\" to switch it off" } else { "" };
    let expects = format!("a duration in quotes from \"{}\" to \"{}\"{zero}", show(low), show(high));
    Rule::text(Shape::Text, expects, move |text| {
        let d = units::parse_duration(text).map_err(|_| format!("is {text:?}, which is not a duration"))?;
        if (low..=high).contains(&d) || or_zero && d.is_zero() {
            Ok(d)
        } else {
            Err(format!("is {text:?}, out of range"))
        }
    })
}

/// A duration as the file writes it.
fn show(d: Duration) -> String {
    let ms = d.as_millis();
    for (unit, length) in [("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if ms != 0 && ms.is_multiple_of(length) {
            return format!("{}{unit}", ms / length);
        }
    }
    format!("{ms}ms")
}

/// `"127.0.0.1:8002"`, `"[::1]:0"`, or `":8002"` for all interfaces.
pub(super) fn address() -> Rule<SocketAddr> {
    let expects = "an address with port in quotes, such as \"0.0.0.0:8002\", \"[::1]:8002\" or \":8002\" (all \
                   interfaces); port 0 takes a free one";
    Rule::text(Shape::Text, expects, |text| {
        let parsed = match text.strip_prefix(':') {
            Some(port) => port.parse().ok().map(|port| SocketAddr::new(all_interfaces(), port)),
            None => text.parse().ok(),
        };
        parsed.ok_or_else(|| format!("is {text:?}, which is not an address with a port"))
    })
}

/// `[::]` takes IPv4 too, but cannot be bound where the kernel was started without IPv6.
fn all_interfaces() -> IpAddr {
    if Path::new("/proc/net/if_inet6").exists() {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}

/// One of `names`.
pub(super) fn one_of(names: &'static [&'static str]) -> Rule<String> {
    let quoted: Vec<_> = names.iter().map(|n| format!("\"{n}\"")).collect();
    Rule::text(Shape::Text, quoted.join(" or "), move |text| {
        if names.contains(&text) { Ok(text.to_owned()) } else { Err(unknown(text, names)) }
    })
}

pub(super) fn unknown(text: &str, names: &'static [&'static str]) -> String {
    match nearest(text, names.iter().copied()) {
        Some(near) => format!("is {text:?}, which is not known; did you mean \"{near}\"?"),
        None => format!("is {text:?}, which is not known"),
    }
}

/// A secret of at least `bytes` bytes; no mistake ever quotes it.
pub(super) fn secret(bytes: usize) -> Rule<Secret> {
    let expects = format!(
        "at least {bytes} random bytes as text in quotes, such as `openssl rand -hex {bytes}` prints"
    );
    Rule::text(Shape::Text, expects, move |text| {
        if text.len() < bytes {
            return Err(format!("is too short: {} of at least {bytes} bytes", text.len()));
        }
        Ok(Secret::new(text))
    })
    .shown(Show::Hidden)
}

/// An absolute path of a folder.
pub(super) fn folder() -> Rule<PathBuf> {
    Rule::text(Shape::Path, "an absolute path in quotes, such as \"/data/fieldcam\"", |text| {
        absolute(text)?;
        if text == "/" { Err("is the root folder".into()) } else { Ok(text.into()) }
    })
}

/// An absolute path of a file.
pub(super) fn file() -> Rule<PathBuf> {
    Rule::text(Shape::Path, "an absolute path in quotes, such as \"/etc/fieldcam/box.pem\"", |text| {
        absolute(text)?;
        if text.ends_with('/') { Err(format!("is {text:?}, a folder")) } else { Ok(text.into()) }
    })
}

/// A program: an absolute path, or a bare name looked up in `PATH`.
pub(super) fn program() -> Rule<PathBuf> {
    let expects = "a program's name, to be looked up in PATH, or its absolute path, in quotes";
    Rule::text(Shape::Program, expects, |text| {
        if text.is_empty() || text.contains('/') || text.contains('\0') {
            absolute(text)?;
        }
        if text.ends_with(['/', '.']) { Err(format!("is {text:?}, a folder")) } else { Ok(text.into()) }
    })
}

fn absolute(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Err("is empty".into())
    } else if text.contains('\0') {
        Err("holds a zero byte".into())
    } else if !text.starts_with('/') {
        Err(format!("is {text:?}, a relative path"))
    } else {
        Ok(())
    }
}

/// Web origins, each as a browser sends it.
pub(super) fn origins() -> Rule<Vec<String>> {
    let wanted = "a list of origins as browsers send them, such as [\"https://cams.example.org\"]";
    Rule::new(Shape::List, wanted, move |value| {
        let Value::Array(_, items) = value else { return Err(wrong_type(value, wanted)) };
        items
            .iter()
            .map(|item| {
                let text = as_text(item).ok_or_else(|| wrong_type(item, wanted))?;
                source::web_origin(text).ok_or_else(|| {
                    let shown = source::hide_credentials(text);
                    Fault::new(format!("holds {shown:?}, which is not an origin"), format!("write {wanted}"))
                })
            })
            .collect()
    })
}

/// Host names and addresses, without ports.
pub(super) fn hosts() -> Rule<Vec<String>> {
    let wanted = "a list of names or addresses without ports, such as [\"203.0.113.7\"]";
    Rule::new(Shape::List, wanted, move |value| {
        let Value::Array(_, items) = value else { return Err(wrong_type(value, wanted)) };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-.".contains(&b);
        let host = |t: &str| {
            t.parse::<IpAddr>().is_ok()
                || ((1..=253).contains(&t.len()) && !t.starts_with(['-', '.']) && t.bytes().all(plain))
        };
        items
            .iter()
            .map(|item| {
                let text = as_text(item).ok_or_else(|| wrong_type(item, wanted))?;
                let refused =
                    || Fault::new(format!("holds {text:?}, which is no host"), format!("write {wanted}"));
                if host(text) { Ok(text.to_owned()) } else { Err(refused()) }
            })
            .collect()
    })
}

/// Text between `low` and `high` characters without control characters.
pub(super) fn line(low: usize, high: usize) -> Rule<String> {
    Rule::text(Shape::Text, format!("text in quotes, {low} to {high} characters on one line"), move |text| {
        let count = text.chars().count();
        if !(low..=high).contains(&count) {
            Err(format!("has {count} characters"))
        } else if text.chars().any(char::is_control) || text.trim() != text {
            Err("has a control character, or a space at one end".into())
        } else {
            Ok(text.to_owned())
        }
    })
}

/// Any text that its own parser takes.
pub(super) fn parsed<T: 'static, E: Display>(
    expects: &str,
    parse: impl Fn(&str) -> Result<T, E> + Send + Sync + 'static,
) -> Rule<T> {
    Rule::text(Shape::Text, expects, move |text| parse(text).map_err(|e| e.to_string()))
}
