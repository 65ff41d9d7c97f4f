//! The smallest RTSP client that can tell when the first keyframe arrives. Pure parts: reading
//! answers, interleaved packets, and what an RTP packet of H.264 carries.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::base::{Error, ErrorKind, Mono, Result};

/// One session over TCP, media interleaved.
pub struct Player {
    stream: TcpStream,
    input: Vec<u8>,
    url: String,
    authorization: String,
    session: Option<String>,
    number: u32,
    control: String,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Player {
    /// Connects and describes: answered as soon as the path is online, which this request brings about.
    pub async fn describe(link: &str) -> Result<Player> {
        let bad = || failed("the stream's URL cannot be used");
        let mut url = Url::parse(link).map_err(|_| bad())?;
        let plain = |text: &str| percent_decoded(text);
        let login = format!("{}:{}", plain(url.username()), plain(url.password().unwrap_or_default()));
        let (host, port) = (url.host_str().ok_or_else(bad)?.to_owned(), url.port().unwrap_or(554));
        url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| bad())?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, port)).await.map_err(|e| failed(&e.to_string()))?;
        let _ = stream.set_nodelay(true);
        let mut player = Player {
            stream,
            input: Vec::new(),
            url: url.to_string(),
            authorization: format!("Basic {}", STANDARD.encode(login)),
            session: None,
            number: 0,
            control: String::new(),
        };
        let target = player.url.clone();
        let answer = player.request("DESCRIBE", &target, "Accept: application/sdp\r\n").await?;
        let base = header(&answer.head, "Content-Base").unwrap_or(&target).trim_end_matches('/').to_owned();
        player.control =
            video_control(&answer.body, &base).ok_or_else(|| failed("the stream has no H.264 video"))?;
        Ok(player)
    }

    /// Plays until the first packet of a keyframe's slice; answers with the moment it came.
    pub async fn first_keyframe(&mut self) -> Result<Mono> {
        let (control, url) = (self.control.clone(), self.url.clone());
        let setup = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
        let answer = self.request("SETUP", &control, setup).await?;
        let session = header(&answer.head, "Session").ok_or_else(|| failed("no session"))?;
        self.session = Some(session.split(';').next().unwrap_or_default().trim().to_owned());
        self.request("PLAY", &url, "Range: npt=0.000-\r\n").await?;
        loop {
            while let Some((channel, packet, used)) = interleaved(&self.input) {
                let is_key = channel == 0 && rtp_payload(packet).is_some_and(carries_idr);
                self.input.drain(..used);
                if is_key {
                    return Ok(Mono::now());
                }
            }
            self.fill().await?;
        }
    }

    async fn request(&mut self, method: &str, target: &str, extra: &str) -> Result<Answer> {
        self.number += 1;
        let session = self.session.as_ref().map(|s| format!("Session: {s}\r\n")).unwrap_or_default();
        let text = format!(
            "{method} {target} RTSP/1.0\r\nCSeq: {}\r\nAuthorization: {}\r\nUser-Agent: fieldcam-bench\r\n{session}{extra}\r\n",
            self.number, self.authorization
        );
        self.stream.write_all(text.as_bytes()).await.map_err(|e| failed(&e.to_string()))?;
        let answer = loop {
            // Packets may come before the answer to PLAY; the first keyframe comes again within a second,
            // but a lost one would be a wrong measurement, so they stay where they are.
            let start = skip_packets(&self.input);
            let rest = &self.input[start..];
            if !rest.starts_with(b"$")
                && let Some((answer, used)) = parse_answer(rest)
            {
                self.input.drain(start..start + used);
                break answer;
            }
            self.fill().await?;
        };
        if answer.status == 200 {
            Ok(answer)
        } else {
            Err(failed(&format!("{method} was answered {}", answer.status)))
        }
    }

    async fn fill(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.input).await.map_err(|e| failed(&e.to_string()))?;
        if read == 0 { Err(failed("the server closed the connection")) } else { Ok(()) }
    }
}

fn failed(why: &str) -> Error {
    Error::new(ErrorKind::DependencyFailed, "The stream cannot be played").with("detail", why)
}

fn percent_decoded(text: &str) -> String {
    let form = text.replace('+', "%2B");
    url::form_urlencoded::parse(form.as_bytes()).next().map(|(key, _)| key.into_owned()).unwrap_or_default()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.split("\r\n").filter_map(|l| l.split_once(':'));
    lines.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim())
}

/// A whole answer at the front, and its length.
fn parse_answer(input: &[u8]) -> Option<(Answer, usize)> {
    let end = input.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&input[..end]).into_owned();
    let length = header(&head, "Content-Length").and_then(|v| v.parse::<usize>().ok()).unwrap_or(0);
    let body = input.get(end + 4..(end + 4).checked_add(length)?)?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Some((Answer { status, body: String::from_utf8_lossy(body).into_owned(), head }, end + 4 + length))
}

