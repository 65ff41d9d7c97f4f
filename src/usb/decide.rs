//! Which mode of a camera fits on its bus, and what to say when none does.

use super::account::{Account, Fit};
use super::budget::Speed;
use super::place::{Line, Place};
use crate::base::CameraId;
use crate::v4l2::{Carried, Mode, Rate, Refusal, Survey, Wish, choose};

/// Of a camera of whose bus nothing can be read: what the largest reservation of USB 2.0 carries, bytes a second.
const USB2: u64 = 24_576_000;

/// Why a camera has no mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum No {
    /// It has none that serves.
    Mode(Refusal),
    /// Its bus is full.
    Full(Box<Full>),
}

/// A bus without room, in figures. Times are of each frame or microframe, ns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full {
    /// Of which controller the bus is.
    pub(super) controller: String,
    pub(super) speed: Speed,
    /// What the camera would be used in if the bus were empty.
    pub(super) asked: Mode,
    /// How much of the bus that takes.
    pub(super) asks: u64,
    /// Who has how much.
    pub(super) held: Vec<(CameraId, Mode, u64)>,
    pub(super) left: u64,
    /// Another mode of this camera that fits.
    pub(super) instead: Option<Mode>,
    /// Modes in which all of them fit together.
    pub(super) mix: Vec<(CameraId, Mode)>,
}

impl Full {
    /// What the camera would be used in if the bus were empty.
    pub fn asked(&self) -> Mode {
        self.asked
    }
}

/// A camera that wants to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'a> {
    pub camera: CameraId,
    pub survey: &'a Survey,
    /// `None` = nothing is known of its bus.
    pub place: Option<&'a Place>,
    pub wish: &'a Wish,
}

/// The best of its modes that fits beside what is reserved.
pub(super) fn decide(account: &Account, asking: &Asking<'_>) -> Result<Mode, No> {
    let Asking { camera, survey, place, wish } = *asking;
    let Some(place) = place else {
        return choose(survey, wish, |mode| unknown(survey, mode)).map_err(No::Mode);
    };
    let carried = |mode: &Mode| carried(&account.fit(camera, place, mode));
    let mode = choose(survey, wish, carried).map_err(No::Mode)?;
    match account.fit(camera, place, &mode) {
        Fit::Full(line) => {
            let alone = alone(account, camera, survey, place, wish).map_err(No::Mode)?;
            // What it would be used in may be short of another line than the mode that came out last.
            let (asked, line) = match account.fit(camera, place, &alone) {
                Fit::Full(line) => (alone, line),
                _ => (mode, line),
            };
            let any = Wish { format: None, ..*wish };
            let surely = |mode: &Mode| match account.fit(camera, place, mode) {
                Fit::Fits => Carried::Yes,
                _ => Carried::No,
            };
            let instead = choose(survey, &any, surely).ok().filter(|m| surely(m) == Carried::Yes);
            let share = place.shares.iter().find(|s| s.line == line);
            Err(No::Full(Box::new(Full {
                controller: place.controller.clone(),
                speed: line.speed,
                asked,
                asks: share.map_or(0, |s| account.asks(camera, place, &asked, s).0),
                held: account
                    .others(&line, camera)
                    .map(|(id, held)| (id, held.mode, Account::has(held, &line).0))
                    .collect(),
                left: account.left(&line, camera).0,
                mix: if instead.is_some() { Vec::new() } else { mix(account, asking, place, &line) },
                instead,
            })))
        }
        Fit::Fits | Fit::Perhaps | Fit::TooMuch => Ok(mode),
    }
}

fn carried(fit: &Fit) -> Carried {
    match fit {
        Fit::Fits => Carried::Yes,
        Fit::Perhaps => Carried::Perhaps,
        Fit::TooMuch | Fit::Full(_) => Carried::No,
    }
}

/// As if nobody else were on the bus.
fn alone(
    account: &Account,
    camera: CameraId,
    survey: &Survey,
    place: &Place,
    wish: &Wish,
) -> Result<Mode, Refusal> {
    choose(survey, wish, |mode| {
        let fits = |s| account.asks(camera, place, mode, s).1 <= s.line.speed.budget();
        let too_much = Account::default().fit(camera, place, mode) == Fit::TooMuch;
        if !too_much && place.shares.iter().all(fits) { Carried::Yes } else { Carried::No }
    })
}

fn unknown(survey: &Survey, mode: &Mode) -> Carried {
    let pixels = u64::from(mode.width) * u64::from(mode.height);
    let picture = mode.fourcc.raw_bits().map(|bits| pixels.saturating_mul(bits.into()) / 8);
    let bytes = picture.zip(mode.rate.map(Rate::millifps)).map(|(p, fps)| p.saturating_mul(fps) / 1000);
    match bytes {
        Some(bytes) if survey.bus.starts_with("usb") && bytes > USB2 => Carried::No,
        _ => Carried::Yes,
    }
}

/// The largest size at which all of a line's cameras fit together, at the highest rate that goes with it.
fn mix(account: &Account, asking: &Asking<'_>, place: &Place, line: &Line) -> Vec<(CameraId, Mode)> {
    const SIZES: [(u32, u32); 4] = [(1920, 1080), (1280, 720), (640, 480), (320, 240)];
    const RATES: [u32; 5] = [30, 25, 15, 10, 5];
    let Asking { camera, survey, wish, .. } = *asking;
    let others = account.others(line, camera).map(|(id, held)| (id, &*held.survey, &*held.place));
    let all: Vec<_> = others.chain([(camera, survey, place)]).collect();
    let asked = (wish.width, wish.height);
    let smaller = SIZES.into_iter().filter(|(w, h)| *w < asked.0 && *h < asked.1);
    for (width, height) in std::iter::once(asked).chain(smaller) {
        for fps in std::iter::once(wish.fps).chain(RATES.into_iter().filter(|fps| *fps < wish.fps)) {
            let wish = Wish { width, height, fps, format: None, ..*wish };
            let modes: Option<Vec<_>> = all
                .iter()
                .map(|(id, survey, place)| Some((*id, alone(account, *id, survey, place, &wish).ok()?)))
                .collect();
            let Some(modes) = modes else { return Vec::new() };
            let time = |((id, _, place), (_, mode)): (&(CameraId, &Survey, &Place), &(CameraId, Mode))| {
                let share = place.shares.iter().find(|s| s.line == *line);
                share.map_or(0, |s| account.asks(*id, place, mode, s).0)
            };
            if all.iter().zip(&modes).map(time).sum::<u64>() <= line.speed.budget() {
                return modes;
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests;
