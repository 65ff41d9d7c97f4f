//! A V4L2 camera: its driver's buffers, lent to every consumer and given back when the last lets go.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::base::{Mono, Result};
use crate::supervise::Group;
use crate::v4l2::{Device, Mode, Stream, Wakeup};

use super::device_end::{Ended, device_words};
use super::fanout::Fanout;
use super::frame::FrameFormat;
use super::keying::Keying;
use super::sorter::{Fault, Sorter};
use super::test_source::SourceEvent;

/// What the buffers of one camera may take together; at least four there are in any case.
const MEMORY: u64 = 48 << 20;
/// A device that gives nothing for this long is silent: ten pictures, within these bounds. A camera in the dark
/// gives fewer pictures than its mode says, none less than some five a second.
const SILENCE: Duration = Duration::from_secs(2);
const SILENCE_LEAST: Duration = Duration::from_secs(1);
/// Buffers that the driver has at least, before the slowest consumer loses its oldest picture.
const WITH_DRIVER: usize = 2;

/// Which device, and how it is to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePlan {
    /// Its node.
    pub node: PathBuf,
    /// One of its modes.
    pub mode: Mode,
}

/// Sets a device that was just opened as people want it, before it delivers.
pub type Prepare = Box<dyn FnOnce(&Device) + Send>;

/// What came from a device, and what of it was no good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureCounters {
    /// Frames handed to the consumers.
    pub good: u64,
    /// Frames that the driver counted and nobody got.
    pub lost: u64,
    /// Frames that the driver called damaged, too short, or no whole JPEG.
    pub corrupt: u64,
    /// Frames that came too late, or were not newer than the one before.
    pub late: u64,
}

/// Reads the counters of a source. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct CaptureMeter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    good: AtomicU64,
    lost: AtomicU64,
    corrupt: AtomicU64,
    late: AtomicU64,
}

impl CaptureMeter {
    /// What came so far.
    pub fn counters(&self) -> CaptureCounters {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let Counts { good, lost, corrupt, late } = &*self.0;
        CaptureCounters { good: read(good), lost: read(lost), corrupt: read(corrupt), late: read(late) }
    }
}

/// A device that is being read. Dropping it stops it.
pub struct DeviceSource {
    stop: Arc<AtomicBool>,
    wakeup: Wakeup,
    again: Restream,
}

/// Starts the stream of an open device anew. Clones are for the same device.
#[derive(Clone, Debug)]
pub struct Restream {
    wanted: Arc<AtomicBool>,
    wakeup: Wakeup,
}

impl Restream {
    /// Stops the stream and starts it. The buffers that readers have stay theirs.
    pub fn now(&self) {
        self.wanted.store(true, Ordering::SeqCst);
        self.wakeup.wake();
    }
}

impl DeviceSource {
    /// Opens the device in a thread of its own; frames go to `fanout`, and all else is an event, the last
    /// one [`SourceEvent::Gone`]. `meter` goes on counting.
    pub fn start(
        name: &str,
        plan: DevicePlan,
        prepare: Prepare,
        meter: CaptureMeter,
        group: &Group,
        fanout: Fanout,
        events: mpsc::Sender<SourceEvent>,
    ) -> Result<Self> {
        let wakeup = Wakeup::new().map_err(crate::base::Error::internal)?;
        let stop = Arc::new(AtomicBool::new(false));
        let wanted = Arc::new(AtomicBool::new(false));
        let again = Restream { wanted: wanted.clone(), wakeup: wakeup.clone() };
        let source = Self { stop: stop.clone(), wakeup: wakeup.clone(), again };
        let (phase, waker, stopper) = (group.stop().clone(), wakeup.clone(), stop.clone());
        let reader = Reader { plan, meter, fanout, events: events.clone(), stop, again: wanted, wakeup };
        group.spawn(format!("source {name}"), async move {
            // A driver may block for seconds: never on a thread that others need.
            let mut thread = tokio::task::spawn_blocking(move || reader.run(prepare));
            let why = tokio::select! {
                why = &mut thread => why,
                () = phase.cancelled() => {
                    stopper.store(true, Ordering::SeqCst);
                    waker.wake();
                    thread.await
                }
            };
            let how = why.unwrap_or_else(|_| Ended::Failed("its reader broke".into()));
            let _ = events.send(SourceEvent::Gone(how)).await;
        });
        Ok(source)
    }

    /// What starts its stream anew.
    pub fn restream(&self) -> Restream {
        self.again.clone()
    }
}

impl Drop for DeviceSource {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.wakeup.wake();
    }
}

