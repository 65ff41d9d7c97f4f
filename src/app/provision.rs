//! `fieldcam provision`: takes what an operator left on the boot partition, before anything else of the box runs.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::auth::ClaimFile;
use crate::base::{Clock, Error, ErrorKind, Result};
use crate::config::{Settings, Sources};
use crate::disk::Temporary;
use crate::provision::{Card, Content, Place, Wanted, lines, place};
use crate::store::{self, Store, StorePlaces};

use super::as_owner::as_owner;
use super::data_dir::DataDir;

/// Where it is noted that one was taken, below the root: a folder of root's on the data disk.
const NOTE: &str = "data/system/provisioned";

/// Where to look.
#[derive(clap::Args)]
pub struct ProvisionArgs {
    /// Folder that may hold fieldcam.toml, such as that of the FAT partition
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Tree to write to
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(super) root: PathBuf,
}

/// Takes the file, if there is one; answers with what may stand in a log. Where the data is only for now it is taken for
/// now, and stays.
///
/// Fails with `Config` when the file is wrong, which is then told beside it, and when something cannot be read or
/// written; then it is still there and is tried again at the next start.
pub fn run(settings: &Settings, sources: &Sources, args: &ProvisionArgs) -> Result<String> {
    let data = &settings.storage.data_dir;
    let card = Card::new(&args.from, &args.root.join(NOTE));
    // Nothing that is written now is there at the next start, nor is the note of what was taken before.
    let temporary = Temporary::of_start(&settings.update.boot_facts).is_some();
    let bytes = match card.look().map_err(|e| failed("the provisioning file cannot be read", e))? {
        Content::Nothing => {
            card.forget().map_err(|e| failed("the note of one that was taken cannot be removed", e))?;
            return Ok("there is no provisioning file".into());
        }
        Content::Taken => {
            end(&card)?;
            return Ok("the provisioning file was taken before; it is removed".into());
        }
        Content::Text(bytes) => bytes,
        Content::Torn if temporary => {
            return Ok(
                "the provisioning file is empty; that is left to a start with the data partition".into()
            );
        }
        Content::Torn => {
            let hint = "it was not copied to its end; copy it again, and eject the card before it is pulled";
            return Err(wrong(&card, &[format!("fieldcam.toml: is empty: {hint}")]));
        }
        Content::TooLong => return Err(wrong(&card, &["fieldcam.toml: is larger than 1 MiB".into()])),
    };
    let text = std::str::from_utf8(&bytes).map_err(|e| {
        let line = bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        wrong(&card, &[format!("fieldcam.toml:{line}: is not UTF-8 text; save it as UTF-8")])
    })?;
    let wanted = Wanted::read(text, sources, &place(&args.root));
    let wanted = wanted.map_err(|mistakes| wrong(&card, &lines(&mistakes)))?;
    if wanted.claim_code.is_some() || !wanted.keys.is_empty() {
        as_owner(data, || own(&wanted, data))?;
    }
    let owner = std::fs::metadata(data).ok().filter(|_| geteuid().is_root());
    let place = Place { root: args.root.clone(), group: owner.map(|owner| owner.gid()) };
    wanted.write(&place).map_err(|e| failed("what the provisioning file asks for cannot be written", e))?;
    if temporary {
        return Ok("the provisioning file was taken and stays: the data partition cannot be used".into());
    }
    card.note(&bytes).map_err(|e| failed("it cannot be noted that the provisioning file was taken", e))?;
    end(&card)?;
    Ok("the provisioning file was taken and is removed".into())
}

/// What becomes the service's own: keys, or the code of a box that is not claimed.
fn own(wanted: &Wanted, data: &Path) -> Result<()> {
    let data = DataDir::open(data)?;
    if !wanted.keys.is_empty() {
        let (store, _) = Store::open_at(StorePlaces::below(data.root()))?;
        store.claim_with_blocking(wanted.keys.clone(), Clock::new().wall_us())?;
    }
    match &wanted.claim_code {
        Some(code) if !store::is_claimed(&data.database()) => {
            let put = ClaimFile::below(&data.secrets()).put(code);
            put.map_err(|e| failed("the claim code cannot be kept", e))
        }
        _ => Ok(()),
    }
}

fn end(card: &Card) -> Result<()> {
    card.end().map_err(|e| failed("the provisioning file was taken and cannot be removed", e))
}

fn failed(what: &str, e: io::Error) -> Error {
    Error::new(ErrorKind::Config, format!("{what}: {e}"))
}

/// Tells the mistakes beside the file and in the log.
fn wrong(card: &Card, mistakes: &[String]) -> Error {
    let told = card.complain(mistakes);
    let hint = match told {
        Ok(()) => "they are in fieldcam-provisioning-errors.txt beside it too".to_owned(),
        Err(e) => format!("they cannot be written beside it: {e}"),
    };
    let text = format!("nothing of the provisioning file was taken:\n{}", mistakes.join("\n"));
    Error::new(ErrorKind::Config, text).with("suggestion", hint)
}
