//! `fieldcam ctl` meets boxes with TLS: known by their certificate from the first time on.

use std::process::Output;

use super::start;
use crate::common::tls::{self, Line};
use crate::common::{Setup, TestBox};

/// Runs `ctl` against a URL of this box, with a home of its own.
fn ctl(testbox: &TestBox, scheme: &str, args: &[&str]) -> Output {
    let host = format!("{scheme}{}", testbox.endpoints().address("ws"));
    testbox.fieldcam(&[&["ctl", "--host", &host], args].concat())
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&[&out.stdout[..], &out.stderr].concat()).into_owned()
}

#[track_caller]
fn refused(out: &Output, words: &[&str]) {
    let text = said(out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn a_box_is_trusted_the_first_time_and_refused_with_another_certificate() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().to_str().unwrap().to_owned();
    let mut testbox = Setup::new().env("SERVER__TLS", "auto").plain_env("XDG_CONFIG_HOME", &home).start();
    let first = tls::fingerprint(&testbox).to_string();
    let out = ctl(&testbox, "https://", &["status"]);
    assert!(out.status.success(), "{}", said(&out));
    assert!(said(&out).contains("is new here") && said(&out).contains(&format!("certificate {first}")));
    let known = format!("{home}/fieldcam/known_boxes");
    assert!(std::fs::read_to_string(&known).unwrap().contains(&first));
    let again = ctl(&testbox, "wss://", &["snapshot", "camera0", "-o", &format!("{home}/a.jpg")]);
    assert!(again.status.success() && !said(&again).contains("is new here"), "{}", said(&again));
    assert!(std::fs::metadata(format!("{home}/a.jpg")).unwrap().len() > 1000);
    // On the box itself nothing of that is needed.
    let near = testbox.fieldcam(&["ctl", "status"]);
    assert!(near.status.success() && said(&near).contains(&format!("certificate {first}")));

    // Another certificate at the same address.
    let address = testbox.endpoints().address("ws");
    testbox.stop();
    std::fs::remove_file(testbox.data().join("secrets/tls.pem")).unwrap();
    testbox.change(|setup| setup.env("SERVER__LISTEN", &address));
    testbox.start_again();
    let second = tls::fingerprint(&testbox).to_string();
    let out = ctl(&testbox, "https://", &["cameras"]);
    refused(&out, &["has changed", &first, &second, "somebody may be in between", "--fingerprint"]);
    refused(
        &ctl(&testbox, "https://", &["--fingerprint", &first, "cameras"]),
        &["is not the one given", &second],
    );
    assert!(ctl(&testbox, "", &["--fingerprint", &second, "cameras"]).status.success());
    assert!(ctl(&testbox, "https://", &["cameras"]).status.success(), "it was to be remembered");

    // A box that spoke TLS and does not any more.
    testbox.stop();
    testbox.change(|setup| setup.env("SERVER__TLS", "off"));
    testbox.start_again();
    refused(&ctl(&testbox, "https://", &["cameras"]), &["does not speak TLS", "it did before"]);
    assert!(ctl(&testbox, "http://", &["cameras"]).status.success());
}

#[test]
fn whether_a_box_speaks_tls_is_found_out_and_a_fingerprint_may_be_given() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().to_str().unwrap().to_owned();
    let usual = || Setup::new().env("SERVER__LISTEN", "0.0.0.0:0").plain_env("XDG_CONFIG_HOME", &home);
    let Some(own) = Line::from_elsewhere(&start().endpoints().address("ws")) else {
        println!("skipped: this machine has no address besides loopback");
        return;
    };
    let own = own.tcp().local_addr().unwrap().ip().to_string();
    for mode in ["off", "auto"] {
        let testbox = usual().env("SERVER__TLS", mode).start();
        let port = testbox.endpoints().address("ws").rsplit(':').next().unwrap().to_owned();
        let token = format!("{home}/token");
        std::fs::write(&token, testbox.token("operator")).unwrap();
        let host = format!("{own}:{port}");
        let out = testbox.fieldcam(&["ctl", "--host", &host, "--token-file", &token, "stream", "camera0"]);
        let text = said(&out);
        assert!(out.status.success(), "{text}");
        let scheme = if mode == "off" { "http://" } else { "https://" };
        assert!(text.contains(&format!("{scheme}{host}/live/camera0")), "{text}");
        assert_eq!(text.contains("is new here"), mode == "auto", "{text}");
    }
    let plain = usual().start();
    refused(&ctl(&plain, "https://", &["cameras"]), &["does not speak TLS", "set server.tls on the box"]);
    let bad = ctl(&plain, "", &["--fingerprint", "AB:CD", "cameras"]);
    assert_eq!(bad.status.code(), Some(2), "{}", said(&bad));
}