struct Reader {
    plan: DevicePlan,
    meter: CaptureMeter,
    fanout: Fanout,
    events: mpsc::Sender<SourceEvent>,
    stop: Arc<AtomicBool>,
    /// The stream is to be started anew.
    again: Arc<AtomicBool>,
    wakeup: Wakeup,
}

impl Reader {
    /// Reads until the device is gone or it is told to stop. Answers why it ended.
    fn run(self, prepare: Prepare) -> Ended {
        let read = Device::open(&self.plan.node)
            .and_then(|device| {
                prepare(&device);
                Stream::prepare(device, self.plan.mode, MEMORY, self.wakeup.clone())
            })
            .and_then(|stream| self.keep_reading(stream));
        // Nobody shall take the last picture for live.
        self.fanout.forget_latest();
        if let Err(e) = &read
            && e.raw_os_error() == Some(nix::libc::ENOSPC)
        {
            self.tell(SourceEvent::BusFull);
        }
        read.map_or_else(|e| Ended::of(&e), |()| Ended::Stopped)
    }

    /// Reads, and starts the stream anew as often as it is told to.
    fn keep_reading(&self, mut stream: Stream) -> io::Result<()> {
        let Some(mut sorter) = Sorter::new(stream.mode(), stream.row()) else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the driver set a format that cannot be taken",
            ));
        };
        self.tell(SourceEvent::Mode(stream.mode()));
        while !self.is_over() {
            let read = stream.restart().and_then(|()| self.read(&mut stream, &mut sorter));
            if let Err(e) = read {
                if matches!(Ended::of(&e), Ended::Unplugged(_) | Ended::Refused(_)) {
                    return Err(e);
                }
                self.fanout.forget_latest();
                self.tell(SourceEvent::Broken(device_words(&e)));
                while !self.is_over() && !self.again.load(Ordering::SeqCst) {
                    self.wakeup.wait(SILENCE)?;
                }
            }
            self.again.store(false, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Its owner, and all who would hear of its frames, are gone.
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::SeqCst) || self.events.is_closed()
    }

    /// Reads until it is told to stop or to start the stream anew.
    fn read(&self, stream: &mut Stream, sorter: &mut Sorter) -> io::Result<()> {
        let counts = &self.meter.0;
        let silence = silence(stream.mode());
        let mut last = Mono::now();
        let mut keying = (sorter.format() == FrameFormat::H264).then(|| Keying::new(last));
        let mut flowing = false;
        let mut told_silent = false;
        while !self.is_over() && !self.again.load(Ordering::SeqCst) {
            while stream.give_back()? < WITH_DRIVER && self.fanout.shed() {}
            let Some(filled) = stream.take()? else {
                let quiet = Mono::now().since(last);
                if quiet >= silence && !told_silent {
                    (told_silent, flowing) = (true, false);
                    self.tell(SourceEvent::Silent(quiet));
                }
                stream.wait(silence.saturating_sub(quiet).max(Duration::from_millis(100)))?;
                continue;
            };
            let (frame, lost) = sorter.sort(filled);
            counts.lost.fetch_add(lost, Ordering::Relaxed);
            match frame {
                Ok(frame) => {
                    counts.good.fetch_add(1, Ordering::Relaxed);
                    (last, told_silent) = (Mono::now(), false);
                    let is_key = frame.key.is_some();
                    self.fanout.publish(frame);
                    if let Some(keying) = &mut keying
                        && keying.asks(last, is_key, self.fanout.take_key_wanted())
                        && let Err(e) = stream.force_key()
                    {
                        tracing::debug!("the camera makes its keyframes when it likes: {e}");
                        keying.cannot();
                    }
                    if !std::mem::replace(&mut flowing, true) {
                        self.tell(SourceEvent::FirstFrame);
                    }
                }
                Err(Fault::NoPicture) => {}
                Err(Fault::Corrupt) => drop(counts.corrupt.fetch_add(1, Ordering::Relaxed)),
                Err(Fault::Late) => drop(counts.late.fetch_add(1, Ordering::Relaxed)),
            }
        }
        Ok(())
    }

    fn tell(&self, event: SourceEvent) {
        // Only a program on its way out does not listen.
        let _ = self.events.blocking_send(event);
    }
}

/// How long a device in this mode may give nothing.
fn silence(mode: Mode) -> Duration {
    let rate = mode.rate.map_or(0, |rate| rate.rounded());
    Duration::from_secs(10).checked_div(rate).map_or(SILENCE, |ten| ten.clamp(SILENCE_LEAST, SILENCE))
}
