//! Parameters: each read by name, with the rule it broke in the answer.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::envelope::Key;
use crate::base::{CameraId, Error, Result};

/// A method's parameters, strictly typed.
pub(super) trait Params: Sized {
    /// Takes what it needs; other members are tolerated.
    fn read(fields: &Fields<'_>) -> Result<Self>;
}

/// No parameters.
pub(super) struct Nothing;

impl Params for Nothing {
    fn read(_: &Fields<'_>) -> Result<Self> {
        Ok(Self)
    }
}

/// Members beyond this are a mistake or an attack: each would cost 40 bytes of ours for 6 of theirs.
pub(super) const MEMBERS_MAX: usize = 64;
/// The longest string that a parameter may be; tokens are the longest that there are.
pub(super) const STRING_MAX: usize = 16 << 10;

/// The members of `params`, unread.
pub(super) struct Fields<'a> {
    members: Vec<(Cow<'a, str>, &'a str)>,
    /// What was asked for, for the comparison with the API document.
    #[cfg(test)]
    asked: std::cell::RefCell<std::collections::BTreeSet<String>>,
}

impl<'a> Fields<'a> {
    /// `params` as the envelope found it.
    pub(super) fn parse(params: Option<&'a str>) -> Result<Self> {
        let Some(text) = params else { return Ok(Self::of(Vec::new())) };
        let not_an_object = || Error::param("params", "must be an object", "give parameters by name");
        if !text.starts_with('{') {
            return Err(not_an_object());
        }
        let fields = serde_json::Deserializer::from_str(text)
            .deserialize_map(Members)
            .map_err(|e| not_an_object().caused_by(e))?;
        if fields.len() > MEMBERS_MAX {
            let rule = format!("must have at most {MEMBERS_MAX} members");
            return Err(Error::param("params", rule, "leave out what the method does not know"));
        }
        for (i, (name, _)) in fields.iter().enumerate() {
            if fields[..i].iter().any(|(other, _)| other == name) {
                return Err(Error::param(name, "must appear once", "leave one of them out"));
            }
        }
        Ok(Self::of(fields))
    }

    fn of(members: Vec<(Cow<'a, str>, &'a str)>) -> Self {
        Self {
            members,
            #[cfg(test)]
            asked: Default::default(),
        }
    }

    /// The names that a reader has asked for so far.
    #[cfg(test)]
    pub(super) fn asked(&self) -> std::collections::BTreeSet<String> {
        self.asked.borrow().clone()
    }

