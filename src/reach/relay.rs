//! The way to one added camera: a port on the loopback that MediaMTX is given in place of the camera's.
//!
//! Each connection goes to the address that is judged for it then, and no redirect passes. Costs a task for
//! each connection (one, but while it is replaced) and 16 KiB.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use url::Url;

use super::framing::{Framing, Verdict};
use super::{Reach, with_host};
use crate::base::{Error, Result};
use crate::config::RtspUrl;
use crate::supervise::Group;

/// Shorter than MediaMTX waits for an answer (10 s).
const CONNECT: Duration = Duration::from_secs(4);
/// MediaMTX has one, and a second for a moment when its pull is replaced.
const AT_ONCE: usize = 4;

/// Why a connection ended that MediaMTX only saw ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The camera sent elsewhere.
    Moved,
    /// The camera did not take a connection.
    Unreachable,
}

/// The port. It is there as long as the group.
pub struct Relay {
    port: u16,
    fault: Noted,
}

/// The last fault that nobody asked for yet.
#[derive(Clone, Default)]
struct Noted(Arc<Mutex<Option<Fault>>>);

impl Noted {
    fn put(&self, fault: Fault) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    fn take(&self) -> Option<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Relay {
    /// Opens the way to `url`'s host; `name` is the camera's, for the log.
    ///
    /// Fails with `Internal` when there is no port left.
    pub async fn start(reach: Reach, url: &RtspUrl, name: &str, group: &Group) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Error::internal)?;
        let port = listener.local_addr().map_err(Error::internal)?.port();
        let fault = Noted::default();
        let way = Way {
            reach,
            host: url.host().to_owned(),
            port: url.port(),
            name: name.to_owned(),
            fault: fault.clone(),
        };
        group.spawn(format!("way to {name}"), serve(listener, Arc::new(way), group.clone()));
        Ok(Self { port, fault })
    }

    /// `url` by this way.
    pub fn url(&self, url: &RtspUrl) -> Result<Url> {
        let by = with_host(url.expose(), Ipv4Addr::LOCALHOST.into());
        let mut by = by.ok_or_else(|| Error::internal("a URL that takes no host"))?;
        by.set_port(Some(self.port)).map_err(|()| Error::internal("a URL that takes no port"))?;
        Ok(by)
    }

    /// What went wrong on the way since this was asked last.
    pub fn take_fault(&self) -> Option<Fault> {
        self.fault.take()
    }
}

/// Where it leads.
struct Way {
    reach: Reach,
    host: String,
    port: u16,
    name: String,
    fault: Noted,
}

async fn serve(listener: TcpListener, way: Arc<Way>, group: Group) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let stop = group.stop().clone();
    loop {
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else { return };
        let Ok((near, _)) = accepted else {
            // No descriptor left: others free theirs meanwhile.
            let pause = tokio::time::sleep(Duration::from_millis(100));
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let (way, stop) = (way.clone(), stop.clone());
        group.spawn(format!("connection to {}", way.name), async move {
            let _place = place;
            stop.run_until_cancelled(way.carry(near)).await;
        });
    }
}

impl Way {
    /// Carries one connection until either side ends it.
    async fn carry(&self, near: TcpStream) {
        let judged = match self.reach.resolve(&self.host, self.port).await {
            Ok(judged) => judged,
            Err(error) => {
                tracing::warn!(camera = self.name, "not connected to: {}", error.chain());
                return;
            }
        };
        let connect = tokio::time::timeout(CONNECT, TcpStream::connect(judged.as_slice()));
        let Ok(Ok(far)) = connect.await else {
            self.fault.put(Fault::Unreachable);
            return;
        };
        // Requests are small and waited for.
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        match pass(near, far).await {
            Verdict::Pass => {}
            Verdict::Moved => {
                self.fault.put(Fault::Moved);
                tracing::warn!(camera = self.name, "it sends elsewhere, which is not followed");
            }
            Verdict::Broken => tracing::warn!(camera = self.name, "it sends what is no RTSP"),
        }
    }
}

