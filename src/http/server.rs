//! Connections from accept to their end, and which request goes where.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, ORIGIN, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::answer::{self, Body, Kept};
use super::downloads::Downloads;
use super::followers::Followers;
use super::hosts::{Authority, Hosts};
use super::reached::{checked_host, checked_wire};
use super::seats::{Full, Origin, Seat, Seats};
use super::socket::{Socket, Terms};
use super::wire::Wire;
use super::{ServerOptions, cors, diagnosis, files, frames, handshake, health_pages, index, upload};
use crate::auth::Remembered;
use crate::base::Mono;
use crate::health::Health;
use crate::live::{self, Live};
use crate::rpc::{Reached, Rpc, Services};
use crate::supervise::Group;
use crate::tls::Tls;

/// A request's head, and the pause before the next one, take no longer than this.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// What answers under way get when the box stops.
const STOP_TIME: Duration = Duration::from_secs(1);
/// Heads beyond this are answered 431.
const HEAD_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;
/// Connections beyond the limit that are told so at the same time; more are just closed.
const REFUSALS: usize = 64;
const RETRY_AFTER_S: &str = "5";
/// How often those who wait are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Which listener a connection came in by.
#[derive(Clone)]
pub(super) enum Port {
    Main(Arc<Main>),
    Health(Health),
}

/// What the main port hands out.
pub(super) struct Main {
    pub(super) services: Arc<Services>,
    pub(super) downloads: Downloads,
    pub(super) followers: Followers,
    rpc: Rpc,
    live: Live,
    hosts: Hosts,
    seats: Arc<Seats>,
    refusals: Arc<Semaphore>,
    tls: Option<Tls>,
    plain_allowed: bool,
}

impl Main {
    pub(super) fn new(services: Arc<Services>, rpc: Rpc, live: Live, options: &ServerOptions) -> Self {
        make_room(options.max_connections);
        // Without a name of its own the box still has its addresses.
        let hostname = crate::machine::host_name();
        Self {
            services,
            downloads: Downloads::default(),
            followers: Followers::default(),
            rpc,
            live,
            hosts: Hosts::new(&hostname, &options.allowed_origins),
            seats: Arc::new(Seats::new(options.max_connections, options.max_per_address)),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            tls: options.tls.clone(),
            plain_allowed: options.tls.is_none() || options.allow_plain,
        }
    }

    /// Told apart by what comes first, where TLS is on.
    fn wire(&self, stream: TcpStream) -> Wire {
        Wire::new(stream, self.tls.as_ref().map(Tls::acceptor))
    }
}

/// Descriptors for everything but connections: children, database, recordings being read.
const OTHER_DESCRIPTORS: u64 = 512;

/// A shell's usual limit is 1024 open files, less than the default of connections needs.
fn make_room(connections: usize) {
    let needed = connections as u64 + OTHER_DESCRIPTORS;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft >= needed {
        return;
    }
    let raised = needed.min(hard);
    if setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_err() || raised < needed {
        tracing::warn!(
            "server.max_connections = {connections} needs {needed} open files, and this process may have {}; \
             raise LimitNOFILE in the unit, or `ulimit -Hn`",
            raised.min(hard)
        );
    }
}

