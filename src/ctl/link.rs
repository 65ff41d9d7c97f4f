//! One JSON-RPC connection to a box.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::dial::{Dialled, Trust, Wire, dial};
use super::failure;
use super::host::Host;
use crate::base::{Error, ErrorKind, Result, Secret};
use crate::tls::Fingerprint;

pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// A camera that has to be started first may take several seconds for its first picture.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Bytes of an answer: several times what a thousand recordings take.
const MOST_OF_A_BOX: usize = 16 << 20;
const MOST_OF_A_STRANGER: usize = 64 << 10;

/// A TCP connection to a box, within ten seconds.
pub async fn connect(host: &Host) -> Result<TcpStream> {
    let late = || failure::unreachable(host, &io::Error::from(io::ErrorKind::TimedOut));
    let connecting = TcpStream::connect((host.name(), host.port()));
    let stream = timeout(CONNECT_LIMIT, connecting).await.map_err(|_| late())?;
    let stream = stream.map_err(|e| failure::unreachable(host, &e))?;
    // Only the speed depends on it.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// A connection; logged in after [`Link::log_in`].
pub struct Link {
    socket: WebSocketStream<Wire>,
    host: Host,
    fingerprint: Option<Fingerprint>,
    token: Option<Secret>,
    session: Option<Value>,
    next_id: u64,
    broken: bool,
    /// What the box said when it closed the connection.
    closed: Option<CloseCode>,
    /// Those that came while an answer was waited for.
    notes: VecDeque<Note>,
}

/// A notification of the box.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Note {
    /// Its method.
    pub method: String,
    /// What it says.
    #[serde(default)]
    pub params: Value,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    id: Value,
    result: Option<Box<RawValue>>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Map<String, Value>,
}

impl Link {
    /// Connects, not logged in.
    pub async fn open(host: &Host) -> Result<Link> {
        Self::open_as(host, Trust::Pinned).await
    }

    /// As [`Link::open`], with the box known in another way than by its certificate.
    pub(super) async fn open_as(host: &Host, trust: Trust) -> Result<Link> {
        let Dialled { wire, host, fingerprint } = dial(host, trust).await?;
        let host = &host;
        // Whoever is asked unproven says little.
        let most = if trust == Trust::Nobody { MOST_OF_A_STRANGER } else { MOST_OF_A_BOX };
        let talk = WebSocketConfig::default().max_message_size(Some(most)).max_frame_size(Some(most));
        let hello = client_async_with_config(format!("ws://{}/ws", host.authority()), wire, Some(talk));
        let hello = timeout(CONNECT_LIMIT, hello).await;
        let hello = hello.map_err(|_| failure::cut_off(host, "no answer to the WebSocket handshake"))?;
        let (socket, _) = hello.map_err(|e| match e {
            WsError::Http(answer) => failure::http_status(host, answer.status().as_u16()),
            other => Error::new(ErrorKind::DependencyFailed, format!("{host} does not speak WebSocket"))
                .with("detail", other.to_string())
                .with("suggestion", "is this a Fieldcam box, and is this its API port?"),
        })?;
        Ok(Link {
            socket,
            host: host.clone(),
            fingerprint,
            token: None,
            session: None,
            next_id: 0,
            broken: false,
            closed: None,
            notes: VecDeque::new(),
        })
    }

    /// Logs in, and again by itself after [`Link::reopen`].
    pub async fn log_in(&mut self, token: Secret) -> Result<()> {
        let answer = self.call("authenticate", Some(json!({ "auth_token": token.expose() }))).await?;
        self.session = serde_json::from_str(answer.get()).ok();
        self.token = Some(token);
        Ok(())
    }

    /// Connects anew after the old connection has ended.
    pub async fn reopen(&mut self) -> Result<()> {
        let mut fresh = Link::open(&self.host).await?;
        if let Some(token) = self.token.clone() {
            fresh.log_in(token).await?;
        }
        *self = fresh;
        Ok(())
    }

    /// A new connection to the same box by another address, logged in as this one is. With TLS it has to show the
    /// same certificate, which is remembered for that address.
    pub(super) async fn elsewhere(&self, host: &Host) -> Result<Link> {
        let host = self.fingerprint.into_iter().fold(host.clone(), Host::with_fingerprint);
        let mut link = Link::open(&host).await?;
        if let Some(token) = self.token.clone() {
            link.log_in(token).await?;
        }
        Ok(link)
    }