    fn raw(&self, name: &str) -> Option<&'a str> {
        #[cfg(test)]
        self.asked.borrow_mut().insert(name.to_owned());
        self.members.iter().find(|(n, _)| n == name).map(|(_, text)| *text)
    }

    /// A member that is there and not null: clients write null for what they leave out.
    fn given(&self, name: &str) -> Option<&'a str> {
        self.raw(name).filter(|text| *text != "null")
    }

    /// A string.
    pub(super) fn string(&self, name: &str, hint: &str) -> Result<String> {
        self.raw(name).map_or_else(
            || Err(Error::param(name, "is required", hint)),
            |text| decode_string(name, text, hint),
        )
    }

    /// A string that may be left out.
    pub(super) fn optional_string(&self, name: &str, hint: &str) -> Result<Option<String>> {
        self.given(name).map(|text| decode_string(name, text, hint)).transpose()
    }

    /// Anything of at most `most` bytes, null included.
    pub(super) fn json(&self, name: &str, most: usize, hint: &str) -> Result<serde_json::Value> {
        let text = self.raw(name).ok_or_else(|| Error::param(name, "is required", hint))?;
        if text.len() > most {
            return Err(Error::param(name, format!("must have at most {most} bytes"), hint));
        }
        serde_json::from_str(text).map_err(|e| Error::param(name, "must be JSON", hint).caused_by(e))
    }

    /// A string with a parser of its own, whose error names the parameter.
    pub(super) fn parsed<T: FromStr<Err = Error>>(&self, name: &str, hint: &str) -> Result<T> {
        self.string(name, hint)?.parse()
    }

    /// The camera that most methods are about.
    pub(super) fn device(&self) -> Result<CameraId> {
        self.parsed("device", "use an id from get_camera_list, such as camera0")
    }

    /// A whole number within bounds that may be left out.
    pub(super) fn optional_integer(&self, name: &str, allowed: RangeInclusive<u64>) -> Result<Option<u64>> {
        let Some(text) = self.given(name) else { return Ok(None) };
        let rule = match allowed.end() {
            &u64::MAX => format!("must be a whole number from {}", allowed.start()),
            end => format!("must be a whole number from {} to {end}", allowed.start()),
        };
        whole_number(text)
            .filter(|n| allowed.contains(n))
            .map(Some)
            .ok_or_else(|| Error::param(name, rule, "send a JSON number"))
    }

    /// An object that may be left out.
    pub(super) fn optional_object(&self, name: &str) -> Result<Option<Fields<'a>>> {
        let Some(text) = self.given(name) else { return Ok(None) };
        let rule = |e: Error| Error::param(name, "must be an object", "see the API document").caused_by(e);
        Fields::parse(Some(text)).map(Some).map_err(rule)
    }

    /// A list of at most `most` strings that may be left out.
    pub(super) fn optional_strings(
        &self,
        name: &str,
        most: usize,
        hint: &str,
    ) -> Result<Option<Vec<String>>> {
        let Some(text) = self.given(name) else { return Ok(None) };
        let broken = || Error::param(name, format!("must be a list of at most {most} strings"), hint);
        if text.len() > STRING_MAX {
            return Err(broken());
        }
        let list: Vec<String> = serde_json::from_str(text).map_err(|e| broken().caused_by(e))?;
        if list.len() > most { Err(broken()) } else { Ok(Some(list)) }
    }

    /// A camera under another name that may be left out; `shown` is its name in an error.
    pub(super) fn optional_device(&self, shown: &str, name: &str) -> Result<Option<CameraId>> {
        let hint = "use an id from get_camera_list, such as camera0";
        let Some(text) = self.given(name) else { return Ok(None) };
        let text = decode_string(shown, text, hint)?;
        text.parse().map(Some).map_err(|_| Error::param(shown, "must match camera[0-9]+", hint))
    }

    /// True or false, which may be left out.
    pub(super) fn optional_switch(&self, name: &str) -> Result<Option<bool>> {
        let Some(text) = self.given(name) else { return Ok(None) };
        let broken = |e| Error::param(name, "must be true or false", "send a JSON boolean").caused_by(e);
        serde_json::from_str(text).map(Some).map_err(broken)
    }

    /// True or false.
    pub(super) fn switch(&self, name: &str) -> Result<bool> {
        let missing = || Error::param(name, "is required", "send true or false");
        self.optional_switch(name)?.ok_or_else(missing)
    }

    /// A number above 0 that may be left out.
    pub(super) fn optional_positive(&self, name: &str) -> Result<Option<f64>> {
        let Some(text) = self.given(name) else { return Ok(None) };
        let number = serde_json::from_str::<f64>(text).ok().filter(|n| *n > 0.0 && n.is_finite());
        let broken =
            || Error::param(name, "must be a number above 0", "send a JSON number; fractions are fine");
        number.map(Some).ok_or_else(broken)
    }

    /// One of a few words that may be left out.
    pub(super) fn optional_word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>> {
        let list = || words.iter().map(|(w, _)| *w).collect::<Vec<_>>().join(", ");
        let Some(text) = self.optional_string(name, &format!("one of {}", list()))? else { return Ok(None) };
        words
            .iter()
            .find(|(w, _)| *w == text)
            .map(|(_, t)| Some(*t))
            .ok_or_else(|| Error::param(name, format!("must be one of {}", list()), "words are lower case"))
    }
}

fn decode_string(name: &str, text: &str, hint: &str) -> Result<String> {
    if text.starts_with('"') && text.len() > STRING_MAX {
        return Err(Error::param(name, format!("must have at most {STRING_MAX} bytes"), hint));
    }
    serde_json::from_str(text).map_err(|e| Error::param(name, "must be a string", hint).caused_by(e))
}

