//! The other end: a TLS client that judges a box by its certificate's fingerprint.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Fingerprint;
use super::pair::ends_us;

/// The certificate that a server has shown, whose key it holds.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// What tells it from every other.
    pub fingerprint: Fingerprint,
    /// When it expires, microseconds since 1970; none when it does not say so.
    pub ends_us: Option<i64>,
}

/// Greets the server at the other end of `stream`, known as `name`. Nothing of ours has been sent when
/// this returns: whether its certificate is the right one is for the caller to judge.
pub async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    name: &str,
) -> io::Result<(TlsStream<S>, Shown)> {
    // The name only tells a server with several certificates which one is meant.
    let name = ServerName::try_from(name.to_owned())
        .unwrap_or_else(|_| ServerName::try_from("localhost").expect("a plain name"));
    let stream = TlsConnector::from(config()).connect(name, stream).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let certificate = certificate.ok_or(io::ErrorKind::InvalidData)?;
    let shown = Shown { fingerprint: Fingerprint::of(certificate), ends_us: ends_us(certificate) };
    Ok((stream, shown))
}

/// Whether [`greet`] failed because the other end does not speak TLS.
pub fn is_other_talk(e: &io::Error) -> bool {
    let inner = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidMessage(_)))
}

/// The fingerprint of the certificate that a server shows.
pub async fn shown_by<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> io::Result<Fingerprint> {
    greet(stream, "localhost").await.map(|(_, shown)| shown.fingerprint)
}

fn config() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let make = || {
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites of both versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ByFingerprint(provider)))
            .with_no_client_auth();
        // A session taken up again tells the certificate that it began with, not the one of now.
        config.resumption = Resumption::disabled();
        Arc::new(config)
    };
    CONFIG.get_or_init(make).clone()
}

/// Lets every certificate pass whose key the server holds: no authority signs a box's, and [`greet`]'s
/// caller knows which one it is.
#[derive(Debug)]
struct ByFingerprint(Arc<CryptoProvider>);

impl ServerCertVerifier for ByFingerprint {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::super::pair::Pair;
    use super::*;

    #[tokio::test]
    async fn a_greeting_tells_the_certificate_and_other_talk_is_told_apart() {
        let text = made::make().unwrap();
        let pair = Pair::from_pem(text.expose(), text.expose()).unwrap();
        for name in ["box7.local", "192.0.2.1", "my_box", "no name at all"] {
            let (ours, theirs) = tokio::io::duplex(16 << 10);
            let (server, client) = tokio::join!(pair.acceptor().accept(theirs), greet(ours, name));
            let (_, shown) = client.unwrap();
            assert!(server.is_ok());
            assert_eq!(shown.fingerprint, pair.fingerprint());
            assert_eq!(shown.ends_us, Some(2_524_608_000_000_000));
        }
        let (ours, mut theirs) = tokio::io::duplex(16 << 10);
        let plain = async {
            tokio::io::AsyncWriteExt::write_all(&mut theirs, b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
            drop(theirs);
        };
        let (client, ()) = tokio::join!(greet(ours, "box"), plain);
        assert!(is_other_talk(&client.err().unwrap()));
        assert!(!is_other_talk(&io::ErrorKind::InvalidData.into()));
    }
}
