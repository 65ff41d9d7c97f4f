//! One question to a device's web service: HTTP with XML in it, bounded in time and bytes.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use crate::base::Result;
use crate::reach::Reach;

/// A reply; longer ones are cut.
const REPLY_MAX: usize = 64 << 10;
/// From the connect to the end of the reply.
const REQUEST: Duration = Duration::from_secs(3);

/// Asks `service`; nothing when it does not answer, or not with a document.
///
/// Fails when its host may not be connected to.
pub(super) async fn call(reach: &Reach, service: &Url, body: &str) -> Result<Option<String>> {
    let (host, port) = (service.host_str().unwrap_or_default(), service.port().unwrap_or(80));
    let judged = reach.resolve(host, port).await?;
    let envelope = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><s:Envelope \
         xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body>{body}</s:Body></s:Envelope>"
    );
    let request = format!(
        "POST {} HTTP/1.0\r\nHost: {host}:{port}\r\nContent-Type: application/soap+xml; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{envelope}",
        &service[url::Position::BeforePath..url::Position::AfterQuery],
        envelope.len()
    );
    let exchange = async {
        let mut socket = TcpStream::connect(judged.as_slice()).await.ok()?;
        socket.write_all(request.as_bytes()).await.ok()?;
        let mut bytes = Vec::new();
        // Some keep the connection open whatever they were asked for.
        while bytes.len() < REPLY_MAX && !is_whole(&bytes) {
            let left = (REPLY_MAX - bytes.len()) as u64;
            if (&mut socket).take(left).read_buf(&mut bytes).await.ok()? == 0 {
                break;
            }
        }
        document(&bytes)
    };
    Ok(timeout(REQUEST, exchange).await.ok().flatten())
}

/// Whether everything is there that the head of a reply announces.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    length.is_some_and(|length| bytes.len() - (end + 4) >= length)
}

/// The document in a reply that says 200. A redirect is none. Pieces of a chunked one are left in: their
/// lengths stand between elements in all but the longest.
fn document(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.lines().next()?.split(' ').nth(1)?;
    let from = body.find('<')?;
    (status == "200").then(|| body[from..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reply_ends_where_it_says() {
        let whole = "HTTP/1.1 200 OK\r\nContent-length: 4\r\n\r\n<a/>";
        for cut in 0..whole.len() {
            assert!(!is_whole(&whole.as_bytes()[..cut]), "{cut}");
        }
        assert!(is_whole(whole.as_bytes()));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\n\r\n<a/>"), "only its end tells");
    }

    #[test]
    fn replies_that_are_none() {
        assert_eq!(document(b"HTTP/1.1 200 OK\r\n\r\n1f\r\n<a/>").as_deref(), Some("<a/>"));
        for bad in
            ["HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n<a/>", "", "\r\n\r\n", "x y\r\n\r\n<"]
        {
            assert_eq!(document(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_reply_is_read_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            text in "(HTTP/1.[01] [0-9]{1,3} [a-z]{0,3}\r\n)?([Cc]ontent-[Ll]ength: ?-?[0-9]{0,24}\r\n){0,2}(\r\n)?.{0,40}",
        ) {
            for bytes in [&bytes[..], text.as_bytes()] {
                let _ = (is_whole(bytes), document(bytes));
            }
        }
    }
}
