//! ONVIF: cameras that answer a call to the whole network, and what they say of their stream.
//!
//! Whatever a device names must lie on the host that answered, which must be one that may be connected to;
//! it is never followed elsewhere.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::soap::call;
use super::xml::elements;
use crate::base::Result;
use crate::config::rtsp_port;
use crate::reach::Reach;

/// WS-Discovery's group and port.
const GROUP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 255, 255, 250)), 3702);
/// Devices spread their answers over half a second (APP_MAX_DELAY of WS-Discovery 1.0).
const LISTEN: Duration = Duration::from_millis(1500);
/// Networks that are asked.
const INTERFACES_MAX: usize = 16;
/// Answers that are read.
const ANSWERS_MAX: usize = 64;
/// An answer in one datagram.
const DATAGRAM_MAX: usize = 16 << 10;

/// A device that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub host: IpAddr,
    /// Its service, on that host.
    pub service: Url,
}

/// The question to everybody; `id` is a fresh UUID.
fn question(id: &uuid::Uuid) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
         <e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:w=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" \
         xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\"><e:Header>\
         <w:MessageID>uuid:{id}</w:MessageID>\
         <w:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>\
         <w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action>\
         </e:Header><e:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>"
    )
}

/// The service that an answer names, when it lies on the host that sent it.
fn device(text: &str, from: IpAddr) -> Option<Device> {
    let addresses = elements(text, "XAddrs")
        .into_iter()
        .flat_map(|found| found.text.split_whitespace().take(8).map(str::to_owned).collect::<Vec<_>>());
    addresses.filter_map(|text| on_host(&text, from)).map(|service| Device { host: from, service }).next()
}

/// `text` as a plain HTTP address of `host`.
fn on_host(text: &str, host: IpAddr) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "http" && text.len() <= 512)?;
    let named = match url.host()? {
        url::Host::Ipv4(a) => IpAddr::from(a),
        url::Host::Ipv6(a) => IpAddr::from(a),
        url::Host::Domain(_) => return None,
    };
    (named == host).then_some(url)
}

/// Asks the networks at `interfaces`, at `group` (WS-Discovery's own but in tests), and waits for what
/// answers.
async fn devices_at(group: SocketAddr, interfaces: &[Ipv4Addr]) -> std::io::Result<Vec<Device>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.set_multicast_ttl_v4(1)?;
    let question = question(&uuid::Uuid::new_v4());
    let mut asked: std::io::Result<()> = Err(std::io::ErrorKind::NetworkUnreachable.into());
    for interface in interfaces.iter().take(INTERFACES_MAX) {
        // Left alone the kernel takes the one with the default route, which is rarely that of the cameras.
        let chosen = SockRef::from(&socket).set_multicast_if_v4(interface);
        let sent = match chosen {
            Ok(()) => socket.send_to(question.as_bytes(), group).await.map(drop),
            Err(error) => Err(error),
        };
        if asked.is_err() {
            asked = sent;
        }
    }
    asked?;
    let until = Instant::now() + LISTEN;
    let mut bytes = vec![0; DATAGRAM_MAX];
    let mut all: Vec<Device> = Vec::new();
    for _ in 0..ANSWERS_MAX {
        let Ok(Ok((n, from))) = timeout_at(until, socket.recv_from(&mut bytes)).await else { break };
        if let Some(found) = device(&String::from_utf8_lossy(&bytes[..n]), from.ip())
            && !all.iter().any(|known| known.host == found.host)
        {
            all.push(found);
        }
    }
    Ok(all)
}

/// Asks the networks at `interfaces`, each given by an address that the box has there.
pub(super) async fn devices(interfaces: &[Ipv4Addr]) -> std::io::Result<Vec<Device>> {
    devices_at(GROUP, interfaces).await
}

