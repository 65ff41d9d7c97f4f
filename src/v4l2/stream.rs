//! A device that delivers: its buffers in our memory, each lent to readers and given back to the driver.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use v4l::v4l_sys::{
    V4L2_BUF_FLAG_ERROR, V4L2_BUF_FLAG_TIMESTAMP_MASK, V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC,
    V4L2_CAP_TIMEPERFRAME, v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE as V4L2_BUF_TYPE_VIDEO_CAPTURE,
    v4l2_buffer, v4l2_field_V4L2_FIELD_ANY as V4L2_FIELD_ANY, v4l2_format,
    v4l2_memory_V4L2_MEMORY_MMAP as V4L2_MEMORY_MMAP, v4l2_pix_format, v4l2_requestbuffers, v4l2_streamparm,
};

use super::driver::{
    DQBUF, G_PARM, Plain, QBUF, QUERYBUF, REQBUFS, S_FMT, S_PARM, STREAMOFF, STREAMON, call,
};
use super::format::{FourCc, Rate};
use super::mode::Mode;
use super::wakeup::Wakeup;
use super::{Access, Device, Driver, Payload};
use crate::base::Mono;

/// The kernel takes no more (`VIDEO_MAX_FRAME`).
const MOST: u32 = 32;
/// Fewer leave the driver without one while the newest picture is looked at.
const LEAST: u32 = 4;
/// `V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME` (`v4l2-controls.h`: the codec class and 229).
const FORCE_KEY_FRAME: u32 = 0x0099_0900 + 229;
/// Largest picture: 4:2:2 at 4096x3072, with room.
const MAX_PICTURE: u32 = 64 << 20;

/// One buffer of the driver in our memory.
struct Slot {
    index: u32,
    start: NonNull<u8>,
    length: usize,
}

#[expect(
    unsafe_code,
    reason = "the memory is written by the driver alone, and only while nobody has a lease of it"
)]
unsafe impl Send for Slot {}
#[expect(unsafe_code, reason = "as above: with leases out it does not change")]
unsafe impl Sync for Slot {}

impl Slot {
    fn map(device: &Device, buffer: &v4l2_buffer) -> io::Result<Slot> {
        let length = buffer.length as usize;
        let failed = || io::Error::from(io::ErrorKind::InvalidData);
        if length == 0 || buffer.length > MAX_PICTURE {
            return Err(failed());
        }
        #[expect(unsafe_code, reason = "a new mapping; the offset is the driver's word for the buffer")]
        let start = unsafe {
            let offset = i64::from(buffer.m.offset);
            let (read, shared) = (nix::libc::PROT_READ, nix::libc::MAP_SHARED);
            v4l::v4l2::mmap(std::ptr::null_mut(), length, read, shared, device.as_fd().as_raw_fd(), offset)?
        };
        let start = NonNull::new(start.cast()).ok_or_else(failed)?;
        Ok(Slot { index: buffer.index, start, length })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "the mapping that was made, and nobody has a lease of it any more")]
        let unmapped = unsafe { v4l::v4l2::munmap(self.start.as_ptr().cast(), self.length) };
        if let Err(e) = unmapped {
            tracing::error!("a buffer of a camera stays mapped: {e}");
        }
    }
}

/// The bytes of a picture in the driver's buffer, which is given back when the last clone goes.
#[derive(Clone)]
pub struct Lease {
    /// None in the moment in which it is given back.
    slot: Option<Arc<Slot>>,
    used: usize,
    starved: Arc<Starved>,
}

impl Lease {
    /// Without what stands after its first `length` bytes.
    #[must_use]
    pub fn cut(mut self, length: usize) -> Lease {
        self.used = self.used.min(length);
        self
    }
}

#[cfg(test)]
impl Lease {
    /// A lease of memory that holds `bytes`, as if a driver had filled it.
    pub fn of(bytes: &[u8]) -> Lease {
        use nix::libc::{MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE};
        let length = bytes.len().max(1);
        #[expect(
            unsafe_code,
            reason = "a new mapping of that length, filled before anybody else knows of it"
        )]
        let start = unsafe {
            let (both, own) = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
            let start = v4l::v4l2::mmap(std::ptr::null_mut(), length, both, own, -1, 0).unwrap();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), start.cast(), bytes.len());
            NonNull::new(start.cast()).unwrap()
        };
        let starved = Starved { now: AtomicBool::new(false), wakeup: Wakeup::new().unwrap() };
        let slot = Some(Arc::new(Slot { index: 0, start, length }));
        Lease { slot, used: bytes.len(), starved: Arc::new(starved) }
    }
}

impl Deref for Lease {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let slot = self.slot.as_ref().expect("it is there until the drop");
        #[expect(
            unsafe_code,
            reason = "mapped for as long as the slot lives, and not with the driver meanwhile"
        )]
        unsafe {
            std::slice::from_raw_parts(slot.start.as_ptr(), self.used)
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.slot.take());
        if self.starved.now.load(Ordering::SeqCst) {
            self.starved.wakeup.wake();
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of buffer {:?}", self.used, self.slot.as_ref().map(|s| s.index))
    }
}

