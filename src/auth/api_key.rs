//! What an API key is: `fk_ID_SECRET`. The id tells keys apart and may be shown; the secret is 256 bits
//! of the operating system's, so that a plain hash of it cannot be turned back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::base::{Error, Result, Secret};

/// How every key begins, so that it is known where it turns up by accident.
pub(crate) const PREFIX: &str = "fk_";
/// Characters of an id: 40 bits.
pub(crate) const ID_LEN: usize = 10;
const SECRET_BYTES: usize = 32;
/// Bytes of a stream password: 144 bits, 24 characters.
const PASSWORD_BYTES: usize = 18;
const NAME_MAX_BYTES: usize = 64;

/// A new key; the only moment at which it is known.
pub(super) fn make() -> (String, Secret) {
    let id = Secret::random(ID_LEN / 2).expose().to_owned();
    let key = Secret::new(format!("{PREFIX}{id}_{}", Secret::random(SECRET_BYTES).expose()));
    (id, key)
}

/// The id in a text that may be a key.
pub(super) fn id_of(key: &str) -> Option<&str> {
    let (id, secret) = key.strip_prefix(PREFIX)?.split_once('_')?;
    (is_id(id) && secret.len() == 2 * SECRET_BYTES).then_some(id)
}

/// Whether a text could be a key's id.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID_LEN && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// What is kept of a key, or of a stream password.
pub(super) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// The password that reads streams in a key's name; the key cannot be found from it.
pub(super) fn stream_password(key: &Secret) -> Secret {
    let digest = Sha256::new_with_prefix(b"fieldcam stream password\0").chain_update(key.expose()).finalize();
    Secret::new(URL_SAFE_NO_PAD.encode(&digest[..PASSWORD_BYTES]))
}

/// Refuses what would not stand in a list or a log.
pub(super) fn check_name(name: &str) -> Result<()> {
    if name.trim().is_empty() || name.len() > NAME_MAX_BYTES || name.chars().any(char::is_control) {
        let rule = format!("must be 1 to {NAME_MAX_BYTES} bytes without control characters");
        return Err(Error::param("name", rule, "say what the key is for, such as recorder-hall"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_has_its_id_in_it_and_its_password_goes_into_a_url() {
        let (id, key) = make();
        assert!(key.expose().len() >= 32);
        assert_eq!(id_of(key.expose()), Some(id.as_str()));
        assert_ne!(make().1, key);
        let password = stream_password(&key);
        assert_eq!(password.expose().len(), 24);
        assert!(password.expose().bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*", tail in "fk_[0-9a-f]{0,12}_?.{0,70}") {
            let _ = (id_of(&text), id_of(&tail), check_name(&text));
        }
    }
}
