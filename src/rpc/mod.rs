//! JSON-RPC 2.0 over WebSocket (contract.md).
//!
//! Owns the method table, the envelope, each socket's session and the memory that unfinished
//! messages may take. Promises: every message up to 16 MiB is answered as the contract says and
//! costs the other sockets nothing; slow work never delays another request of the same socket; when the
//! box stops, calls under way are answered before the goodbye, in bounded time.
//! Costs one task and 14.2 KiB (`fieldcam bench api`) for each quiet connection.

mod audited;
mod budget;
mod calls;
mod carrier;
mod dispatch;
mod document;
mod envelope;
mod events;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod methods;
mod params;
mod pulse;
mod reply;
mod session;
mod socket;
mod table;
mod urls;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::auth::Auth;
use crate::base::Clock;
use crate::diag::Diagnosis;
use crate::external::External;
use crate::footage::Footage;
use crate::health::Health;
use crate::hotplug::Hotplug;
use crate::mediamtx::MediaMtx;
use crate::network::Network;
use crate::notice::Notices;
use crate::pipeline::Cameras;
use crate::recording::Recordings;
use crate::reload::Reloader;
use crate::retention::Retention;
use crate::snapshot::Snapshots;
use crate::supervise::Group;
use crate::timing::Timing;
use crate::tls::Tls;
use crate::update::Update;
use budget::Budget;
pub use carrier::Carrier;
pub use document::reference;
use events::{Hub, Sources};
pub use methods::{KeyJson, NewKeyJson};
pub use pulse::Pulse;
use session::Session;
use table::Table;
pub use urls::Reached;

/// What the methods work with.
pub struct Services {
    /// Log-ins.
    pub auth: Auth,
    /// Cameras and their streams.
    pub cameras: Cameras,
    /// Those of them that are plugged into the box.
    pub hotplug: Hotplug,
    /// What is recorded.
    pub recordings: Recordings,
    /// Recordings as films.
    pub footage: Footage,
    /// Stills.
    pub snapshots: Snapshots,
    /// The media server, for its addresses.
    pub mediamtx: MediaMtx,
    /// The verdict on the box, and the counters behind it.
    pub health: Health,
    /// What goes by itself.
    pub retention: Retention,
    /// Streams on the network.
    pub external: External,
    /// Reads the configuration again.
    pub reloader: Reloader,
    /// What clients may subscribe to.
    pub notices: Notices,
    /// The certificate, where TLS is on.
    pub tls: Option<Tls>,
    /// New versions of the box's system.
    pub update: Update,
    /// The box's network ports.
    pub network: Network,
    /// What tells somebody elsewhere how the box is.
    pub diagnosis: Diagnosis,
    /// Keeps and sets the clock.
    pub timing: Timing,
    /// The time of day.
    pub clock: Clock,
}

/// The room's handle; clones share everything.
#[derive(Clone)]
pub struct Rpc(Arc<Shared>);

struct Shared {
    services: Arc<Services>,
    table: Table,
    budget: Budget,
    hub: Hub,
    group: Group,
    idle_timeout: Duration,
}

impl Rpc {
    /// Sockets and slow calls run in `group` and end with it; a peer that is silent for
    /// `idle_timeout` in spite of pings is dropped.
    pub fn new(services: Arc<Services>, group: Group, idle_timeout: Duration) -> Self {
        let hub = Hub::default();
        let sources = Sources {
            facts: services.notices.subscribe(),
            server: services.mediamtx.server(),
            health: services.health.clone(),
            cameras: services.cameras.clone(),
            recordings: services.recordings.clone(),
        };
        group.spawn("events", hub.clone().run(sources, group.stop().clone()));
        Self(Arc::new(Shared {
            hub,
            services,
            table: Table::new(methods::all()),
            budget: Budget::new(),
            group,
            idle_timeout,
        }))
    }

    /// Serves a connection whose HTTP handshake is done. `early` came in behind the request; `pulse` is
    /// told of everything the peer says, and may ask.
    pub async fn serve<S>(&self, io: S, early: Bytes, reached: Reached, pulse: &Pulse)
    where
        S: Carrier,
    {
        let stop = self.0.group.stop().clone();
        let session = Session::new(self.0.services.clone(), self.0.hub.clone(), reached, stop);
        socket::run(&self.0, io, early, session, pulse).await;
    }
}
