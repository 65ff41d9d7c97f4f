//! A bundle from the network, by HTTP. Later work goes on where a transfer was cut.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::handshake;
use hyper::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, USER_AGENT};
use hyper::{Request, Response, StatusCode, body::Incoming as Answer};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use super::bundles::{Bundles, Stored};
use super::fault::Fault;
use super::pace::{self, Pace};
use crate::base::units::show_size;
use crate::base::{Error, Mono, Result};
use crate::reach::Reach;
use crate::supervise::beside;

/// For a connection, for the answer's head, and the longest silence in between.
const SILENCE: Duration = Duration::from_secs(30);
/// Where systems keep the certificates that they trust.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// An address that bundles may come from: `http` or `https`, with a host, without a password.
///
/// Fails with `InvalidParams` (param `url`).
pub fn parse(text: &str) -> Result<Url> {
    let hint = "write it like https://updates.example.com/fieldcam-1.2.3.raucb";
    let bad = |rule: &str| Error::param("url", rule, hint);
    let url = Url::parse(text).map_err(|_| bad("must be a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("must hold no user and no password"));
    }
    if url.host_str().is_none_or(str::is_empty) || text.len() > 2048 {
        return Err(bad("must name a host, in at most 2048 characters"));
    }
    Ok(url)
}

/// Fetches `url` under `name`; `tell` hears bytes and the length.
pub(super) async fn fetch(
    reach: &Reach,
    bundles: &Bundles,
    url: &Url,
    name: &str,
    tell: impl FnMut(u64, u64),
) -> std::result::Result<Stored, Fault> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let found = reach.resolve(host, port).await.map_err(|e| refused(&e))?;
    let mut last = None;
    let mut connected = None;
    for address in found {
        match timeout(SILENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                connected = Some(stream);
                break;
            }
            Ok(Err(e)) => last = Some(e.kind().to_string()),
            Err(_) => last = Some("no answer in time".into()),
        }
    }
    let Some(stream) = connected else {
        return Err(unreachable(&last.unwrap_or_else(|| "it has no address".into())));
    };
    if url.scheme() == "http" {
        return take(stream, bundles, url, name, tell).await;
    }
    let name_of = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let server = ServerName::try_from(name_of).map_err(|_| unreachable("its name is none for TLS"))?;
    let config = tls(Path::new(ROOTS)).map_err(|why| {
        let message = format!("the server's certificate cannot be judged: {why}");
        Fault::new(
            "no_certificates",
            message,
            "use http://, or upload the bundle: its own signature is checked either way",
        )
    })?;
    let hello = timeout(SILENCE, TlsConnector::from(Arc::new(config)).connect(server, stream)).await;
    let stream = match hello {
        Err(_) => return Err(unreachable("no answer in time")),
        Ok(Err(e)) => {
            let message = format!("no TLS with the server: {e}");
            let suggestion = "check the address and the box's clock; the bundle can be uploaded instead";
            return Err(Fault::new("tls_failed", message, suggestion));
        }
        Ok(Ok(stream)) => stream,
    };
    take(stream, bundles, url, name, tell).await
}