/// The control URL of the first H.264 video in a description.
fn video_control(sdp: &str, base: &str) -> Option<String> {
    let mut in_video = false;
    let mut is_h264 = false;
    let mut control = None;
    for line in sdp.lines().map(str::trim) {
        if let Some(media) = line.strip_prefix("m=") {
            if in_video && is_h264 {
                break;
            }
            in_video = media.starts_with("video");
            (is_h264, control) = (false, None);
        } else if in_video && line.starts_with("a=rtpmap:") {
            is_h264 |= line.to_ascii_uppercase().contains(" H264/");
        } else if let (true, Some(value)) = (in_video, line.strip_prefix("a=control:")) {
            let whole = value.starts_with("rtsp://");
            control = Some(if whole { value.to_owned() } else { format!("{base}/{value}") });
        }
    }
    control.filter(|_| in_video && is_h264)
}

/// One `$`-framed packet at the front: channel, packet, bytes it takes.
fn interleaved(input: &[u8]) -> Option<(u8, &[u8], usize)> {
    let [b'$', channel, high, low, rest @ ..] = input else { return None };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    Some((*channel, rest.get(..length)?, 4 + length))
}

fn skip_packets(input: &[u8]) -> usize {
    let mut at = 0;
    while let Some((_, _, used)) = interleaved(&input[at..]) {
        at += used;
    }
    at
}

/// The payload of an RTP packet.
fn rtp_payload(packet: &[u8]) -> Option<&[u8]> {
    let [first, _, ..] = packet else { return None };
    if first >> 6 != 2 {
        return None;
    }
    let mut start = 12 + usize::from(first & 0x0f) * 4;
    if first & 0x10 != 0 {
        let words = packet.get(start + 2..start + 4)?;
        start += 4 + usize::from(u16::from_be_bytes([words[0], words[1]])) * 4;
    }
    let padding = if first & 0x20 != 0 { usize::from(*packet.last()?) } else { 0 };
    packet.get(start..packet.len().checked_sub(padding)?)
}

/// Whether an H.264 payload (RFC 6184) holds an IDR slice, or the beginning of one.
fn carries_idr(payload: &[u8]) -> bool {
    const IDR: u8 = 5;
    match payload {
        [head, ..] if head & 0x1f == IDR => true,
        // STAP-A: several units, each after its length.
        [head, units @ ..] if head & 0x1f == 24 => {
            let mut rest = units;
            while let [high, low, unit @ ..] = rest {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                if unit.first().is_some_and(|b| b & 0x1f == IDR) && length > 0 {
                    return true;
                }
                rest = unit.get(length..).unwrap_or_default();
            }
            false
        }
        // FU-A: the start of a unit that needs several packets.
        [head, fu, ..] if head & 0x1f == 28 => fu & 0x80 != 0 && fu & 0x1f == IDR,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keyframes_are_seen_in_each_form() {
        assert!(carries_idr(&[0x65, 1]));
        assert!(!carries_idr(&[0x41, 1]));
        assert!(carries_idr(&[0x78, 0, 2, 0x67, 0, 0, 1, 0x65]));
        assert!(!carries_idr(&[0x78, 0, 2, 0x67, 0, 0, 1, 0x68]));
        assert!(carries_idr(&[0x7c, 0x85, 9]));
        assert!(!carries_idr(&[0x7c, 0x05, 9]), "the middle of a keyframe is not its first packet");
    }

    #[test]
    fn answers_are_found_behind_packets() {
        let mut input = b"$\0\0\x02ab".to_vec();
        let skipped = input.len();
        input.extend(b"RTSP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc$\0\0\x01c");
        assert_eq!(skip_packets(&input), skipped);
        let (answer, used) = parse_answer(&input[skipped..]).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "abc"));
        assert_eq!(interleaved(&input[skipped + used..]), Some((0, &b"c"[..], 5)));
    }

    #[test]
    fn the_video_of_a_description_is_found() {
        let sdp = "v=0\r\na=control:*\r\nm=audio 0 RTP/AVP 97\r\na=control:trackID=0\r\nm=video 0 RTP/AVP 96\r\n\
                   a=rtpmap:96 H264/90000\r\na=control:trackID=1\r\n";
        assert_eq!(video_control(sdp, "rtsp://h/p").as_deref(), Some("rtsp://h/p/trackID=1"));
        assert_eq!(video_control("m=audio 0 RTP/AVP 97\r\n", "x"), None);
        assert_eq!(percent_decoded("a%3Ab+c"), "a:b+c");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".*") {
            let _ = rtp_payload(&bytes).map(carries_idr);
            let _ = carries_idr(&bytes);
            let _ = interleaved(&bytes);
            let _ = skip_packets(&bytes);
            let _ = parse_answer(&bytes);
            let _ = video_control(&text, &text);
            let _ = percent_decoded(&text);
        }
    }
}
