//! One RTSP server asked for the streams it may have. Bounded in time, bytes and sockets (one).

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::{self, Answer, BODY_MAX, HEAD_MAX, Read};

/// A host on the same network answers a connect in milliseconds; a drone's radio in some hundred.
const CONNECT: Duration = Duration::from_secs(1);
/// For one answer; cheap cameras start their encoder before they describe it.
const ANSWER: Duration = Duration::from_secs(3);
/// Everything with one server.
const ALL: Duration = Duration::from_secs(8);

/// What one path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A stream with video of this codec (empty: not told), from a server that calls itself so.
    Stream { codec: String, server: String },
    /// It asks for a log-in of this kind.
    Login(String),
    /// It sends elsewhere, which is not followed.
    Moved,
    /// There is none.
    Nothing,
}

/// Asks `address` for `paths` (each with a slash at its front); `host` is how the URL names it. Nothing when
/// no RTSP server answers. A server that stops answering has said what it has said.
pub(super) async fn ask(address: SocketAddr, host: &str, paths: &[&str]) -> Option<Vec<(String, Said)>> {
    let mut said = Vec::new();
    let talk = async {
        let mut line = Line::open(address).await?;
        let base = format!("rtsp://{host}:{}", address.port());
        line.request("OPTIONS", &format!("{base}/")).await?;
        said.push(None);
        for path in paths {
            let url = format!("{base}{path}");
            let answer = match line.request("DESCRIBE", &url).await {
                Some(answer) => answer,
                // Some hang up after each refusal.
                None => {
                    line = Line::open(address).await?;
                    line.request("DESCRIBE", &url).await?
                }
            };
            said.push(Some(((*path).to_owned(), judge(&answer))));
        }
        Some(())
    };
    let _ = timeout(ALL, talk).await;
    (!said.is_empty()).then(|| said.into_iter().flatten().collect())
}

fn judge(answer: &Answer) -> Said {
    match answer.status {
        200 => match answer::video_codec(&answer.body) {
            Some(codec) => Said::Stream { codec, server: answer.server.clone().unwrap_or_default() },
            None => Said::Nothing,
        },
        401 => Said::Login(answer.login.clone().unwrap_or_default()),
        300..=399 => Said::Moved,
        _ => Said::Nothing,
    }
}

/// One connection.
struct Line {
    socket: TcpStream,
    sequence: u32,
    bytes: Vec<u8>,
}

impl Line {
    async fn open(address: SocketAddr) -> Option<Self> {
        let socket = timeout(CONNECT, TcpStream::connect(address)).await.ok()?.ok()?;
        Some(Self { socket, sequence: 0, bytes: Vec::new() })
    }

    async fn request(&mut self, method: &str, url: &str) -> Option<Answer> {
        self.sequence += 1;
        let text = format!(
            "{method} {url} RTSP/1.0\r\nCSeq: {}\r\nUser-Agent: fieldcam\r\nAccept: application/sdp\r\n\r\n",
            self.sequence
        );
        timeout(ANSWER, self.exchange(&text)).await.ok().flatten()
    }

    async fn exchange(&mut self, text: &str) -> Option<Answer> {
        self.socket.write_all(text.as_bytes()).await.ok()?;
        let mut piece = [0; 2048];
        loop {
            match answer::read(&self.bytes) {
                Read::Whole(answer, taken) => {
                    self.bytes.drain(..taken);
                    return Some(answer);
                }
                Read::Bad => return None,
                Read::More if self.bytes.len() > HEAD_MAX + BODY_MAX => return None,
                Read::More => {}
            }
            let n = self.socket.read(&mut piece).await.ok().filter(|n| *n > 0)?;
            self.bytes.extend_from_slice(&piece[..n]);
        }
    }
}