/// `5` and `5.0` alike: some clients have one kind of number only.
fn whole_number(text: &str) -> Option<u64> {
    if let Ok(n) = serde_json::from_str::<u64>(text) {
        return Some(n);
    }
    let number = serde_json::from_str::<f64>(text).ok()?;
    let exact = number >= 0.0 && number.fract() == 0.0 && number < 9e15;
    exact.then_some(number as u64)
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(Cow<'de, str>, &'de str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of parameters")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            if fields.len() <= MEMBERS_MAX {
                fields.push((key, value.get()));
            }
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::ErrorKind;

    fn fields(text: &str) -> Fields<'_> {
        Fields::parse(Some(text)).unwrap()
    }

    #[track_caller]
    fn broken<T: fmt::Debug>(got: Result<T>, param: &str, rule: &str) {
        let e = got.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidParams);
        assert_eq!(e.data()["param"], param);
        assert_eq!(e.data()["rule"], rule);
        assert!(e.data()["hint"].is_string());
    }

    #[test]
    fn only_an_object_will_do() {
        for bad in ["[]", "[1]", "null", "7", "\"x\"", "true"] {
            broken(Fields::parse(Some(bad)).map(|_| ()), "params", "must be an object");
        }
        assert!(Fields::parse(None).is_ok());
        broken(Fields::parse(Some(r#"{"a":1,"\u0061":2}"#)).map(|_| ()), "a", "must appear once");
    }

    #[test]
    fn a_crowd_of_members_and_an_endless_string_are_refused() {
        let crowd: Vec<_> = (0..1_000_000).map(|i| format!("\"{i}\":0")).collect();
        let crowd = format!("{{{}}}", crowd.join(","));
        broken(Fields::parse(Some(&crowd)).map(|_| ()), "params", "must have at most 64 members");
        let long = format!("{{\"device\":\"camera{}\"}}", "9".repeat(1 << 20));
        broken(fields(&long).device(), "device", "must have at most 16384 bytes");
    }

    #[test]
    fn each_broken_rule_is_named() {
        let p = fields(r#"{"device":7,"limit":0,"n":-1,"f":1.5,"s":"5","w":"blue","big":1e300,"nil":null}"#);
        broken(p.device(), "device", "must be a string");
        broken(fields("{}").device(), "device", "is required");
        broken(fields(r#"{"device":null}"#).device(), "device", "must be a string");
        broken(fields(r#"{"device":"cam"}"#).device(), "device", "must match camera[0-9]+");
        for name in ["n", "f", "s", "limit", "big"] {
            broken(p.optional_integer(name, 1..=1000), name, "must be a whole number from 1 to 1000");
        }
        broken(p.optional_integer("n", 0..=u64::MAX), "n", "must be a whole number from 0");
        broken(p.optional_word("w", &[("red", 1), ("green", 2)]), "w", "must be one of red, green");
        broken(p.optional_string("n", "x"), "n", "must be a string");
        assert_eq!(p.optional_integer("nil", 1..=2).unwrap(), None);
        assert_eq!(p.optional_integer("absent", 1..=2).unwrap(), None);
    }

    #[test]
    fn good_ones_are_read() {
        let p = fields(r#"{"device":"camera\u0033","limit":50,"x":5.0,"w":"red","deep":[[[]]]}"#);
        assert_eq!(p.device().unwrap(), CameraId(3));
        assert_eq!(p.optional_integer("limit", 1..=1000).unwrap(), Some(50));
        assert_eq!(p.optional_integer("x", 1..=1000).unwrap(), Some(5));
        assert_eq!(p.optional_word("w", &[("red", 1)]).unwrap(), Some(1));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r#"\{("[a-c]":("?[0-9a-z.\\-]{0,8}"?|\[|\{\}),?){0,4}\}?"#) {
            if let Ok(p) = Fields::parse(Some(&text)) {
                for name in ["a", "b", "c"] {
                    let _ = p.optional_integer(name, 1..=5);
                    let _ = p.string(name, "");
                    let _ = p.device();
                }
            }
        }
    }
}
