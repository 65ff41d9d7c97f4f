//! Resident memory of the daemon itself (its children are other programs).

use std::time::Duration;

use super::figure::{Figure, Unit};
use super::fleet::Fleet;
use super::latency::go_live;
use super::proc_stat::{anonymous_mib, rss_mib};
use super::subject::Subject;
use crate::base::{Error, Result};

/// Long enough for every buffer of the frame path to have been used.
const SETTLE: Duration = Duration::from_secs(10);
const PINGS: u64 = 300_000;

/// With nothing running, with two cameras running, and after many calls.
pub async fn measure(subject: &Subject) -> Result<Vec<Figure>> {
    let pid = subject.pid().ok_or_else(|| Error::unsupported("memory", "the box runs on another machine"))?;
    let idle = rss_mib(pid)?;
    let mut link = subject.link().await?;
    go_live(&mut link, "camera0").await?;
    go_live(&mut link, "camera1").await?;
    tokio::time::sleep(SETTLE).await;
    let (running, anonymous) = (rss_mib(pid)?, anonymous_mib(pid)?);
    let mut fleet = Fleet::open(subject.host(), 50).await?;
    fleet.ping(20_000, 32).await?;
    let connected = rss_mib(pid)?;
    fleet.ping(PINGS, 32).await?;
    let after = rss_mib(pid)?;
    Ok(vec![
        Figure::new("VmRSS, cameras idle", idle, Unit::MiB),
        Figure::new("VmRSS, two synthetic cameras running", running, Unit::MiB)
            .goal(12.0, "issue 3; P07: 60"),
        Figure::new("of it the process's own (RssAnon)", anonymous, Unit::MiB),
        Figure::new("VmRSS, with 50 connections beside them", connected, Unit::MiB),
        Figure::new(format!("VmRSS growth over {PINGS} pings"), after - connected, Unit::MiB)
            .goal(0.5, "issue 3: flat"),
    ])
}
