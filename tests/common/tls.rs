//! Connections to a box, with TLS and without, from here and from another address of this machine.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use fieldcam::tls::Fingerprint;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};
use socket2::{Domain, Socket, Type};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::{Client, PATIENCE, TestBox, http};

/// A connection.
pub enum Line {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Line {
    /// Without TLS.
    pub fn plain(address: &str) -> io::Result<Line> {
        TcpStream::connect(address).and_then(usual).map(Line::Plain)
    }

    /// Without TLS, seen by the box as coming from another machine: from an address of this machine that is
    /// neither loopback nor the one connected to. `None` where it has no other.
    pub fn from_elsewhere(address: &str) -> Option<Line> {
        let other = nix::ifaddrs::getifaddrs().unwrap().find_map(|i| {
            let ip = IpAddr::V4(i.address?.as_sockaddr_in()?.ip());
            (!ip.is_loopback()).then_some(ip)
        })?;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(other, 0).into()).unwrap();
        socket.connect(&address.parse::<SocketAddr>().unwrap().into()).unwrap();
        Some(Line::Plain(usual(socket.into()).unwrap()))
    }

    /// TLS on top; the certificate has to be the one with this fingerprint. With `versions`, only those.
    pub fn secured(
        self,
        fingerprint: Fingerprint,
        versions: &[&'static SupportedProtocolVersion],
    ) -> io::Result<Line> {
        let Line::Plain(tcp) = self else { panic!("it has TLS") };
        let name = ServerName::try_from("localhost").unwrap();
        let pinned = Pinned { wanted: fingerprint, shown: Mutex::default() };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(if versions.is_empty() { rustls::ALL_VERSIONS } else { versions })
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(pinned))
            .with_no_client_auth();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut tcp = tcp;
        while connection.is_handshaking() {
            connection.complete_io(&mut tcp)?;
        }
        Ok(Line::Tls(Box::new(StreamOwned::new(connection, tcp))))
    }

    /// The socket.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Line::Plain(tcp) => tcp,
            Line::Tls(stream) => &stream.sock,
        }
    }
}

fn usual(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

impl Read for Line {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Line::Plain(tcp) => tcp.read(buf),
            Line::Tls(stream) => stream.read(buf),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Line::Plain(tcp) => tcp.write(bytes),
            Line::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Line::Plain(tcp) => tcp.flush(),
            Line::Tls(stream) => stream.flush(),
        }
    }
}

/// Takes one certificate alone.
#[derive(Debug)]
struct Pinned {
    wanted: Fingerprint,
    shown: Mutex<Option<Fingerprint>>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Fingerprint::of(certificate);
        *self.shown.lock().unwrap() = Some(shown);
        if shown == self.wanted {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General(format!("the box shows {shown}, not {}", self.wanted)))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The fingerprint in the box's newest ready line.
#[track_caller]
pub fn fingerprint(testbox: &TestBox) -> Fingerprint {
    let lines = testbox.stdout();
    let ready = lines.iter().rev().find(|l| l.starts_with("fieldcam ready")).unwrap();
    let shown = ready.split(' ').find_map(|w| w.strip_prefix("sha256="));
    shown.unwrap_or_else(|| panic!("no fingerprint: {ready}")).parse().unwrap()
}

/// A line to the box with TLS and the certificate that it printed.
#[track_caller]
pub fn line(testbox: &TestBox) -> Line {
    line_shown(testbox, fingerprint(testbox)).unwrap()
}

/// As [`line`], with this certificate.
pub fn line_shown(testbox: &TestBox, fingerprint: Fingerprint) -> io::Result<Line> {
    Line::plain(&testbox.endpoints().address("ws"))?.secured(fingerprint, &[])
}

/// A socket over `line`, not logged in. `Err` carries the HTTP status.
pub fn socket(testbox: &TestBox, line: Line) -> Result<Client, u16> {
    let scheme = if matches!(line, Line::Tls(_)) { "wss" } else { "ws" };
    let url = format!("{scheme}://{}/ws", testbox.endpoints().address("ws"));
    Client::over(line, url.into_client_request().unwrap())
}

/// A connection with TLS, logged in with a role.
#[track_caller]
pub fn login(testbox: &TestBox, role: &str) -> Client {
    let mut client = socket(testbox, line(testbox)).unwrap();
    client.authenticate(&testbox.token(role));
    client
}

/// `GET` of a URL or a path over `line`.
#[track_caller]
pub fn get(line: Line, url: &str, headers: &[(&str, &str)]) -> http::Response {
    let path = url.find("://").map_or(url, |at| &url[at + 3..]);
    let path = &path[path.find('/').unwrap()..];
    let mut text = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n");
    headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    text.push_str("\r\n");
    http::exchange_over(line, text.as_bytes())
}
