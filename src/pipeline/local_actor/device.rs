//! The V4L2 device of a camera: where it is plugged in, what it can, which of its modes is used.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::on_bus::{OnBus, first_mode};
use super::recovery::Recovery;
use super::view::first_view_of_device;
use super::{LocalActor, Running};
use crate::base::{CameraId, Mono, Result};
use crate::camera::CameraDef;
use crate::capture::{CaptureMeter, DevicePlan, DeviceSource, Fanout, FrameFormat, SourceEvent};
use crate::config::{CameraFormat, H264Encoder};
use crate::device::Node;
use crate::encoder::EncodePlan;
use crate::hotplug::{Plug, Plugs};
use crate::pipeline::Controls;
use crate::pipeline::local::Event;
use crate::pipeline::run::until;
use crate::pipeline::view::{CameraStatus, CameraView, Hardware, Validation};
use crate::supervise::Group;
use crate::usb::{Place, UsbBuses};
use crate::v4l2::{Device, FourCc, Mode, Rate, Survey, Wish, survey};

/// A device that could not be asked what it can is asked again: it may be used by another program.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// The device of one camera.
pub(in crate::pipeline) struct PluggedIn {
    plugs: watch::Receiver<Plugs>,
    plug: Option<Plug>,
    asking: Option<JoinHandle<Answer>>,
    ask_at: Option<Mono>,
    /// As last asked, also when it is gone.
    pub(super) survey: Option<Arc<Survey>>,
    mode: Option<Mode>,
    /// Its part of its USB bus.
    pub(super) bus: OnBus,
    /// Why it cannot be used though it is there.
    unusable: Option<String>,
    meter: CaptureMeter,
    /// What is tried when it gives no pictures.
    pub(super) recovery: Recovery,
    controls: Controls,
}

type Answer = std::result::Result<(Arc<Survey>, Option<Arc<Place>>, Mode), String>;

/// What happened to the device.
pub(in crate::pipeline) enum News {
    /// It was plugged in or pulled out.
    Plugs,
    /// It was asked what it can.
    Answer(Answer),
    /// Time to ask again.
    Ask,
    /// There may be room on its bus.
    Room,
    /// The ladder wants to be asked.
    Ladder(super::recovery::News),
}

/// The next news of a device; waits for ever without one.
pub(super) async fn news(device: &mut Option<PluggedIn>) -> News {
    let Some(device) = device else { return std::future::pending().await };
    let ask_at = device.ask_at;
    let bus = &mut device.bus;
    let asked = async {
        match &mut device.asking {
            Some(asking) => asking.await.unwrap_or_else(|_| Err("its driver broke our reader".into())),
            None => std::future::pending().await,
        }
    };
    let plugged = async {
        if device.plugs.changed().await.is_err() {
            // The program is on its way out.
            std::future::pending().await
        }
    };
    tokio::select! {
        () = plugged => News::Plugs,
        answer = asked => News::Answer(answer),
        () = until(ask_at) => News::Ask,
        () = bus.room() => News::Room,
        news = device.recovery.news() => News::Ladder(news),
        () = device.controls.modes_may_differ() => News::Ask,
    }
}

impl PluggedIn {
    /// A device that was not looked for yet.
    pub fn new(plugs: watch::Receiver<Plugs>, buses: UsbBuses, controls: Controls) -> Self {
        let meter = CaptureMeter::default();
        Self {
            plugs,
            plug: None,
            asking: None,
            ask_at: None,
            survey: None,
            mode: None,
            bus: OnBus::new(buses),
            unusable: None,
            meter,
            recovery: Recovery::default(),
            controls,
        }
    }

