//! Pages that poll pictures: five small cameras, twenty viewers of all five, as [webcam] has them.
//!
//! The daemon's processor time depends on how many polls there are, and pages poll the faster the sooner
//! they are answered ([webcam]'s box, 42 ms an answer, got a quarter of ours): their number is printed. On
//! loopback it holds the client's receiving too, which the kernel does inside of the box's sending: an
//! eighth of it (perf).

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::{Value, json};

use super::figure::{Figure, Unit, percentile};
use super::poller::{Answer, Poller};
use super::proc_stat::{cpu_seconds, rss_mib};
use super::subject::Subject;
use crate::base::{Error, Mono, Result};
use crate::machine;

/// The box to measure: requirements.md, [webcam].
pub const CONFIG: &str = "[cameras]\nsynthetic = 5\nresolution = \"320x180\"\nfps = 30\n";
const CLIENTS: usize = 20;
const WARM_UP: Duration = Duration::from_secs(2);
const RUN: Duration = Duration::from_secs(10);
/// [webcam]'s page asks again after half the answer's time, but not sooner.
const LEAST_PAUSE: Duration = Duration::from_millis(8);

/// One connection's answers.
#[derive(Default)]
struct Run {
    took_ms: Vec<f64>,
    age_ms: Vec<f64>,
    new: u64,
}

/// Polls, then waits for each next picture.
pub async fn measure(subject: &Subject) -> Result<Vec<Figure>> {
    let cameras = cameras(subject).await?;
    let mut polled = load(subject, &cameras, false).await?;
    let mut figures = polled.figures("polled picture");
    let waited = load(subject, &cameras, true).await?;
    let age = |p| percentile(&mut waited.age_ms.clone(), p);
    figures.push(Figure::new("awaited picture's age when sent p50", age(50.0), Unit::Ms));
    figures.push(Figure::new("awaited picture's age when sent p95", age(95.0), Unit::Ms));
    figures.extend(waited.rates("awaited picture"));
    Ok(figures)
}

/// What all connections saw together, and what it cost.
struct Load {
    took_ms: Vec<f64>,
    age_ms: Vec<f64>,
    /// Answers a second on all connections.
    answers: f64,
    /// New pictures a second on one connection, the slowest one's.
    least_rate: f64,
    /// Encodings of one picture in one quality.
    encodings: f64,
    /// Percent of one processor and MiB: the daemon's own, and with everything it started.
    cost: Option<[f64; 4]>,
}

impl Load {
    fn figures(&mut self, what: &str) -> Vec<Figure> {
        let ms = |samples: &mut [f64], p: f64| {
            Figure::new(format!("{what}, 20 viewers of 5 cameras, p{p}"), percentile(samples, p), Unit::Ms)
        };
        let mut figures = vec![
            ms(&mut self.took_ms, 50.0).goal(42.0, "webcam"),
            ms(&mut self.took_ms, 95.0).goal(10.0, "issue 4; webcam: 42"),
            ms(&mut self.took_ms, 99.0),
        ];
        figures.extend(self.rates(what));
        figures
    }

    fn rates(&self, what: &str) -> Vec<Figure> {
        let mut figures = vec![
            Figure::new(format!("{what}: answers a second, all 100"), self.answers, Unit::PerSecond),
            Figure::new(
                format!("{what}: new ones a second, slowest of 100"),
                self.least_rate,
                Unit::PerSecond,
            )
            .goal(23.0, "webcam"),
            Figure::new(format!("{what}: encodings of each in one quality"), self.encodings, Unit::Times)
                .goal(1.0, "issue 4"),
        ];
        if let Some([own, all, own_mib, all_mib]) = self.cost {
            figures.extend([
                Figure::new(format!("{what}: CPU of the daemon"), own, Unit::Percent).goal(30.0, "webcam"),
                Figure::new(format!("{what}: CPU with the cameras' FFmpegs"), all, Unit::Percent),
                Figure::new(format!("{what}: VmRSS of the daemon"), own_mib, Unit::MiB).goal(200.0, "webcam"),
                Figure::new(format!("{what}: VmRSS with all children"), all_mib, Unit::MiB),
            ]);
        }
        figures
    }
}

async fn cameras(subject: &Subject) -> Result<Vec<String>> {
    let list: Value = subject.link().await?.ask("get_camera_list", json!({})).await?;
    let rows = list["cameras"].as_array().into_iter().flatten();
    let connected = rows.filter(|row| row["status"] == "CONNECTED");
    Ok(connected.filter_map(|row| row["device"].as_str().map(str::to_owned)).collect())
}

