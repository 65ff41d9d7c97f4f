//! A picture is lent, not copied: seen from within a process that has the source and its consumers, in the guest.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fieldcam::capture::{CaptureCounters, CaptureMeter, DevicePlan, DeviceSource, Fanout};
use fieldcam::supervise::Phases;
use fieldcam::v4l2::{FourCc, Mode, Rate};

use crate::counting::{CALLS, Counting};
use crate::guest::Guest;
use crate::machine::PATIENCE;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Names the camera to the test when it runs in the guest.
const DEVICE: &str = "FIELDCAM_TEST_DEVICE";
const CONSUMERS: usize = 5;
const WARM_UP: usize = 20;
const COUNTED: usize = 100;

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn five_consumers_read_the_drivers_own_buffers_and_a_frame_costs_no_allocation() {
    if let Ok(node) = std::env::var(DEVICE) {
        return inside(&node);
    }
    let guest = Guest::take();
    let name = "lent::five_consumers_read_the_drivers_own_buffers_and_a_frame_costs_no_allocation";
    let said = guest.ok(&format!(
        "{DEVICE}={} /usr/lib/test/tests --ignored --exact {name} --nocapture --test-threads 1 2>&1",
        guest.vivid()
    ));
    assert!(said.contains("1 passed"), "{said}");
    eprintln!("{said}");
}

/// Where buffers of cameras are in the memory of this process.
fn mapped() -> Vec<Range<usize>> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let of_cameras = maps.lines().filter(|line| line.contains("/dev/video"));
    of_cameras
        .map(|line| {
            let (start, end) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
            usize::from_str_radix(start, 16).unwrap()..usize::from_str_radix(end, 16).unwrap()
        })
        .collect()
}

fn inside(node: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let rate = Some(Rate { seconds: 1, per: 10 });
        let mode = Mode { fourcc: FourCc::YUYV, width: 320, height: 180, rate };
        let plan = DevicePlan { node: node.into(), mode };
        let mut phases = Phases::default();
        let group = phases.add("cameras");
        let (fanout, meter) = (Fanout::new(), CaptureMeter::default());
        let mut consumers: Vec<_> = (0..CONSUMERS).map(|n| fanout.subscribe(n.to_string(), 4)).collect();
        let (events, mut told) = tokio::sync::mpsc::channel(16);
        let source = DeviceSource::start("it", plan, Box::new(|_| ()), meter.clone(), &group, fanout, events);
        let source = source.unwrap();
        let mut buffers = Vec::new();
        let mut before = 0;
        let frames = async {
            for n in 0..WARM_UP + COUNTED {
                if n == WARM_UP {
                    buffers = mapped();
                    before = CALLS.load(Ordering::SeqCst);
                }
                let mut address = None;
                for consumer in &mut consumers {
                    let frame = consumer.next().await;
                    let start = frame.data.as_ptr() as usize;
                    assert_eq!(frame.data.len(), 320 * 180 * 2);
                    assert_eq!(start, *address.get_or_insert(start), "a copy of its own");
                    let end = start + frame.data.len();
                    let lent = buffers.iter().any(|buffer| buffer.start <= start && end <= buffer.end);
                    assert!(lent || n < WARM_UP, "{start:#x} is none of the driver's {buffers:x?}");
                }
            }
            CALLS.load(Ordering::SeqCst) - before
        };
        let allocations = tokio::time::timeout(PATIENCE, frames).await.expect("frames come");
        assert_eq!(allocations, 0, "in {COUNTED} frames");
        let counters = meter.counters();
        assert_eq!(counters, CaptureCounters { good: counters.good, ..CaptureCounters::default() });
        eprintln!(
            "{COUNTED} frames to {CONSUMERS} consumers out of {} buffers: 0 allocations",
            buffers.len()
        );
        drop(source);
        while told.recv().await.is_some() {}
        assert_eq!(phases.shutdown(Duration::from_secs(60)).await, []);
    });
}
