//! Names of local sockets.

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Longest name a socket can be bound to, less its ending zero and some room.
const SHORT: usize = 100;

/// A name for the socket that fits into an address: long ones go through their folder's descriptor,
/// which must be kept while the name is used.
pub fn reachable(socket: &Path) -> std::io::Result<(PathBuf, Option<std::fs::File>)> {
    if socket.as_os_str().len() <= SHORT {
        return Ok((socket.to_owned(), None));
    }
    let (Some(folder), Some(file)) = (socket.parent(), socket.file_name()) else {
        return Err(std::io::ErrorKind::InvalidFilename.into());
    };
    let folder = std::fs::File::open(folder)?;
    let name = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(file);
    Ok((name, Some(folder)))
}
