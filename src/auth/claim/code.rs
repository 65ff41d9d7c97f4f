//! The claim code: 60 random bits, as twelve letters and digits that people can read to each other.

use std::fmt;

use rand::TryRngCore;

/// Crockford's: no I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Symbols of a code; each has five bits.
const SYMBOLS: usize = 12;
/// Symbols between two dashes.
const GROUP: usize = 4;
/// A code with fewer different symbols was not made by chance.
const DIFFERENT_MIN: usize = 4;

/// A code. `Debug` hides it; [`ClaimCode::shown`] marks each use.
#[derive(Clone, PartialEq, Eq)]
pub struct ClaimCode([u8; SYMBOLS]);

impl ClaimCode {
    /// A new one, from the operating system's random source.
    pub fn random() -> Self {
        let mut bytes = [0; SYMBOLS];
        rand::rngs::OsRng.try_fill_bytes(&mut bytes).expect("the kernel's random source answers");
        // 256 is a multiple of 32: every symbol is as likely.
        Self(bytes.map(|b| ALPHABET[usize::from(b % 32)]))
    }

    /// Reads what somebody typed: in either case, with or without dashes and spaces, O for 0, I and L for 1.
    /// None: it is no code.
    pub fn parse(text: &str) -> Option<Self> {
        let mut symbols = [0; SYMBOLS];
        let mut count = 0;
        for c in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            let symbol = match c.to_ascii_uppercase() {
                'O' => b'0',
                'I' | 'L' => b'1',
                c => u8::try_from(c).ok().filter(|c| ALPHABET.contains(c))?,
            };
            *symbols.get_mut(count)? = symbol;
            count += 1;
        }
        (count == SYMBOLS).then_some(Self(symbols))
    }

    /// Whether it could have been made by chance; somebody's own choice may not be.
    pub fn is_varied(&self) -> bool {
        let mut different = self.0;
        different.sort_unstable();
        different.chunk_by(|a, b| a == b).count() >= DIFFERENT_MIN
    }

    /// As it is shown: `XXXX-XXXX-XXXX`.
    pub fn shown(&self) -> String {
        let groups: Vec<_> = self.0.chunks(GROUP).map(String::from_utf8_lossy).collect();
        groups.join("-")
    }

    /// Its symbols without dashes, in capitals.
    pub(super) fn symbols(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ClaimCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<claim code>")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_type_for_a_code_is_that_code() {
        let code = ClaimCode::parse("01AB-CDEF-GH10").unwrap();
        assert_eq!(code.shown(), "01AB-CDEF-GH10");
        for typed in ["01abcdefgh10", "OIab cdef ghLo\n", " o1AB-CDEF-GHi0", "0-1-A-B-C-D-E-F-G-H-1-0"] {
            assert!(ClaimCode::parse(typed) == Some(code.clone()), "{typed}");
        }
        for bad in
            ["", "01AB-CDEF-GH1", "01AB-CDEF-GH100", "U1AB-CDEF-GH10", "01AB.CDEF.GH10", "０1AB-CDEF-GH10"]
        {
            assert!(ClaimCode::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(format!("{code:?}"), "<claim code>");
    }

    #[test]
    fn codes_differ_and_use_every_symbol() {
        let all: Vec<_> = (0..400).map(|_| ClaimCode::random()).collect();
        assert!(all.iter().all(ClaimCode::is_varied));
        assert!(all[1..].iter().all(|code| *code != all[0]));
        for symbol in ALPHABET {
            assert!(all.iter().any(|code| code.0.contains(symbol)), "{}", char::from(*symbol));
        }
        assert!(!ClaimCode::parse("0000-0000-0000").unwrap().is_varied());
        assert!(!ClaimCode::parse("1212-1212-1213").unwrap().is_varied());
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_shown_is_read_back(text in ".*", near in "[0-9a-zA-Z -]{10,16}") {
            for text in [text, near] {
                if let Some(code) = ClaimCode::parse(&text) {
                    prop_assert!(ClaimCode::parse(&code.shown()) == Some(code));
                }
            }
        }
    }
}
