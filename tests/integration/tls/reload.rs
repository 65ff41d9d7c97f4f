//! The certificate changed while connections go on.

use std::fs;
use std::path::PathBuf;

use fieldcam::tls::Fingerprint;
use nix::sys::signal::Signal;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use crate::common::tls;
use crate::common::{Setup, TestBox, squares, turn, wait_for};

/// A certificate and its key as two files.
struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new() -> Files {
        Files { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Puts a new pair in place; answers with its fingerprint.
    fn put(&self, ends: i32) -> Fingerprint {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(ends, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(self.path("box.pem"), certificate.pem()).unwrap();
        fs::write(self.path("box.key"), key.serialize_pem()).unwrap();
        Fingerprint::of(certificate.der())
    }

    fn setup(&self) -> Setup {
        Setup::new()
            .env("SERVER__TLS", "files")
            .env("SERVER__TLS_CERT", self.path("box.pem").to_str().unwrap())
            .env("SERVER__TLS_KEY", self.path("box.key").to_str().unwrap())
    }
}

fn shows(testbox: &TestBox, fingerprint: Fingerprint) -> bool {
    tls::line_shown(testbox, fingerprint).is_ok()
}

#[test]
fn open_connections_go_on_and_new_ones_get_the_new_certificate() {
    let _turn = turn::take();
    let files = Files::new();
    let first = files.put(2050);
    let testbox = files.setup().start();
    assert_eq!(tls::fingerprint(&testbox), first);
    let mut open = tls::login(&testbox, "operator");
    let url = open.ok("get_stream_url", json!({ "device": "camera0" }))["stream_url"].clone();
    let url = url.as_str().unwrap();
    assert!(url.starts_with("rtsps://") && url.contains(&testbox.endpoints().address("rtsps")), "{url}");
    open.ok("start_recording", json!({ "device": "camera0" }));
    // A viewer and a recording that go on while the certificate changes.
    std::thread::scope(|scope| {
        let seen = scope.spawn(|| squares::read(url, 240));
        wait_for("somebody watches", || {
            let list = open.ok("get_streams", Value::Null);
            list.as_array().unwrap().iter().any(|s| s["name"] == "camera0" && s["readers"] != 0).then_some(())
        });
        let second = files.put(2050);
        testbox.signal(Signal::SIGHUP);
        wait_for("the new certificate is shown", || shows(&testbox, second).then_some(()));
        assert!(!shows(&testbox, first));
        open.assert_alive();
        let endpoints = testbox.data().join("run/endpoints.json");
        wait_for("endpoints.json says so", || {
            fs::read_to_string(&endpoints).unwrap().contains(&second.to_string()).then_some(())
        });
        testbox.wait_log("RTSPS shows the new certificate");
        let info = open.ok("get_server_info", Value::Null);
        assert_eq!(info["tls_fingerprint"], second.to_string());
        let run = seen.join().unwrap();
        assert_eq!(run.len(), 240, "the viewer was cut off");
        assert!(squares::holes(&run).is_empty(), "{:?}", squares::holes(&run));
    });
    let third = files.put(2050);
    let out = testbox.fieldcam(&["ctl", "--json", "reload"]);
    let report = String::from_utf8(out.stdout).unwrap();
    assert!(report.contains("server.tls_cert") && out.status.success(), "{report}");
    wait_for("the third is shown", || shows(&testbox, third).then_some(()));
    let out = testbox.fieldcam(&["ctl", "--json", "reload"]);
    assert!(!String::from_utf8(out.stdout).unwrap().contains("tls_cert"), "nothing changed");
    let stopped = open.ok("stop_recording", json!({ "device": "camera0" }));
    let name = stopped["filename"].as_str().unwrap();
    let facts = testbox.login("viewer").ok("get_recording_info", json!({ "filename": name }));
    assert_eq!(facts["gaps"], json!([]), "{facts}");
}

#[test]
fn a_bad_pair_is_refused_by_name_and_the_old_one_stays() {
    let _turn = turn::take();
    let files = Files::new();
    let good = files.put(2050);
    let testbox = files.setup().cameras(0).start();
    let [pem, key] = ["box.pem", "box.key"].map(|name| fs::read_to_string(files.path(name)).unwrap());
    files.put(2050);
    let other = fs::read_to_string(files.path("box.key")).unwrap();
    let refused = |what: &str| {
        let out = testbox.fieldcam(&["ctl", "reload"]);
        assert_eq!(out.status.code(), Some(1));
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(text.contains(what), "{what}: {text}");
        for secret in [files.dir.path().to_str().unwrap(), "PRIVATE KEY-----\nM"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(shows(&testbox, good), "after {what}");
        // Whoever asks beforehand is told the same; a start takes a certificate that expired.
        let checked = testbox.fieldcam(&["check-config"]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.status.success(), what.contains("ended on"), "{said}");
        assert!(checked.status.success() || said.contains(what), "{what}: {said}");
    };
    fs::write(files.path("box.pem"), &pem).unwrap();
    refused("server.tls_key: is not the key of the certificate in server.tls_cert");
    fs::write(files.path("box.key"), &other[..other.len() / 2]).unwrap();
    refused("server.tls_key: the key is damaged");
    fs::remove_file(files.path("box.key")).unwrap();
    refused("server.tls_key: there is no such file");
    fs::write(files.path("box.key"), &key).unwrap();
    fs::write(files.path("box.pem"), &key).unwrap();
    refused("server.tls_cert: the file holds no certificate");
    files.put(2021);
    refused("server.tls_cert: the certificate ended on 2021-01-01");
    fs::write(files.path("box.pem"), &pem).unwrap();
    fs::write(files.path("box.key"), &key).unwrap();
    assert!(testbox.fieldcam(&["ctl", "reload"]).status.success());
    assert!(testbox.fieldcam(&["check-config"]).status.success());
    tls::login(&testbox, "viewer").assert_alive();
}

#[test]
fn a_start_needs_a_pair_but_takes_one_that_expired() {
    let files = Files::new();
    files.put(2021);
    fs::remove_file(files.path("box.key")).unwrap();
    let failure = files.setup().cameras(0).try_start().err().unwrap();
    assert!(failure.output.contains("server.tls_key: there is no such file"), "{}", failure.output);
    let ended = files.put(2021);
    let testbox = files.setup().cameras(0).start();
    assert!(shows(&testbox, ended));
    testbox.wait_log("server.tls_cert: the certificate ended on 2021-01-01");
}
