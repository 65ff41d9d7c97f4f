//! How both sides prove that they know the code, without telling it.
//!
//! Both turn the code into a key (PBKDF2, so that each guess costs 2^17 hashes) and answer to a nonce of the other
//! with an HMAC-SHA256 that also covers the fingerprint of the certificate that this very connection showed.
//!
//! Order: the box sends a nonce; the laptop sends its nonce and its proof; the box proves itself only after a
//! right one. So an impostor laptop that does not know the code learns nothing but "wrong", five times, then ever
//! more slowly: nothing to search in at home. An impostor box learns one HMAC over its own certificate: it cannot
//! hand that on to the real box (which has another certificate), nor use it later (another nonce); to find the code
//! from it takes a search through 2^60 codes, each with 2^17 hashes. What one side sends is never what the other
//! has to send, for each has a label of its own.

use hmac::{Hmac, Mac};
use rand::TryRngCore;
use sha2::Sha256;

use super::ClaimCode;
use crate::base::hex;

type Hash = Hmac<Sha256>;

/// Bytes of a nonce.
pub const NONCE: usize = 32;
/// What one side makes up for this meeting.
pub type Nonce = [u8; NONCE];
/// What one side proves with.
pub type Proof = [u8; 32];

const SALT: &[u8] = b"fieldcam claim v1";
const OF_LAPTOP: &[u8] = b"fieldcam claim v1 laptop\0";
const OF_BOX: &[u8] = b"fieldcam claim v1 box\0";
const ROUNDS: u32 = 1 << 16;

/// What both sides see of one try.
#[derive(Clone)]
pub struct Meeting {
    /// SHA-256 of the certificate that the box showed; zeros on the box itself without TLS.
    pub certificate: [u8; 32],
    /// Made up by the box.
    pub box_nonce: Nonce,
    /// Made up by the laptop.
    pub laptop_nonce: Nonce,
}

impl Meeting {
    /// A nonce of ours.
    pub fn nonce() -> Nonce {
        let mut nonce = [0; NONCE];
        rand::rngs::OsRng.try_fill_bytes(&mut nonce).expect("the kernel's random source answers");
        nonce
    }
}

/// The key that a code stands for.
#[derive(Clone)]
pub struct ClaimKey(Hash);

impl ClaimKey {
    /// PBKDF2-HMAC-SHA256 of the code's twelve symbols. Takes about a tenth of a second of a small processor.
    pub fn of(code: &ClaimCode) -> Self {
        let code = keyed(code.symbols());
        let mut last = tag(&code, &[SALT, &1_u32.to_be_bytes()]);
        let mut sum = last;
        for _ in 1..ROUNDS {
            last = tag(&code, &[&last]);
            sum.iter_mut().zip(last).for_each(|(sum, byte)| *sum ^= byte);
        }
        Self(keyed(&sum))
    }

    /// What the laptop sends.
    pub fn of_laptop(&self, meeting: &Meeting) -> Proof {
        self.proof(OF_LAPTOP, meeting)
    }

    /// What the box answers with.
    pub fn of_box(&self, meeting: &Meeting) -> Proof {
        self.proof(OF_BOX, meeting)
    }

    /// Whether the laptop sent what it should; takes the same time wherever it differs.
    pub fn is_of_laptop(&self, meeting: &Meeting, proof: &Proof) -> bool {
        self.over(OF_LAPTOP, meeting).verify_slice(proof).is_ok()
    }

    /// Whether the box answered what it should; takes the same time wherever it differs.
    pub fn is_of_box(&self, meeting: &Meeting, proof: &Proof) -> bool {
        self.over(OF_BOX, meeting).verify_slice(proof).is_ok()
    }

    fn proof(&self, label: &[u8], meeting: &Meeting) -> Proof {
        self.over(label, meeting).finalize().into_bytes().into()
    }

    fn over(&self, label: &[u8], meeting: &Meeting) -> Hash {
        let mut mac = self.0.clone();
        // All behind the label have one length, so that no two meetings run into the same bytes.
        for part in [label, &meeting.certificate, &meeting.box_nonce, &meeting.laptop_nonce] {
            mac.update(part);
        }
        mac
    }
}

/// A nonce or a proof as it is sent: 64 hexadecimal digits in lower case.
pub fn to_hex(bytes: &[u8; NONCE]) -> String {
    hex(bytes)
}

/// The same read back; none: it is none.
pub fn from_hex(text: &str) -> Option<[u8; NONCE]> {
    let digit = |b: &u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let digits = text.as_bytes().iter().map(digit).collect::<Option<Vec<u8>>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().ok().filter(|_| rest.is_empty())
}

fn keyed(key: &[u8]) -> Hash {
    Hash::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn tag(key: &Hash, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = key.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meeting() -> Meeting {
        Meeting { certificate: [1; 32], box_nonce: [2; 32], laptop_nonce: [3; 32] }
    }

    /// The figures are Python's: hashlib.pbkdf2_hmac and hmac.new(…).hexdigest().
    #[test]
    fn both_proofs_are_what_another_program_finds() {
        let key = ClaimKey::of(&ClaimCode::parse("01AB-CDEF-GH10").unwrap());
        assert_eq!(
            to_hex(&key.of_laptop(&meeting())),
            "9ef1aece436d3c1def507fb127ab7d1dada31e3d616e2f7e089ec083e62044aa"
        );
        assert_eq!(
            to_hex(&key.of_box(&meeting())),
            "301dc4d706bfe54a69b62502bff39c16b4c29d5c8b54182f55d2c812a8299249"
        );
    }

    #[test]
    fn a_proof_is_good_for_one_code_one_certificate_one_meeting_and_one_side() {
        let key = ClaimKey::of(&ClaimCode::parse("01AB-CDEF-GH10").unwrap());
        let (laptop, the_box) = (key.of_laptop(&meeting()), key.of_box(&meeting()));
        assert!(key.is_of_laptop(&meeting(), &laptop) && key.is_of_box(&meeting(), &the_box));
        assert!(!key.is_of_laptop(&meeting(), &the_box) && !key.is_of_box(&meeting(), &laptop));
        for other in [
            Meeting { certificate: [9; 32], ..meeting() },
            Meeting { box_nonce: [9; 32], ..meeting() },
            Meeting { laptop_nonce: [9; 32], ..meeting() },
        ] {
            assert!(!key.is_of_laptop(&other, &laptop) && !key.is_of_box(&other, &the_box));
        }
        let other = ClaimKey::of(&ClaimCode::parse("11AB-CDEF-GH10").unwrap());
        assert!(!other.is_of_laptop(&meeting(), &laptop));
    }

    #[test]
    fn what_is_sent_is_read_back_and_nothing_else_is() {
        let bytes = Meeting::nonce();
        assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes));
        let text = "0f".repeat(32);
        assert_eq!(from_hex(&text), Some([15; 32]));
        for bad in
            ["", &text[1..], &text[2..], &format!("{text}0"), &text.to_uppercase(), &text.replace('0', "é")]
        {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }
}
