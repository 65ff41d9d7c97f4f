//! What tells one certificate from every other, in a form that people can compare.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// SHA-256 of a certificate, as browsers and `openssl x509 -fingerprint -sha256` show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// The hash itself.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    /// Sixty-four hexadecimal digits, with or without colons between them and `sha256:` before them.
    fn from_str(text: &str) -> Result<Self, String> {
        let complaint = || format!("{text:?} is no SHA-256 fingerprint; write AB:CD:… (32 pairs of digits)");
        let digits = text.trim();
        let digits = match digits.get(..7) {
            Some(head) if head.eq_ignore_ascii_case("sha256:") => &digits[7..],
            _ => digits,
        };
        let nibbles: Option<Vec<u8>> = digits
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16).and_then(|n| u8::try_from(n).ok()))
            .collect();
        let nibbles = nibbles.filter(|n| n.len() == 64).ok_or_else(complaint)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(nibbles.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_usual_form_is_read() {
        let shown = Fingerprint::of(b"x").to_string();
        assert_eq!(shown.len(), 95);
        assert!(shown.starts_with("2D:71:16:42:"), "{shown}");
        for form in [shown.clone(), shown.to_lowercase(), shown.replace(':', ""), format!("SHA256:{shown}")] {
            assert_eq!(form.parse::<Fingerprint>().unwrap(), Fingerprint::of(b"x"), "{form}");
        }
        for bad in ["", "AB", &shown[3..], &format!("{shown}:00"), "sha256:", &shown.replace('2', "g")] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<Fingerprint>();
        }

        #[test]
        fn what_is_shown_is_read_back(bytes in any::<[u8; 32]>()) {
            let fingerprint = Fingerprint(bytes);
            prop_assert_eq!(fingerprint.to_string().parse::<Fingerprint>().unwrap(), fingerprint);
        }
    }
}
