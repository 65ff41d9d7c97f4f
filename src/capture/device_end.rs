//! How reading a device ended, and what that is called.

use std::io;

use nix::errno::Errno;

/// How a device came to be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// Its driver says that it is gone.
    Unplugged(String),
    /// Another program uses it, it is not ours to open, or its bus has no room.
    Refused(String),
    /// Its driver failed.
    Failed(String),
}

impl Ended {
    /// What a failed call means for the device.
    pub(super) fn of(e: &io::Error) -> Ended {
        let words = device_words(e);
        match e.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENODEV | Errno::ENXIO | Errno::ENOENT) => Ended::Unplugged(words),
            Some(Errno::EBUSY | Errno::EACCES | Errno::EPERM | Errno::ENOSPC) => Ended::Refused(words),
            _ => Ended::Failed(words),
        }
    }

    /// Why, for the log and for people.
    pub fn words(&self) -> &str {
        match self {
            Ended::Stopped => "it was stopped",
            Ended::Unplugged(words) | Ended::Refused(words) | Ended::Failed(words) => words,
        }
    }
}

/// What went wrong with a device, for people: errno's own words lead astray here.
pub fn device_words(e: &io::Error) -> String {
    match e.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENODEV | Errno::ENXIO | Errno::ENOENT) => "it was unplugged".into(),
        Some(Errno::EBUSY) => "another program uses it".into(),
        Some(Errno::EACCES | Errno::EPERM) => "this user may not open it (add it to the group video)".into(),
        Some(Errno::ENOSPC) => {
            "its USB bus is full: use a port of another USB controller, or less resolution or \
            frame rate of the cameras there"
                .into()
        }
        _ => format!("its driver failed: {e}"),
    }
}
