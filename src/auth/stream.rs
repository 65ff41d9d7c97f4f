//! Passwords that read streams and do nothing else.
//!
//! The name says until when, by which secret and for which token (`t65a53d28-TAGTOKENID`), the password is its
//! signature: nothing is stored, and a restart of the box changes nothing. They travel over plain
//! RTSP, which is why a token never does.

use std::time::Duration;

use super::keys::{Keys, TAG};
use super::refusal::has_reason;
use super::{Login, refused};
use crate::base::{Error, Mono, Result, Secret};

const NAME_MAX: usize = 64;

/// A viewer of streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamLogin {
    /// When the token behind it expires, microseconds since 1970.
    pub expires_us: i64,
    /// The same on the clock that does not step.
    pub deadline: Mono,
    /// The token behind it.
    pub token_id: String,
}

pub(super) fn credential(keys: &Keys, login: &Login) -> (String, Secret) {
    let seconds = login.expires_us.div_euclid(1_000_000).max(0);
    let name = format!("t{seconds:x}-{}{}", keys.tag, login.token_id);
    let password = Secret::new(keys.streams.sign(&[&name]));
    (name, password)
}

pub(super) fn check(keys: &Keys, name: &str, password: &str, wall_us: i64, now: Mono) -> Result<StreamLogin> {
    let bad = |reason| refused(reason, "ask for the stream's URL again");
    if name.len() > NAME_MAX || !keys.streams.verify(&[name], password) {
        return Err(bad("invalid_credentials"));
    }
    let (seconds, _, token_id) = parts(name).ok_or_else(|| bad("invalid_credentials"))?;
    let seconds = i64::from_str_radix(seconds, 16).map_err(|_| bad("invalid_credentials"))?;
    let expires_us = seconds.saturating_mul(1_000_000);
    let left_us = expires_us.saturating_sub(wall_us);
    if left_us <= 0 {
        return Err(bad("token_expired"));
    }
    Ok(StreamLogin {
        expires_us,
        deadline: now + Duration::from_micros(left_us.unsigned_abs()),
        token_id: token_id.to_owned(),
    })
}

/// Seconds in hexadecimal, the secret's tag, the token's id.
pub(super) fn parts(name: &str) -> Option<(&str, &str, &str)> {
    let (seconds, rest) = name.strip_prefix('t')?.split_once('-')?;
    let (tag, token_id) = rest.split_at_checked(TAG)?;
    Some((seconds, tag, token_id))
}

/// Whether that was said of a credential that other keys may have made.
pub(super) fn is_foreign(error: &Error) -> bool {
    has_reason(error, "invalid_credentials")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::auth::{Role, Standing};

    const WALL_US: i64 = 1_736_951_400_000_000;

    fn keys() -> Keys {
        Keys::derive(&Secret::new("0123456789abcdef0123456789abcdef"))
    }

    fn login() -> Login {
        Login {
            user: "ann".into(),
            role: Role::Viewer,
            issued_us: WALL_US,
            expires_us: WALL_US + 60_500_000,
            deadline: Mono(0),
            token_id: "ab-_efghijkl".into(),
            standing: Standing::default(),
        }
    }

    #[test]
    fn reads_until_the_token_expires() {
        let (name, password) = credential(&keys(), &login());
        let got = check(&keys(), &name, password.expose(), WALL_US, Mono(0)).unwrap();
        assert_eq!(got.expires_us, WALL_US + 60_000_000);
        assert_eq!(got.deadline, Mono(60_000_000_000));
        assert_eq!(got.token_id, login().token_id);
        assert!(check(&keys(), &name, password.expose(), WALL_US + 60_000_000, Mono(0)).is_err());
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        assert!(name.bytes().chain(password.expose().bytes()).all(plain), "goes into a URL as it is");
    }

    #[test]
    fn two_tokens_have_two_passwords() {
        let other = Login { token_id: "zzzzzzzzzzzz".into(), ..login() };
        assert_ne!(credential(&keys(), &login()), credential(&keys(), &other));
    }

    proptest! {
        #[test]
        fn nothing_panics_or_opens(name in ".{0,80}|t[0-9a-f]{0,9}-.{0,20}", password in ".{0,40}") {
            let _ = parts(&name);
            prop_assert!(check(&keys(), &name, &password, WALL_US, Mono(u64::MAX)).is_err());
        }

        #[test]
        fn no_flipped_bit_verifies(at in any::<prop::sample::Index>(), bit in 0u8..7) {
            let (name, password) = credential(&keys(), &login());
            let mut bytes = format!("{name} {}", password.expose()).into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let text = String::from_utf8(bytes).unwrap();
            if let Some((name, password)) = text.split_once(' ') {
                prop_assert!(check(&keys(), name, password, WALL_US, Mono(0)).is_err());
            }
        }
    }
}
