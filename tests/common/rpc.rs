//! A JSON-RPC client over WebSocket that can also misbehave.

use std::collections::VecDeque;
use std::fmt;
use std::io::{ErrorKind, Write};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{
    Error as WsError, Message, WebSocket, client::IntoClientRequest, client::client_with_config, http,
};

use super::PATIENCE;
use super::document::document;
use super::tls::Line;

/// An error reply.
#[derive(Clone, Debug, PartialEq)]
pub struct RpcError {
    pub code: i64,
    pub message: String,
    pub data: Value,
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.code, self.message, self.data)
    }
}

/// What came in.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// A text message.
    Text(String),
    /// The server's close frame, with its code.
    Closed(Option<u16>),
    /// The connection ended without one.
    Gone,
    /// Nothing within the time given.
    Nothing,
}

/// One connection.
pub struct Client {
    ws: WebSocket<Line>,
    next: u64,
    notifications: VecDeque<Value>,
}

impl Client {
    /// Connects to `ws://HOST:PORT/ws`, not logged in.
    #[track_caller]
    pub fn connect(url: &str) -> Client {
        Client::try_connect(url, &[]).unwrap_or_else(|e| panic!("cannot connect to {url}: {e}"))
    }

    /// Connects with extra or replaced headers of the handshake. `Err` carries the HTTP status, 0 without one.
    pub fn try_connect(url: &str, headers: &[(&str, &str)]) -> Result<Client, u16> {
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let address = request.uri().authority().unwrap().to_string();
        let line = Line::plain(&address).map_err(|_| 0u16)?;
        Client::over(line, request)
    }

    /// Connects with so little room that the kernel takes next to nothing which the test does not read.
    #[track_caller]
    pub fn narrow(url: &str) -> Client {
        let request = url.into_client_request().unwrap();
        let address: std::net::SocketAddr = request.uri().authority().unwrap().as_str().parse().unwrap();
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        let line = Line::Plain(socket.into());
        line.tcp().set_nodelay(true).unwrap();
        Client::over(line, request).unwrap_or_else(|e| panic!("cannot connect to {url}: {e}"))
    }

    /// Opens the socket over a connection that is there already.
    pub fn over(line: Line, request: http::Request<()>) -> Result<Client, u16> {
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        match client_with_config(request, line, Some(config)) {
            Ok((ws, _)) => Ok(Client { ws, next: 0, notifications: VecDeque::new() }),
            Err(tokio_tungstenite::tungstenite::HandshakeError::Failure(WsError::Http(r))) => {
                Err(r.status().as_u16())
            }
            Err(_) => Err(0),
        }
    }

    /// Logs in; answers with `authenticate`'s result.
    #[track_caller]
    pub fn authenticate(&mut self, token: &str) -> Value {
        self.ok("authenticate", json!({ "auth_token": token }))
    }

    /// Calls a method; `Value::Null` as `params` sends none.
    #[track_caller]
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value, RpcError> {
        self.next += 1;
        let id = self.next;
        let mut request = json!({ "jsonrpc": "2.0", "id": id, "method": method });
        if !params.is_null() {
            request["params"] = params;
        }
        self.send(&request.to_string());
        loop {
            let reply = self.reply();
            if reply["id"] == id {
                // Whatever a test is about, the box keeps to the API document.
                if let Some(fault) = document().fault_in_reply(Some(method), &reply) {
                    panic!("{method} was answered {reply}, but {fault}");
                }
                return outcome(reply);
            }
            assert!(reply.get("id").is_none(), "an answer to nothing we asked: {reply}");
        }
    }

    /// Calls a method that must succeed.
    #[track_caller]
    pub fn ok(&mut self, method: &str, params: Value) -> Value {
        let shown = params.to_string();
        self.call(method, params).unwrap_or_else(|e| panic!("{method} {shown} was refused: {e}"))
    }

    /// Calls a method that must be refused.
    #[track_caller]
    pub fn refused(&mut self, method: &str, params: Value) -> RpcError {
        let shown = params.to_string();
        match self.call(method, params) {
            Ok(v) => panic!("{method} {shown} was not refused: {v}"),
            Err(e) => e,
        }
    }

    /// Sends a text message as it is.
    #[track_caller]
    pub fn send(&mut self, text: &str) {
        self.ws.send(Message::text(text)).unwrap();
    }

    /// Sends any message; an error (the server hung up) is the caller's to judge.
    pub fn try_send(&mut self, message: Message) -> bool {
        self.ws.send(message).is_ok()
    }

