//! A WebRTC player: str0m over one UDP socket or one TCP connection.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcConfig};

use super::crypto;

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// RTP packets of video.
    pub packets: u64,
    /// Whole pictures, a number in order missing from none.
    pub pictures: u64,
    /// When the first keyframe was whole.
    pub keyframe: Option<Instant>,
    /// The other side said that it is over.
    pub ended: bool,
}

/// How media travel.
enum Way {
    Udp(UdpSocket),
    /// Frames of two bytes' length each (RFC 4571).
    Tcp {
        stream: TcpStream,
        local: SocketAddr,
        remote: SocketAddr,
        input: Vec<u8>,
    },
}

pub struct Player {
    rtc: Rtc,
    way: Way,
    pending: Option<SdpPendingOffer>,
    pub offer: String,
    pub seen: Seen,
}

impl Player {
    /// A player that has not connected yet, on this machine.
    pub fn new() -> Player {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = socket.local_addr().unwrap();
        Player::build(Way::Udp(socket), Candidate::host(local, "udp").unwrap())
    }

    /// A player in a network that lets no UDP through; `media` is where the box listens.
    pub fn over_tcp(media: SocketAddr) -> Player {
        let stream = TcpStream::connect(media).unwrap();
        let local = stream.local_addr().unwrap();
        let candidate = Candidate::builder().tcp().host(local).tcptype(str0m::net::TcpType::Active).build();
        Player::build(Way::Tcp { stream, local, remote: media, input: Vec::new() }, candidate.unwrap())
    }

    fn build(way: Way, candidate: Candidate) -> Player {
        let mut rtc = RtcConfig::new().set_crypto_provider(crypto::provider()).build(Instant::now());
        rtc.add_local_candidate(candidate).unwrap();
        let mut changes = rtc.sdp_api();
        changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = changes.apply().unwrap();
        let offer = offer.to_sdp_string();
        Player { rtc, way, pending: Some(pending), offer, seen: Seen::default() }
    }

    /// Takes the box's answer.
    pub fn accept(&mut self, answer: &str) {
        let answer = SdpAnswer::from_sdp_string(answer).unwrap();
        self.rtc.sdp_api().accept_answer(self.pending.take().unwrap(), answer).unwrap();
    }

    /// Plays until `enough`, at most for `limit`; answers whether it was.
    pub fn play(&mut self, limit: Duration, enough: impl Fn(&Seen) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        while !enough(&self.seen) {
            let now = Instant::now();
            if now >= deadline || !self.rtc.is_alive() {
                return enough(&self.seen);
            }
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(at) => self.wait(at.min(deadline).saturating_duration_since(now)),
                Output::Transmit(out) => self.way.send(&out.contents, out.destination),
                Output::Event(event) => self.note(event),
            }
        }
        true
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::MediaData(media) => {
                let (first, last) = (media.seq_range.start(), media.seq_range.end());
                self.seen.packets += **last - **first + 1;
                self.seen.pictures += u64::from(media.contiguous);
                if self.seen.keyframe.is_none() && holds_idr(&media.data) {
                    self.seen.keyframe = Some(Instant::now());
                }
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) | Event::Closed => {
                self.seen.ended = true;
            }
            _ => {}
        }
    }

    fn wait(&mut self, time: Duration) {
        let received = self.way.receive(time.max(Duration::from_millis(1)));
        let now = Instant::now();
        match &received {
            Some((contents, proto, source, destination)) => {
                if let Ok(contents) = contents.as_slice().try_into() {
                    let receive =
                        Receive { proto: *proto, source: *source, destination: *destination, contents };
                    self.rtc.handle_input(Input::Receive(now, receive)).unwrap();
                }
            }
            None => self.rtc.handle_input(Input::Timeout(now)).unwrap(),
        }
    }
}

type Received = (Vec<u8>, Protocol, SocketAddr, SocketAddr);

impl Way {
    fn send(&mut self, bytes: &[u8], to: SocketAddr) {
        match self {
            // Candidates of other networks cannot be reached; ICE finds the one that can.
            Way::Udp(socket) => drop(socket.send_to(bytes, to)),
            Way::Tcp { stream, remote, .. } => {
                if to == *remote {
                    let mut frame = (bytes.len() as u16).to_be_bytes().to_vec();
                    frame.extend_from_slice(bytes);
                    let _ = stream.write_all(&frame);
                }
            }
        }
    }

    fn receive(&mut self, time: Duration) -> Option<Received> {
        let mut buffer = [0; 2048];
        match self {
            Way::Udp(socket) => {
                socket.set_read_timeout(Some(time)).unwrap();
                let (n, source) = socket.recv_from(&mut buffer).ok()?;
                Some((buffer[..n].to_vec(), Protocol::Udp, source, socket.local_addr().unwrap()))
            }
            Way::Tcp { stream, local, remote, input } => {
                stream.set_read_timeout(Some(time)).unwrap();
                loop {
                    if let [high, low, rest @ ..] = &input[..] {
                        let length = usize::from(u16::from_be_bytes([*high, *low]));
                        if rest.len() >= length {
                            let packet = rest[..length].to_vec();
                            input.drain(..2 + length);
                            return Some((packet, Protocol::Tcp, *remote, *local));
                        }
                    }
                    match stream.read(&mut buffer) {
                        Ok(0) => return None,
                        Ok(n) => input.extend_from_slice(&buffer[..n]),
                        Err(e) if e.kind() == ErrorKind::Interrupted => {}
                        Err(_) => return None,
                    }
                }
            }
        }
    }
}

/// Whether a picture in Annex B form holds an IDR slice.
fn holds_idr(picture: &[u8]) -> bool {
    picture.windows(4).any(|w| w[..3] == [0, 0, 1] && w[3] & 0x1f == 5)
}

/// The addresses of a kind (`udp`, `tcp`) in an answer's candidates.
pub fn candidates(answer: &str, kind: &str) -> Vec<SocketAddr> {
    let lines: VecDeque<_> = answer.lines().filter_map(|l| l.strip_prefix("a=candidate:")).collect();
    lines
        .iter()
        .map(|l| l.split(' ').collect::<Vec<_>>())
        .filter(|f| f.len() > 5 && f[2].eq_ignore_ascii_case(kind))
        .filter_map(|f| Some(SocketAddr::new(f[4].parse().ok()?, f[5].parse().ok()?)))
        .collect()
}