    /// Starts to read it.
    pub fn start(
        &mut self,
        name: &str,
        group: &Group,
        fanout: Fanout,
        events: mpsc::Sender<SourceEvent>,
    ) -> Result<Running> {
        let (Some(plug), Some(mode)) = (&self.plug, self.mode) else {
            return Err(crate::base::Error::dependency("camera", "it is not plugged in"));
        };
        let plan = DevicePlan { node: plug.node.path.clone(), mode };
        let prepare = Box::new(self.controls.prepare());
        let watch = self.controls.watch(plan.node.clone(), group);
        let source = DeviceSource::start(name, plan, prepare, self.meter.clone(), group, fanout, events)?;
        self.recovery.opened(source.restream());
        Ok(Box::new((source, watch)))
    }

    /// Counts what comes from it since it was first seen.
    pub fn meter(&self) -> CaptureMeter {
        self.meter.clone()
    }

    /// Why it cannot be used, if so.
    pub fn trouble(&self) -> Option<(CameraStatus, String)> {
        match (&self.plug, &self.unusable) {
            (None, _) => Some((CameraStatus::Disconnected, "it is not plugged in".into())),
            (Some(_), Some(why)) => Some((CameraStatus::Error, why.clone())),
            (Some(_), None) => {
                let why = self.bus.full().map(str::to_owned).or_else(|| self.recovery.trouble());
                why.map(|why| (CameraStatus::Error, why))
            }
        }
    }

    /// What it can, as far as it was asked.
    pub fn view(&self, def: &CameraDef) -> CameraView {
        let mut view = first_view_of_device(def);
        let (Some(survey), Some(mode)) = (&self.survey, self.mode) else { return view };
        view.hardware = Some(Hardware {
            driver: survey.driver.clone(),
            card: survey.card.clone(),
            bus: survey.bus.clone(),
        });
        (view.width, view.height) = (mode.width, mode.height);
        view.fps = mode.rate.map_or(0, Rate::rounded);
        view.formats = survey.formats.iter().map(|f| f.fourcc.to_string()).collect();
        let sizes = || survey.formats.iter().flat_map(|f| &f.sizes);
        view.resolutions = sizes().map(|s| (s.width, s.height)).collect();
        view.resolutions.sort_by_key(|(w, h)| std::cmp::Reverse((u64::from(*w) * u64::from(*h), *w)));
        view.resolutions.dedup();
        view.fps_options = sizes().flat_map(|s| &s.rates).map(|rate| rate.rounded()).collect();
        view.fps_options.sort_unstable_by_key(|fps| std::cmp::Reverse(*fps));
        view.fps_options.dedup();
        view.recovery = Some(self.recovery.view());
        view.validation = if self.plug.is_some() { Validation::Confirmed } else { Validation::Disconnected };
        view
    }

    /// It is plugged in and was asked what it can.
    pub(super) fn is_known(&self) -> bool {
        self.plug.is_some() && self.asking.is_none() && self.unusable.is_none() && self.mode.is_some()
    }

    fn ask(&mut self, id: CameraId, wish: Wish) {
        self.ask_at = None;
        let Some(Plug { node, .. }) = &self.plug else { return };
        let (node, buses, prepare) = (node.clone(), self.bus.buses(), self.controls.prepare());
        self.asking = Some(tokio::task::spawn_blocking(move || asked(id, &node, &wish, &buses, prepare)));
    }
}

/// Asks a device what it can and which of its modes serves. Blocks.
fn asked(id: CameraId, node: &Node, wish: &Wish, buses: &UsbBuses, prepare: impl FnOnce(&Device)) -> Answer {
    let survey = Device::open(&node.path)
        .and_then(|device| {
            prepare(&device);
            survey(&device)
        })
        .map_err(|e| crate::capture::device_words(&e))?;
    if !survey.oddities.is_empty() {
        let odd: Vec<_> = survey.oddities.iter().map(ToString::to_string).collect();
        tracing::warn!(camera = %id, driver = survey.driver, card = survey.card, "its driver says {}", odd.join(", "));
    }
    let (place, mode) =
        first_mode(buses, id, &survey, &node.devpath, wish).map_err(|refusal| refusal.to_string())?;
    Ok((Arc::new(survey), place.map(Arc::new), mode))
}

