//! Reads what the kernel says of V4L2 nodes, from its files alone.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::devices::{Devices, Listed, Listen, MAX_NODES};
use super::node::Node;
use super::place::{Place, node};
use super::uevent::Events;

/// Of an attribute; the kernel's own bound is a page.
const MAX_ATTRIBUTE: u64 = 4096;

/// Nodes by the kernel's files and its own events, without a library.
#[derive(Clone, Debug)]
pub struct Sysfs {
    root: PathBuf,
    run: PathBuf,
}

impl Sysfs {
    /// `root` = where sysfs is mounted, `run` = `/run`.
    pub fn new(root: &Path, run: &Path) -> Sysfs {
        // The folder may be missing yet.
        Sysfs { root: fs::canonicalize(root).unwrap_or_else(|_| root.to_owned()), run: run.to_owned() }
    }
}

impl Devices for Sysfs {
    fn list(&self) -> io::Result<Vec<Listed>> {
        let entries = match fs::read_dir(self.root.join("class/video4linux")) {
            // No driver was loaded yet.
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.root.join("class").is_dir() => {
                return Ok(Vec::new());
            }
            other => other?,
        };
        let mut nodes = Vec::new();
        for entry in entries {
            let Ok(place) = fs::canonicalize(entry?.path()) else { continue };
            let Some(name) = place.file_name().and_then(|n| n.to_str()) else { continue };
            if !name.starts_with("video") {
                continue;
            }
            let Some(devpath) = Folder { at: place.clone(), root: &self.root }.devpath() else { continue };
            let Ok(instance) = fs::metadata(&place).map(|m| m.ino()) else { continue };
            nodes.push(Listed { devpath, instance });
        }
        nodes.sort_by(|a, b| a.devpath.cmp(&b.devpath));
        nodes.truncate(MAX_NODES);
        Ok(nodes)
    }

    fn read(&self, devpath: &str) -> Option<Node> {
        let below = devpath.strip_prefix('/')?;
        // It leads nowhere else.
        let at = fs::canonicalize(self.root.join(below)).ok()?;
        let folder = Folder { at, root: &self.root };
        (folder.devpath()? == devpath).then(|| node(&folder))?
    }

    fn listen(&self) -> io::Result<Box<dyn Listen>> {
        Ok(Box::new(Events::listen(&self.run)?))
    }
}

/// A folder of sysfs. Not each is a device; what is none says nothing.
struct Folder<'a> {
    at: PathBuf,
    root: &'a Path,
}

impl Place for Folder<'_> {
    fn name(&self) -> Option<String> {
        Some(self.at.file_name()?.to_str()?.to_owned())
    }

    fn devpath(&self) -> Option<String> {
        Some(format!("/{}", self.at.strip_prefix(self.root).ok()?.to_str()?))
    }

    fn subsystem(&self) -> Option<String> {
        Some(fs::read_link(self.at.join("subsystem")).ok()?.file_name()?.to_str()?.to_owned())
    }

    fn attribute(&self, name: &str) -> Option<String> {
        use std::io::Read;
        let mut bytes = Vec::new();
        fs::File::open(self.at.join(name)).ok()?.take(MAX_ATTRIBUTE).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    fn parent(&self) -> Option<Self> {
        let at = self.at.parent().filter(|p| p.starts_with(self.root) && *p != self.root)?;
        Some(Folder { at: at.to_owned(), root: self.root })
    }
}

#[cfg(test)]
mod tests;
