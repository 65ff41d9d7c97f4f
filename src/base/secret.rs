//! Text that must not reach a log, a reply or an argument list by accident.

use std::fmt;

use serde::Deserialize;

/// A secret string: `Debug` hides it and there is no `Display`; [`Secret::expose`] marks each use.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// `bytes` random bytes from the operating system, as lower-case hexadecimal.
    pub fn random(bytes: usize) -> Self {
        use rand::TryRngCore;
        let mut buffer = vec![0u8; bytes];
        rand::rngs::OsRng.try_fill_bytes(&mut buffer).expect("the kernel's random source answers");
        Self(super::hex(&buffer))
    }

    /// The secret itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_it() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "<secret>");
    }

    #[test]
    fn random_ones_differ_and_have_the_asked_length() {
        let (a, b) = (Secret::random(32), Secret::random(32));
        assert_eq!(a.expose().len(), 64);
        assert_ne!(a, b);
    }
}
