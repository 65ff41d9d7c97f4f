//! The certificate and key that the configuration names.

use std::io::{self, Read as _};
use std::path::Path;

use super::pair::{Fault, Pair};
use crate::base::{Error, ErrorKind, Result};
use crate::config;

const CERT: &str = "server.tls_cert";
const KEY: &str = "server.tls_key";
/// A chain of a few certificates has some kilobytes.
const LARGEST: u64 = 1 << 20;

/// Reads and judges both files.
pub(super) fn files(server: &config::Server) -> Result<Pair> {
    let certificates = text(CERT, server.tls_cert.as_deref())?;
    let key = text(KEY, server.tls_key.as_deref())?;
    Pair::from_pem(&certificates, &key).map_err(complaint)
}

fn text(setting: &str, path: Option<&Path>) -> Result<String> {
    let path = path.ok_or_else(|| wrong(setting, "is not set", "server.tls = \"files\" needs it"))?;
    let read = || {
        let file = std::fs::File::open(path)?;
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        io::Result::Ok(bytes)
    };
    let bytes = read().map_err(|e| {
        let (what, next) = match e.kind() {
            io::ErrorKind::NotFound => ("there is no such file", "check the path"),
            io::ErrorKind::PermissionDenied => {
                ("the file may not be read by the user that Fieldcam runs as", "change its owner or mode")
            }
            io::ErrorKind::IsADirectory => ("is a folder", "name the file in it"),
            _ => ("the file cannot be read", "check the path and its disk"),
        };
        wrong(setting, what, next).caused_by(e)
    })?;
    let next = "name a file in PEM form (it begins with -----BEGIN)";
    if bytes.len() as u64 > LARGEST {
        return Err(wrong(setting, "the file is larger than a certificate can be", next));
    }
    String::from_utf8(bytes).map_err(|_| wrong(setting, "the file is not text", next))
}

fn complaint(fault: Fault) -> Error {
    let pem = "it begins with -----BEGIN CERTIFICATE-----, the box's own certificate first";
    match fault {
        Fault::NoCertificate => wrong(CERT, "the file holds no certificate in PEM form", pem),
        Fault::BadCertificate => {
            wrong(CERT, "the certificate is damaged or of a kind that cannot be served", pem)
        }
        Fault::NoKey => wrong(
            KEY,
            "the file holds no private key in PEM form",
            "it begins with -----BEGIN PRIVATE KEY----- or the like",
        ),
        Fault::EncryptedKey => wrong(
            KEY,
            "the key is locked with a passphrase",
            "write it without one (openssl pkey -in KEY -out NEW) and let only Fieldcam's user read it",
        ),
        Fault::BadKey => wrong(
            KEY,
            "the key is damaged or of a kind that cannot be used",
            "use RSA (2048 bits or more), P-256, P-384 or Ed25519",
        ),
        Fault::Mismatch => wrong(
            KEY,
            "is not the key of the certificate in server.tls_cert",
            "the first certificate in the file must be the box's own",
        ),
    }
}

/// A new certificate that nobody would take.
pub(super) fn expired(pair: &Pair) -> Error {
    let what = format!("the certificate ended on {} by this box's clock", pair.ends());
    wrong(CERT, &what, "put a new one in its place, or set the clock")
}

fn wrong(setting: &str, what: &str, next: &str) -> Error {
    Error::new(ErrorKind::Config, format!("{setting}: {what}; {next}"))
}
