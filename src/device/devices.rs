//! What the two ways to look at devices have in common.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use super::node::Node;
use super::uevent::Event;

/// More nodes than any box has.
pub(super) const MAX_NODES: usize = 256;

/// A node as the list of all says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// [`Node::devpath`].
    pub devpath: String,
    /// Another one when the node was away meanwhile, though all else be the same.
    pub instance: u64,
}

/// Which V4L2 nodes there are, and which come and go.
pub trait Devices: Send + Sync + 'static {
    /// Those that there are, in order of their path. Blocks for reads of folders alone, never for a device.
    ///
    /// Fails when sysfs is not there.
    fn list(&self) -> io::Result<Vec<Listed>>;

    /// One of them. `None` = it is gone, not all there yet, or no `/dev/videoN`. Blocks for as long as the
    /// kernel is busy with the device: it holds a lock over what a USB device says of itself.
    fn read(&self, devpath: &str) -> Option<Node>;

    /// What happens from now on. Needs a runtime.
    fn listen(&self) -> io::Result<Box<dyn Listen>>;

    /// All that can be read. Blocks as [`Devices::read`] does, for each in turn.
    fn scan(&self) -> io::Result<Vec<Node>> {
        Ok(self.list()?.iter().filter_map(|node| self.read(&node.devpath)).collect())
    }
}

/// The next thing that happened; `None` = some were missed, so everything has to be looked at anew.
pub type Heard<'a> = Pin<Box<dyn Future<Output = io::Result<Option<Event>>> + Send + 'a>>;

/// A listener.
pub trait Listen: Send {
    /// Waits for what happens next. Cancel-safe: nothing is missed when it is given up and asked again.
    fn next(&mut self) -> Heard<'_>;
}

/// Those of this machine: by libudev where the program is linked with glibc, else by the kernel's own files.
pub fn of_this_machine() -> Arc<dyn Devices> {
    #[cfg(target_env = "gnu")]
    return Arc::new(super::libudev::Libudev::new(Path::new("/run")));
    #[cfg(not(target_env = "gnu"))]
    return Arc::new(super::sysfs::Sysfs::new(Path::new("/sys"), Path::new("/run")));
}