/// Whether the driver has no buffer, so that the next one that is given back is waited for.
struct Starved {
    now: AtomicBool,
    wakeup: Wakeup,
}

/// A picture as the driver gave it.
#[derive(Debug)]
pub struct Filled {
    /// Its bytes.
    pub bytes: Lease,
    /// The kernel's time of its capture; ours when the driver has another clock.
    pub captured: Mono,
    /// The driver's count of frames, also of those that nobody got; it wraps.
    pub sequence: u32,
    /// The driver knows that it is damaged.
    pub damaged: bool,
}

/// A device that streams. Dropping it stops the stream.
pub struct Stream {
    device: Device,
    slots: Vec<Arc<Slot>>,
    /// Which of them the driver has.
    queued: Vec<bool>,
    starved: Arc<Starved>,
    mode: Mode,
    row: u32,
    /// It was started once.
    started: bool,
}

impl Stream {
    /// Sets the mode, as far as the driver takes it, and maps the buffers; [`Stream::restart`] starts it.
    /// `memory`: bytes that all buffers may take together, unless that makes too few. Blocks.
    pub fn prepare(device: Device, mode: Mode, memory: u64, wakeup: Wakeup) -> io::Result<Stream> {
        let mut format = v4l2_format { type_: V4L2_BUF_TYPE_VIDEO_CAPTURE, ..v4l2_format::zeroed() };
        format.fmt.pix = v4l2_pix_format {
            width: mode.width,
            height: mode.height,
            pixelformat: mode.fourcc.number(),
            field: V4L2_FIELD_ANY,
            ..format_pix(&format)
        };
        call(&device, S_FMT, &mut format)?;
        let has = format_pix(&format);
        if has.width == 0 || has.height == 0 || has.sizeimage == 0 || has.sizeimage > MAX_PICTURE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the driver set a size that cannot be"));
        }
        let rate = set_rate(&device, mode.rate);
        let mode = Mode { fourcc: FourCc::of(has.pixelformat), width: has.width, height: has.height, rate };
        let wanted = u32::try_from(memory / u64::from(has.sizeimage)).unwrap_or(MOST).clamp(LEAST, MOST);
        let mut stream = Stream {
            device,
            slots: Vec::new(),
            queued: Vec::new(),
            starved: Arc::new(Starved { now: AtomicBool::new(false), wakeup }),
            mode,
            row: has.bytesperline,
            started: false,
        };
        let count = stream.request(wanted)?;
        for index in 0..count.min(MOST) {
            let mut buffer = stream.buffer(index);
            call(&stream.device, QUERYBUF, &mut buffer)?;
            buffer.index = index;
            stream.slots.push(Arc::new(Slot::map(&stream.device, &buffer)?));
            stream.queued.push(false);
        }
        if stream.slots.is_empty() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(stream)
    }

    /// Starts the stream, anew if it runs or broke. The buffers that readers have stay theirs, and come to the
    /// driver when they are let go, as ever. Blocks.
    pub fn restart(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.started, true) {
            call(&self.device, STREAMOFF, &mut (V4L2_BUF_TYPE_VIDEO_CAPTURE as i32))?;
            // That took every buffer from the driver, filled or not.
            self.queued.fill(false);
        }
        self.give_back()?;
        call(&self.device, STREAMON, &mut (V4L2_BUF_TYPE_VIDEO_CAPTURE as i32))
    }

    /// Asks for a keyframe at once; fails where the device has no such control.
    pub fn force_key(&self) -> io::Result<()> {
        self.device.control(Access::Set, FORCE_KEY_FRAME, &mut Payload::Number(1))
    }

    /// What the driver has set.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Bytes from one row of a raw picture to the next.
    pub fn row(&self) -> u32 {
        self.row
    }

    /// Buffers there are.
    pub fn buffers(&self) -> usize {
        self.slots.len()
    }

    /// Waits until there may be a picture, a buffer came back that the driver needs, or it was woken;
    /// at most `limit`. Fails when the device is gone or its stream broke.
    pub fn wait(&self, limit: Duration) -> io::Result<()> {
        // Without a buffer the driver has nothing to wait for.
        let starving = !self.queued.contains(&true);
        self.starved.now.store(starving, Ordering::SeqCst);
        if starving && self.slots.iter().any(|slot| Arc::strong_count(slot) == 1) {
            // It came back before anybody knew that it is waited for.
            return Ok(());
        }
        let wakeup = &self.starved.wakeup;
        let mut all = [
            PollFd::new(wakeup.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.device.as_fd(), PollFlags::POLLIN),
        ];
        let count = if starving { 1 } else { 2 };
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        match poll(&mut all[..count], limit) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        if all[0].any() == Some(true) {
            wakeup.clear();
        }
        let broken = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
        match all[1].revents() {
            Some(seen) if seen.intersects(broken) && !seen.contains(PollFlags::POLLIN) => {
                Err(io::Error::new(io::ErrorKind::BrokenPipe, "the driver ended the stream"))
            }
            _ => Ok(()),
        }
    }

    /// The next picture, if there is one. One in a buffer that somebody still reads is none: v4l2loopback fills and
    /// hands out its buffers whether they were given back or not.
    pub fn take(&mut self) -> io::Result<Option<Filled>> {
        let mut buffer = self.buffer(0);
        match call(&self.device, DQBUF, &mut buffer) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            other => other?,
        }
        let at = buffer.index as usize;
        let slot = self.slots.get(at);
        let slot = slot.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a buffer that is not"))?;
        if !std::mem::take(&mut self.queued[at]) {
            // v4l2loopback gives its buffers in turn, whoever has them: this picture is lost.
            return Ok(None);
        }
        let now = Mono::now();
        let monotonic = buffer.flags & V4L2_BUF_FLAG_TIMESTAMP_MASK == V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
        let stamp = u64::try_from(buffer.timestamp.tv_sec)
            .ok()
            .zip(u64::try_from(buffer.timestamp.tv_usec).ok())
            .and_then(|(s, us)| s.checked_mul(1_000_000_000)?.checked_add(us.checked_mul(1000)?))
            .map(Mono);
        Ok(Some(Filled {
            bytes: Lease {
                slot: Some(slot.clone()),
                used: slot.length.min(buffer.bytesused as usize),
                starved: self.starved.clone(),
            },
            // No picture is from the time to come, whatever the driver's clock says.
            captured: stamp.filter(|at| monotonic && at.0 > 0 && *at <= now).unwrap_or(now),
            sequence: buffer.sequence,
            damaged: buffer.flags & V4L2_BUF_FLAG_ERROR != 0,
        }))
    }

    /// Gives every buffer back that nobody reads any more. Answers how many the driver has now.
    pub fn give_back(&mut self) -> io::Result<usize> {
        for at in 0..self.slots.len() {
            if !self.queued[at] && Arc::strong_count(&self.slots[at]) == 1 {
                // The last reader's reads are over before the driver writes.
                std::sync::atomic::fence(Ordering::Acquire);
                let mut buffer = self.buffer(self.slots[at].index);
                call(&self.device, QBUF, &mut buffer)?;
                self.queued[at] = true;
            }
        }
        Ok(self.queued.iter().filter(|queued| **queued).count())
    }

    fn buffer(&self, index: u32) -> v4l2_buffer {
        v4l2_buffer {
            index,
            type_: V4L2_BUF_TYPE_VIDEO_CAPTURE,
            memory: V4L2_MEMORY_MMAP,
            ..v4l2_buffer::zeroed()
        }
    }

    fn request(&self, count: u32) -> io::Result<u32> {
        let mut wanted = v4l2_requestbuffers {
            count,
            type_: V4L2_BUF_TYPE_VIDEO_CAPTURE,
            memory: V4L2_MEMORY_MMAP,
            ..v4l2_requestbuffers::zeroed()
        };
        call(&self.device, REQBUFS, &mut wanted)?;
        Ok(wanted.count)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A device that is gone takes neither, and needs neither. Without the second call a reader that
        // still has a picture would keep the device from being opened again: its mapping holds the file.
        let _ = call(&self.device, STREAMOFF, &mut (V4L2_BUF_TYPE_VIDEO_CAPTURE as i32));
        let _ = self.request(0);
    }
}

