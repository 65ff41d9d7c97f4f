//! Live video over HTTP: from a request to the first playlist and the first piece of HLS, and from a
//! WebRTC player's offer to its answer. From the answer to the first picture it takes a whole WebRTC
//! player, which this program does not hold: `cargo test --release --test integration live_whep::figures
//! -- --nocapture` prints that beside P10's figure.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, LOCATION};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;

use super::cold::{ms_since, rest};
use super::figure::{Figure, Unit, percentile};
use super::subject::Subject;
use crate::base::{Error, ErrorKind, Mono, Result};
use crate::ctl::Link;

const ROUNDS: usize = 10;
const LIMIT: Duration = Duration::from_secs(30);
/// What a player that takes H.264 and has no address yet would send.
const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n\
    a=ice-ufrag:bench\r\na=ice-pwd:benchbenchbenchbenchbench\r\na=fingerprint:sha-256 \
    00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n\
    a=setup:actpass\r\na=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n";

#[derive(Deserialize)]
struct StreamUrl {
    stream_url: String,
}

/// WebRTC first: a session of HLS keeps its camera busy for 30 s.
pub async fn measure(subject: &Subject) -> Result<Vec<Figure>> {
    let mut link = subject.link().await?;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        rest(&mut link).await?;
        cold.push(answered(&mut link, subject).await?);
    }
    for _ in 0..ROUNDS {
        warm.push(answered(&mut link, subject).await?);
    }
    rest(&mut link).await?;
    let mut figures = Vec::new();
    let mut add = |name: &str, samples: &mut Vec<f64>| {
        for percent in [50.0, 95.0] {
            let figure = Figure::new(format!("{name} p{percent}"), percentile(samples, percent), Unit::Ms);
            figures.push(figure.goal(200.0, "P10"));
        }
    };
    add("WHEP: offer to answer, camera at rest", &mut cold);
    add("WHEP: offer to answer, camera live", &mut warm);

    let first = hls(&mut link, subject).await?;
    let (mut playlists, mut pieces) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (playlist, piece) = hls(&mut link, subject).await?;
        playlists.push(playlist);
        pieces.push(piece);
    }
    add("HLS: request to first playlist, others watch", &mut playlists);
    add("HLS: request to first piece of video, others watch", &mut pieces);
    // HLS as such: a first segment has to be filled before there is anything to play.
    for (what, ms) in [("playlist", first.0), ("piece of video", first.1)] {
        figures.push(
            Figure::new(format!("HLS: request to first {what}, camera at rest"), ms, Unit::Ms)
                .goal(200.0, "P10, of streams without segments")
                .bound(3000.0),
        );
    }
    Ok(figures)
}

/// One offer, milliseconds to its answer; the session is ended.
async fn answered(link: &mut Link, subject: &Subject) -> Result<f64> {
    let url = ask_url(link, "webrtc").await?;
    let mut web = Web::connect(subject).await?;
    let begun = Mono::now();
    let answer = web.send(Method::POST, &url, OFFER).await?;
    let took = ms_since(begun, Mono::now());
    expect(&answer, StatusCode::CREATED)?;
    let session = answer.location.ok_or_else(|| failed("the answer names no session"))?;
    expect(&web.send(Method::DELETE, &session, "").await?, StatusCode::OK)?;
    Ok(took)
}

/// Milliseconds to the first playlist that names video, and to the first piece of it.
async fn hls(link: &mut Link, subject: &Subject) -> Result<(f64, f64)> {
    let url = ask_url(link, "hls").await?;
    let folder = url.split("index.m3u8").next().unwrap_or_default().to_owned();
    let mut web = Web::connect(subject).await?;
    let begun = Mono::now();
    let mut text = String::new();
    let mut next = url;
    // The first playlist names those of the tracks, that of the picture first.
    for _ in 0..2 {
        let answer = web.send(Method::GET, &next, "").await?;
        expect(&answer, StatusCode::OK)?;
        text = String::from_utf8_lossy(&answer.body).into_owned();
        let name = text.lines().find(|l| !l.starts_with('#') && !l.is_empty());
        next = format!("{folder}{}", name.unwrap_or_default());
    }
    let playlist = ms_since(begun, Mono::now());
    let first = piece(&text).ok_or_else(|| failed("the playlist names no video"))?;
    let answer = web.send(Method::GET, &format!("{folder}{first}"), "").await?;
    expect(&answer, StatusCode::OK)?;
    Ok((playlist, ms_since(begun, Mono::now())))
}

/// The first piece of video that a player could start with.
fn piece(playlist: &str) -> Option<&str> {
    let mut parts =
        playlist.lines().filter(|l| l.starts_with("#EXT-X-PART:") && l.contains("INDEPENDENT=YES"));
    parts.find_map(|l| l.split("URI=\"").nth(1)?.split('"').next())
}

async fn ask_url(link: &mut Link, protocol: &str) -> Result<String> {
    let ask = json!({ "device": "camera0", "protocol": protocol });
    let url: StreamUrl = link.ask("get_stream_url", ask).await?;
    let parsed = url::Url::parse(&url.stream_url).map_err(|_| failed("the URL cannot be used"))?;
    Ok(parsed[url::Position::BeforePath..].to_owned())
}

struct Answer {
    status: StatusCode,
    location: Option<String>,
    body: Bytes,
}

/// One connection that is kept, as a browser keeps it.
struct Web {
    sender: SendRequest<Full<Bytes>>,
    serve: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
    host: String,
}

impl Web {
    async fn connect(subject: &Subject) -> Result<Web> {
        let host = subject.host().to_string();
        let stream = TcpStream::connect(&host).await.map_err(|e| failed(&e.to_string()))?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|e| failed(&e.to_string()))?;
        let serve = Box::pin(async {
            let _ = connection.await;
        });
        Ok(Web { sender, serve, host })
    }

    async fn send(&mut self, method: Method, target: &str, body: &'static str) -> Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/sdp")
            .body(Full::new(Bytes::from_static(body.as_bytes())))
            .map_err(Error::internal)?;
        let ask = async {
            let broken = |e: hyper::Error| failed(&e.to_string());
            let response = self.sender.send_request(request).await.map_err(broken)?;
            let location = response.headers().get(LOCATION).and_then(|l| l.to_str().ok()).map(str::to_owned);
            let status = response.status();
            let body = response.into_body().collect().await.map_err(broken)?.to_bytes();
            Ok(Answer { status, location, body })
        };
        tokio::select! {
            done = tokio::time::timeout(LIMIT, ask) => done.map_err(|_| failed("no answer within 30 s"))?,
            () = &mut self.serve => Err(failed("the box closed the connection")),
        }
    }
}

fn expect(answer: &Answer, wanted: StatusCode) -> Result<()> {
    if answer.status == wanted {
        return Ok(());
    }
    Err(failed(&format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body).trim())))
}

fn failed(why: &str) -> Error {
    Error::new(ErrorKind::DependencyFailed, "Live video cannot be measured").with("detail", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_player_starts_with_an_independent_part() {
        let text = "#EXTM3U\n#EXT-X-PART:DURATION=0.2,URI=\"a.mp4\"\n\
                    #EXT-X-PART:DURATION=0.2,URI=\"b.mp4?x=1\",INDEPENDENT=YES\n";
        assert_eq!(piece(text), Some("b.mp4?x=1"));
        assert_eq!(piece("#EXTM3U\n"), None);
    }

    proptest! {
        #[test]
        fn no_playlist_panics(text in ".{0,200}") {
            let _ = piece(&text);
        }
    }
}