    /// Sends one finished frame with bytes that a well-behaved client would not send.
    #[track_caller]
    pub fn send_frame(&mut self, opcode: u8, payload: &[u8]) {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            n if n < 126 => frame.push(0x80 | n as u8),
            n if n < 65536 => {
                frame.push(0x80 | 126);
                frame.extend((n as u16).to_be_bytes());
            }
            n => {
                frame.push(0x80 | 127);
                frame.extend((n as u64).to_be_bytes());
            }
        }
        // A mask of zeros leaves the payload as it is.
        frame.extend([0; 4]);
        frame.extend(payload);
        self.send_bytes(&frame).unwrap();
    }

    /// Writes bytes past the WebSocket layer.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.ws.get_mut().write_all(bytes)
    }

    /// The next message, within `limit`.
    pub fn receive(&mut self, limit: Duration) -> Received {
        self.ws.get_ref().tcp().set_read_timeout(Some(limit)).unwrap();
        loop {
            match self.ws.read() {
                Ok(Message::Text(text)) => return Received::Text(text.to_string()),
                Ok(Message::Binary(_)) => panic!("the server sent a binary message"),
                Ok(Message::Close(frame)) => return Received::Closed(frame.map(|f| f.code.into())),
                Ok(_) => {}
                Err(WsError::Io(e)) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Received::Nothing;
                }
                Err(_) => return Received::Gone,
            }
        }
    }

    /// Reads until the server's goodbye, whose code and reason it answers with; what comes before is kept.
    #[track_caller]
    pub fn goodbye(&mut self) -> (u16, String) {
        self.ws.get_ref().tcp().set_read_timeout(Some(PATIENCE)).unwrap();
        loop {
            match self.ws.read() {
                Ok(Message::Text(text)) => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    judge(&value);
                    self.notifications.push_back(value);
                }
                Ok(Message::Close(Some(frame))) => return (frame.code.into(), frame.reason.to_string()),
                Ok(Message::Close(None)) => panic!("a goodbye without a word"),
                Ok(_) => {}
                Err(e) => panic!("the connection ended without a goodbye: {e}"),
            }
        }
    }

    /// Notifications that came in and that nobody asked for yet.
    pub fn heard(&mut self) -> Vec<Value> {
        self.notifications.drain(..).collect()
    }

    /// The next text message as it is.
    #[track_caller]
    pub fn text(&mut self) -> String {
        match self.receive(PATIENCE) {
            Received::Text(text) => text,
            other => panic!("expected an answer, got {other:?}"),
        }
    }

    /// The next reply; notifications on the way are kept.
    #[track_caller]
    pub fn reply(&mut self) -> Value {
        loop {
            let text = self.text();
            let value: Value =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}"));
            assert_eq!(value["jsonrpc"], "2.0", "{text}");
            if value.get("method").is_some() {
                judge(&value);
                self.notifications.push_back(value);
            } else {
                if value.get("error").is_some()
                    && let Some(fault) = document().fault_in_reply(None, &value)
                {
                    panic!("answered {value}, but {fault}");
                }
                return value;
            }
        }
    }

    /// The next notification for which `wanted` holds; others are thrown away.
    #[track_caller]
    pub fn notification(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        loop {
            while let Some(note) = self.notifications.pop_front() {
                if wanted(&note) {
                    return note;
                }
            }
            let text = self.text();
            let value: Value = serde_json::from_str(&text).unwrap();
            assert!(value.get("method").is_some(), "not a notification: {text}");
            judge(&value);
            self.notifications.push_back(value);
        }
    }

    /// Whether the connection still answers.
    #[track_caller]
    pub fn assert_alive(&mut self) {
        assert_eq!(self.ok("ping", Value::Null), "pong");
    }
}

/// Holds a notification against the API document.
#[track_caller]
fn judge(note: &Value) {
    if let Some(fault) = document().fault_in_notification(note) {
        panic!("heard {note}, but {fault}");
    }
}

/// Splits a reply into its result or its error, which must be exactly one of both.
#[track_caller]
pub fn outcome(mut reply: Value) -> Result<Value, RpcError> {
    let members = (reply.get("result").is_some(), reply.get("error").is_some());
    match members {
        (true, false) => Ok(reply["result"].take()),
        (false, true) => {
            let error = reply["error"].take();
            Err(RpcError {
                code: error["code"].as_i64().unwrap_or_else(|| panic!("no code: {error}")),
                message: error["message"]
                    .as_str()
                    .unwrap_or_else(|| panic!("no message: {error}"))
                    .to_owned(),
                data: error["data"].clone(),
            })
        }
        _ => panic!("neither result nor error, or both: {reply}"),
    }
}
