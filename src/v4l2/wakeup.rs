//! What wakes a thread that waits for a device.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// Ends [`super::Stream::wait`] from another thread. Clones are the same.
#[derive(Clone, Debug)]
pub struct Wakeup(Arc<EventFd>);

impl Wakeup {
    /// One that was not used yet.
    pub fn new() -> io::Result<Wakeup> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Wakeup(Arc::new(EventFd::from_value_and_flags(0, flags)?)))
    }

    /// Waits until it is woken, at most `limit`.
    pub fn wait(&self, limit: Duration) -> io::Result<()> {
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], limit) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        self.clear();
        Ok(())
    }

    /// It was seen that it was woken.
    pub(super) fn clear(&self) {
        // Its count is of no interest.
        let _ = self.0.read();
    }

    /// Ends the wait under way, or the next.
    pub fn wake(&self) {
        // It fails when it was woken 2⁶⁴ times without a wait: then it is awake.
        let _ = self.0.write(1);
    }
}

impl AsFd for Wakeup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
