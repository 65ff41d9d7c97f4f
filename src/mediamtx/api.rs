//! The control API over one kept-alive loopback connection for each use, every call with a time-out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::doors::API_USER;
use super::reply;
use crate::base::Secret;
use crate::supervise::Group;

/// Largest answer read; a list page of 1000 paths has about 1 MB.
const MAX_ANSWER: usize = 16 << 20;
/// MediaMTX's own default would be 100.
const PAGE: u64 = 1000;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// MediaMTX understood and refused (its status and words).
    Refused(u16, String),
    /// No answer, or none that can be read.
    Down(String),
}

impl Fault {
    fn down(e: impl std::fmt::Display) -> Self {
        Fault::Down(e.to_string())
    }
}

/// Where the API is and what opens it; shared by every client.
#[derive(Debug)]
pub(super) struct Door {
    pub address: std::net::SocketAddr,
    key: Mutex<String>,
}

impl Door {
    pub(super) fn new(address: std::net::SocketAddr) -> Arc<Self> {
        Arc::new(Self { address, key: Mutex::default() })
    }

    /// The credential of the next start.
    pub(super) fn set_key(&self, password: &Secret) {
        let text = format!("{API_USER}:{}", password.expose());
        let header = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text));
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = header;
    }

    fn key(&self) -> String {
        self.key.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A client with a connection of its own; its calls run one after the other.
pub(super) struct Api {
    door: Arc<Door>,
    group: Group,
    connection: tokio::sync::Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Api {
    pub(super) fn new(door: Arc<Door>, group: Group) -> Self {
        Self { door, group, connection: tokio::sync::Mutex::new(None) }
    }

    pub(super) async fn info(&self, limit: Duration) -> Result<reply::Info, Fault> {
        Ok(reply::info(&self.call(Method::GET, "/v3/info", None, limit).await?))
    }

    /// Makes the path as `body` says. MediaMTX answers before it has done so.
    pub(super) async fn replace_path(&self, name: &str, body: &Value, limit: Duration) -> Result<(), Fault> {
        let path = format!("/v3/config/paths/replace/{name}");
        self.call(Method::POST, &path, Some(body), limit).await.map(drop)
    }

    /// Removes the path; one that is not there is fine.
    pub(super) async fn delete_path(&self, name: &str, limit: Duration) -> Result<(), Fault> {
        match self.call(Method::DELETE, &format!("/v3/config/paths/delete/{name}"), None, limit).await {
            Ok(_) | Err(Fault::Refused(404, _)) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// One live path.
    pub(super) async fn path(&self, name: &str, limit: Duration) -> Result<Option<reply::PathState>, Fault> {
        match self.call(Method::GET, &format!("/v3/paths/get/{name}"), None, limit).await {
            Ok(v) => Ok(Some(reply::path_state(&v))),
            Err(Fault::Refused(404, _)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Every page of a list, each handed to `take`.
    pub(super) async fn list(
        &self,
        what: &str,
        limit: Duration,
        mut take: impl FnMut(&Value),
    ) -> Result<(), Fault> {
        let mut page = 0;
        loop {
            let path = format!("/v3/{what}/list?itemsPerPage={PAGE}&page={page}");
            let answer = self.call(Method::GET, &path, None, limit).await?;
            take(&answer);
            page += 1;
            if page >= reply::page_count(&answer).min(100) {
                return Ok(());
            }
        }
    }

    /// Ends a session; one that is gone is fine.
    pub(super) async fn kick(&self, kind: &str, id: &str, limit: Duration) -> Result<(), Fault> {
        match self.call(Method::POST, &format!("/v3/{kind}/kick/{id}"), None, limit).await {
            Ok(_) | Err(Fault::Refused(404, _)) => Ok(()),
            Err(e) => Err(e),
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Value, Fault> {
        let body = body.map(|b| Bytes::from(b.to_string())).unwrap_or_default();
        tokio::time::timeout(limit, self.exchange(method, path, body))
            .await
            .unwrap_or_else(|_| Err(Fault::Down(format!("no answer within {limit:?}"))))
    }

    /// One request. The connection is taken out first and put back only after a whole answer, so a
    /// call that was given up leaves none half-used. A kept connection MediaMTX has closed meanwhile
    /// (it does after 30 idle seconds) costs one more try; every call of ours may be made twice.
    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Value, Fault> {
        let mut slot = self.connection.lock().await;
        if let Some(mut kept) = slot.take()
            && let Ok((answer, kept)) =
                self.send(&mut kept, &method, path, body.clone()).await.map(|a| (a, kept))
        {
            *slot = Some(kept);
            return answer;
        }
        let mut fresh = self.connect().await?;
        let answer = self.send(&mut fresh, &method, path, body).await.map_err(Fault::down)?;
        *slot = Some(fresh);
        answer
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Fault> {
        let stream = TcpStream::connect(self.door.address).await.map_err(Fault::down)?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(Fault::down)?;
        let stop = self.group.stop().clone();
        self.group.spawn("mediamtx api connection", async move {
            tokio::select! {
                // Ends too when the sender is dropped.
                _ = connection => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(sender)
    }

    /// The outer error is the connection's, the inner one MediaMTX's.
    async fn send(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<Result<Value, Fault>, String> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.door.address.to_string())
            .header(AUTHORIZATION, self.door.key())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|e| e.to_string())?;
        sender.ready().await.map_err(|e| e.to_string())?;
        let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
        let status = response.status();
        let bytes = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|e| e.to_string())?
            .to_bytes();
        Ok(read(status, &bytes))
    }
}

fn read(status: StatusCode, bytes: &[u8]) -> Result<Value, Fault> {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    if status.is_success() {
        return Ok(value);
    }
    let words = value["error"].as_str().unwrap_or_default();
    match status.as_u16() {
        // One that is just ending says "terminated" with either; 401 is the answer of one that was
        // started with another credential.
        400 | 404 if words != "terminated" => Err(Fault::Refused(status.as_u16(), words.to_owned())),
        code => Err(Fault::Down(format!("status {code} {words}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_a_judgement_is_a_refusal() {
        let answer = |code, body: &str| read(StatusCode::from_u16(code).unwrap(), body.as_bytes());
        assert_eq!(answer(200, r#"{"status":"ok"}"#).unwrap()["status"], "ok");
        assert!(matches!(answer(400, r#"{"error":"invalid source"}"#), Err(Fault::Refused(400, _))));
        assert!(matches!(answer(404, ""), Err(Fault::Refused(404, _))));
        for (code, body) in [(400, r#"{"error":"terminated"}"#), (500, "{}"), (401, "no JSON")] {
            assert!(matches!(answer(code, body), Err(Fault::Down(_))), "{code}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(code in 100u16..600, bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(StatusCode::from_u16(code).unwrap(), &bytes);
        }
    }
}