async fn load(subject: &Subject, cameras: &[String], wait: bool) -> Result<Load> {
    let mut pollers = Vec::new();
    for _ in 0..CLIENTS {
        for camera in cameras {
            let path = format!("/cameras/{camera}/frame.jpg");
            pollers.push(Poller::open(subject.host(), subject.token(), path).await?);
        }
    }
    run(&mut pollers, WARM_UP, wait).await?;
    let (made, used) = (made(subject, cameras).await?, used(subject)?);
    let begun = Mono::now();
    let runs = run(&mut pollers, RUN, wait).await?;
    let seconds = Mono::now().since(begun).as_secs_f64();
    let memory = subject.pid().map(memory).transpose()?;
    let cost = used.zip(self::used(subject)?).zip(memory).map(|((before, after), mib)| {
        let percent = |n: usize| (after[n] - before[n]) / seconds * 100.0;
        [percent(0), percent(1), mib[0], mib[1]]
    });
    let encodings = encodings(&made, &self::made(subject, cameras).await?);
    let rate = |run: &Run| run.new as f64 / seconds;
    let least_rate = runs.iter().map(rate).min_by(f64::total_cmp).unwrap_or(0.0);
    let (took, age): (Vec<_>, Vec<_>) = runs.into_iter().map(|r| (r.took_ms, r.age_ms)).unzip();
    let took_ms = took.concat();
    let answers = took_ms.len() as f64 / seconds;
    Ok(Load { took_ms, age_ms: age.concat(), answers, least_rate, encodings, cost })
}

async fn run(pollers: &mut [Poller], time: Duration, wait: bool) -> Result<Vec<Run>> {
    let end = Mono::now() + time;
    try_join_all(pollers.iter_mut().map(|poller| one(poller, end, wait))).await
}

async fn one(poller: &mut Poller, end: Mono, wait: bool) -> Result<Run> {
    let mut run = Run::default();
    let mut last = Duration::ZERO;
    while !end.from_now().is_zero() {
        let Answer { is_new, took, age_ms } = poller.ask(quality(last), wait).await?;
        last = took;
        run.took_ms.push(took.as_secs_f64() * 1000.0);
        if is_new {
            run.new += 1;
            run.age_ms.push(age_ms as f64);
        }
        if !wait {
            tokio::time::sleep(LEAST_PAUSE.max(took / 2)).await;
        }
    }
    Ok(run)
}

/// As [webcam]'s page chooses it. A picture that is waited for takes its frame's time.
fn quality(last: Duration) -> u8 {
    match last.as_millis() {
        0..50 => 85,
        50..=100 => 80,
        _ => 70,
    }
}

/// What `frames.json` says.
#[derive(Deserialize)]
struct Tally {
    copied: u64,
    encoded: Vec<Encoded>,
}

#[derive(Deserialize)]
struct Encoded {
    quality: u8,
    pictures: u64,
}

async fn made(subject: &Subject, cameras: &[String]) -> Result<BTreeMap<String, Tally>> {
    let mut all = BTreeMap::new();
    for camera in cameras {
        let path = format!("/cameras/{camera}/frames.json");
        let mut asker = Poller::open(subject.host(), subject.token(), path).await?;
        asker.ask(quality(Duration::ZERO), false).await?;
        all.insert(camera.clone(), serde_json::from_slice(asker.body()).map_err(Error::internal)?);
    }
    Ok(all)
}

/// The most encodings in one quality for each picture that was asked for, over all cameras.
fn encodings(before: &BTreeMap<String, Tally>, after: &BTreeMap<String, Tally>) -> f64 {
    let of = |tally: &Tally, quality| {
        tally.encoded.iter().find(|e| e.quality == quality).map_or(0, |e| e.pictures)
    };
    let ratios =
        before.iter().filter_map(|(camera, old)| Some((old, after.get(camera)?))).flat_map(|(old, new)| {
            let pictures = new.copied.saturating_sub(old.copied).max(1) as f64;
            new.encoded.iter().map(move |e| (e.pictures - of(old, e.quality)) as f64 / pictures)
        });
    ratios.max_by(f64::total_cmp).unwrap_or(0.0)
}

/// Processor seconds so far: the daemon's, and with everything it started.
fn used(subject: &Subject) -> Result<Option<[f64; 2]>> {
    let Some(pid) = subject.pid() else { return Ok(None) };
    let own = cpu_seconds(pid)?;
    // A child may end in between; its time is lost to the sum.
    Ok(Some([
        own,
        own + machine::descendants(pid).into_iter().filter_map(|p| cpu_seconds(p).ok()).sum::<f64>(),
    ]))
}

fn memory(pid: u32) -> Result<[f64; 2]> {
    let own = rss_mib(pid)?;
    Ok([own, own + machine::descendants(pid).into_iter().filter_map(|p| rss_mib(p).ok()).sum::<f64>()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_made_twice_shows() {
        let tally = |copied, pictures| {
            let encoded = vec![Encoded { quality: 85, pictures }, Encoded { quality: 70, pictures: 1 }];
            BTreeMap::from([("camera0".to_owned(), Tally { copied, encoded })])
        };
        assert_eq!(encodings(&tally(10, 10), &tally(20, 20)), 1.0);
        assert_eq!(encodings(&tally(10, 10), &tally(20, 25)), 1.5);
        assert_eq!(encodings(&BTreeMap::new(), &BTreeMap::new()), 0.0);
    }

    #[test]
    fn a_slow_answer_costs_quality() {
        assert_eq!([10, 60, 200].map(|ms| quality(Duration::from_millis(ms))), [85, 80, 70]);
    }
}
