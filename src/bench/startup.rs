//! From the start of the program to its ready line, MediaMTX included.

use super::figure::{Figure, Unit, percentile};
use super::subject::{Folder, Subject};
use crate::base::Result;

const ROUNDS: usize = 7;

/// Once on an empty folder, then again and again on the same one.
pub async fn measure() -> Result<Vec<Figure>> {
    let mut folder = Folder::make()?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let subject = Subject::start_in(folder).await.map_err(|(error, _)| error)?;
        times.push(subject.ready_after().unwrap_or_default().as_secs_f64() * 1000.0);
        match subject.stop().await {
            Some(same) => folder = same,
            None => break,
        }
    }
    let first = times.remove(0);
    Ok(vec![
        Figure::new("first start to ready", first, Unit::Ms).goal(1000.0, "issue 3"),
        Figure::new("later start to ready p50", percentile(&mut times, 50.0), Unit::Ms)
            .goal(1000.0, "issue 3"),
        Figure::new("later start to ready, worst", percentile(&mut times, 100.0), Unit::Ms)
            .goal(1000.0, "issue 3"),
    ])
}
