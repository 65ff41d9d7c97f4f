//! Requests of `linux/videodev2.h`, each with the structure it takes, and who answers them.

use std::fs::{File, OpenOptions};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use v4l::v4l_sys::{
    v4l2_buffer, v4l2_capability, v4l2_fmtdesc, v4l2_format, v4l2_frmivalenum, v4l2_frmsizeenum,
    v4l2_requestbuffers, v4l2_streamparm,
};

use super::control::{Access, Payload, kernel};

/// Of all V4L2 nodes (`Documentation/admin-guide/devices.txt` of Linux).
const MAJOR: u64 = 81;

/// What answers requests: a device, or in tests something worse.
pub trait Driver: Send + Sync {
    /// Carries out `request` on its structure, which is as long as the number of the request says.
    fn ioctl(&self, request: u32, structure: &mut [u8]) -> io::Result<()>;

    /// Reads or sets one control; its request holds an address, which no test can hand out.
    fn control(&self, _access: Access, _id: u32, _payload: &mut Payload<'_>) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(nix::libc::ENOTTY))
    }
}

/// A structure of `videodev2.h`.
///
/// # Safety
/// Every pattern of bits is a value of it.
#[expect(unsafe_code, reason = "who implements it promises what is above")]
pub unsafe trait Plain: Copy {
    /// All zeros, as the kernel wants what is not asked for.
    fn zeroed() -> Self {
        #[expect(unsafe_code, reason = "every pattern of bits is a value, says the trait")]
        unsafe {
            std::mem::zeroed()
        }
    }
}

macro_rules! plain {
    ($($structure:ty),+ $(,)?) => {
        $(
            #[expect(unsafe_code, reason = "numbers, addresses, arrays and unions of these")]
            unsafe impl $crate::v4l2::driver::Plain for $structure {}
        )+
    };
}
pub(super) use plain;

plain!(
    v4l2_capability,
    v4l2_fmtdesc,
    v4l2_frmsizeenum,
    v4l2_frmivalenum,
    v4l2_format,
    v4l2_streamparm,
    v4l2_requestbuffers,
    v4l2_buffer,
    i32,
);

/// A request and the structure it takes.
#[derive(Clone, Copy)]
pub struct Request<T> {
    number: u32,
    structure: PhantomData<fn(T)>,
}

impl<T> Request<T> {
    /// By its number of `videodev2.h`.
    pub(super) const fn of(number: u32) -> Request<T> {
        Request { number, structure: PhantomData }
    }

    /// For a request whose number is not known elsewhere; `bits` are those of `asm-generic/ioctl.h` that say
    /// who reads and who writes.
    pub(super) const fn numbered(bits: u32, number: u32) -> Request<T> {
        let number = (bits << 30) | ((size_of::<T>() as u32) << 16) | ((b'V' as u32) << 8) | number;
        Request { number, structure: PhantomData }
    }
}

macro_rules! requests {
    ($($name:ident: $structure:ty = $number:ident),+ $(,)?) => {
        $(pub(in crate::v4l2) const $name: $crate::v4l2::driver::Request<$structure> =
            $crate::v4l2::driver::Request::of(v4l::v4l2::vidioc::$number as u32);)+
    };
}
pub(super) use requests;

requests!(
    QUERYCAP: v4l2_capability = VIDIOC_QUERYCAP,
    ENUM_FMT: v4l2_fmtdesc = VIDIOC_ENUM_FMT,
    ENUM_FRAMESIZES: v4l2_frmsizeenum = VIDIOC_ENUM_FRAMESIZES,
    ENUM_FRAMEINTERVALS: v4l2_frmivalenum = VIDIOC_ENUM_FRAMEINTERVALS,
    S_FMT: v4l2_format = VIDIOC_S_FMT,
    G_PARM: v4l2_streamparm = VIDIOC_G_PARM,
    S_PARM: v4l2_streamparm = VIDIOC_S_PARM,
    REQBUFS: v4l2_requestbuffers = VIDIOC_REQBUFS,
    QUERYBUF: v4l2_buffer = VIDIOC_QUERYBUF,
    QBUF: v4l2_buffer = VIDIOC_QBUF,
    DQBUF: v4l2_buffer = VIDIOC_DQBUF,
    STREAMON: i32 = VIDIOC_STREAMON,
    STREAMOFF: i32 = VIDIOC_STREAMOFF,
);

/// Carries out `request` on `value`.
pub(super) fn call<T: Plain>(
    driver: &(impl Driver + ?Sized),
    request: Request<T>,
    value: &mut T,
) -> io::Result<()> {
    #[expect(unsafe_code, reason = "every pattern of bits that comes back is a value of a plain structure")]
    let bytes =
        unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(value).cast::<u8>(), size_of::<T>()) };
    driver.ioctl(request.number, bytes)
}

/// A V4L2 node that is open.
#[derive(Debug)]
pub struct Device(File);

impl Device {
    /// Opens a node, which may take a driver a while. Fails with `NotADirectory`… as `open` does, and with
    /// `InvalidInput` when it is no V4L2 node. Blocks.
    pub fn open(node: &Path) -> io::Result<Device> {
        // A link or a pipe of that name is not opened: that alone may do something.
        let meta = std::fs::symlink_metadata(node)?;
        if !meta.file_type().is_char_device() || nix::sys::stat::major(meta.rdev()) != MAJOR {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let flags = (OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW).bits();
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(node).map(Device)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Driver for Device {
    fn ioctl(&self, request: u32, structure: &mut [u8]) -> io::Result<()> {
        // The kernel reads and writes as many bytes as stand in bits 16 to 29 of the number.
        if structure.len() != (request as usize >> 16) & 0x3fff {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        loop {
            #[expect(unsafe_code, reason = "the structure is as long as the kernel takes it to be")]
            let done =
                unsafe { v4l::v4l2::ioctl(self.0.as_raw_fd(), request as _, structure.as_mut_ptr().cast()) };
            match done {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn control(&self, access: Access, id: u32, payload: &mut Payload<'_>) -> io::Result<()> {
        kernel::control(self, access, id, payload)
    }
}
