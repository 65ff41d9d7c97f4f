//! Names of hosts looked up, a few at a time.
//!
//! A look-up cannot be called off: with a name server that is silent the C library keeps its thread for ten
//! seconds and more. So no more than [`AT_ONCE`] are ever under way, whoever waits for them.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// A name server that is slower than this counts as none.
const LOOK_UP: Duration = Duration::from_secs(2);
/// Of the runtime's 512 threads for what blocks, on which files are read and written too.
const AT_ONCE: usize = 8;

type Ask = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Whoever is asked. Clones share the places.
#[derive(Clone)]
pub(super) struct Names {
    ask: Arc<Ask>,
    places: Arc<Semaphore>,
}

impl Names {
    /// The system's.
    pub(super) fn of_system() -> Self {
        Self::asking(|name| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }

    /// Another name server.
    pub(super) fn asking(ask: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        Self { ask: Arc::new(ask), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The same with places of its own.
    pub(super) fn apart(&self) -> Self {
        Self { ask: self.ask.clone(), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The addresses of `name`, asked now.
    pub(super) async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let look = async {
            let place = self.places.clone().acquire_owned().await.map_err(io::Error::other)?;
            let (ask, name) = (self.ask.clone(), name.to_owned());
            let asked = tokio::task::spawn_blocking(move || {
                let found = ask(&name);
                // Not before: whoever waited may long be gone.
                drop(place);
                found
            });
            asked.await.map_err(io::Error::other)?
        };
        tokio::time::timeout(LOOK_UP, look).await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_silent_name_server_takes_no_more_threads_than_it_may() {
        let (asked, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::Barrier::new(AT_ONCE + 1)));
        let names = Names::asking({
            let (asked, gate) = (asked.clone(), gate.clone());
            move |_| {
                asked.fetch_add(1, Ordering::Relaxed);
                gate.wait();
                Ok(Vec::new())
            }
        });
        let all = (0..5 * AT_ONCE).map(|_| names.look_up("silent.example"));
        for outcome in futures_util::future::join_all(all).await {
            assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        // Another's are not taken by them.
        let other = names.apart();
        assert_eq!((other.places.available_permits(), names.places.available_permits()), (AT_ONCE, 0));
        gate.wait();
        assert_eq!(asked.load(Ordering::Relaxed), AT_ONCE);
    }
}