fn format_pix(format: &v4l2_format) -> v4l2_pix_format {
    #[expect(unsafe_code, reason = "numbers, whichever was meant; the type says that it is this one")]
    unsafe {
        format.fmt.pix
    }
}

/// Asks for a rate; answers which one the driver has, as far as it says so.
fn set_rate(driver: &impl Driver, rate: Option<Rate>) -> Option<Rate> {
    let mut parm = v4l2_streamparm { type_: V4L2_BUF_TYPE_VIDEO_CAPTURE, ..v4l2_streamparm::zeroed() };
    call(driver, G_PARM, &mut parm).ok()?;
    #[expect(unsafe_code, reason = "numbers, whichever was meant; the type says that it is this one")]
    let mut capture = unsafe { parm.parm.capture };
    if capture.capability & V4L2_CAP_TIMEPERFRAME != 0
        && let Some(rate) = rate
    {
        capture.timeperframe.numerator = rate.seconds;
        capture.timeperframe.denominator = rate.per;
        parm.parm.capture = capture;
        // One that does not take it has the rate that it has.
        if call(driver, S_PARM, &mut parm).is_ok() {
            #[expect(unsafe_code, reason = "as above")]
            let set = unsafe { parm.parm.capture };
            capture = set;
        }
    }
    Rate::of(capture.timeperframe.numerator, capture.timeperframe.denominator)
}