/// A device's first stream, on its own host, and where to connect for it. Devices that want a log-in first
/// tell none.
///
/// Fails when its host may not be connected to, at a port that this takes or that the stream has.
pub(super) async fn stream(reach: &Reach, device: &Device) -> Result<Option<(Url, SocketAddr)>> {
    let capabilities = "<GetCapabilities xmlns=\"http://www.onvif.org/ver10/device/wsdl\">\
                        <Category>Media</Category></GetCapabilities>";
    let Some(reply) = call(reach, &device.service, capabilities).await? else { return Ok(None) };
    let media = elements(&reply, "XAddr")
        .into_iter()
        .filter(|found| found.path.iter().any(|name| name == "Media"))
        .find_map(|found| on_host(&found.text, device.host));
    let media = media.unwrap_or_else(|| device.service.clone());
    let profiles = "<GetProfiles xmlns=\"http://www.onvif.org/ver10/media/wsdl\"/>";
    let Some(reply) = call(reach, &media, profiles).await? else { return Ok(None) };
    let tokens = elements(&reply, "Profiles").into_iter().map(|profile| profile.token);
    let Some(token) = tokens.into_iter().find(|token| !token.is_empty()) else { return Ok(None) };
    let wanted = format!(
        "<GetStreamUri xmlns=\"http://www.onvif.org/ver10/media/wsdl\"><StreamSetup>\
         <Stream xmlns=\"http://www.onvif.org/ver10/schema\">RTP-Unicast</Stream>\
         <Transport xmlns=\"http://www.onvif.org/ver10/schema\"><Protocol>RTSP</Protocol></Transport>\
         </StreamSetup><ProfileToken>{token}</ProfileToken></GetStreamUri>"
    );
    let Some(reply) = call(reach, &media, &wanted).await? else { return Ok(None) };
    let found = elements(&reply, "Uri").into_iter().find_map(|found| stream_on(&found.text, device.host));
    let Some(url) = found else { return Ok(None) };
    let judged = reach.resolve(&device.host.to_string(), rtsp_port(&url)).await?;
    Ok(judged.first().map(|at| (url, *at)))
}

