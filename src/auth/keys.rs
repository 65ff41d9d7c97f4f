//! Keys, each derived from the box's secret for one use.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use jsonwebtoken::{DecodingKey, EncodingKey};
use sha2::Sha256;

use super::hs256;
use super::standing::Basis;
use crate::base::Secret;

/// Bytes kept of a signature: 144 bits, 24 characters without padding.
const SIGNATURE_BYTES: usize = 18;

/// Every key the room uses.
pub(super) struct Keys {
    /// For tokens: the secret itself, so that others who hold it can make tokens.
    pub(super) decoding: DecodingKey,
    /// The same, for making them.
    pub(super) encoding: EncodingKey,
    /// For links. Dies with the boot: their expiry counts on the monotonic clock.
    pub(super) links: Signer,
    /// For stream passwords.
    pub(super) streams: Signer,
    /// For the ids of tokens.
    pub(super) token_ids: Signer,
    /// Tells these keys from others without giving them away.
    pub(super) tag: String,
    /// Over when nothing that was made with them counts any more.
    pub(super) basis: Arc<Basis>,
}

/// Characters of [`Keys::tag`].
pub(super) const TAG: usize = 6;

impl Keys {
    pub(super) fn derive(secret: &Secret) -> Self {
        hs256::install();
        let bytes = secret.expose().as_bytes();
        let root = Signer::new(bytes);
        let mut tag = root.sign(&["fieldcam tag"]);
        tag.truncate(TAG);
        Self {
            decoding: DecodingKey::from_secret(bytes),
            encoding: EncodingKey::from_secret(bytes),
            links: root.derived(&["fieldcam link", &boot_id()]),
            streams: root.derived(&["fieldcam stream"]),
            token_ids: root.derived(&["fieldcam token id"]),
            tag,
            basis: Arc::default(),
        }
    }
}

/// A key that signs lists of texts.
pub(super) struct Signer(Hmac<Sha256>);

impl Signer {
    fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    fn derived(&self, label: &[&str]) -> Self {
        Self::new(&self.over(label).finalize().into_bytes())
    }

    /// Each part goes in with its length, so that no two lists run into the same bytes.
    fn over(&self, parts: &[&str]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }

    /// The signature, URL-safe.
    pub(super) fn sign(&self, parts: &[&str]) -> String {
        URL_SAFE_NO_PAD.encode(&self.over(parts).finalize().into_bytes()[..SIGNATURE_BYTES])
    }

    /// Whether `signature` is that of `parts`; takes the same time wherever it differs.
    pub(super) fn verify(&self, parts: &[&str], signature: &str) -> bool {
        match URL_SAFE_NO_PAD.decode(signature) {
            Ok(bytes) if bytes.len() == SIGNATURE_BYTES => {
                self.over(parts).verify_truncated_left(&bytes).is_ok()
            }
            _ => false,
        }
    }
}

/// Whether two secrets are the same; takes the same time wherever they differ.
pub(super) fn same(known: &[u8], given: &[u8]) -> bool {
    let differs = known.iter().zip(given).fold(0, |sum, (a, b)| sum | std::hint::black_box(a ^ b));
    known.len() == given.len() && differs == 0
}

/// Tells one boot of the machine from the next; where the kernel does not say, links may outlive a
/// reboot by their 15 minutes.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}