async fn take(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    bundles: &Bundles,
    url: &Url,
    name: &str,
    tell: impl FnMut(u64, u64),
) -> std::result::Result<Stored, Fault> {
    let broken = |e: hyper::Error| unreachable(&super::fault::without_paths(&e.to_string()));
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    let path = url.query().map_or_else(|| url.path().to_owned(), |q| format!("{}?{q}", url.path()));
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, concat!("fieldcam/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT_ENCODING, "identity")
        .body(Empty::<Bytes>::new())
        .map_err(|_| unreachable("its address cannot be asked for"))?;
    beside(connection, async {
        let answer = timeout(SILENCE, sender.send_request(request)).await;
        let answer = answer.map_err(|_| unreachable("no answer in time"))?.map_err(broken)?;
        keep(answer, bundles, name, tell).await
    })
    .await
}

async fn keep(
    answer: Response<Answer>,
    bundles: &Bundles,
    name: &str,
    mut tell: impl FnMut(u64, u64),
) -> std::result::Result<Stored, Fault> {
    let status = answer.status();
    if status.is_redirection() {
        let message = format!("the server sends the box elsewhere ({})", status.as_u16());
        return Err(Fault::new("redirected", message, "give the address that the bundle is really at"));
    }
    if status != StatusCode::OK {
        let message = format!("the server answered with status {}", status.as_u16());
        return Err(Fault::new("not_served", message, "check the address"));
    }
    let length = answer.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let Some(length) = length else {
        let message = "the server does not say how long the bundle is";
        return Err(Fault::new("no_length", message, "serve it as a plain file"));
    };
    let not_kept = |e: Error| {
        tracing::warn!("a bundle cannot be fetched: {}", e.chain());
        let hint = ["suggestion", "hint"].iter().find_map(|k| e.data().get(*k)?.as_str());
        Fault::new("not_kept", e.message(), hint.unwrap_or("try again"))
    };
    let mut incoming = bundles.receive(name, length, None).await.map_err(not_kept)?;
    let mut body = answer.into_body();
    let mut pace = Pace::begin(Mono::now());
    loop {
        let frame = match timeout(SILENCE, body.frame()).await {
            Err(_) => return Err(cut("no more data came")),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(cut("the connection ended")),
            Ok(Some(Ok(frame))) => frame,
        };
        if let Ok(bytes) = frame.into_data() {
            incoming.write(&bytes).await.map_err(not_kept)?;
            tell(incoming.got(), length);
        }
        pace.judge(Mono::now(), incoming.got()).map_err(too_slow)?;
    }
    if incoming.got() != length {
        return Err(cut("the connection ended"));
    }
    incoming.finish().await.map_err(not_kept)
}

fn cut(why: &str) -> Fault {
    Fault::new("transfer_cut", format!("the bundle did not come whole: {why}"), "try again")
}

fn too_slow(rate: u64) -> Fault {
    let message = format!(
        "the bundle came too slowly: {} a second, less than {}",
        show_size(rate),
        show_size(pace::LEAST)
    );
    Fault::new("too_slow", message, "try again by a better way to the server, or upload the bundle")
}

fn unreachable(why: &str) -> Fault {
    let message = format!("the server of the bundle cannot be reached ({why})");
    Fault::new("unreachable", message, "check the address and the box's network, or upload the bundle")
}

/// The policy's refusal. It speaks of streams; here it is a bundle.
fn refused(error: &Error) -> Fault {
    let member = |name: &str| error.data().get(name).and_then(|text| text.as_str());
    match (member("rule"), member("detail")) {
        (Some(rule), _) => Fault::new(
            "host_refused",
            format!("the address {rule}"),
            "an administrator may name the host in discovery.allowed_hosts",
        ),
        (None, detail) => unreachable(detail.unwrap_or("its name has no address")),
    }
}

/// TLS as browsers speak it, with the certificates that the system trusts.
fn tls(roots: &Path) -> std::result::Result<ClientConfig, String> {
    let mut store = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(roots).map_err(|_| "the box has no list of trusted certificates")?;
    for certificate in certificates.flatten() {
        // One of an old kind does not spoil the others.
        let _ = store.add(certificate);
    }
    if store.is_empty() {
        return Err("the box's list of trusted certificates is empty".into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|e| io::Error::other(e).to_string())?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_web_addresses_are_taken() {
        for good in ["http://192.0.2.1/x.raucb", "https://updates.example.com:8443/a/b?c=d"] {
            assert_eq!(parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "x", "ftp://h/x", "file:///etc/passwd", "http://u:p@h/x", "http://u@h/x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_box_without_trusted_certificates_says_so() {
        assert!(tls(Path::new("/nowhere")).unwrap_err().contains("no list"));
        let empty = tempfile::NamedTempFile::new().unwrap();
        assert!(tls(empty.path()).unwrap_err().contains("empty"));
    }
}