/// Carries bytes both ways; what ended it, [`Verdict::Pass`] when one side did.
async fn pass(mut near: TcpStream, mut far: TcpStream) -> Verdict {
    let (mut near_read, mut near_write) = near.split();
    let (mut far_read, mut far_write) = far.split();
    let up = async {
        let _ = tokio::io::copy(&mut near_read, &mut far_write).await;
        Verdict::Pass
    };
    let down = async {
        let mut framing = Framing::default();
        let mut bytes = vec![0; 16 << 10];
        loop {
            let Ok(n @ 1..) = far_read.read(&mut bytes).await else { return Verdict::Pass };
            let verdict = framing.look(&bytes[..n]);
            if verdict != Verdict::Pass {
                return verdict;
            }
            if near_write.write_all(&bytes[..n]).await.is_err() {
                return Verdict::Pass;
            }
        }
    };
    tokio::select! {
        verdict = up => verdict,
        verdict = down => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HostEntry, SourceSpec};
    use crate::supervise::Phases;

    /// A camera that answers each request with `answer`, and the way to it.
    async fn camera(answer: &'static str, allowed: &[&str], group: &Group) -> (Reach, Relay) {
        let camera = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("rtsp://127.0.0.1:{}/live", camera.local_addr().unwrap().port());
        let serve = async move {
            while let Ok((mut socket, _)) = camera.accept().await {
                let mut bytes = [0; 512];
                while let Ok(1..) = socket.read(&mut bytes).await {
                    if socket.write_all(answer.as_bytes()).await.is_err() {
                        break;
                    }
                }
            }
        };
        let stop = group.stop().clone();
        group.spawn("camera", async move { stop.run_until_cancelled(serve).await });
        let allowed: Vec<HostEntry> = allowed.iter().map(|e| e.parse().unwrap()).collect();
        let reach = Reach::new(&allowed);
        let Ok(SourceSpec::Rtsp(url)) = url.parse() else { unreachable!() };
        let relay = Relay::start(reach.clone(), &url, "camera0", group).await.unwrap();
        assert_eq!(relay.url(&url).unwrap().as_str(), format!("rtsp://127.0.0.1:{}/live", relay.port));
        (reach, relay)
    }

    /// What comes back for one request, until there is something or the end.
    async fn ask(relay: &Relay) -> String {
        let mut socket = TcpStream::connect(("127.0.0.1", relay.port)).await.unwrap();
        let _ = socket.write_all(b"DESCRIBE rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\n\r\n").await;
        let mut bytes = [0; 512];
        let n = socket.read(&mut bytes).await.unwrap_or(0);
        String::from_utf8_lossy(&bytes[..n]).into_owned()
    }

    #[tokio::test]
    async fn answers_pass_and_redirects_do_not() {
        let mut phases = Phases::default();
        let group = phases.add("test");
        let fine = "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n";
        let (_, relay) = camera(fine, &["127.0.0.1"], &group).await;
        assert_eq!((ask(&relay).await.as_str(), relay.take_fault()), (fine, None));
        let away = "RTSP/1.0 301 Moved\r\nCSeq: 1\r\nLocation: rtsp://127.0.0.1:1/\r\n\r\n";
        let (_, relay) = camera(away, &["127.0.0.1"], &group).await;
        assert_eq!((ask(&relay).await.as_str(), relay.take_fault()), ("", Some(Fault::Moved)));
        assert_eq!(relay.take_fault(), None, "it is told once");
        phases.shutdown(Duration::from_secs(10)).await;
    }

    #[tokio::test]
    async fn each_connection_is_judged_anew() {
        let mut phases = Phases::default();
        let group = phases.add("test");
        let fine = "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n";
        let (reach, relay) = camera(fine, &["127.0.0.1"], &group).await;
        assert_eq!(ask(&relay).await, fine);
        reach.allow(&[]);
        assert_eq!(ask(&relay).await, "");
        phases.shutdown(Duration::from_secs(10)).await;
    }
}
