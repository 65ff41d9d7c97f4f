//! Small calls: how fast one is answered, and how many a second of the daemon's processor time buys.

use serde_json::{Value, json};

use super::figure::{Figure, Unit, percentile};
use super::fleet::Fleet;
use super::proc_stat::cpu_seconds;
use super::subject::Subject;
use crate::base::{Mono, Result};
use crate::ctl::Link;

const CONNECTIONS: usize = 50;
const DEPTH: u64 = 32;
/// The kernel counts in ticks of 10 ms: so many calls that one tick is less than 1 %.
const CALLS: u64 = 2_000_000;

/// Latency of single calls, then the load.
pub async fn measure(subject: &Subject) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut single = Fleet::open(subject.host(), 1).await?;
    single.ping(200, 1).await?;
    let mut idle = single.ping(5_000, 1).await?.latencies;
    let at = |s: &mut Vec<f64>, p| percentile(s, p);
    figures.push(Figure::new("ping p50, one connection", at(&mut idle, 50.0), Unit::Ms));
    figures.push(Figure::new("ping p95, one connection", at(&mut idle, 95.0), Unit::Ms).goal(20.0, "P01"));
    figures.push(Figure::new("ping p99, one connection", at(&mut idle, 99.0), Unit::Ms));

    let mut fleet = Fleet::open(subject.host(), CONNECTIONS).await?;
    fleet.ping(20_000, DEPTH).await?;
    let before = subject.pid().map(cpu_seconds).transpose()?;
    let mut run = fleet.ping(CALLS, DEPTH).await?;
    let after = subject.pid().map(cpu_seconds).transpose()?;
    for (percent, goal) in [(50.0, None), (95.0, Some(100.0)), (99.0, None)] {
        let name = format!("ping p{percent}, {CONNECTIONS} connections pipelining {DEPTH}");
        let figure = Figure::new(name, at(&mut run.latencies, percent), Unit::Ms);
        figures.push(match goal {
            Some(goal) => figure.goal(goal, "P03"),
            None => figure,
        });
    }
    if let (Some(before), Some(after)) = (before, after) {
        let rate = run.calls as f64 / (after - before).max(0.01);
        let name = format!("ping calls per CPU second, {CONNECTIONS} connections pipelining {DEPTH}");
        figures.push(Figure::new(name, rate, Unit::CallsPerCpuSecond).goal(150_000.0, "issue 3"));
    }
    // Without pipelining each call costs the kernel a packet in and a packet out.
    if let Some(pid) = subject.pid() {
        let before = cpu_seconds(pid)?;
        let calls = fleet.ping(CALLS / 10, 1).await?.calls;
        let rate = calls as f64 / (cpu_seconds(pid)? - before).max(0.01);
        let name = format!("ping calls per CPU second, {CONNECTIONS} connections, one at a time");
        figures.push(Figure::new(name, rate, Unit::CallsPerCpuSecond));
    }

    let mut link = subject.link().await?;
    for (method, goal) in
        [("get_camera_list", 100.0), ("get_camera_status", 50.0), ("list_recordings", 200.0)]
    {
        let params = if method == "get_camera_status" { json!({ "device": "camera0" }) } else { Value::Null };
        let mut samples = calls(&mut link, method, &params, 300).await?;
        figures
            .push(Figure::new(format!("{method} p95"), at(&mut samples, 95.0), Unit::Ms).goal(goal, "P01"));
    }
    let mut logins = Vec::new();
    for _ in 0..100 {
        let mut link = Link::open(subject.host()).await?;
        let begun = Mono::now();
        link.log_in(subject.token().clone()).await?;
        logins.push(Mono::now().since(begun).as_secs_f64() * 1000.0);
    }
    figures.push(Figure::new("authenticate p95", at(&mut logins, 95.0), Unit::Ms).goal(50.0, "P01"));
    Ok(figures)
}

/// Milliseconds of `count` calls, one after another.
pub async fn calls(link: &mut Link, method: &str, params: &Value, count: usize) -> Result<Vec<f64>> {
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let given = if params.is_null() { None } else { Some(params.clone()) };
        let begun = Mono::now();
        link.call(method, given).await?;
        samples.push(Mono::now().since(begun).as_secs_f64() * 1000.0);
    }
    Ok(samples)
}
