//! Where the generated file is: in the run directory, or in memory while that cannot be written.
//!
//! Live video has to come back after a death of MediaMTX also while the data disk is full, read-only
//! or gone.

use std::io;
use std::path::{Path, PathBuf};

use super::{certificate, file};
use crate::base::Secret;

/// Kept in memory or emptied at a boot, and private to us by their mode.
const SPARE: [&str; 3] = ["/run", "/dev/shm", "/tmp"];

/// The folder of the newest file.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// One of our own, made when it was needed.
    spare: Option<PathBuf>,
}

impl Place {
    /// Writes the file, and the certificate that it names if there is one; answers with their folder.
    /// `text` is what the file says when it is in a folder.
    pub(super) fn write(
        &mut self,
        run_dir: &Path,
        text: impl Fn(&Path) -> String,
        pem: Option<&Secret>,
    ) -> io::Result<PathBuf> {
        let put = |folder: &Path| {
            pem.map_or(Ok(()), |pem| certificate::write(folder, pem))?;
            file::write(folder, &text(folder))
        };
        match put(run_dir) {
            Ok(()) => {
                self.remove();
                Ok(run_dir.to_owned())
            }
            Err(error) => {
                let spare = match &self.spare {
                    Some(dir) => dir.clone(),
                    None => make_spare().ok_or(error)?,
                };
                put(&spare)?;
                tracing::warn!("the run directory cannot be written; MediaMTX's file is kept in memory");
                self.spare = Some(spare.clone());
                Ok(spare)
            }
        }
    }

    fn remove(&mut self) {
        if let Some(dir) = self.spare.take() {
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A new folder, mode 0700, under a name that nobody can have prepared.
fn make_spare() -> Option<PathBuf> {
    SPARE.iter().find_map(|base| nix::unistd::mkdtemp(&Path::new(base).join("fieldcam-XXXXXX")).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn without_its_directory_the_file_is_elsewhere_private_and_goes_when_it_is_back() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let mut place = Place::default();
        let pem = Secret::new("pem");
        let mut write = |text: &str| place.write(&run, |_| text.to_owned(), Some(&pem));
        let spare = write("one").unwrap();
        assert!(!run.exists());
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&spare), mode(&spare.join(file::FILE_NAME))), (0o700, 0o600));
        assert_eq!(mode(&spare.join(certificate::FILE_NAME)), 0o600);
        assert_eq!(write("two").unwrap(), spare);
        assert_eq!(std::fs::read_to_string(spare.join(file::FILE_NAME)).unwrap(), "two");
        std::fs::create_dir(&run).unwrap();
        assert_eq!(write("three").unwrap(), run);
        assert!(!spare.exists());
    }
}
