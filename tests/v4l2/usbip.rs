//! A USB camera that is made of nothing: a device of USB Video Class behind USB/IP, served by the test, which the
//! guest's kernel takes for a real one (`vhci_hcd`, then `uvcvideo`).
//!
//! Protocol: `Documentation/usb/usbip_protocol.rst` of Linux. The kernel is given the connection itself, so there is
//! no import to answer. Its pictures come over isochronous transfers, one picture in each transfer of 32 packets.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI16, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::common::ffmpeg;
use crate::guest::Guest;
use crate::uvc::{self, Bandwidth};

const CMD_SUBMIT: u32 = 1;
const CMD_UNLINK: u32 = 2;
const RET_SUBMIT: u32 = 3;
const RET_UNLINK: u32 = 4;
/// -EPIPE: the device refuses.
const STALL: i32 = -32;
/// -ECONNRESET: the transfer was taken back.
const TAKEN_BACK: i32 = -104;
/// A vhci_hcd has its ports of high speed first.
const PORTS: u32 = 8;

/// A camera, plugged in or not.
pub struct UvcCamera {
    pub vendor: u16,
    pub product: u16,
    /// `""` = none.
    pub serial: String,
    bandwidth: Bandwidth,
    pictures: Arc<Vec<Vec<u8>>>,
    /// What its brightness was set to.
    pub brightness: Arc<AtomicI16>,
    /// It gives no pictures.
    mute: Arc<AtomicBool>,
}

impl UvcCamera {
    /// One that has this serial number, takes so much of the bus, and shows FFmpeg's test picture.
    pub fn new(serial: &str, bandwidth: Bandwidth) -> UvcCamera {
        let source = format!("testsrc2=size={}x{}:rate=5", uvc::WIDTH, uvc::HEIGHT);
        let args = ["-v", "error", "-f", "lavfi", "-i", &source, "-frames:v", "10", "-c:v", "mjpeg"];
        let out = ffmpeg::run(
            "ffmpeg",
            &[&args[..], &["-q:v", "5", "-pix_fmt", "yuvj420p", "-f", "mjpeg", "-"]].concat(),
        );
        let ends =
            out.stdout.windows(2).enumerate().filter(|(_, w)| *w == [0xff, 0xd9]).map(|(at, _)| at + 2);
        let mut pictures = Vec::new();
        let mut begin = 0;
        for end in ends {
            pictures.push(out.stdout[begin..end].to_vec());
            begin = end;
        }
        assert_eq!(pictures.len(), 10, "{}", String::from_utf8_lossy(&out.stderr));
        let room = usize::from(bandwidth.1 - 2) * 32;
        assert!(pictures.iter().all(|p| p.len() <= room), "a picture does not go into one transfer");
        UvcCamera {
            vendor: 0x1209,
            product: 0x0001,
            serial: serial.into(),
            bandwidth,
            pictures: Arc::new(pictures),
            brightness: Arc::new(AtomicI16::new(128)),
            mute: Arc::default(),
        }
    }

    /// From now on it gives no pictures, until the kernel configures it anew: its program hangs, and nothing that
    /// its driver asks it for brings it back.
    pub fn mute(&self) {
        self.mute.store(true, Ordering::SeqCst);
    }

    /// Plugs it into a port of the guest, 0 to 7, and waits until its driver has it.
    #[track_caller]
    pub fn plug<'a>(&self, guest: &'a Guest, port: u32) -> PluggedIn<'a> {
        assert!(port < PORTS);
        guest.ok("modprobe -a vhci-hcd uvcvideo");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().port();
        let descriptors = uvc::Descriptors::new(self.vendor, self.product, &self.serial, self.bandwidth);
        let (brightness, mute) = (self.brightness.clone(), self.mute.clone());
        let device = uvc::Device::new(descriptors, self.bandwidth, brightness, mute.clone());
        let (pictures, packet) = (self.pictures.clone(), self.bandwidth.1);
        std::thread::spawn(move || {
            let (line, _) = listener.accept().unwrap();
            // It ends when the kernel lets go of the device.
            let _ = serve(line, device, pictures, packet, mute);
        });
        let hub = "/sys/devices/platform/vhci_hcd.0";
        // 65538 = bus 1, device 2, of ours; 3 = high speed.
        guest.ok(&format!(
            "exec 3<>/dev/tcp/10.0.2.2/{at} && echo '{port} 3 65538 3' >{hub}/attach && exec 3>&-"
        ));
        // Bus 1: the guest has no other controller.
        let way = format!("1-{}", port + 1);
        let plugged = PluggedIn { guest, port, way };
        guest.wait("the camera's driver has it", &format!("ls -d {}/*/video4linux/video*", plugged.folder()));
        plugged
    }
}

/// A camera in a port. Dropping it pulls it out.
pub struct PluggedIn<'a> {
    guest: &'a Guest,
    port: u32,
    way: String,
}

impl PluggedIn<'_> {
    /// Its folder in the guest's sysfs.
    pub fn folder(&self) -> String {
        format!("/sys/bus/usb/devices/{}", self.way)
    }

    /// Switches the device off, or on again, as the kernel does for an administrator.
    #[track_caller]
    pub fn authorize(&self, on: bool) {
        self.guest.ok(&format!("echo {} >{}/authorized", u8::from(on), self.folder()));
    }
}

impl PluggedIn<'_> {
    pub fn try_authorize(&self) -> Result<(), String> {
        let said = self.guest.run(&format!("echo 1 >{}/authorized", self.folder()));
        if said.status == 0 {
            return Ok(());
        }
        let kernel =
            self.guest.run("journalctl --boot --dmesg --no-pager --output=short-monotonic --lines=40");
        Err(format!("{}\n{}", said.err, kernel.out))
    }
}

