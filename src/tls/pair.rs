//! A certificate with its key, judged and ready to be served.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerSessionMemoryCache;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, ServerConfig};
use tokio_rustls::TlsAcceptor;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::Fingerprint;
use crate::base::Secret;
use crate::base::clock::iso8601;

/// Sessions that clients may take up again without a whole handshake; about 200 bytes each.
const SESSIONS: usize = 256;

/// Why two texts are no pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NoCertificate,
    BadCertificate,
    NoKey,
    EncryptedKey,
    BadKey,
    Mismatch,
}

/// When a certificate expires, microseconds since 1970; none when it cannot be read.
pub(super) fn ends_us(certificate: &CertificateDer<'_>) -> Option<i64> {
    let parsed = Certificate::from_der(certificate).ok()?;
    let ends = parsed.tbs_certificate.validity.not_after.to_unix_duration().as_micros();
    Some(i64::try_from(ends).unwrap_or(i64::MAX))
}

/// A certificate chain with its key.
pub struct Pair {
    config: Arc<ServerConfig>,
    fingerprint: Fingerprint,
    ends_us: i64,
    /// Chain and key, for MediaMTX.
    pem: Secret,
}

impl Pair {
    /// Reads and judges both texts, which are PEM and may be the same.
    pub(super) fn from_pem(certificates: &str, key: &str) -> Result<Self, Fault> {
        let chain: Result<Vec<_>, PemError> =
            CertificateDer::pem_slice_iter(certificates.as_bytes()).collect();
        let chain = chain.map_err(|_| Fault::BadCertificate)?;
        let first = chain.first().ok_or(Fault::NoCertificate)?;
        let fingerprint = Fingerprint::of(first);
        let ends_us = ends_us(first).ok_or(Fault::BadCertificate)?;
        let secret = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| match e {
            PemError::NoItemsFound if key.contains("ENCRYPTED PRIVATE KEY") => Fault::EncryptedKey,
            PemError::NoItemsFound => Fault::NoKey,
            _ => Fault::BadKey,
        })?;
        let provider = Arc::new(ring::default_provider());
        let signer = provider.key_provider.load_private_key(secret).map_err(|_| match () {
            // The old form of OpenSSL names its cipher in a header.
            () if key.contains("Proc-Type: 4,ENCRYPTED") => Fault::EncryptedKey,
            () => Fault::BadKey,
        })?;
        let certified = CertifiedKey::new(chain, signer);
        match certified.keys_match() {
            // A key that does not tell its public half is judged by the first handshake.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(Fault::Mismatch),
            Err(_) => return Err(Fault::BadCertificate),
        }
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has suites of both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        config.send_tls13_tickets = 1;
        let pem = if certificates == key { key.to_owned() } else { format!("{certificates}\n{key}") };
        Ok(Self { config: Arc::new(config), fingerprint, ends_us, pem: Secret::new(pem) })
    }

    /// What tells its certificate from every other.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether it has expired by `now_us`, microseconds since 1970.
    pub fn has_ended(&self, now_us: i64) -> bool {
        now_us > self.ends_us
    }

    /// When it expires, for people.
    pub fn ends(&self) -> String {
        iso8601(self.ends_us)
    }

    /// Chain and key in one text.
    pub fn pem(&self) -> &Secret {
        &self.pem
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.pem == other.pem
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pair({} until {})", self.fingerprint, self.ends())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::made;
    use super::*;

    fn fault(certificates: &str, key: &str) -> Fault {
        Pair::from_pem(certificates, key).map(|_| ()).unwrap_err()
    }

    #[test]
    fn what_is_no_pair_is_told_apart() {
        let (a, b) = (made::make().unwrap(), made::make().unwrap());
        let (a, b) = (a.expose(), b.expose());
        assert!(Pair::from_pem(a, a).is_ok());
        let split = a.find("-----BEGIN CERTIFICATE").unwrap();
        let (key, certificate) = a.split_at(split);
        assert!(Pair::from_pem(certificate, key).is_ok());
        assert_eq!(fault(certificate, b), Fault::Mismatch);
        assert_eq!(fault(key, key), Fault::NoCertificate);
        assert_eq!(fault("", key), Fault::NoCertificate);
        assert_eq!(fault(certificate, certificate), Fault::NoKey);
        assert_eq!(fault(&certificate[..certificate.len() / 2], key), Fault::BadCertificate);
        assert_eq!(fault(certificate, &key[..key.len() / 2]), Fault::BadKey);
        assert_eq!(fault(certificate, &key.replace("PRIVATE", "ENCRYPTED PRIVATE")), Fault::EncryptedKey);
        let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(fault(certificate, nonsense), Fault::BadKey);
        assert_eq!(fault(&nonsense.replace("PRIVATE KEY", "CERTIFICATE"), key), Fault::BadCertificate);
    }

    #[test]
    fn one_that_the_box_made_is_valid_from_2020_to_2050() {
        let text = made::make().unwrap();
        let pair = Pair::from_pem(text.expose(), text.expose()).unwrap();
        assert_eq!(pair.ends(), "2050-01-01T00:00:00.000Z");
        assert!(!pair.has_ended(0) && pair.has_ended(i64::MAX));
        let der = CertificateDer::from_pem_slice(text.expose().as_bytes()).unwrap();
        let from = Certificate::from_der(&der).unwrap().tbs_certificate.validity.not_before;
        assert_eq!(from.to_unix_duration().as_secs(), 1_577_836_800);
        assert!(!format!("{pair:?}").contains("PRIVATE"));
    }

    proptest! {
        #[test]
        fn no_text_panics(certificates in ".{0,200}", body in "[A-Za-z0-9+/=\n]{0,200}") {
            let wrap = |kind: &str| format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n");
            let _ = Pair::from_pem(&certificates, &certificates);
            let _ = Pair::from_pem(&wrap("CERTIFICATE"), &wrap("PRIVATE KEY"));
        }
    }
}
