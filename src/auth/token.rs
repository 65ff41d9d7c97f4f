//! JSON web tokens, HS256 and nothing else.

use std::time::Duration;

use jsonwebtoken::{Algorithm, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use super::keys::Keys;
use super::refusal::has_reason;
use super::{Login, Role, Standing, refused};
use crate::base::{Error, Mono, Result, Secret};

/// Tokens of real issuers stay below 2 KiB.
const TOKEN_MAX_BYTES: usize = 8 * 1024;
const USER_MAX_BYTES: usize = 128;
/// Clocks of two machines agree to within this (contract.md).
const CLOCK_SKEW_US: i64 = 5 * 60 * 1_000_000;
/// Ten thousand years: beyond it a date cannot be printed, and sums cannot overflow.
const LAST_SECOND: f64 = 253_402_300_799.0;

#[derive(Serialize, Deserialize)]
struct Claims<'a> {
    user_id: std::borrow::Cow<'a, str>,
    role: std::borrow::Cow<'a, str>,
    /// RFC 7519 allows fractions of a second.
    iat: f64,
    exp: f64,
}

/// Decides on a token. The expiry is turned into a point on the monotonic clock here and nowhere
/// else; a token whose maker is ahead of us gets the lifetime its maker gave it, no more.
pub(super) fn verify(
    keys: &Keys,
    token: &str,
    wall_us: i64,
    now: Mono,
    clock_trusted: &dyn Fn() -> bool,
) -> Result<Login> {
    let bad = |reason: &str| refused(reason, "get a new token, for instance with `fieldcam token`");
    if token.len() > TOKEN_MAX_BYTES {
        return Err(bad("invalid_token"));
    }
    let mut rules = Validation::new(Algorithm::HS256);
    // Both are judged below, by our clock.
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    rules.validate_aud = false;
    let claims = decode::<Claims<'_>>(token, &keys.decoding, &rules)
        .map_err(|e| bad("invalid_token").caused_by(e))?
        .claims;
    let role: Role = claims.role.parse().map_err(|_| bad("unknown_role"))?;
    if claims.user_id.is_empty()
        || claims.user_id.len() > USER_MAX_BYTES
        || claims.user_id.chars().any(char::is_control)
    {
        return Err(bad("invalid_user_id"));
    }
    let (issued_us, expires_us) = (micros(claims.iat), micros(claims.exp));
    if expires_us <= wall_us {
        return Err(bad("token_expired"));
    }
    if issued_us > wall_us.saturating_add(CLOCK_SKEW_US) && clock_trusted() {
        return Err(bad("issued_in_the_future"));
    }
    let left_us = expires_us - wall_us.max(issued_us);
    if left_us <= 0 {
        return Err(bad("token_expired"));
    }
    Ok(Login {
        user: claims.user_id.into_owned(),
        role,
        issued_us,
        expires_us,
        deadline: now + Duration::from_micros(left_us.unsigned_abs()),
        token_id: keys.token_ids.sign(&[token]).split_off(12),
        standing: Standing::default(),
    })
}

/// Whether that was said of a token that may have been made with another secret.
pub(super) fn is_foreign(error: &Error) -> bool {
    has_reason(error, "invalid_token")
}

pub(super) fn mint(keys: &Keys, role: Role, user: &str, wall_us: i64, ttl: Duration) -> Result<Secret> {
    if user.is_empty() || user.len() > USER_MAX_BYTES || user.chars().any(char::is_control) {
        return Err(Error::param(
            "user",
            format!("must be 1 to {USER_MAX_BYTES} bytes without control characters"),
            "a short account name",
        ));
    }
    let iat = wall_us.div_euclid(1_000_000) as f64;
    let claims = Claims {
        user_id: user.into(),
        role: role.word().into(),
        iat,
        exp: (iat + ttl.as_secs_f64().ceil()).min(LAST_SECOND),
    };
    encode(&Header::new(Algorithm::HS256), &whole_seconds(&claims), &keys.encoding)
        .map(Secret::new)
        .map_err(Error::internal)
}

/// Other readers of our tokens may not take `1.7e9` for a date.
fn whole_seconds(claims: &Claims<'_>) -> serde_json::Value {
    serde_json::json!({
        "user_id": claims.user_id,
        "role": claims.role,
        "iat": claims.iat as i64,
        "exp": claims.exp as i64,
    })
}

