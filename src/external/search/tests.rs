use super::*;
use crate::supervise::Phases;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Instant;

fn entries(allowed: &[String]) -> Vec<HostEntry> {
    allowed.iter().map(|entry| entry.parse().unwrap()).collect()
}

async fn asked(family: &'static Family, allowed: &[String]) -> Outcome {
    let allowed = entries(allowed);
    let mut out = Outcome::default();
    servers(family, &allowed, &Reach::new(&allowed), &mut out).await;
    out
}

/// Something on the loopback that must not be connected to.
fn trap() -> (TcpListener, u16) {
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let port = trap.local_addr().unwrap().port();
    (trap, port)
}

fn untouched(trap: &TcpListener) -> bool {
    trap.accept().is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock)
}

#[tokio::test]
async fn a_search_connects_to_nothing_that_the_policy_forbids() {
    let (trap, port) = trap();
    // By a name that means the box, and by an entry that means another port of it.
    let out = asked(&GENERIC, &[format!("localhost:{port}"), "127.0.0.1:1".to_owned()]).await;
    assert!(untouched(&trap));
    assert_eq!((out.streams.len(), out.errors.len()), (0, 1), "{:?}", out.errors);
    assert!(out.errors[0].starts_with("localhost: the address must not lead to"), "{:?}", out.errors);
    // A range that merely holds the box's own network address.
    let own = own_addresses().into_iter().find_map(|own| match own {
        IpAddr::V4(four) if !four.is_loopback() => Some(four),
        _ => None,
    });
    let Some(own) = own else { return };
    let here = TcpListener::bind((own, 0)).unwrap();
    here.set_nonblocking(true).unwrap();
    let net = Ipv4Addr::from_bits(own.to_bits() & !3);
    let out = asked(&GENERIC, &[format!("{net}/30:{}", here.local_addr().unwrap().port())]).await;
    assert!(untouched(&here) && out.streams.is_empty(), "{:?}", out.errors);
}

/// What answers in every way that is none, or never, costs a search its time and nothing else.
#[tokio::test]
async fn servers_that_say_nonsense_or_nothing_are_passed_over_in_time() {
    let words: [&[u8]; 5] = [
        b"",
        b"\0\xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n",
        b"RTSP/1.0 200 OK\r\n\r\n",
    ];
    let mut allowed = Vec::new();
    let mut phases = Phases::default();
    let group = phases.add("test");
    for words in words {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        allowed.push(listener.local_addr().unwrap().to_string());
        let serve = async move {
            use tokio::io::AsyncWriteExt;
            let mut kept = Vec::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = socket.write_all(words).await;
                kept.push(socket);
            }
        };
        let stop = group.stop().clone();
        group.spawn("server", async move { stop.run_until_cancelled(serve).await });
    }
    let begun = Instant::now();
    let out = asked(&GENERIC, &allowed).await;
    assert!(out.streams.is_empty() && out.errors.is_empty(), "{:?} {:?}", out.streams, out.errors);
    // One has 8 s at most; all are asked beside each other.
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    phases.shutdown(LIMIT).await;
}

/// Judging an address takes some 90 µs and is no waiting: 500 of them were 47 ms in which nobody else ran.
#[tokio::test]
async fn a_search_lets_others_run() {
    // 255.0.0.0/8 is no host, so nothing is sent.
    let allowed: Vec<_> = (0..250).map(|n| format!("255.{n}.0.0/32")).collect();
    let mut turns = 0;
    let others = async {
        loop {
            tokio::task::yield_now().await;
            turns += 1;
        }
    };
    let out = tokio::select! {
        out = asked(&GENERIC, &allowed) => out,
        () = others => unreachable!(),
    };
    assert!(turns >= 100, "{turns} turns of somebody else");
    assert!(out.streams.is_empty() && out.errors.len() == ERRORS_MAX);
}
