//! One key of an input device of the kernel.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Of linux/input-event-codes.h.
const EV_SYN: u16 = 0;
const EV_KEY: u16 = 1;
const SYN_DROPPED: u16 = 3;
/// A bit for each key, up to KEY_MAX.
const BITS: usize = 0x300 / 8;
/// `struct input_event`: the time in two words, type, code, value.
const TIME: usize = 2 * size_of::<usize>();
const EVENT: usize = TIME + 8;

mod ioctls {
    // EVIOCGBIT(EV_KEY), EVIOCGKEY.
    nix::ioctl_read_buf!(there, b'E', 0x21, u8);
    nix::ioctl_read_buf!(down, b'E', 0x18, u8);
}

/// The key, and the device that it is of.
pub(super) struct Keys {
    device: File,
    key: u16,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The key went down (true) or up, in this order; maybe only others did.
    Steps(Vec<bool>),
    /// More came than the kernel keeps.
    Lost,
    /// Nothing, in all of the time.
    Nothing,
    /// The device was taken away.
    Gone,
}

impl Keys {
    /// Opens a device; none: it has no such key.
    pub fn open(device: &Path, key: u16) -> io::Result<Option<Keys>> {
        let flags = (OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits();
        let device = File::options().read(true).custom_flags(flags).open(device)?;
        let mut bits = [0; BITS];
        #[expect(unsafe_code, reason = "the kernel fills as many bytes as there are")]
        unsafe { ioctls::there(device.as_raw_fd(), &mut bits) }?;
        Ok(has(&bits, key).then_some(Keys { device, key }))
    }

    /// Whether the key is down now.
    pub fn is_down(&self) -> io::Result<bool> {
        let mut bits = [0; BITS];
        #[expect(unsafe_code, reason = "the kernel fills as many bytes as there are")]
        unsafe { ioctls::down(self.device.as_raw_fd(), &mut bits) }?;
        Ok(has(&bits, self.key))
    }

    /// Waits for what comes, at most `limit` (none: for ever).
    pub fn hear(&mut self, limit: Option<Duration>) -> io::Result<Heard> {
        // A millisecond more than is left of it: the wait is in whole ones.
        let limit = limit.map(|limit| limit + Duration::from_millis(1));
        let limit = limit.map_or(PollTimeout::NONE, |l| PollTimeout::try_from(l).unwrap_or(PollTimeout::MAX));
        match poll(&mut [PollFd::new(self.device.as_fd(), PollFlags::POLLIN)], limit) {
            Ok(0) => return Ok(Heard::Nothing),
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(Heard::Steps(Vec::new())),
            Err(e) => return Err(e.into()),
        }
        let mut bytes = [0; 64 * EVENT];
        match self.device.read(&mut bytes) {
            Ok(0) => Ok(Heard::Gone),
            Ok(length) => Ok(read(&bytes[..length], self.key)),
            Err(e) if e.raw_os_error() == Some(nix::libc::ENODEV) => Ok(Heard::Gone),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(Heard::Steps(Vec::new()))
            }
            Err(e) => Err(e),
        }
    }
}

/// Whether a key's bit is set.
fn has(bits: &[u8], key: u16) -> bool {
    bits.get(usize::from(key / 8)).is_some_and(|byte| byte >> (key % 8) & 1 == 1)
}

/// What a key did, of events as the kernel writes them.
fn read(bytes: &[u8], key: u16) -> Heard {
    let mut steps = Vec::new();
    for event in bytes.chunks_exact(EVENT) {
        let word = |at: usize| u16::from_ne_bytes([event[TIME + at], event[TIME + at + 1]]);
        let value = i32::from_ne_bytes(event[TIME + 4..].try_into().expect("four bytes"));
        match (word(0), word(2), value) {
            (EV_SYN, SYN_DROPPED, _) => return Heard::Lost,
            // 2: it repeats, which says nothing new.
            (EV_KEY, code, 0 | 1) if code == key => steps.push(value == 1),
            _ => {}
        }
    }
    Heard::Steps(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
        let words = [kind.to_ne_bytes(), code.to_ne_bytes()].concat();
        [&[7; TIME][..], &words, &value.to_ne_bytes()].concat()
    }

    #[test]
    fn only_this_key_counts_and_what_was_lost_is_said() {
        let presses = [event(1, 408, 1), event(0, 0, 0), event(1, 408, 2), event(1, 30, 1), event(1, 408, 0)];
        assert_eq!(read(&presses.concat(), 408), Heard::Steps(vec![true, false]));
        assert_eq!(read(&presses.concat(), 88), Heard::Steps(vec![]));
        let lost = [event(1, 408, 0), event(0, 3, 0), event(1, 408, 1)];
        assert_eq!(read(&lost.concat(), 408), Heard::Lost);
        assert_eq!(read(&event(1, 408, 1)[1..], 408), Heard::Steps(vec![]), "a torn one");
    }

    #[test]
    fn a_key_is_a_bit() {
        let mut bits = [0; BITS];
        bits[51] = 1;
        assert!(has(&bits, 408) && !has(&bits, 407) && !has(&bits, 0xffff));
    }

    #[test]
    fn what_is_no_input_device_is_an_error() {
        assert!(Keys::open(Path::new("/dev/null"), 408).is_err());
        assert!(Keys::open(Path::new("/nowhere"), 408).is_err());
    }
}
