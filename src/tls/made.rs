//! The certificate that the box makes for itself.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};

use super::names::{Names, own_names};
use super::pair::Pair;
use crate::base::{Error, ErrorKind, Result, Secret};
use crate::durable;

const NAME: &str = "tls.pem";

/// The one that was made before; a new one when there is none, or none that can be used.
pub(super) fn read_or_make(secrets: &Path) -> Result<Pair> {
    let path = secrets.join(NAME);
    match std::fs::read_to_string(&path) {
        Ok(text) => match Pair::from_pem(&text, &text) {
            Ok(pair) => {
                let open = std::fs::metadata(&path).is_ok_and(|m| m.mode() & 0o077 != 0);
                if open {
                    tracing::warn!("secrets/{NAME} could be read by others; its mode is 0600 again");
                    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(unusable)?;
                }
                return Ok(pair);
            }
            Err(fault) => {
                tracing::error!(
                    ?fault,
                    "secrets/{NAME} is damaged and is made again: the box has a new fingerprint"
                );
            }
        },
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            tracing::error!("secrets/{NAME} is damaged and is made again: the box has a new fingerprint");
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(unusable(e)),
    }
    let text = make()?;
    keep(secrets, &text).map_err(unusable)?;
    Pair::from_pem(text.expose(), text.expose()).map_err(|fault| Error::internal(format!("{fault:?}")))
}

fn unusable(e: io::Error) -> Error {
    let what = match e.kind() {
        io::ErrorKind::PermissionDenied => "may not be read or written by this user",
        io::ErrorKind::ReadOnlyFilesystem => "cannot be made on a read-only file system",
        _ => "cannot be read or made",
    };
    let text =
        format!("server.tls = \"auto\": the certificate (secrets/{NAME} in the data directory) {what}");
    Error::new(ErrorKind::Config, text).caused_by(e)
}

/// A whole file appears under the name or none does.
fn keep(secrets: &Path, text: &Secret) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(secrets)?;
    durable::replace_private(&secrets.join(NAME), text.expose().as_bytes())
}

/// A new key and its certificate, key first. From 2020, because a box without a clock wakes up in the
/// past, to 2050, because nobody comes to replace it.
pub(super) fn make() -> Result<Secret> {
    let Names { dns, addresses } = own_names();
    let failed = |e: rcgen::Error| Error::internal(e);
    let mut params = CertificateParams::new(dns.clone()).map_err(failed)?;
    params.subject_alt_names.extend(addresses.into_iter().map(SanType::IpAddress));
    params.distinguished_name = DistinguishedName::new();
    let name = dns.into_iter().next().unwrap_or_default();
    // X.520 has room for 64.
    params.distinguished_name.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2050, 1, 1);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(Secret::new(format!("{}{}", key.serialize_pem(), certificate.pem())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_once_for_its_owner_only_and_again_when_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("secrets");
        let first = read_or_make(&dir).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        let path = dir.join(NAME);
        assert_eq!((mode(&dir), mode(&path)), (0o700, 0o600));
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read_or_make(&dir).unwrap().fingerprint(), first.fingerprint());
        assert_eq!(mode(&path), 0o600);
        for damage in [&b""[..], b"-----BEGIN", b"\xff\xfe"] {
            std::fs::write(&path, damage).unwrap();
            let again = read_or_make(&dir).unwrap();
            assert_ne!(again.fingerprint(), first.fingerprint());
            assert_eq!(read_or_make(&dir).unwrap().fingerprint(), again.fingerprint());
            assert_eq!(mode(&path), 0o600);
        }
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "no draft stays behind");
    }
}
