//! Tokens, keys and links as a fuzzer makes them. Nothing it can make opens anything but what is signed here.

use std::sync::OnceLock;

use jsonwebtoken::{Algorithm, Header, encode};
use serde_json::Value;

use super::keys::Keys;
use super::{api_key, signed, stream, token};
use crate::base::{Mono, Secret};

const WALL_US: i64 = 1_750_000_000_000_000;

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys::derive(&Secret::new("0123456789abcdef0123456789abcdef")))
}

/// A token: as it came, and with its claims signed as our own, so that they are read as well.
///
/// Panics when a token opens that was not signed.
pub fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let verify = |token: &str| token::verify(keys(), token, WALL_US, Mono(0), &|| true);
    assert!(verify(text).is_err(), "{text:?} opens");
    let _ = api_key::id_of(text);
    let _ = api_key::check_name(text);
    if let Ok(claims) = serde_json::from_str::<Value>(text)
        && let Ok(token) = encode(&Header::new(Algorithm::HS256), &claims, &keys().encoding)
    {
        let _ = verify(&token);
    }
}

/// A signed query, and the name and password of a stream.
///
/// Panics when one opens.
pub fn link(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let path = "/files/recordings/camera0_2025-01-15_14-30-00.mp4";
    assert!(signed::check(keys(), "GET", path, text, Mono(0), WALL_US).is_err(), "{text:?} opens");
    let (name, password) = text.split_once(':').unwrap_or((text, ""));
    assert!(stream::check(keys(), name, password, WALL_US, Mono(0)).is_err(), "{text:?} opens");
}
