//! How soon 100 subscribers hear of a change.

use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::{Value, json};

use super::figure::{Figure, Unit, percentile};
use super::subject::Subject;
use crate::base::{Error, Mono, Result};
use crate::ctl::{Link, Note, read};

const SUBSCRIBERS: usize = 100;
const ROUNDS: usize = 20;

/// Times of one kind of notification, milliseconds.
#[derive(Default)]
struct Heard {
    /// From the call that caused it to each subscriber: with all that the call does before it happens.
    since_call: Vec<f64>,
    /// From the caller's answer, which follows the event at once; nothing when they heard before.
    since_answer: Vec<f64>,
    /// From the first subscriber to each.
    since_first: Vec<f64>,
}

/// Makes changes and listens.
pub async fn measure(subject: &Subject) -> Result<Vec<Figure>> {
    let mut links = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let mut link = subject.link().await?;
        let topics = json!({ "topics": ["camera_status_update", "recording_status_update"] });
        link.call("subscribe_events", Some(topics)).await?;
        links.push(link);
    }
    let mut caller = subject.link().await?;
    let (mut cameras, mut recordings) = (Heard::default(), Heard::default());
    for n in 0..ROUNDS {
        let url = format!("rtsp://192.0.2.7:554/heard{n}");
        let name = format!("Heard {n}");
        let add = json!({ "stream_url": url, "stream_name": name });
        let is_it = |note: &Note| note.method == "camera_status_update" && note.params["name"] == name;
        cause(&mut caller, &mut links, "add_external_stream", add, is_it, &mut cameras).await?;
        caller.call("remove_external_stream", Some(json!({ "stream_url": url }))).await?;

        let device = json!({ "device": "camera3" });
        let is = |status: &'static str| {
            move |note: &Note| note.method == "recording_status_update" && note.params["status"] == status
        };
        let answer = cause(
            &mut caller,
            &mut links,
            "start_recording",
            device.clone(),
            is("RECORDING"),
            &mut recordings,
        )
        .await?;
        let started: Started = serde_json::from_value(answer).unwrap_or_default();
        cause(&mut caller, &mut links, "stop_recording", device, is("STOPPED"), &mut recordings).await?;
        caller.call("delete_recording", Some(json!({ "filename": started.filename }))).await?;
    }
    let mut figures = Vec::new();
    for (what, mut heard, goal) in
        [("camera_status_update", cameras, 20.0), ("recording_status_update", recordings, 50.0)]
    {
        let each = format!("each of {SUBSCRIBERS} subscribers");
        for percent in [50.0, 95.0] {
            for (from, samples, goal) in [
                ("its call", &mut heard.since_call, None),
                ("the caller's answer", &mut heard.since_answer, Some(goal)),
                ("the first one's", &mut heard.since_first, Some(goal)),
            ] {
                let name = format!("{what}, from {from} to {each} p{percent}");
                let figure = Figure::new(name, percentile(samples, percent), Unit::Ms);
                figures.push(match goal {
                    Some(goal) if percent == 95.0 => figure.goal(goal, "P02"),
                    _ => figure,
                });
            }
        }
    }
    Ok(figures)
}

#[derive(Default, Deserialize)]
struct Started {
    filename: String,
}

/// Makes a call and waits until each subscriber has heard what it causes.
async fn cause(
    caller: &mut Link,
    links: &mut [Link],
    method: &str,
    params: Value,
    is_it: impl Fn(&Note) -> bool,
    heard: &mut Heard,
) -> Result<Value> {
    let is_it = &is_it;
    let hear = try_join_all(links.iter_mut().map(async |link| {
        loop {
            if is_it(&link.note().await?) {
                return Ok::<_, Error>(Mono::now());
            }
        }
    }));
    let begun = Mono::now();
    let call = async {
        let answer = caller.call(method, Some(params)).await?;
        Ok::<_, Error>((answer, Mono::now()))
    };
    let ((answer, answered), times) = tokio::try_join!(call, hear)?;
    let first = times.iter().copied().min().unwrap_or(begun);
    let ms = |since: Mono| move |time: &Mono| time.since(since).as_secs_f64() * 1000.0;
    heard.since_call.extend(times.iter().map(ms(begun)));
    heard.since_answer.extend(times.iter().map(ms(answered)));
    heard.since_first.extend(times.iter().map(ms(first)));
    read(&answer)
}
