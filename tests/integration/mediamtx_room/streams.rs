//! What works when nothing fails: publishing, reading, recording, waking.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn publishes_and_reads_with_the_right_credentials_only() {
    let room = room().await;
    room.publisher_path("camera0").await;
    let url = room.mtx.publish_url("camera0");
    let publisher = publish(&url);
    let state = room.state("camera0", "ready", |s| s.ready && s.inbound_bytes > 0).await;
    assert_eq!(state.source_kind.as_deref(), Some("rtspSession"));
    assert_eq!(state.tracks[0].codec, "H264");
    assert_eq!((state.tracks[0].width, state.tracks[0].height), (Some(320), Some(240)));
    wait_until("the list shows it", || room.mtx.paths().get("camera0").is_some_and(|s| s.ready)).await;

    assert!(read_a_frame(&room.viewer_url("ann:right", "camera0")).await);
    assert!(read_a_frame(room.mtx.reader_url("camera0").expose()).await);
    for login in ["ann:wrong", "bob:right", "fieldcam-reader:right", "x:"] {
        assert!(!read_a_frame(&room.viewer_url(login, "camera0")).await, "{login}");
    }
    let bare = format!("rtsp://{}/camera0", room.mtx.endpoints().rtsp);
    assert!(!read_a_frame(&bare).await);
    assert!(!read_a_frame(&room.viewer_url("ann:right", "camera9")).await, "no such path");

    // The same credential again, also after its publisher has gone.
    let mut again = publish(&url);
    assert!(!again.0.wait().await.unwrap().success());
    drop(publisher);
    room.state("camera0", "idle", |s| !s.ready).await;
    let mut again = publish(&url);
    assert!(!again.0.wait().await.unwrap().success());
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_hot_into_two_folders_without_dropping_the_reader() {
    let room = room().await;
    room.publisher_path("camera0").await;
    let _publisher = publish(&room.mtx.publish_url("camera0"));
    room.state("camera0", "ready", |s| s.ready).await;
    let viewer = room.viewer_url("ann:right", "camera0");
    let mut reader = ffmpeg(&["-rtsp_transport", "tcp", "-i", &viewer, "-f", "null", "-"]);
    room.state("camera0", "read", |s| s.readers == 1 && s.outbound_bytes > 0).await;

    for name in ["one", "two"] {
        let folder = room.recording("camera0", name);
        room.mtx.set_record("camera0", Some(folder.clone())).await.unwrap();
        wait_until("the file grows", || files(&folder).iter().any(|(_, size)| *size > 20_000)).await;
        assert_eq!(files(&folder).len(), 1);
        room.mtx.reopen_record("camera0").await.unwrap();
        wait_until("a second file grows", || files(&folder).iter().filter(|f| f.1 > 20_000).count() == 2)
            .await;
    }
    room.mtx.set_record("camera0", None).await.unwrap();
    let (server, folders) = (room.mtx.server().borrow().pid.unwrap(), room.dir.path().join("recordings"));
    wait_until("every file is closed", || !process::has_open(server, &folders)).await;
    assert!(reader.0.try_wait().unwrap().is_none(), "the reader was dropped");
    let state = room.state("camera0", "read", |s| s.readers == 1).await;
    assert!(state.ready);

    for bad in ["/etc/camera1/x", "relative/camera0/x", "/tmp/%Y/camera0/x"] {
        assert!(room.mtx.set_record("camera0", Some(bad.into())).await.is_err(), "{bad}");
    }
    assert!(room.mtx.set_record("camera5", None).await.is_err());
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_on_an_idle_path_wakes_it_and_gets_its_picture() {
    let room = room().await;
    room.publisher_path("camera0").await;
    let mut wakes = room.mtx.take_wakes().unwrap();
    assert!(room.mtx.take_wakes().is_none());
    for round in 0..2 {
        let viewer = room.viewer_url("ann:right", "camera0");
        let mut reader = frame_reader(&viewer);
        let asked = Instant::now();
        let woken = tokio::time::timeout(Duration::from_secs(30), wakes.recv()).await.unwrap();
        println!("round {round}: woken {:?} after the reader's start", asked.elapsed());
        assert_eq!(woken.as_deref(), Some("camera0"));
        if round == 0 {
            // The hook's datagram follows the one of the reader's log-in.
            let hook = tokio::time::timeout(Duration::from_secs(30), wakes.recv()).await.unwrap();
            println!("hook: {:?}", asked.elapsed());
            assert_eq!(hook.as_deref(), Some("camera0"));
        }
        let publisher = publish(&room.mtx.publish_url("camera0"));
        assert!(reader.saw_it().await, "the reader saw a picture");
        // Gone within the ten seconds in which MediaMTX would not run its hook again.
        drop(publisher);
        room.state("camera0", "idle", |s| !s.ready).await;
        while wakes.try_recv().is_ok() {}
    }
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hls_and_webrtc_ask_the_gate_too() {
    let room = room().await;
    room.publisher_path("camera0").await;
    let _publisher = publish(&room.mtx.publish_url("camera0"));
    room.state("camera0", "ready", |s| s.ready).await;
    let ends = room.mtx.endpoints();
    let (right, wrong) = ("YW5uOnJpZ2h0", "YW5uOndyb25n");
    for (host, target, login, statuses) in [
        (ends.hls, "GET /camera0/index.m3u8?cookieCheck=1", right, &["200", "302"][..]),
        (ends.hls, "GET /camera0/index.m3u8?cookieCheck=1", wrong, &["401"]),
        // An empty offer is refused only after the log-in was taken.
        (ends.webrtc, "POST /camera0/whep", right, &["400", "500"]),
        (ends.webrtc, "POST /camera0/whep", wrong, &["401"]),
        (ends.webrtc, "POST /camera0/whip", right, &["401"]),
    ] {
        let text = format!(
            "{target} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nContent-Type: application/sdp\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        let answer = raw(&host.to_string(), text).await;
        assert!(statuses.iter().any(|s| answer.contains(s)), "{target} {login}: {answer}");
    }
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the change must go on beside the test")]
async fn recording_switched_while_a_publisher_arrives_does_not_turn_it_away() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let room = room().await;
    room.publisher_path("camera0").await;
    let url = room.mtx.publish_url("camera0");
    let mut stream = tokio::net::TcpStream::connect(room.mtx.endpoints().rtsp).await.unwrap();
    let mut session = String::new();
    let mut switch = None;
    let sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:streamid=0\r\n";
    for (n, method, suffix, header, body) in [
        (1, "ANNOUNCE", "", "Content-Type: application/sdp\r\n", sdp),
        (2, "SETUP", "/streamid=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record\r\n", ""),
        (3, "RECORD", "", "Range: npt=0.000-\r\n", ""),
    ] {
        let text = format!(
            "{method} {}{suffix} RTSP/1.0\r\nCSeq: {n}\r\n{header}{session}Content-Length: {}\r\n\r\n{body}",
            url.expose(),
            body.len()
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(answer.starts_with("RTSP/1.0 200"), "{method}: {answer}");
        if let Some(line) = answer.lines().find(|l| l.starts_with("Session:")) {
            session = format!("{}\r\n", line.split(';').next().unwrap());
        }
        if switch.is_none() {
            let (mtx, folder) = (room.mtx.clone(), room.recording("camera0", "one"));
            switch = Some(tokio::spawn(async move { mtx.set_record("camera0", Some(folder)).await }));
            // Time enough for a change to be carried out.
            for _ in 0..5 {
                room.mtx.fetch_path("camera0").await.unwrap();
            }
        }
    }
    switch.unwrap().await.unwrap().unwrap();
    room.state("camera0", "published", |s| s.ready).await;
    assert_eq!(generated(&room)["paths"].as_object().unwrap().len(), 0, "the file is as it was at the start");
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strings_arrive_at_mediamtx_as_they_were() {
    let url = "rtsp://us'er:p%22a#b:%20c@127.0.0.1:9/a,b;[c]?x=~!*()&y=yes";
    let folder = "/tmp/a \"b' #c: - {d} [e] & *f !g |h > i, ü ☃ \\ $HOME ~/camera0/r1";
    let spec = PathSpec {
        name: "camera0".into(),
        source: PathSource::Pull { url: Secret::new(url.replace('#', "%23")) },
        record: Some(folder.into()),
    };
    let (mtx, rest) = try_room(|o| o.paths = vec![spec.clone()]).await;
    let mtx = mtx.unwrap();
    assert!(mtx.fetch_path("camera0").await.unwrap().is_some(), "the file was understood");
    // The same again over the API would close and open the path if it differed.
    let before = mtx.fetch_path("camera0").await.unwrap();
    mtx.put_path(spec).await.unwrap();
    assert_eq!(mtx.fetch_path("camera0").await.unwrap(), before);
    assert!(rest.phases.shutdown(Duration::from_secs(10)).await.is_empty());
}
