//! Cryptography for str0m in pure Rust. str0m's own crate for that pulls in aws-lc for one
//! certificate; everything else it uses are these same crates.

use std::sync::Arc;
use std::time::Instant;

use aes::cipher::BlockEncrypt;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm, Nonce};
use dimpl::{DtlsCertificate, Output, ProtocolVersion};
use hmac::{Hmac, Mac};
use p256::pkcs8::EncodePrivateKey;
use sha2::Digest;
use str0m::crypto::dtls::{DtlsInstance, DtlsProvider, DtlsVersion};
use str0m::crypto::{
    AeadAes128GcmCipher, AeadAes256GcmCipher, Aes128CmSha1_80Cipher, CryptoError, CryptoProvider,
    Sha1HmacProvider, Sha256Provider, SrtpProvider, SupportedAeadAes128Gcm, SupportedAeadAes256Gcm,
    SupportedAes128CmSha1_80,
};
use x509_cert::builder::{Builder, CertificateBuilder, Profile};
use x509_cert::der::Encode;

/// One of them for the whole program.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        srtp_provider: &Plain,
        sha1_hmac_provider: &Plain,
        sha256_provider: &Plain,
        dtls_provider: &Plain,
    })
}

#[derive(Debug)]
struct Plain;

fn broken(what: impl std::fmt::Display) -> CryptoError {
    CryptoError::Other(what.to_string())
}

impl Sha1HmacProvider for Plain {
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        let mut mac = <Hmac<sha1::Sha1> as Mac>::new_from_slice(key).unwrap();
        payloads.iter().for_each(|p| mac.update(p));
        mac.finalize().into_bytes().into()
    }
}

impl Sha256Provider for Plain {
    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(data).into()
    }
}

impl SrtpProvider for Plain {
    fn aes_128_cm_sha1_80(&self) -> &'static dyn SupportedAes128CmSha1_80 {
        &Plain
    }

    fn aead_aes_128_gcm(&self) -> &'static dyn SupportedAeadAes128Gcm {
        &Plain
    }

    fn aead_aes_256_gcm(&self) -> &'static dyn SupportedAeadAes256Gcm {
        &Plain
    }

    fn srtp_aes_128_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        output[..16].copy_from_slice(input);
        aes::Aes128::new(key.into()).encrypt_block((&mut output[..16]).into());
    }

    fn srtp_aes_256_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        output[..16].copy_from_slice(input);
        aes::Aes256::new(key.into()).encrypt_block((&mut output[..16]).into());
    }
}

/// MediaMTX always takes one of the two with AES-GCM.
impl SupportedAes128CmSha1_80 for Plain {
    fn create_cipher(&self, _: [u8; 16], _: bool) -> Box<dyn Aes128CmSha1_80Cipher> {
        panic!("MediaMTX chose AES-CM");
    }
}

impl SupportedAeadAes128Gcm for Plain {
    fn create_cipher(&self, key: [u8; 16], _: bool) -> Box<dyn AeadAes128GcmCipher> {
        Box::new(Gcm(<Aes128Gcm as KeyInit>::new(&key.into())))
    }
}

impl SupportedAeadAes256Gcm for Plain {
    fn create_cipher(&self, key: [u8; 32], _: bool) -> Box<dyn AeadAes256GcmCipher> {
        Box::new(Gcm(<Aes256Gcm as KeyInit>::new(&key.into())))
    }
}

struct Gcm<C>(C);

impl<C> std::fmt::Debug for Gcm<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gcm")
    }
}

impl<C: Aead<NonceSize = aes_gcm::aes::cipher::consts::U12>> Gcm<C> {
    fn seal(&self, iv: &[u8; 12], aad: &[u8], msg: &[u8], out: &mut [u8]) -> Result<(), CryptoError> {
        let sealed = self.0.encrypt(&Nonce::from(*iv), Payload { msg, aad }).map_err(broken)?;
        out[..sealed.len()].copy_from_slice(&sealed);
        Ok(())
    }

    fn open(&self, iv: &[u8; 12], aads: &[&[u8]], msg: &[u8], out: &mut [u8]) -> Result<usize, CryptoError> {
        let aad = aads.concat();
        let plain = self.0.decrypt(&Nonce::from(*iv), Payload { msg, aad: &aad }).map_err(broken)?;
        out[..plain.len()].copy_from_slice(&plain);
        Ok(plain.len())
    }
}

macro_rules! gcm {
    ($name:ident, $cipher:ty) => {
        impl $name for Gcm<$cipher> {
            fn encrypt(
                &mut self,
                iv: &[u8; 12],
                aad: &[u8],
                input: &[u8],
                output: &mut [u8],
            ) -> Result<(), CryptoError> {
                self.seal(iv, aad, input, output)
            }

            fn decrypt(
                &mut self,
                iv: &[u8; 12],
                aads: &[&[u8]],
                input: &[u8],
                output: &mut [u8],
            ) -> Result<usize, CryptoError> {
                self.open(iv, aads, input, output)
            }
        }
    };
}
gcm!(AeadAes128GcmCipher, Aes128Gcm);
gcm!(AeadAes256GcmCipher, Aes256Gcm);

impl DtlsProvider for Plain {
    fn generate_certificate(&self) -> Option<DtlsCertificate> {
        let key = p256::ecdsa::SigningKey::random(&mut p256::elliptic_curve::rand_core::OsRng);
        let public = x509_cert::spki::SubjectPublicKeyInfoOwned::from_key(*key.verifying_key()).ok()?;
        let valid = x509_cert::time::Validity::from_now(std::time::Duration::from_secs(3600)).ok()?;
        let name: x509_cert::name::Name = "CN=viewer".parse().ok()?;
        let builder = CertificateBuilder::new(Profile::Root, 1u32.into(), valid, name, public, &key).ok()?;
        let certificate = builder.build::<p256::ecdsa::DerSignature>().ok()?.to_der().ok()?;
        let private_key = key.to_pkcs8_der().ok()?.as_bytes().to_vec();
        Some(DtlsCertificate { certificate, private_key })
    }

    fn new_dtls(
        &self,
        cert: &DtlsCertificate,
        now: Instant,
        _: DtlsVersion,
        _: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let config = dimpl::Config::builder().build().map_err(broken)?;
        Ok(Box::new(Session(dimpl::Dtls::new_12(Arc::new(config), cert.clone(), now))))
    }
}

struct Session(dimpl::Dtls);

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

impl DtlsInstance for Session {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), dimpl::Error> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> Output<'a> {
        self.0.poll_output(buf)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), dimpl::Error> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<(), dimpl::Error> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), dimpl::Error> {
        self.0.close()
    }
}
