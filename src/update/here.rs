//! What this machine says of its start: the slot, the version, whether the data is only for now.

use std::path::Path;

use crate::disk::Temporary;
use crate::helper::Slot;

/// Characters of a reason; longer than any that the initrd has.
const MOST_REASON: usize = 200;

/// Read once, when the program starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// The slot that runs; none on a machine without slots.
    pub slot: Option<Slot>,
    /// The image's version, else this program's.
    pub version: String,
    /// Another one each time the machine starts.
    pub boot_id: String,
    /// Why the data is only for now; none: it is kept.
    pub data: Option<Temporary>,
    /// The slot whose last start ended before its system ran, and why; none: nothing was left behind of one.
    pub failed: Option<(Slot, String)>,
}

impl Here {
    /// `boot`: the folder that the start of the system left behind. Blocks for some small files.
    pub fn read(boot: &Path) -> Here {
        let text = |file: &Path| std::fs::read_to_string(file).ok().map(|text| text.trim().to_owned());
        let release = text(Path::new("/etc/os-release")).unwrap_or_default();
        let version = text(&boot.join("version")).filter(|version| !version.is_empty());
        let boot_id = text(Path::new("/proc/sys/kernel/random/boot_id")).unwrap_or_default();
        Here {
            slot: Slot::running(boot),
            version: version
                .or_else(|| image_version(&release))
                .unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
            // A test plays several starts on one machine.
            boot_id: text(&boot.join("boot-id")).unwrap_or(boot_id),
            data: Temporary::of_start(boot),
            failed: text(&boot.join("failed-start")).and_then(|text| failed_start(&text)),
        }
    }
}

/// `A the reason`, as the initrd left it; it may be torn.
fn failed_start(text: &str) -> Option<(Slot, String)> {
    let (slot, reason) = text.lines().next()?.split_once(' ')?;
    let reason: String = reason.chars().filter(|c| !c.is_control()).take(MOST_REASON).collect();
    Some((Slot::parse(slot)?, reason)).filter(|(_, reason)| !reason.is_empty())
}

/// `IMAGE_VERSION` of os-release, where the image is ours.
fn image_version(release: &str) -> Option<String> {
    let value = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(line.trim_matches(['"', '\'']).to_owned())
    };
    value("IMAGE_ID").filter(|id| id == "fieldcam")?;
    value("IMAGE_VERSION").filter(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_version_is_that_of_our_image_only() {
        let ours = "ID=debian\nIMAGE_ID=fieldcam\nIMAGE_VERSION=\"1.2.3\"\nVARIANT_ID=rpi\n";
        assert_eq!(image_version(ours).as_deref(), Some("1.2.3"));
        assert_eq!(image_version("IMAGE_ID=other\nIMAGE_VERSION=9\n"), None);
        assert_eq!(image_version("ID=debian\nVERSION_ID=13\n"), None);
    }

    #[test]
    fn what_the_start_left_behind_is_read() {
        let boot = tempfile::tempdir().unwrap();
        let here = Here::read(boot.path());
        assert_eq!((here.slot, here.data, &here.failed), (None, None, &None));
        assert!(!here.boot_id.is_empty() && !here.version.is_empty());
        for (name, text) in [
            ("slot", "B\n"),
            ("version", "2.0.0\n"),
            ("boot-id", "x\n"),
            ("data", "foreign\n"),
            ("failed-start", "A it is cold\n"),
        ] {
            std::fs::write(boot.path().join(name), text).unwrap();
        }
        let here = Here::read(boot.path());
        let want = Here {
            slot: Some(Slot::B),
            version: "2.0.0".into(),
            boot_id: "x".into(),
            data: Some(Temporary::Foreign),
            failed: Some((Slot::A, "it is cold".into())),
        };
        assert_eq!(here, want);
        for torn in ["", "A", "A \n", "C it is cold", "\0\0\0"] {
            std::fs::write(boot.path().join("failed-start"), torn).unwrap();
            assert_eq!(Here::read(boot.path()).failed, None, "{torn:?}");
        }
        std::fs::write(boot.path().join("data"), "strange").unwrap();
        assert_eq!(Here::read(boot.path()).data, Some(Temporary::Broken));
    }
}