/// `text` as an RTSP address of `host`, without a log-in.
fn stream_on(text: &str, host: IpAddr) -> Option<Url> {
    let mut url =
        Url::parse(text).ok().filter(|u| matches!(u.scheme(), "rtsp" | "rtsps") && text.len() <= 1024)?;
    let named = url.host_str()?.trim_matches(['[', ']']).parse::<IpAddr>().ok()?;
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_fragment(None);
    (named == host).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::{Group, Phases};
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));

    fn matched(addresses: &str) -> String {
        format!(
            "<e:Envelope><e:Body><d:ProbeMatches><d:ProbeMatch><d:XAddrs>{addresses}</d:XAddrs></d:ProbeMatch></d:ProbeMatches></e:Body></e:Envelope>"
        )
    }

    #[test]
    fn a_device_speaks_for_its_own_host_only() {
        let found = |addresses: &str| device(&matched(addresses), HOST).map(|d| d.service.to_string());
        let own = "http://192.0.2.9/onvif/device_service";
        assert_eq!(found(own).as_deref(), Some(own));
        assert_eq!(found(&format!("http://[fe80::1]/x {own}")).as_deref(), Some(own));
        for other in [
            "http://127.0.0.1/onvif",
            "http://169.254.169.254/latest",
            "http://camera.example/onvif",
            "file:///etc/passwd",
            "https://192.0.2.9/x",
            "",
            "x",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn a_stream_lies_on_the_device_and_carries_no_password() {
        let stream = |text: &str| stream_on(text, HOST).map(|u| u.to_string());
        assert_eq!(stream("rtsp://a:b@192.0.2.9:554/s?x=1").as_deref(), Some("rtsp://192.0.2.9:554/s?x=1"));
        for other in ["rtsp://127.0.0.1/s", "http://192.0.2.9/s", "rtsp://name/s", "rtsp://3221225993/s", ""]
        {
            assert_eq!(stream(other), None, "{other}");
        }
    }

    /// A device on the loopback, as far as the two messages go.
    #[tokio::test]
    async fn the_question_is_heard_and_the_answer_read() {
        let device = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let group = device.local_addr().unwrap();
        let answering = async {
            let mut bytes = [0; 4096];
            let (n, from) = device.recv_from(&mut bytes).await.unwrap();
            let asked = String::from_utf8_lossy(&bytes[..n]).into_owned();
            assert_eq!(elements(&asked, "Types")[0].text, "dn:NetworkVideoTransmitter");
            for answer in
                ["garbage".to_owned(), matched("http://127.0.0.1:9/x"), matched("http://127.0.0.1:9/x")]
            {
                device.send_to(answer.as_bytes(), from).await.unwrap();
            }
        };
        let (found, ()) = tokio::join!(devices_at(group, &[Ipv4Addr::LOCALHOST]), answering);
        let found = found.unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].service.as_str(), "http://127.0.0.1:9/x");
    }

    /// A device's web service, which keeps connections open; how often it was asked.
    async fn service(group: &Group, port_of_stream: u16) -> (Device, Arc<AtomicUsize>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let asked = Arc::<AtomicUsize>::default();
        let count = asked.clone();
        let serve = async move {
            let mut kept = Vec::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let mut request = String::new();
                while !request.contains("</s:Envelope>") {
                    let mut bytes = [0; 4096];
                    let n = socket.read(&mut bytes).await.unwrap();
                    request.push_str(std::str::from_utf8(&bytes[..n]).unwrap());
                }
                let answer = if request.contains("<GetCapabilities") {
                    assert!(request.starts_with("POST /onvif/device_service?a=b HTTP/1.0\r\n"), "{request}");
                    format!(
                        "<tt:Device><tt:XAddr>http://{at}/no</tt:XAddr></tt:Device>\
                         <tt:Media><tt:XAddr>http://{at}/media</tt:XAddr></tt:Media>"
                    )
                } else if request.contains("<GetProfiles") {
                    assert!(request.starts_with("POST /media HTTP/1.0\r\n"), "{request}");
                    "<trt:Profiles token=\"P1\" fixed=\"true\"/><trt:Profiles token=\"P2\"/>".to_owned()
                } else {
                    assert!(request.contains("<ProfileToken>P1</ProfileToken>"), "{request}");
                    format!(
                        "<trt:MediaUri><tt:Uri>rtsp://u:p@127.0.0.1:{port_of_stream}/s?x=1&amp;y=2</tt:Uri></trt:MediaUri>"
                    )
                };
                let answer = format!("<e:Envelope><e:Body>{answer}</e:Body></e:Envelope>");
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
                socket.write_all((head + &answer).as_bytes()).await.unwrap();
                kept.push(socket);
            }
        };
        let stop = group.stop().clone();
        group.spawn("device", async move { stop.run_until_cancelled(serve).await });
        let service = Url::parse(&format!("http://{at}/onvif/device_service?a=b")).unwrap();
        (Device { host: at.ip(), service }, asked)
    }

    fn reach(allowed: &str) -> Reach {
        Reach::new(&allowed.split(' ').map(|e| e.parse().unwrap()).collect::<Vec<_>>())
    }

    #[tokio::test]
    async fn a_device_is_asked_for_its_stream() {
        let mut phases = Phases::default();
        let (device, asked) = service(&phases.add("test"), 5554).await;
        let (url, at) = stream(&reach("127.0.0.1"), &device).await.unwrap().unwrap();
        assert_eq!(url.as_str(), "rtsp://127.0.0.1:5554/s?x=1&y=2");
        assert_eq!(at, "127.0.0.1:5554".parse().unwrap());
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        phases.shutdown(LISTEN).await;
    }

    #[tokio::test]
    async fn a_device_is_neither_asked_nor_believed_where_the_policy_forbids() {
        let mut phases = Phases::default();
        let (device, asked) = service(&phases.add("test"), 5554).await;
        let other = "192.0.2.1 127.0.0.1:5554";
        assert!(stream(&reach(other), &device).await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 0, "its service was connected to");
        let port = device.service.port().unwrap();
        assert!(
            stream(&reach(&format!("127.0.0.1:{port}")), &device).await.is_err(),
            "its stream is elsewhere"
        );
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(text in ".{0,200}", address in "(http|rtsp|file)s?:/{0,2}[a-z0-9.:\\[\\]@/]{0,40}") {
            for text in [text.clone(), matched(&text), matched(&address)] {
                if let Some(found) = device(&text, HOST) {
                    prop_assert_eq!(found.service.host_str(), Some("192.0.2.9"));
                }
            }
            let _ = stream_on(&address, HOST);
        }
    }
}
