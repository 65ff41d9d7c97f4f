use super::*;
use proptest::prelude::*;

fn as_shown(text: &str) -> String {
    shown(&parse(text).unwrap())
}

#[test]
fn an_address_is_shown_without_what_logs_in() {
    for (text, want) in [
        ("rtsp://192.0.2.20:554/stream1", "rtsp://192.0.2.20:554/stream1"),
        ("RTSP://u:hunter22@192.0.2.20/a?b=c", "rtsp://192.0.2.20/a?b=c"),
        ("rtsps://u:hunter22@gate.local/", "rtsps://gate.local/"),
        ("rtsp://gate/user=u&password=hunter22&channel=1", "rtsp://gate/user=u&password=***&channel=1"),
        ("rtsp://u:hunter22@gate/a@b?c=d@e", "rtsp://gate/a@b?c=d@e"),
        ("rtsp://0xc0000214/a", "rtsp://192.0.2.20/a"),
        ("rtsp://[::ffff:192.0.2.20]:8554/a", "rtsp://192.0.2.20:8554/a"),
    ] {
        assert_eq!(as_shown(text), want);
    }
}

#[test]
fn two_ways_to_write_a_camera_are_one_camera() {
    let identity = |text: &str| parse(text).unwrap().identity();
    let one = identity("rtsp://192.0.2.20/a");
    for same in
        ["rtsp://192.0.2.20:554/a/", "rtsp://x:y@192.0.2.20/a", "RTSP://3221226004/a", "rtsp://192.0.532/a"]
    {
        assert_eq!(identity(same), one, "{same}");
    }
    assert_ne!(identity("rtsp://192.0.2.20/b"), one);
}

#[test]
fn what_is_no_stream_is_refused_without_being_quoted() {
    for bad in [
        "",
        "http://192.0.2.20/hunter22",
        "rtsp:/x/hunter22",
        "rtsp://",
        "rtsp:///hunter22",
        "rtsp://u:hunter22@",
        "rtsp://u:hunter22@host:0/",
        "rtsp://u:hunter22@host:99999/",
        "rtsp://:hunter22@host/",
        "rtsp://hunter22@host/",
        "rtsp://u:hunter22@host/%zz",
        "rtsp://u:hunter22@ho%41st/",
        "rtsp://u:hunter22@host/a b",
        "rtsp://u:hunter22@host/#x",
        "rtsp://u:hunter22@1.2.3.4.5/",
        "file:///etc/hunter22",
    ] {
        let error = parse(bad).expect_err(bad);
        assert_eq!(error.data()["param"], "stream_url", "{bad}");
        let told = format!("{} {:?}", error.message(), error.data());
        assert!(!told.contains("hunter22"), "{told}");
    }
    assert!(parse(&format!("rtsp://h/{}", "a".repeat(2048))).is_err());
}

proptest! {
    #[test]
    fn any_address_is_judged_without_panic_and_shown_without_password(
        text in ".*",
        url in "rtsps?://([a-z]{1,4}:[Q]{6}@)?[a-z0-9.\\[\\]:x]{1,20}(/[a-z=&?%]{0,12})?",
    ) {
        let _ = parse(&text);
        if let Ok(parsed) = parse(&url) {
            prop_assert!(!shown(&parsed).contains("QQQQQQ"), "{}", shown(&parsed));
        }
    }
}
