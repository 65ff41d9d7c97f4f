//! subscribe_events, unsubscribe_events, get_subscription_stats.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use crate::base::{CameraId, Error, Result};
use crate::rpc::events::Topic;
use crate::rpc::params::{Fields, Nothing, Params};
use crate::rpc::session::Session;

/// More than there are names.
const TOPICS_MAX: usize = 64;

pub(super) struct Subscribe {
    names: Vec<String>,
    topics: Vec<Topic>,
    device: Option<CameraId>,
}

impl Params for Subscribe {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let (names, topics) = topics(fields)?.unwrap_or_default();
        if topics.is_empty() {
            return Err(Error::param("topics", "must name at least one topic", hint()));
        }
        let device = match fields.optional_object("filters")? {
            Some(filters) => filters.optional_device("filters.device", "device")?,
            None => None,
        };
        Ok(Self { names, topics, device })
    }
}

pub(super) struct Unsubscribe {
    topics: Option<Vec<Topic>>,
}

impl Params for Unsubscribe {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self { topics: topics(fields)?.map(|(_, topics)| topics) })
    }
}

/// The names as the client wrote them, and what they mean.
fn topics(fields: &Fields<'_>) -> Result<Option<(Vec<String>, Vec<Topic>)>> {
    let Some(names) = fields.optional_strings("topics", TOPICS_MAX, &hint())? else { return Ok(None) };
    let named = |name: &String| {
        Topic::named(name).ok_or_else(|| Error::param("topics", "must be names of topics", hint()))
    };
    let topics = names.iter().map(named).collect::<Result<Vec<_>>>()?;
    Ok(Some((names, topics)))
}

fn hint() -> String {
    format!("the topics are {}", Topic::list())
}

#[derive(Default, Serialize)]
struct Filters {
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<CameraId>,
}

#[derive(Serialize)]
pub(super) struct Subscribed {
    subscribed: bool,
    topics: Vec<String>,
    filters: Filters,
}

/// From now on this socket hears of the topics.
pub(super) fn subscribe(session: &mut Session, p: Subscribe) -> Result<Subscribed> {
    session.subscriber().client().subscribe(&p.topics, p.device);
    Ok(Subscribed { subscribed: true, topics: p.names, filters: Filters { device: p.device } })
}

#[derive(Serialize)]
pub(super) struct Unsubscribed {
    unsubscribed: bool,
    topics: Vec<Topic>,
}

/// Topics that this socket no longer hears of.
pub(super) fn unsubscribe(session: &mut Session, p: Unsubscribe) -> Result<Unsubscribed> {
    let topics = match session.client() {
        Some(client) => client.unsubscribe(p.topics.as_deref()),
        None => Vec::new(),
    };
    Ok(Unsubscribed { unsubscribed: true, topics })
}

#[derive(Serialize)]
pub(super) struct Stats {
    global_stats: Global,
    client_topics: Vec<Topic>,
    client_id: Uuid,
}

#[derive(Serialize)]
struct Global {
    total_subscriptions: usize,
    active_clients: usize,
    topic_counts: BTreeMap<&'static str, usize>,
}

/// Who subscribes to how much.
pub(super) fn stats(session: &mut Session, _: Nothing) -> Result<Stats> {
    let stats = session.hub().stats();
    Ok(Stats {
        global_stats: Global {
            total_subscriptions: stats.subscriptions,
            active_clients: stats.clients,
            topic_counts: stats.topics.into_iter().map(|(topic, n)| (topic.name(), n)).collect(),
        },
        client_topics: session.client().map(|client| client.topics()).unwrap_or_default(),
        client_id: session.id,
    })
}
