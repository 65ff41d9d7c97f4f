//! The file on the boot partition: looked at, answered with its mistakes, or brought to its end.
//!
//! It is taken in this order: what it asks for is done (twice is as good as once), its hash is noted on the box's own
//! disk, its first sector is overwritten and synced, then the rest, then it is removed, and the note with it. So after
//! a power cut it is either whole and not noted (it is taken again, before anything has run that could have changed
//! what it asks for), or noted, and perhaps begun with zeros (only its end is still to come). Zeros without the note are
//! not ours: a laptop leaves them where it was pulled before what it copied was on the card.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::base::hex;
use crate::config::Mistakes;
use crate::durable;

const NAME: &str = "fieldcam.toml";
const ERRORS: &str = "fieldcam-provisioning-errors.txt";
/// More is no provisioning file.
const MAX_BYTES: u64 = 1 << 20;
const SECTOR: usize = 512;

/// A folder that may hold a provisioning file, and where it is noted that one was taken.
pub struct Card {
    dir: PathBuf,
    note: PathBuf,
}

/// What lies there.
pub enum Content {
    /// Nothing to take.
    Nothing,
    /// One that was taken before; its end is still to come.
    Taken,
    /// One to take.
    Text(Vec<u8>),
    /// One that is too long to be one.
    TooLong,
    /// One that was not copied to its end.
    Torn,
}

impl Card {
    /// `dir`: the boot partition; `note`: a file on the box's own disk, in a folder of root's.
    pub fn new(dir: &Path, note: &Path) -> Self {
        Self { dir: dir.to_owned(), note: note.to_owned() }
    }

    /// Looks what there is.
    pub fn look(&self) -> io::Result<Content> {
        let mut bytes = Vec::new();
        match self.open(OpenOptions::new().read(true)) {
            Ok(file) => file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Content::Nothing),
            Err(e) => return Err(e),
        };
        let zeros = bytes.iter().take(SECTOR).all(|b| *b == 0);
        if bytes.len() as u64 > MAX_BYTES && !zeros {
            return Ok(Content::TooLong);
        }
        match fs::read_to_string(&self.note) {
            // Its end leaves zeros as long as it was.
            Ok(noted) if noted == note_of(&bytes) || zeros && noted.ends_with(&length_of(&bytes)) => {
                Ok(Content::Taken)
            }
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ if zeros => Ok(Content::Torn),
            _ => Ok(Content::Text(bytes)),
        }
    }

    /// Notes that what it asked for is done.
    pub fn note(&self, bytes: &[u8]) -> io::Result<()> {
        let folder = self.note.parent().expect("a file in a folder");
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        durable::replace_private(&self.note, note_of(bytes).as_bytes())
    }

    /// Overwrites and removes a file that was taken, and whatever was said of it.
    pub fn end(&self) -> io::Result<()> {
        let mut file = self.open(OpenOptions::new().read(true).write(true))?;
        wipe(&mut file, &mut |file| file.sync_all())?;
        drop(file);
        fs::remove_file(self.dir.join(NAME))?;
        remove(&self.dir.join(ERRORS))?;
        durable::sync_dir(&self.dir)?;
        self.forget()
    }

    /// Nothing is left of one that was taken.
    pub fn forget(&self) -> io::Result<()> {
        if remove(&self.note)? { self.note.parent().map_or(Ok(()), durable::sync_dir) } else { Ok(()) }
    }

    /// Leaves a file that is wrong as it is, with what is wrong beside it.
    pub fn complain(&self, mistakes: &[String]) -> io::Result<()> {
        let mut text = String::from("Nothing of fieldcam.toml was taken:\r\n\r\n");
        text.extend(mistakes.iter().map(|mistake| format!("{mistake}\r\n")));
        let path = self.dir.join(ERRORS);
        if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(());
        }
        durable::replace(&path, text.as_bytes())
    }

    fn open(&self, how: &mut OpenOptions) -> io::Result<File> {
        let file = how.custom_flags(nix::libc::O_NOFOLLOW).open(self.dir.join(NAME))?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }
}

/// Mistakes as lines without folders.
pub fn lines(mistakes: &Mistakes) -> Vec<String> {
    mistakes.iter().map(|mistake| mistake.without_folder()).collect()
}

/// What the box writes down of a file that was taken.
fn note_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)) + &length_of(bytes)
}

fn length_of(bytes: &[u8]) -> String {
    format!(" {}\n", bytes.len())
}

fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Zeros in the place of everything; the first sector is on the disk before the rest begins.
fn wipe<F: Read + Write + Seek>(file: &mut F, sync: &mut dyn FnMut(&F) -> io::Result<()>) -> io::Result<()> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let first = length.min(SECTOR as u64);
    file.write_all(&vec![0; usize::try_from(first).unwrap_or(SECTOR)])?;
    file.flush()?;
    sync(file)?;
    io::copy(&mut io::repeat(0).take(length - first), file)?;
    file.flush()?;
    sync(file)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn card(dir: &Path) -> Card {
        Card::new(dir, &dir.join("system/provisioned"))
    }

    #[test]
    fn a_file_is_taken_once_wherever_the_power_goes() {
        let dir = tempfile::tempdir().unwrap();
        let (card, path) = (card(dir.path()), dir.path().join(NAME));
        assert!(matches!(card.look().unwrap(), Content::Nothing));
        let text = "psk = \"hunter2\"\n".repeat(100).into_bytes();
        fs::write(&path, &text).unwrap();
        assert!(matches!(card.look().unwrap(), Content::Text(t) if t == text));
        // Done and noted, and the power goes.
        card.note(&text).unwrap();
        assert!(matches!(card.look().unwrap(), Content::Taken));
        // At each step of its end.
        let mut states = Vec::new();
        let mut image = Cursor::new(text.clone());
        wipe(&mut image, &mut |now| {
            states.push(now.get_ref().clone());
            Ok(())
        })
        .unwrap();
        assert_eq!(states.len(), 2);
        assert!(states[0][..SECTOR].iter().all(|b| *b == 0) && states[0][SECTOR..] == text[SECTOR..]);
        assert!(states[1].iter().all(|b| *b == 0) && states[1].len() == text.len());
        for state in &states {
            fs::write(&path, state).unwrap();
            assert!(matches!(card.look().unwrap(), Content::Taken));
        }
        // Another one, which a laptop did not copy to its end.
        for torn in [&b""[..], &[0; 700]] {
            fs::write(&path, torn).unwrap();
            assert!(matches!(card.look().unwrap(), Content::Torn));
        }
        // Without the note the zeros are those of a copy that did not end.
        fs::remove_file(dir.path().join("system/provisioned")).unwrap();
        for state in states {
            fs::write(&path, state).unwrap();
            assert!(matches!(card.look().unwrap(), Content::Torn));
        }
        card.complain(&["x".into()]).unwrap();
        card.end().unwrap();
        assert!(matches!(card.look().unwrap(), Content::Nothing));
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["system"]);
        // The same text again is another wish.
        card.forget().unwrap();
        fs::write(&path, &text).unwrap();
        assert!(matches!(card.look().unwrap(), Content::Text(_)));
    }

    #[test]
    fn what_is_no_file_or_too_long_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (card, path) = (card(dir.path()), dir.path().join(NAME));
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(card.look().is_err() && card.end().is_err());
        fs::remove_file(&path).unwrap();
        fs::write(&path, vec![b'#'; MAX_BYTES as usize + 1]).unwrap();
        assert!(matches!(card.look().unwrap(), Content::TooLong));
        fs::write(&path, "").unwrap();
        assert!(matches!(card.look().unwrap(), Content::Torn));
    }
}