impl Drop for PluggedIn<'_> {
    fn drop(&mut self) {
        let detach = "/sys/devices/platform/vhci_hcd.0/detach";
        let said = self.guest.run(&format!(
            "echo {} >{detach}; for n in $(seq 100); do [ -e {} ] || exit 0; sleep 0.1; done; exit 1",
            self.port,
            self.folder()
        ));
        assert!(said.status == 0 || std::thread::panicking(), "it is not pulled out: {said:?}");
    }
}

/// Transfers for pictures that wait, oldest first.
#[derive(Default)]
struct Waiting {
    transfers: Mutex<VecDeque<(u32, usize)>>,
    came: Condvar,
    over: AtomicBool,
}

/// Answers the kernel until it lets go.
fn serve(
    line: TcpStream,
    mut device: uvc::Device,
    pictures: Arc<Vec<Vec<u8>>>,
    packet: u16,
    mute: Arc<AtomicBool>,
) -> io::Result<()> {
    line.set_nodelay(true)?;
    let out = Arc::new(Mutex::new(line.try_clone()?));
    let waiting = Arc::new(Waiting::default());
    let (to, queue) = (out.clone(), waiting.clone());
    let pictures = std::thread::spawn(move || stream(&to, &queue, &pictures, packet, &mute));
    let ended = answer(line, &out, &waiting, &mut device);
    waiting.over.store(true, Ordering::SeqCst);
    waiting.came.notify_all();
    pictures.join().unwrap()?;
    ended
}

fn answer(
    mut line: TcpStream,
    out: &Mutex<TcpStream>,
    waiting: &Waiting,
    device: &mut uvc::Device,
) -> io::Result<()> {
    loop {
        let mut head = [0; 48];
        match line.read_exact(&mut head) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        }
        let word = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().unwrap());
        let (command, number, inward, endpoint) = (word(0), word(4), word(12) == 1, word(16));
        match command {
            CMD_SUBMIT => {
                let length = word(24) as usize;
                let mut data = vec![0; if inward { 0 } else { length }];
                line.read_exact(&mut data)?;
                if endpoint != 0 {
                    // One descriptor for each packet; they are all as large.
                    let packets = word(32) as usize;
                    line.read_exact(&mut vec![0; packets * 16])?;
                    waiting.transfers.lock().unwrap().push_back((number, packets));
                    waiting.came.notify_all();
                    continue;
                }
                let setup: [u8; 8] = head[40..48].try_into().unwrap();
                let reply = match device.control(setup, &data) {
                    None => returned(number, STALL, 0, 0),
                    Some(_) if !inward => returned(number, 0, length, 0),
                    Some(mut said) => {
                        said.truncate(length);
                        [returned(number, 0, said.len(), 0), said].concat()
                    }
                };
                out.lock().unwrap().write_all(&reply)?;
            }
            CMD_UNLINK => {
                let which = word(20);
                let mut transfers = waiting.transfers.lock().unwrap();
                let before = transfers.len();
                transfers.retain(|(number, _)| *number != which);
                let status = if transfers.len() < before { TAKEN_BACK } else { 0 };
                drop(transfers);
                let mut reply = words(&[RET_UNLINK, number, 0, 0, 0, status as u32]);
                reply.resize(48, 0);
                out.lock().unwrap().write_all(&reply)?;
            }
            other => return Err(io::Error::other(format!("command {other}"))),
        }
    }
}

/// Fills a transfer with a picture five times a second.
fn stream(
    out: &Mutex<TcpStream>,
    waiting: &Waiting,
    pictures: &[Vec<u8>],
    packet: u16,
    mute: &AtomicBool,
) -> io::Result<()> {
    let mut next = Instant::now();
    for (count, picture) in pictures.iter().cycle().enumerate() {
        next = (next + Duration::from_millis(200)).max(Instant::now());
        let (number, packets) = loop {
            if waiting.over.load(Ordering::SeqCst) {
                return Ok(());
            }
            let now = Instant::now();
            if mute.load(Ordering::SeqCst) {
                next = next.max(now + Duration::from_millis(200));
            }
            let transfers = waiting.transfers.lock().unwrap();
            if now < next {
                drop(waiting.came.wait_timeout(transfers, next - now).unwrap());
                continue;
            }
            let mut transfers = waiting
                .came
                .wait_while(transfers, |t| t.is_empty() && !waiting.over.load(Ordering::SeqCst))
                .unwrap();
            if let Some(found) = transfers.pop_front() {
                break found;
            }
        };
        let mut chunks: Vec<Vec<u8>> = picture
            .chunks(usize::from(packet) - 2)
            .map(|piece| [&[2, 0x80 | (count & 1) as u8][..], piece].concat())
            .collect();
        if let Some(last) = chunks.last_mut() {
            // The end of the picture.
            last[1] |= 2;
        }
        chunks.resize(packets.max(chunks.len()), Vec::new());
        let data = chunks.concat();
        let mut reply = returned(number, 0, data.len(), packets);
        reply.extend(&data);
        for (at, chunk) in chunks.iter().enumerate() {
            let size = u32::from(packet);
            reply.extend(words(&[at as u32 * size, size, chunk.len() as u32, 0]));
        }
        if out.lock().unwrap().write_all(&reply).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn returned(number: u32, status: i32, length: usize, packets: usize) -> Vec<u8> {
    let mut all = words(&[RET_SUBMIT, number, 0, 0, 0, status as u32, length as u32, 0, packets as u32, 0]);
    all.resize(48, 0);
    all
}

fn words(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|word| word.to_be_bytes()).collect()
}
