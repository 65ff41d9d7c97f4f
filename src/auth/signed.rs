//! Links that carry their own right: `exp=…&login=…&sig=…`.
//!
//! `exp` counts seconds of the monotonic clock and the key is this boot's, so that a step of the
//! wall clock neither kills a link nor lets it live on. `login` is base64 of: layout (1), role (1),
//! the login's own deadline in the same seconds (5 bytes), token id (12), user name.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::keys::Keys;
use super::refusal::{LINK_EXPIRED, has_reason};
use super::{Login, Role, Standing, refused};
use crate::base::{Error, Mono, Result};

/// The `reason` of a link that these keys did not sign.
const INVALID: &str = "invalid_signature";
const LAYOUT: u8 = 1;
const HEAD: usize = 1 + 1 + 5;
const TOKEN_ID: usize = 12;
const SECOND_NS: u64 = 1_000_000_000;

pub(super) fn sign(keys: &Keys, method: &str, path: &str, until: Mono, login: &Login) -> String {
    let exp = (until.0 / SECOND_NS).to_string();
    let login = encode(login);
    let sig = keys.links.sign(&[canonical(method), path, &exp, &login]);
    format!("exp={exp}&login={login}&sig={sig}")
}

pub(super) fn check(
    keys: &Keys,
    method: &str,
    path: &str,
    query: &str,
    now: Mono,
    wall_us: i64,
) -> Result<Login> {
    let bad = |reason| refused(reason, "ask for the link again");
    let (exp, login, sig) = members(query).ok_or_else(|| bad("not_signed"))?;
    if !keys.links.verify(&[canonical(method), path, exp, login], sig) {
        return Err(bad(INVALID));
    }
    let until = exp.parse::<u64>().map_err(|_| bad(INVALID))?;
    let mut login = decode(login).ok_or_else(|| bad(INVALID))?;
    if now.0 / SECOND_NS >= until || !login.is_valid(now) {
        return Err(bad(LINK_EXPIRED));
    }
    let left_us = i64::try_from(login.deadline.since(now).as_micros()).unwrap_or(i64::MAX);
    login.expires_us = wall_us.saturating_add(left_us);
    Ok(login)
}

/// Whether that was said of a link that other keys may have signed.
pub(super) fn is_foreign(error: &Error) -> bool {
    has_reason(error, INVALID)
}

/// A link that may be read may be asked for its head.
fn canonical(method: &str) -> &str {
    if method == "HEAD" { "GET" } else { method }
}

/// The three members, each exactly once.
fn members(query: &str) -> Option<(&str, &str, &str)> {
    let (mut exp, mut login, mut sig) = (None, None, None);
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let slot = match key {
            "exp" => &mut exp,
            "login" => &mut login,
            "sig" => &mut sig,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return None;
        }
    }
    Some((exp?, login?, sig?))
}

fn encode(login: &Login) -> String {
    let mut bytes = Vec::with_capacity(HEAD + TOKEN_ID + login.user.len());
    bytes.push(LAYOUT);
    bytes.push(login.role as u8);
    let seconds = (login.deadline.0 / SECOND_NS).min((1 << 40) - 1);
    bytes.extend_from_slice(&seconds.to_be_bytes()[3..]);
    debug_assert_eq!(login.token_id.len(), TOKEN_ID);
    bytes.extend_from_slice(login.token_id.as_bytes());
    bytes.extend_from_slice(login.user.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<Login> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let (token_id, user) = rest.split_at_checked(TOKEN_ID)?;
    if head[0] != LAYOUT {
        return None;
    }
    let role = *Role::ALL.get(usize::from(head[1]))?;
    let mut seconds = [0; 8];
    seconds[3..].copy_from_slice(&head[2..]);
    Some(Login {
        user: String::from_utf8(user.to_vec()).ok()?,
        role,
        issued_us: 0,
        expires_us: 0,
        deadline: Mono(u64::from_be_bytes(seconds).saturating_mul(SECOND_NS)),
        token_id: String::from_utf8(token_id.to_vec()).ok()?,
        standing: Standing::default(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::base::Secret;

    const PATH: &str = "/files/recordings/camera0_2025-01-15_14-30-00.mp4";
    const NOW: Mono = Mono(1000 * SECOND_NS);

    fn keys() -> Keys {
        Keys::derive(&Secret::new("0123456789abcdef0123456789abcdef"))
    }

    fn login() -> Login {
        Login {
            user: "ann".into(),
            role: Role::Operator,
            issued_us: 0,
            expires_us: 0,
            deadline: NOW + Duration::from_secs(3600),
            token_id: "abcdefghijkl".into(),
            standing: Standing::default(),
        }
    }

    fn link() -> String {
        sign(&keys(), "GET", PATH, NOW + Duration::from_secs(900), &login())
    }

    fn opens(method: &str, path: &str, query: &str, now: Mono) -> bool {
        check(&keys(), method, path, query, now, 0).is_ok()
    }

    #[test]
    fn opens_its_path_for_its_time_as_its_login() {
        let got = check(&keys(), "GET", PATH, &format!("segment=2&{}", link()), NOW, 5).unwrap();
        assert_eq!((got.user.as_str(), got.role, got.expires_us), ("ann", Role::Operator, 3_600_000_005));
        assert!(opens("HEAD", PATH, &link(), NOW));
        assert!(opens("GET", PATH, &link(), NOW + Duration::from_secs(899)));
        assert!(!opens("GET", PATH, &link(), NOW + Duration::from_secs(900)));
        assert!(!opens("POST", PATH, &link(), NOW));
        assert!(!opens("GET", "/files/recordings/other.mp4", &link(), NOW));
    }

    #[test]
    fn ends_with_its_login() {
        let mut short = login();
        short.deadline = NOW + Duration::from_secs(10);
        let link = sign(&keys(), "GET", PATH, NOW + Duration::from_secs(900), &short);
        assert!(opens("GET", PATH, &link, NOW + Duration::from_secs(9)));
        assert!(!opens("GET", PATH, &link, NOW + Duration::from_secs(10)));
    }

    #[test]
    fn is_url_safe_and_short() {
        let link = link();
        assert!(link.len() < 100, "{link}");
        assert!(link.bytes().all(|b| b.is_ascii_alphanumeric() || b"=&-_".contains(&b)), "{link}");
    }

    #[test]
    fn doubled_members_are_refused() {
        let link = link();
        assert!(!opens("GET", PATH, &format!("{link}&exp=9999999"), NOW));
        assert!(!opens("GET", PATH, "", NOW));
    }

    proptest! {
        #[test]
        fn no_query_panics(query in ".{0,200}", path in ".{0,50}") {
            prop_assert!(!opens("GET", &path, &query, NOW));
        }

        #[test]
        fn no_login_text_panics(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(login) = decode(&URL_SAFE_NO_PAD.encode(&bytes)) {
                prop_assert_eq!(URL_SAFE_NO_PAD.decode(encode(&login)).unwrap(), bytes);
            }
        }

        #[test]
        fn no_flipped_bit_verifies(at in any::<prop::sample::Index>(), bit in 0u8..7) {
            let mut bytes = link().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(bytes) {
                prop_assert!(!opens("GET", PATH, &text, NOW), "{}", text);
            }
        }
    }
}
