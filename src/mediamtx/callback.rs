//! The listener MediaMTX asks before it lets anyone in: loopback, a secret path, answers from memory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::Gate;
use super::arrivals::Arrivals;
use super::doors::{Ask, Doors, Verdict};
use crate::base::{Error, Mono, Result, Secret};
use crate::supervise::Group;

/// A question has less than 8 KiB, unless someone sends a giant password.
const MAX_QUESTION: usize = 64 << 10;
/// MediaMTX closes after each question; whoever keeps a connection longer is not MediaMTX.
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// MediaMTX asks about paths one after the other and about API calls beside.
const CONNECTIONS: usize = 64;

/// Readers let in by the gate, by user name.
pub(super) type Admitted = Mutex<BTreeMap<String, Admission>>;

/// What is known of a reader let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Admission {
    /// When the login ends. The earliest said: a step of the wall clock must not prolong it.
    pub deadline: Mono,
    /// MediaMTX's words for the protocols used.
    pub protocols: BTreeSet<String>,
}

/// What the listener answers from.
pub(super) struct Desk {
    pub doors: Mutex<Doors>,
    pub gate: Arc<dyn Gate>,
    pub admitted: Admitted,
    pub arrivals: Arrivals,
    /// Told of each reader let in, at once: MediaMTX runs its hook only once for a publisher that
    /// comes and goes within ten seconds, and would leave the next reader waiting without a word.
    pub on_reader: Box<dyn Fn(&str) + Send + Sync>,
}

impl Desk {
    /// Answers one question.
    pub(super) fn answer(&self, ask: &Ask) -> bool {
        let verdict = self.doors.lock().unwrap_or_else(PoisonError::into_inner).decide(ask, Mono::now());
        let allowed = match verdict {
            Verdict::Allow => true,
            Verdict::Refuse => false,
            Verdict::AskGate => {
                let until = self.gate.read(&ask.user, &ask.password, &ask.path, &ask.protocol);
                if let Some(deadline) = until {
                    let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
                    let known = admitted
                        .entry(ask.user.clone())
                        .or_insert_with(|| Admission { deadline, protocols: BTreeSet::new() });
                    known.deadline = known.deadline.min(deadline);
                    known.protocols.insert(ask.protocol.clone());
                } else if !ask.user.is_empty() {
                    // Players ask without a name first.
                    self.gate.refused(ask.ip.parse().ok(), &ask.protocol);
                }
                until.is_some()
            }
        };
        match ask.action.as_str() {
            "read" if allowed => (self.on_reader)(&ask.path),
            "publish" if allowed => self.arrivals.begin(&ask.path, Mono::now()),
            _ => {}
        }
        allowed
    }
}

/// Starts to listen; answers with the URL for MediaMTX's file and the secret in it.
pub(super) async fn listen(desk: Arc<Desk>, group: &Group) -> Result<(Secret, Secret)> {
    let broken = |e: std::io::Error| {
        Error::dependency("mediamtx", "no loopback port for its questions could be opened").caused_by(e)
    };
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.map_err(broken)?;
    let address = listener.local_addr().map_err(broken)?;
    let secret = Secret::random(16);
    let url = Secret::new(format!("http://{address}/{}", secret.expose()));
    let (stop, tasks, wanted) = (group.stop().clone(), group.clone(), secret.clone());
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    group.spawn("mediamtx questions", async move {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                a = listener.accept() => a,
            };
            let (Ok((stream, _)), Ok(place)) = (accepted, room.clone().try_acquire_owned()) else {
                // Out of descriptors, or too many connections: MediaMTX's caller is refused and
                // asks again; the pause keeps a full process from spinning.
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            let (desk, wanted, stop) = (desk.clone(), wanted.clone(), stop.clone());
            tasks.spawn("mediamtx question", async move {
                let service = service_fn(|request| handle(&desk, &wanted, request));
                let serve = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = tokio::time::timeout(CONNECTION_TIME, serve) => {}
                }
                drop(place);
            });
        }
    });
    Ok((url, secret))
}

async fn handle(
    desk: &Desk,
    secret: &Secret,
    request: Request<Incoming>,
) -> std::result::Result<Response<Empty<Bytes>>, hyper::http::Error> {
    let status = |s: StatusCode| Response::builder().status(s).body(Empty::new());
    if request.uri().path().strip_prefix('/') != Some(secret.expose()) || request.method() != Method::POST {
        return status(StatusCode::NOT_FOUND);
    }
    let Ok(body) = Limited::new(request.into_body(), MAX_QUESTION).collect().await else {
        return status(StatusCode::PAYLOAD_TOO_LARGE);
    };
    match serde_json::from_slice::<Ask>(&body.to_bytes()) {
        Ok(ask) if desk.answer(&ask) => status(StatusCode::OK),
        Ok(_) => status(StatusCode::UNAUTHORIZED),
        Err(_) => status(StatusCode::BAD_REQUEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Nobody;
    impl Gate for Nobody {
        fn read(&self, _: &str, _: &str, _: &str, _: &str) -> Option<Mono> {
            None
        }
        fn still_valid(&self, _: &str) -> bool {
            false
        }
    }

    proptest! {
        #[test]
        fn no_question_breaks_the_desk(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".*") {
            let desk = Desk {
                doors: Mutex::new(Doors::new(Vec::new())),
                gate: Arc::new(Nobody),
                admitted: Admitted::default(),
                arrivals: Arrivals::default(),
                on_reader: Box::new(|_| {}),
            };
            for raw in [bytes, format!(r#"{{"action":"{text}","ip":"{text}","id":null}}"#).into_bytes()] {
                if let Ok(ask) = serde_json::from_slice::<Ask>(&raw) {
                    prop_assert!(!desk.answer(&ask));
                }
            }
        }
    }
}
