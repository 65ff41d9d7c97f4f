//! The JSON-RPC 2.0 envelope as the contract reads it.
//!
//! Nothing is copied: id and params stay the peer's own text, so that an id goes back byte for byte
//! and the depth of what a method does not read does not matter.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::base::{Error, ErrorKind};

/// A request whose envelope is in order.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// None: a notification, never answered.
    pub(super) id: Option<&'a str>,
    pub(super) method: Cow<'a, str>,
    /// The text of `params`, of whatever type.
    pub(super) params: Option<&'a str>,
}

/// An envelope that is not in order, and the id its answer goes to.
pub(super) struct Bad<'a> {
    pub(super) id: &'a str,
    pub(super) error: Error,
}

/// The id of answers to what has none.
pub(super) const NO_ID: &str = "null";

/// "Invalid Request" with its hint.
pub(super) fn invalid(what: &str, hint: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("Invalid Request: {what}")).with("hint", hint)
}

const EXAMPLE: &str = r#"send one object such as {"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// Reads one message.
pub(super) fn parse(message: &[u8]) -> Result<Request<'_>, Bad<'_>> {
    let bad = |what: &str, hint: &str| Bad { id: NO_ID, error: invalid(what, hint) };
    let text = std::str::from_utf8(message).map_err(|_| bad("the text is not UTF-8", EXAMPLE))?;
    match text.trim_ascii_start().as_bytes().first() {
        Some(b'{') => {}
        Some(b'[') => return Err(bad("batches are not supported", "send each request as its own message")),
        _ => return Err(bad("not an object", EXAMPLE)),
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let members = json
        .deserialize_map(Members)
        .and_then(|m| json.end().map(|()| m))
        .map_err(|e| bad("not JSON", EXAMPLE).caused_by(e))?;
    judge(members)
}

impl Bad<'_> {
    fn caused_by(self, cause: serde_json::Error) -> Self {
        Self { error: self.error.caused_by(cause), ..self }
    }
}

/// An id goes back as it came; one longer than this would be a way to fill our memory with answers.
const ID_MAX: usize = 4 << 10;

fn judge(members: Found<'_>) -> Result<Request<'_>, Bad<'_>> {
    let id = members.id.map(RawValue::get);
    if let Some(text) = id
        && !matches!(text.as_bytes()[0], b'"' | b'-' | b'0'..=b'9' | b'n')
    {
        let error = invalid("id must be a string or a number", "leave it out for a notification");
        return Err(Bad { id: NO_ID, error });
    }
    if id.is_some_and(|text| text.len() > ID_MAX) {
        let error = invalid("id is longer than 4096 bytes", "count requests instead");
        return Err(Bad { id: NO_ID, error });
    }
    let bad = |what: &str, hint: &str| Bad { id: id.unwrap_or(NO_ID), error: invalid(what, hint) };
    if members.doubled {
        return Err(bad("a member appears twice", "send jsonrpc, id, method and params once each"));
    }
    if members.jsonrpc.and_then(string).as_deref() != Some("2.0") {
        return Err(bad("jsonrpc must be \"2.0\"", EXAMPLE));
    }
    let method = members
        .method
        .and_then(string)
        .ok_or_else(|| bad("method must be a string", "name a method, such as \"ping\""))?;
    Ok(Request { id, method, params: members.params.map(RawValue::get) })
}

/// The string that `raw` is, without a copy where it has no escapes.
fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let text = raw.get();
    match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        Some(_) => serde_json::from_str::<String>(text).ok().map(Cow::Owned),
        None => None,
    }
}

#[derive(Default)]
struct Found<'a> {
    jsonrpc: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    params: Option<&'a RawValue>,
    doubled: bool,
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON-RPC request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Found::default();
        while let Some(Key(key)) = map.next_key()? {
            let slot = match &*key {
                "jsonrpc" => &mut found.jsonrpc,
                "id" => &mut found.id,
                "method" => &mut found.method,
                "params" => &mut found.params,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if slot.replace(map.next_value()?).is_some() {
                found.doubled = true;
            }
        }
        Ok(found)
    }
}

/// A member's name, borrowed where it has no escapes.
pub(super) struct Key<'a>(pub(super) Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        json.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id_of_bad(message: &str) -> String {
        let bad = parse(message.as_bytes()).err().unwrap_or_else(|| panic!("taken: {message}"));
        assert_eq!(bad.error.kind(), ErrorKind::InvalidRequest, "{message}");
        assert!(bad.error.data().contains_key("hint"));
        bad.id.to_owned()
    }

    #[test]
    fn ids_keep_their_bytes() {
        for id in ["1", "-0", "9007199254740993", "1e400", "1.50", r#""a\u0041""#, "null", r#""""#] {
            let text = format!(r#" {{"id" : {id} ,"jsonrpc":"2.0","method":"ping"}} "#);
            assert_eq!(parse(text.as_bytes()).ok().unwrap().id, Some(id));
        }
    }

    #[test]
    fn requests_are_read() {
        let r = parse(br#"{"jsonrpc":"2.0","method":"p\u0069ng","params":{"a":[1]},"x":{"y":[]},"id":7}"#);
        let r = r.ok().unwrap();
        assert_eq!((&*r.method, r.params, r.id), ("ping", Some(r#"{"a":[1]}"#), Some("7")));
        let r = parse(br#"{"jsonrpc":"2.0","method":"ping"}"#).ok().unwrap();
        assert_eq!((r.id, r.params), (None, None), "a notification");
    }

    #[test]
    fn bad_envelopes_answer_to_their_id_where_it_can_be_told() {
        for (message, id) in [
            ("", "null"),
            ("   ", "null"),
            ("nonsense", "null"),
            ("7", "null"),
            ("[]", "null"),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "null"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping""#, "null"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#, "null"),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, "null"),
            (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, "null"),
            (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, "null"),
            (r#"{"jsonrpc":"2.0","id":01,"method":"ping"}"#, "null"),
            (r#"{"jsonrpc":"2.0","id":5}"#, "5"),
            (r#"{"jsonrpc":"2.0"}"#, "null"),
            (r#"{"jsonrpc":"1.0","id":"a","method":"ping"}"#, r#""a""#),
            (r#"{"jsonrpc":2.0,"id":"a","method":"ping"}"#, r#""a""#),
            (r#"{"id":"a","method":"ping"}"#, r#""a""#),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "1"),
            (r#"{"jsonrpc":"2.0","id":1,"method":null}"#, "1"),
            (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, "2"),
        ] {
            assert_eq!(id_of_bad(message), id, "{message}");
        }
        assert_eq!(
            id_of_bad(&format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(5000))),
            "null"
        );
        assert!(parse(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}").is_err());
    }

    #[test]
    fn depth_does_not_matter() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(id_of_bad(&deep), "null");
        let params = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{deep}}}}}"#);
        assert!(parse(params.as_bytes()).is_ok());
        let objects = format!("{}1{}", r#"{"a":"#.repeat(500_000), "}".repeat(500_000));
        assert_eq!(id_of_bad(&objects), "null");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn nothing_like_a_request_panics(
            text in r#"\{("(jsonrpc|id|method|params|x)":("2\.0"|null|1|"ping"|\{\}|\[\]|tru),?){0,5}\}?"#
        ) {
            let _ = parse(text.as_bytes());
        }
    }
}
