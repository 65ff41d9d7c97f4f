use std::io::{Read, Write};

use super::*;

/// What is answered to somebody who sends this and says no more. Who sends more than is read may not hear it.
fn asked(bytes: &[u8], allowed: u32) -> (String, Vec<Request>) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(bytes).unwrap();
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    let done = std::cell::RefCell::new(Vec::new());
    answer(theirs, allowed, |line| {
        let request = Request::parse(line).ok_or(UNKNOWN)?;
        done.borrow_mut().push(request.clone());
        if request == Request::RebindPlatform("broken.0".into()) {
            Err("it is broken".into())
        } else {
            Ok(String::new())
        }
    });
    let mut said = String::new();
    if let Err(e) = ours.read_to_string(&mut said) {
        assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset);
        "no: no such request\n".clone_into(&mut said);
    }
    (said, done.into_inner())
}

fn me() -> u32 {
    nix::unistd::getuid().as_raw()
}

#[test]
fn a_request_is_carried_out_once_and_answered() {
    let (said, done) = asked(b"reauthorize 1-1.4\n", me());
    assert_eq!((said.as_str(), done), ("ok\n", vec![Request::Reauthorize("1-1.4".into())]));
    assert_eq!(asked(b"rebind broken.0", me()).0, "no: it is broken\n");
}

#[test]
fn what_is_no_request_does_nothing() {
    let long = [b'a'; 4096];
    for bytes in [
        &b""[..],
        b"\n",
        b"rebind",
        b"rebind ../../x\n",
        b"rebind vivid.0\nrebind vivid.1\n",
        b"rebind vivid.0\0\n",
        b"\xff\xfe\n",
        &long,
    ] {
        let (said, done) = asked(bytes, me());
        assert_eq!((said.as_str(), done.len()), ("no: no such request\n", 0), "{bytes:?}");
    }
}

#[test]
fn one_that_sends_nothing_holds_nobody_up_for_long() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    answer(theirs, me(), |_| Ok(String::new()));
    let mut said = String::new();
    ours.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("no: the request "), "{said}");
}
