//! Forged log-in tokens: what an attacker or a mistaken client might send.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// A token with any header and claims, signed HS256 with `secret`.
pub fn sign(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let text = unsigned(header, claims);
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// Header and claims without the last part.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |v: &Value| URL_SAFE_NO_PAD.encode(v.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// The usual header.
pub fn hs256() -> Value {
    json!({ "alg": "HS256", "typ": "JWT" })
}

/// Claims as the contract asks for them, good for an hour from now.
pub fn claims(role: &str) -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    json!({ "user_id": "tester", "role": role, "iat": now, "exp": now + 3600 })
}
