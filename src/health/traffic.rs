//! What the servers report of themselves: calls, faults, time taken, connections.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::latencies::{Counts, Latencies};

/// Counters that the servers add to; reading them takes no lock.
#[derive(Debug, Default)]
pub struct Traffic {
    calls: AtomicU64,
    faults: AtomicU64,
    busy_ns: AtomicU64,
    connections: AtomicU64,
    most_connections: AtomicU64,
    established: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
    latencies: Latencies,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCount {
    /// Calls answered since the start.
    pub calls: u64,
    /// Those of them that failed by a fault of the box, not of the caller.
    pub faults: u64,
    /// Time they took in all.
    pub busy: Duration,
    /// Connections open now.
    pub connections: u64,
    /// The most connections that were ever open at once.
    pub most_connections: u64,
    /// Connections accepted since the start.
    pub established: u64,
    /// Connections refused since the start because there were too many.
    pub refused: u64,
    /// Sockets that the box gave up since the start: silent, stuck, or in breach of the protocol.
    pub dropped: u64,
}

impl Traffic {
    /// `calls` were answered together in `busy`, `faults` of them wrongly. Without time they are not
    /// judged by it.
    pub fn answered(&self, calls: u64, faults: u64, busy: Duration) {
        self.calls.fetch_add(calls, Ordering::Relaxed);
        if faults > 0 {
            self.faults.fetch_add(faults, Ordering::Relaxed);
        }
        let ns = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
        self.busy_ns.fetch_add(ns, Ordering::Relaxed);
        if calls > 0 && ns > 0 {
            // All answers of a batch leave with the last: each took as long as all of them.
            self.latencies.add(calls, busy);
        }
    }

    /// How long answers took.
    pub(super) fn latencies(&self) -> Counts {
        self.latencies.counts()
    }

    /// Counts a connection in until the guard is dropped.
    pub fn connected(self: &std::sync::Arc<Self>) -> Connected {
        let now = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_connections.fetch_max(now, Ordering::Relaxed);
        self.established.fetch_add(1, Ordering::Relaxed);
        Connected(self.clone())
    }

    /// A connection was turned away.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A socket was given up.
    pub fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters now.
    pub fn count(&self) -> TrafficCount {
        TrafficCount {
            calls: self.calls.load(Ordering::Relaxed),
            faults: self.faults.load(Ordering::Relaxed),
            busy: Duration::from_nanos(self.busy_ns.load(Ordering::Relaxed)),
            connections: self.connections.load(Ordering::Relaxed),
            most_connections: self.most_connections.load(Ordering::Relaxed),
            established: self.established.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connected(std::sync::Arc<Traffic>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
