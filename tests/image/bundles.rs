//! Update bundles that the builder does not make: for another board, by another signer, with less in them.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::common::bytes::noise;
use crate::disk::done;

/// Bytes of each of a bundle's images: little, and nothing that a compressor makes smaller.
const SIZE: usize = 4 << 20;

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The one whom the box of the test trusts (`FIELDCAM_TEST_IMAGE_KEYS`).
    Ours,
    /// One with an authority of its own that looks the same.
    Other,
}

/// A folder for bundles, and for the other signer.
pub struct Bundles(TempDir);

impl Bundles {
    pub fn new() -> Bundles {
        let dir = tempfile::Builder::new().prefix("fieldcam-bundles-").tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let openssl = |args: &str| {
            done(Command::new("openssl").current_dir(dir.path()).args(args.split(' ')));
        };
        openssl(
            "req -x509 -newkey rsa:3072 -noenc -keyout ca.key -out ca.pem -subj /O=Fieldcam/CN=Authority -days 9999",
        );
        openssl(
            "req -new -newkey rsa:3072 -noenc -keyout signer.key -out signer.csr -subj /O=Fieldcam/CN=Signer",
        );
        let uses = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\n";
        std::fs::write(at("signer.ext"), uses).unwrap();
        openssl(
            "x509 -req -in signer.csr -CA ca.pem -CAkey ca.key -set_serial 1 -out signer.pem -extfile signer.ext -days 9999",
        );
        Bundles(dir)
    }

    /// A whole bundle.
    pub fn make(&self, name: &str, board: &str, version: &str, signer: Signer) -> PathBuf {
        let folder = self.0.path().join(format!("{name}.in"));
        std::fs::create_dir(&folder).unwrap();
        for (seed, image) in [(7, "root.img"), (9, "boot.img")] {
            std::fs::write(folder.join(image), noise(seed, SIZE)).unwrap();
        }
        let manifest = format!(
            "[update]\ncompatible={board}\nversion={version}\n[bundle]\nformat=verity\n[image.rootfs]\nfilename=root.img\n\
             [image.boot]\nfilename=boot.img\n"
        );
        std::fs::write(folder.join("manifest.raucm"), manifest).unwrap();
        let keys = match signer {
            Signer::Other => self.0.path().to_owned(),
            Signer::Ours => {
                let keys = std::env::var_os("FIELDCAM_TEST_IMAGE_KEYS");
                keys.expect("FIELDCAM_TEST_IMAGE_KEYS names images/build's folder of keys").into()
            }
        };
        let bundle = self.file(name);
        let option = |name: &str, file: &str| format!("--{name}={}", keys.join(file).display());
        done(
            Command::new("rauc")
                .args(["bundle", &option("cert", "signer.pem"), &option("key", "signer.key")])
                .arg(&folder)
                .arg(&bundle),
        );
        bundle
    }

    /// A bundle of other bytes.
    pub fn changed(&self, name: &str, from: &Path, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
        let mut bytes = std::fs::read(from).unwrap();
        change(&mut bytes);
        std::fs::write(self.file(name), bytes).unwrap();
        self.file(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}.raucb"))
    }
}