impl LocalActor {
    /// Looks whether the device is plugged in.
    pub(super) async fn look_for_device(&mut self) {
        let (id, wish) = (self.def.id, self.wish());
        let Some(device) = &mut self.device else { return };
        let plug = device.plugs.borrow_and_update().present.get(&id).cloned();
        if plug == device.plug && plug.is_some() {
            return;
        }
        let there = plug.is_some();
        if let Some(plug) = &plug {
            device.recovery.stands_at(&plug.node.devpath);
        }
        device.plug = plug;
        (device.asking, device.ask_at, device.unusable) = (None, None, None);
        device.bus.begin_anew(id);
        (self.children.absent, self.children.spare) = (true, None);
        match &device.plug {
            Some(_) => device.ask(id, wish),
            None => tracing::info!(camera = %id, "is not plugged in"),
        }
        self.plugged(there).await;
        self.take(Event::Present(false)).await;
    }

    /// What the device does or says.
    pub(super) async fn device_said(&mut self, news: News) {
        let (id, wish) = (self.def.id, self.wish());
        let Some(device) = &mut self.device else { return };
        match news {
            News::Plugs => self.look_for_device().await,
            News::Ask => device.ask(id, wish),
            News::Answer(Err(why)) => {
                device.asking = None;
                if device.unusable.as_ref() != Some(&why) {
                    tracing::warn!(camera = %id, why, "cannot be used");
                }
                device.unusable = Some(why);
                device.ask_at = Some(Mono::now() + ASK_AGAIN);
            }
            News::Room => self.try_bus_again().await,
            News::Answer(Ok((survey, place, mode))) => {
                device.asking = None;
                device.unusable = None;
                tracing::info!(camera = %id, card = survey.card, bus = survey.bus, ?mode, "is plugged in");
                device.survey = Some(survey);
                device.bus.is_at(place, mode);
                self.children.absent = false;
                self.delivers(mode).await;
                self.take_presence().await;
                self.prepare_spare().await;
            }
            News::Ladder(news) => self.ladder_said(news).await,
        }
    }

    /// The device delivers in this mode: an encoder that was started for another begins anew.
    pub(super) async fn delivers(&mut self, mode: Mode) {
        let Some(device) = &mut self.device else { return };
        device.mode = Some(mode);
        let plan = EncodePlan {
            width: mode.width,
            height: mode.height,
            fps: mode.rate.map_or(self.def.fps, Rate::rounded),
            // A driver that sets another than was asked for ends its reader.
            format: FrameFormat::of(mode.fourcc).unwrap_or(self.encoder_plan.format),
            ..self.encoder_plan
        };
        if plan == self.encoder_plan {
            return;
        }
        self.encoder_plan = plan;
        self.children.spare = None;
        if let Some(encoder) = &mut self.children.encoder {
            self.children.ready = None;
            encoder.stop();
        }
        self.prepare_spare().await;
    }

    pub(super) fn wish(&self) -> Wish {
        let CameraDef { width, height, fps, format, .. } = self.def;
        let format = match format {
            CameraFormat::Named(name) => Some(FourCc(name)),
            CameraFormat::Auto => None,
        };
        let avoid = (!self.selection.copies()).then_some(FourCc::H264);
        Wish { width, height, fps, format, avoid, encodes: encodes(self.chosen.encoder) }
    }
}

/// Pixels a second that one camera may have encoded here. The processor of a Raspberry Pi 4 carries libx264 at 1280x720
/// and 30 a second with ease and twice that barely; hardware carries what it is built for, 1080p30 at least. Not
/// measured on hardware.
fn encodes(encoder: H264Encoder) -> u64 {
    const A_CORE: u64 = 10_000_000;
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    if encoder == H264Encoder::Libx264 { cores * A_CORE } else { u64::MAX }
}