fn micros(seconds: f64) -> i64 {
    (seconds.clamp(-LAST_SECOND, LAST_SECOND) * 1e6) as i64
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use hmac::{Hmac, Mac};
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use sha2::{Sha384, Sha512};

    use super::*;
    use crate::base::ErrorKind;

    const NOW_US: i64 = 1_736_951_400_000_000;
    const NOW_S: i64 = NOW_US / 1_000_000;

    fn keys() -> Keys {
        Keys::derive(&Secret::new("0123456789abcdef0123456789abcdef"))
    }

    fn signed(claims: &Value) -> String {
        encode(&Header::new(Algorithm::HS256), claims, &keys().encoding).unwrap()
    }

    fn reason(token: &str, trusted: bool) -> String {
        let e = verify(&keys(), token, NOW_US, Mono(0), &|| trusted).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::AuthFailed);
        e.data()["reason"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_good_token_logs_in_until_its_expiry() {
        let token = mint(&keys(), Role::Admin, "ann", NOW_US, Duration::from_secs(90)).unwrap();
        let login = verify(&keys(), token.expose(), NOW_US, Mono(7), &|| true).unwrap();
        assert_eq!((login.user.as_str(), login.role), ("ann", Role::Admin));
        assert_eq!(login.expires_us, NOW_US + 90_000_000);
        assert!(login.is_valid(Mono(90_000_000_006)));
        assert!(!login.is_valid(Mono(90_000_000_007)));
        assert_eq!(login.token_id.len(), 12);
    }

    #[test]
    fn extra_claims_and_fractions_are_fine() {
        let token = signed(
            &json!({"user_id": "u", "role": "viewer", "iat": NOW_S as f64 - 0.5, "exp": NOW_S as f64 + 0.5,
                    "aud": ["x", "y"], "nbf": NOW_S + 1000, "iss": 5, "deep": {"a": [1]}}),
        );
        assert!(verify(&keys(), &token, NOW_US, Mono(0), &|| true).is_ok());
    }

    #[test]
    fn each_fault_is_refused_with_its_reason() {
        let good = json!({"user_id": "u", "role": "viewer", "iat": NOW_S, "exp": NOW_S + 60});
        for name in ["user_id", "role", "iat", "exp"] {
            let mut without = good.clone();
            without.as_object_mut().unwrap().remove(name);
            assert_eq!(reason(&signed(&without), true), "invalid_token", "{name}");
        }
        for (name, value, want) in [
            ("role", json!("root"), "unknown_role"),
            ("role", json!("Admin"), "unknown_role"),
            ("role", json!(["admin"]), "invalid_token"),
            ("user_id", json!(""), "invalid_user_id"),
            ("user_id", json!("a\nb"), "invalid_user_id"),
            ("user_id", json!(7), "invalid_token"),
            ("exp", json!(NOW_S), "token_expired"),
            ("exp", json!(-1e300), "token_expired"),
            ("exp", json!("2099-01-01"), "invalid_token"),
            ("iat", json!(NOW_S + 301), "token_expired"),
        ] {
            let mut claims = good.clone();
            claims[name] = value.clone();
            assert_eq!(reason(&signed(&claims), false), want, "{name} {value}");
        }
    }

    #[test]
    fn a_token_from_the_future_is_refused_only_by_a_trusted_clock() {
        let claims = json!({"user_id": "u", "role": "viewer", "iat": NOW_S + 1000, "exp": NOW_S + 1060});
        let token = signed(&claims);
        assert_eq!(reason(&token, true), "issued_in_the_future");
        let login = verify(&keys(), &token, NOW_US, Mono(0), &|| false).unwrap();
        assert_eq!(login.deadline, Mono(60_000_000_000), "its maker gave it a minute");
        let soon = json!({"user_id": "u", "role": "viewer", "iat": NOW_S + 299, "exp": NOW_S + 1060});
        assert!(verify(&keys(), &signed(&soon), NOW_US, Mono(0), &|| true).is_ok());
    }

    #[test]
    fn other_algorithms_and_secrets_are_refused() {
        let claims = json!({"user_id": "u", "role": "admin", "iat": NOW_S, "exp": NOW_S + 60});
        let secret = keys();
        let secret = secret.encoding.inner();
        let by_hs512 = |text: &str| {
            let mac = Hmac::<Sha512>::new_from_slice(secret).unwrap().chain_update(text);
            URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
        };
        let by_hs384 = |text: &str| {
            let mac = Hmac::<Sha384>::new_from_slice(secret).unwrap().chain_update(text);
            URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
        };
        let body = URL_SAFE_NO_PAD.encode(claims.to_string());
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"None","typ":"JWT"}"#, r#"{"alg":"RS256"}"#, "{}"] {
            let head = URL_SAFE_NO_PAD.encode(header);
            assert_eq!(reason(&format!("{head}.{body}."), true), "invalid_token");
        }
        for (header, sign) in
            [(r#"{"alg":"HS384"}"#, &by_hs384 as &dyn Fn(&str) -> String), (r#"{"alg":"HS512"}"#, &by_hs512)]
        {
            let text = format!("{}.{body}", URL_SAFE_NO_PAD.encode(header));
            assert_eq!(reason(&format!("{text}.{}", sign(&text)), true), "invalid_token");
        }
        let other = Keys::derive(&Secret::new("f".repeat(64)));
        let foreign = encode(&Header::new(Algorithm::HS256), &claims, &other.encoding).unwrap();
        assert_eq!(reason(&foreign, true), "invalid_token");
        assert_eq!(reason(&"a".repeat(TOKEN_MAX_BYTES + 1), true), "invalid_token");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,300}") {
            prop_assert!(verify(&keys(), &text, NOW_US, Mono(0), &|| true).is_err());
        }

        #[test]
        fn no_claims_panic(iat in any::<f64>(), exp in any::<f64>(), role in "(viewer|admin|x)", user in ".{0,200}") {
            let token = signed(&json!({"user_id": user, "role": role, "iat": iat, "exp": exp}));
            let _ = verify(&keys(), &token, NOW_US, Mono(u64::MAX), &|| false);
        }

        #[test]
        fn no_flipped_bit_verifies(at in any::<prop::sample::Index>(), bit in 0u8..7) {
            let token = mint(&keys(), Role::Viewer, "u", NOW_US, Duration::from_secs(60)).unwrap();
            let mut bytes = token.expose().as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(bytes) {
                prop_assert!(verify(&keys(), &text, NOW_US, Mono(0), &|| true).is_err(), "{text}");
            }
        }
    }
}