    /// The box at the other end.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The certificate that it showed; none without TLS.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// The token that it is logged in with.
    pub(super) fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// Until when the log-in is valid, in the box's words.
    pub fn expires_at(&self) -> Option<&str> {
        self.session.as_ref()?.get("expires_at")?.as_str()
    }

    /// Calls a method; the result exactly as the box wrote it.
    pub async fn call(&mut self, method: &str, params: Option<Value>) -> Result<Box<RawValue>> {
        self.next_id += 1;
        let id = self.next_id;
        let mut request = json!({ "jsonrpc": "2.0", "id": id, "method": method });
        if let Some(params) = params {
            request["params"] = params;
        }
        // True while it is not known to work: a call given up half way leaves it so.
        self.broken = true;
        let sent = self.socket.send(Message::text(request.to_string())).await;
        sent.map_err(|e| failure::cut_off(&self.host, &e.to_string()))?;
        let reply = match timeout(ANSWER_LIMIT, self.answer(id)).await {
            Ok(reply) => reply?,
            Err(_) => {
                let what = format!("no answer to {method} in {} s", ANSWER_LIMIT.as_secs());
                return Err(failure::cut_off(&self.host, &what));
            }
        };
        self.broken = false;
        match (reply.result, reply.error) {
            (_, Some(e)) => Err(failure::from_reply(e.code, &e.message, e.data)),
            (Some(result), None) => Ok(result),
            (None, None) => Ok(RawValue::NULL.to_owned()),
        }
    }

    /// Whether the connection has failed (a refusal of the box is no such failure).
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether the box ended the connection because it stops.
    pub(super) fn is_stopped(&self) -> bool {
        self.closed == Some(CloseCode::Away)
    }

    /// Calls a method and reads its result as `T`.
    pub async fn ask<T: for<'de> Deserialize<'de>>(&mut self, method: &str, params: Value) -> Result<T> {
        let params = if params.is_null() { None } else { Some(params) };
        read(&self.call(method, params).await?)
    }

    async fn answer(&mut self, id: u64) -> Result<Reply> {
        loop {
            let text = self.text().await?;
            let reply: Reply = serde_json::from_str(&text).map_err(|e| {
                failure::cut_off(&self.host, &format!("it sent something that is not JSON-RPC ({e})"))
            })?;
            // Anything else is a notification, or an answer that we no longer wait for.
            if reply.id == json!(id) {
                return Ok(reply);
            }
            self.notes.extend(serde_json::from_str::<Note>(&text).ok());
        }
    }

    /// The next notification, however long it takes.
    pub async fn note(&mut self) -> Result<Note> {
        loop {
            if let Some(note) = self.notes.pop_front() {
                return Ok(note);
            }
            let text = self.text().await?;
            self.notes.extend(serde_json::from_str::<Note>(&text).ok());
        }
    }

    async fn text(&mut self) -> Result<Utf8Bytes> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(frame))) => {
                    self.closed = frame.as_ref().map(|f| f.code);
                    let why = frame.map(|f| f.to_string()).unwrap_or_else(|| "closed by the box".into());
                    return Err(failure::cut_off(&self.host, &why));
                }
                Some(Ok(_)) => {}
                Some(Err(e)) => return Err(failure::cut_off(&self.host, &e.to_string())),
                None => return Err(failure::cut_off(&self.host, "closed by the box")),
            }
        }
    }
}

/// A result as `T`.
pub fn read<T: for<'de> Deserialize<'de>>(raw: &RawValue) -> Result<T> {
    serde_json::from_str(raw.get()).map_err(|e| {
        Error::new(ErrorKind::DependencyFailed, "The box answered in an unknown form")
            .with("detail", e.to_string())
            .with("suggestion", "is this tool of the same version as the box?")
    })
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;

    use super::*;

    #[tokio::test]
    async fn a_box_that_stops_is_told_from_one_that_hangs_up() {
        for (code, stopped) in [(CloseCode::Away, true), (CloseCode::Policy, false)] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let host: Host = listener.local_addr().unwrap().to_string().parse().unwrap();
            let the_box = async {
                let (stream, _) = listener.accept().await.unwrap();
                let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                socket.next().await.unwrap().unwrap();
                socket.close(Some(CloseFrame { code, reason: "any words".into() })).await.unwrap();
            };
            let laptop = async {
                let mut link = Link::open(&host).await.unwrap();
                assert!(!link.is_stopped());
                assert!(link.call("reboot", None).await.is_err());
                assert_eq!(link.is_stopped(), stopped, "{code}");
            };
            tokio::join!(the_box, laptop);
        }
    }
}