/// Accepts until the group stops.
pub(super) fn accept(listener: TcpListener, group: &Group, port: Port) {
    let own = group.clone();
    if let Port::Main(main) = &port {
        usher(group, main.seats.clone());
    }
    group.spawn("listener", async move {
        let stop = own.stop();
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => welcome(&own, stream, peer, &port),
                Err(e) => {
                    // Out of file descriptors, mostly: the connections that end will free some.
                    tracing::warn!("cannot accept a connection: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
}

fn welcome(group: &Group, stream: TcpStream, peer: SocketAddr, port: &Port) {
    // Answers are whole when they are written; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else { return };
    let stop = group.stop().clone();
    let main = match port {
        Port::Main(main) => main.clone(),
        Port::Health(health) => {
            let health = health.clone();
            group.spawn("health connection", async move {
                let answer =
                    |request: Request<Incoming>| std::future::ready(health_pages::answer(&health, &request));
                serve(Wire::new(stream, None), &stop, &Terms::default(), answer).await;
            });
            return;
        }
    };
    let ends = Ends { local, peer, since: Mono::now() };
    let stream = main.wire(stream);
    let origin = Origin::of(peer.ip(), ends.near());
    match main.seats.take(origin, Mono::now()) {
        Ok(seat) => {
            group.spawn("connection", async move { main.connection(seat, stream, &stop, ends).await });
        }
        Err(full) => {
            let hears = (full == Full::Box).then(|| main.seats.wait(origin, Mono::now())).flatten();
            // Those who wait are few already; of the others only so many are told.
            let told = main.refusals.clone().try_acquire_owned();
            if hears.is_none() && told.is_err() {
                main.services.health.traffic().refused();
                return;
            }
            group.spawn("connection too many", async move {
                if let Some(hears) = hears
                    && let Ok(seat) = hears.await
                {
                    drop(told);
                    return main.connection(seat, stream, &stop, ends).await;
                }
                main.services.health.traffic().refused();
                let terms = Terms::default();
                let answer = serve(stream, &stop, &terms, |_| std::future::ready(too_many(full)));
                let _ = tokio::time::timeout(HEAD_TIME, answer).await;
            });
        }
    }
}

/// Looks after those who wait, as long as there are any.
fn usher(group: &Group, seats: Arc<Seats>) {
    let stop = group.stop().clone();
    group.spawn("usher", async move {
        while stop.run_until_cancelled(seats.waited.notified()).await.is_some() {
            while seats.look(Mono::now()) {
                if stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
                    return;
                }
            }
        }
    });
}

impl Main {
    /// One connection, from its first request to its end.
    async fn connection(&self, seat: Seat, stream: Wire, stop: &CancellationToken, ends: Ends) {
        let _counted = self.services.health.traffic().connected();
        let talk = Talk::default();
        let answer = async |request| {
            let busy = seat.busy();
            route(self, request, ends, &talk).await.map(|body| Kept::new(body, busy))
        };
        tokio::select! {
            () = serve(stream, stop, &talk.terms, answer) => {}
            () = seat.asked_to_leave() => return,
        }
        if let Some((stream, early, reached)) = granted(talk.wish).await {
            self.rpc.serve(stream, early, reached, &seat.socket()).await;
        }
    }
}

/// The two ends of a connection.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) local: SocketAddr,
    peer: SocketAddr,
    since: Mono,
}

impl Ends {
    /// The client runs on this box.
    fn near(self) -> bool {
        self.peer.ip().to_canonical().is_loopback() || self.peer.ip() == self.local.ip()
    }
}

/// What the requests of one connection share.
#[derive(Default)]
struct Talk {
    wish: Wish,
    /// What the answer under way asks of it.
    terms: Terms,
    /// Who its client proved to be.
    remembered: Remembered,
}

/// Where a request leaves its wish to become a WebSocket.
type Wish = Mutex<Option<(OnUpgrade, Reached)>>;

/// What a connection has become by its last request: the socket, what came in behind the request,
/// and how the client reached us.
async fn granted(wish: Wish) -> Option<(Wire, Bytes, Reached)> {
    let (upgrade, reached) = wish.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    let parts = upgrade.await.ok()?.downcast::<TokioIo<Socket>>().ok()?;
    Some((parts.io.into_inner().into_inner(), parts.read_buf, reached))
}

/// Answers the requests of one connection until it ends or becomes something else.
async fn serve<F, B>(
    stream: Wire,
    stop: &CancellationToken,
    terms: &Terms,
    answer: impl Fn(Request<Incoming>) -> F,
) where
    F: Future<Output = Response<B>>,
    B: hyper::body::Body<Data = Bytes, Error = std::io::Error> + 'static,
{
    let service = service_fn(|request: Request<Incoming>| {
        // The query may hold a signature.
        let told = tracing::enabled!(tracing::Level::DEBUG)
            .then(|| (request.method().clone(), live::shown(request.uri().path()).to_owned()));
        let answer = answer(request);
        async move {
            let response = answer.await;
            if let Some((method, path)) = told {
                tracing::debug!(%method, path, status = response.status().as_u16(), "request");
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(Socket::new(stream, terms.clone())), service)
        .with_upgrades();
    // Boxed so that a WebSocket does not carry hyper's state through its long life.
    let mut connection = Box::pin(connection);
    let served = tokio::select! {
        served = &mut connection => served,
        () = terms.over() => return,
        () = stop.cancelled() => {
            if terms.is_live() {
                // It would never be done.
                return;
            }
            connection.as_mut().graceful_shutdown();
            // A download would go on for minutes; its client resumes it from the next start.
            let Ok(served) = tokio::time::timeout(STOP_TIME, connection).await else { return };
            served
        }
    };
    if let Err(e) = served {
        tracing::debug!("connection: {e}");
    }
}

fn too_many(full: Full) -> Response<Body> {
    let (error, hint) = match full {
        Full::Box => (
            "all connections of this box are in use",
            "try again in a few seconds; server.max_connections sets the limit",
        ),
        Full::Address => (
            "your address has all the connections that one address may have",
            "close some, or raise server.max_connections_per_address",
        ),
    };
    let mut response = answer::refusal(StatusCode::SERVICE_UNAVAILABLE, error, hint);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn route(main: &Main, request: Request<Incoming>, ends: Ends, talk: &Talk) -> Response<Body> {
    let host = match checked_host(&main.hosts, &request, ends) {
        Ok(host) => host,
        Err(refusal) => return *refusal,
    };
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = match cors::preflight(&request) {
        Some(response) => response,
        None => dispatch(main, request, host, ends, talk).await,
    };
    if response.status() == StatusCode::UNAUTHORIZED {
        let wait = main.services.auth.failed_over_http(ends.peer.ip(), ends.near());
        tokio::time::sleep(wait).await;
    }
    cors::allow(&mut response, origin);
    response
}

async fn dispatch(
    main: &Main,
    mut request: Request<Incoming>,
    host: Authority,
    ends: Ends,
    talk: &Talk,
) -> Response<Body> {
    let Ends { local, peer, since } = ends;
    let reached = Reached {
        port: host.port.unwrap_or(local.port()),
        host: host.host,
        near: ends.near(),
        peer: peer.ip(),
        local: local.ip().to_canonical(),
        since,
        secure: talk.terms.is_secure(),
        plain_allowed: main.plain_allowed,
    };
    if let Err(refusal) = checked_wire(&request, &reached) {
        return *refusal;
    }
    if main.services.auth.is_unclaimed() && request.uri().path() != "/ws" {
        return answer::unclaimed(&reached.authority());
    }
    match request.uri().path() {
        "/ws" => match handshake::answer(&request) {
            Ok(response) => {
                let upgrade = hyper::upgrade::on(&mut request);
                *talk.wish.lock().unwrap_or_else(PoisonError::into_inner) = Some((upgrade, reached));
                response
            }
            Err(refusal) => *refusal,
        },
        "/" => index::answer(&request, &reached),
        path if path.starts_with("/live/") => main.live.answer(request, peer.ip()).await.map(Body::Live),
        path if path.starts_with("/cameras/") => {
            frames::answer(main, &request, &talk.remembered, &talk.terms).await
        }
        path if path.starts_with("/update/") => {
            upload::answer(main, request, &reached, &talk.remembered).await
        }
        "/diag" => diagnosis::answer(main, &request, &reached, &talk.remembered, &talk.terms).await,
        path if path.starts_with("/files/") => files::answer(main, &request, &talk.remembered).await,
        _ => answer::refusal(StatusCode::NOT_FOUND, "nothing is here", "GET / says what there is"),
    }
}
