//! A small HTTP client: one request a connection, every header visible.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::PATIENCE;
use super::tls::Line;

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// A header's value; names are case-insensitive.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.text()))
    }
}

/// `GET` of an absolute `http://` URL.
#[track_caller]
pub fn get(url: &str, headers: &[(&str, &str)]) -> Response {
    request("GET", url, headers)
}

/// Any method; the path is sent as it stands in the URL, dots and all.
#[track_caller]
pub fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> Response {
    send(method, url, headers, b"")
}

/// As [`request`], with a body.
#[track_caller]
pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("not an http URL: {url}"));
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("host")) {
        text.push_str(&format!("Host: {host}\r\n"));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    exchange(host, &[text.as_bytes(), body].concat())
}

/// Asks for a URL and takes no more than the first bytes of the answer.
#[track_caller]
pub fn open(url: &str) -> TcpStream {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("not an http URL: {url}"));
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let mut stream = TcpStream::connect(host).unwrap_or_else(|e| panic!("{host}: {e}"));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Left to itself the kernel may take tens of MB that nobody reads.
    socket2::SockRef::from(&stream).set_recv_buffer_size(64 << 10).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    stream
}

/// The rest of the answer that [`open`] began, to the end that it announces.
#[track_caller]
pub fn rest(mut stream: TcpStream) -> Response {
    let mut answer = b"HTTP/1.1 200".to_vec();
    let mut piece = vec![0; 64 << 10];
    let length = |answer: &[u8]| -> Option<usize> {
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        let line = head.lines().find_map(|l| l.strip_prefix("content-length:"))?;
        Some(end + line.trim().parse::<usize>().ok()?)
    };
    let mut wanted = None;
    while wanted.is_none_or(|wanted| answer.len() < wanted) {
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0, "the answer ended after {} bytes of {wanted:?}", answer.len());
        answer.extend(&piece[..n]);
        wanted = wanted.or_else(|| length(&answer));
    }
    parse(&answer)
}

/// Sends bytes and reads the answer until the server closes.
#[track_caller]
pub fn exchange(address: &str, bytes: &[u8]) -> Response {
    exchange_over(Line::plain(address).unwrap_or_else(|e| panic!("{address}: {e}")), bytes)
}

/// As [`exchange`], over a connection that is there already.
#[track_caller]
pub fn exchange_over(mut line: Line, bytes: &[u8]) -> Response {
    line.write_all(bytes).unwrap();
    line.flush().unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is the server's way to refuse the rest of a bad request.
    if let Err(e) = line.read_to_end(&mut answer) {
        assert!(!answer.is_empty(), "{e}");
    }
    parse(&answer)
}

#[track_caller]
fn parse(answer: &[u8]) -> Response {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no HTTP answer: {:?}", String::from_utf8_lossy(answer)));
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|l| l.split(' ').nth(1)?.parse().ok()).unwrap();
    let headers: Vec<_> = lines
        .filter_map(|l| l.split_once(':'))
        .map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned()))
        .collect();
    let mut response = Response { status, headers, body: answer[end + 4..].to_vec() };
    if response.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        response.body = unchunk(&response.body);
    }
    response
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line_end = bytes.windows(2).position(|w| w == b"\r\n").expect("a chunk has a size line");
        let size = std::str::from_utf8(&bytes[..line_end]).unwrap();
        let size = usize::from_str_radix(size.split(';').next().unwrap().trim(), 16).unwrap();
        bytes = &bytes[line_end + 2..];
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&bytes[..size]);
        bytes = &bytes[size + 2..];
    }
}
