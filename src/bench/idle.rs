//! What a connection costs that says nothing.

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

use super::figure::{Figure, Unit};
use super::proc_stat::rss_mib;
use super::subject::{Folder, Subject};
use crate::base::{Error, Result};
use crate::ctl::Link;

const CONFIG: &str = "[server]\nmax_connections = 1200\n[cameras]\nsynthetic = 0\n";
/// These make room that the allocator then has.
const BEFORE: usize = 100;
const SOCKETS: usize = 1000;
/// Until hyper's and the log-ins' leftovers are gone.
const SETTLE: Duration = Duration::from_secs(2);

/// Logs in a thousand times and says no more.
pub async fn measure() -> Result<Vec<Figure>> {
    // A shell's usual limit is 1024.
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.max(2048.min(hard)), hard);
    }
    let subject = Subject::start_in(Folder::with(CONFIG)?).await.map_err(|(error, _)| error)?;
    let pid = subject.pid().ok_or_else(|| Error::unsupported("idle", "the box runs on another machine"))?;
    let mut held: Vec<Link> = Vec::new();
    let at = async |held: &mut Vec<Link>, count: usize| -> Result<f64> {
        while held.len() < count {
            held.push(subject.link().await?);
        }
        tokio::time::sleep(SETTLE).await;
        rss_mib(pid)
    };
    let before = at(&mut held, BEFORE).await?;
    let after = at(&mut held, BEFORE + SOCKETS).await?;
    for link in held.iter_mut().skip(BEFORE) {
        link.call("subscribe_events", Some(json!({ "topics": ["camera_status_update"] }))).await?;
    }
    tokio::time::sleep(SETTLE).await;
    let subscribed = rss_mib(pid)?;
    drop(held);
    subject.stop().await;
    let each = |mib: f64| mib * 1024.0 / SOCKETS as f64;
    Ok(vec![
        Figure::new(
            format!("VmRSS of an idle logged-in socket, mean of {SOCKETS}"),
            each(after - before),
            Unit::KiB,
        )
        .goal(16.0, "issue 5"),
        Figure::new("the same, subscribed", each(subscribed - before), Unit::KiB).goal(16.0, "issue 5"),
    ])
}
