//! Which names and values are taken, and what is said of the others.

use super::*;

#[test]
fn every_key_has_a_sentence_and_a_default_that_its_own_rule_accepts() {
    for key in keys() {
        assert!(
            !key.about.is_empty() && !key.about.ends_with('.') && !key.expects.is_empty(),
            "{}",
            key.path()
        );
        if let key::Preset::Is(value) = &key.default {
            assert!((key.check)(value).is_ok(), "{}", key.path());
        }
    }
}

#[test]
fn all_mistakes_are_told_at_once_with_their_line() {
    let found = mistakes(
        "[server]\nlisten = 8002\nlisen = \":1\"\n[sever]\n[cameras]\nfps = 0\n[[camera]]\nsource = \"test:x\"\n[[camera]]\nname = \"a\"\n",
    );
    let starts: Vec<_> = found.iter().map(|m| m.split("; ").next().unwrap()).collect();
    assert_eq!(
        starts,
        [
            "fieldcam.toml:2: server.listen: is a number",
            "fieldcam.toml:3: server.lisen: unknown key",
            "fieldcam.toml:4: sever: unknown section",
            "fieldcam.toml:6: cameras.fps: is 0, out of range",
            "fieldcam.toml:8: camera[0].source: names no pattern: \"x\" (there are testsrc2, testsrc, smptehdbars, \
             smptebars, pal75bars, rgbtestsrc)",
            "fieldcam.toml:9: camera[1].source: is missing",
        ]
    );
}

#[test]
fn unknown_names_are_refused_with_the_nearest_known_one() {
    one_mistake(
        "[server]\nmax-connections = 5",
        &["server.max-connections", "did you mean max_connections?"],
    );
    one_mistake("[storage]\nlisten = \":1\"", &["storage.listen", "did you mean server.listen?"]);
    one_mistake("[recordings]\n", &["unknown section", "did you mean recording?"]);
    one_mistake("[zzz]\n", &["the sections are server, health"]);
    one_mistake("data_dir = \"/x\"", &["outside of any section", "did you mean storage.data_dir?"]);
    one_mistake("[[camera]]\nsource=\"test:testsrc\"\nsorce=1", &["camera[0].sorce", "did you mean source?"]);
    one_mistake("[server]\nlisten.port = 5", &["server.listen", "is a section"]);
    one_mistake("server = 5", &["server", "is a number", "[server]"]);
    one_mistake("[camera]\nsource = \"test:testsrc\"", &["camera", "[[camera]]"]);
    one_mistake("camera = [5]", &["camera[0]", "[[camera]]"]);
    // Keys of later issues do nothing yet, and what does nothing is not accepted.
    one_mistake("[cameras]\nusb = true", &["unknown"]);
}

#[test]
fn wrong_values_are_refused_with_what_to_write() {
    for (text, parts) in [
        ("[server]\nlisten = \"8002\"", ["server.listen", "\"0.0.0.0:8002\""]),
        ("[server]\nlisten = \"localhost:8002\"", ["server.listen", "not an address"]),
        ("[server]\nlisten = \":99999\"", ["server.listen", "not an address"]),
        ("[server]\nmax_connections = \"5\"", ["is text", "whole number from 1 to 100000"]),
        ("[server]\nmax_connections = 5.5", ["is a number with a fraction", "whole number"]),
        ("[server]\nmax_connections = -1", ["is -1, out of range", "1 to 100000"]),
        ("[server]\nidle_timeout = 300", ["is a number", "duration in quotes from \"1s\" to \"24h\""]),
        ("[server]\nidle_timeout = \"soon\"", ["is \"soon\"", "duration"]),
        ("[server]\nallowed_origins = [\"*\"]", ["holds \"*\"", "https://"]),
        ("[server]\nallowed_origins = [\"https://a.b/path\"]", ["not an origin", "https://"]),
        ("[server]\nallowed_origins = \"https://a.b\"", ["is text", "a list"]),
        ("[server]\nallowed_origins = 2020-01-01", ["is a date", "a list"]),
        ("[storage]\nwarn_percent = 0", ["out of range", "such as 70"]),
        ("[storage]\nwarn_percent = nan", ["out of range", "such as 70"]),
        ("[storage]\nwarn_percent = 90", ["not below storage.refuse_percent (85)", "smaller"]),
        ("[storage]\nretention = \"ages\"", ["did you mean \"age\"?", "\"size\""]),
        ("[storage]\nretention = \"age\"", ["storage.retention_max_age_days is not set", "set"]),
        ("[storage]\nretention = \"size\"", ["storage.retention_max_size_gb is not set", "set"]),
        ("[storage]\nretention_max_age_days = 0", ["out of range", "such as 7"]),
        ("[storage]\nretention_max_size_gb = inf", ["out of range", "such as 7"]),
        ("[storage]\nretention_floor_percent = 85", ["not below storage.refuse_percent (85)", "smaller"]),
        ("[storage]\ndata_dir = \"data\"", ["relative path", "absolute path"]),
        ("[storage]\ndata_dir = \"\"", ["is empty", "absolute path"]),
        ("[storage]\ndata_dir = \"/\"", ["root folder", "absolute path"]),
        ("[storage]\ndata_dir = \"/a\\u0000b\"", ["zero byte", "absolute path"]),
        ("[cameras]\nsynthetic = \"some\"", ["is \"some\"", "\"auto\" or a whole number"]),
        ("[cameras]\nsynthetic = 17", ["out of range", "0 to 16"]),
        ("[cameras]\nsynthetic = true", ["is true or false", "\"auto\""]),
        ("[cameras]\nresolution = \"1281x720\"", ["\"1281x720\"", "even"]),
        ("[cameras]\nresolution = \"+640x480\"", ["\"+640x480\"", "even"]),
        ("[cameras]\nresolution = \"7680x4320\"", ["\"7680x4320\"", "4096"]),
        ("[cameras]\nencoder = \"libx265\"", ["did you mean \"libx264\"?", "write"]),
        ("[cameras]\nencoder = \"hevc_v4l2m2m\"", ["is not known", "\"h264_v4l2m2m\""]),
        ("[cameras]\nkeep_warm = \"yes\"", ["is text", "true or false, without quotes"]),
        ("[recording]\nsync_interval = \"1ms\"", ["out of range", "\"50ms\" to \"10s\", or \"0\""]),
        ("[recording]\nformat = \"avi\"", ["\"avi\"", "\"fmp4\""]),
        ("[mediamtx]\nbinary = \"./mediamtx\"", ["relative path", "PATH"]),
        ("[ffmpeg]\nbinary = \"\"", ["is empty", "PATH"]),
        ("[ffmpeg]\nbinary = \"/usr/bin/\"", ["a folder", "PATH"]),
        ("[log]\nlevel = \"inof\"", ["did you mean \"info\"?", "debug"]),
        ("[log]\nlevel = \"info,fieldcam=loud\"", ["is \"loud\"", "debug"]),
        ("[log]\nlevel = \"info,a b=info\"", ["\"a b\"", "no module"]),
        ("[log]\nlevel = \"\"", ["is \"\"", "debug"]),
        ("[log]\ntarget = \"syslog\"", ["\"syslog\"", "\"journald\""]),
    ] {
        one_mistake(text, &parts);
    }
}

#[test]
fn good_values_of_every_kind_are_taken() {
    let s = Loaded::from_text(
        "server = {listen = \"[::1]:0\", allowed_origins = [\"HTTPS://Cams.example.org:443/\"]}\n\
         storage = {warn_percent = 50, refuse_percent = 99.5, retention = \"age\", retention_max_age_days = 0.5}\n\
         recording = {sync_interval = \"0\", segment_duration = \"1m 30s\"}\n\
         cameras = {synthetic = 0}\n\
         ffmpeg.binary = \"/opt/ffmpeg/bin/ffmpeg\"\n\
         log.level = \"info,fieldcam::rpc=debug\"\n",
    )
    .unwrap()
    .settings;
    assert_eq!(s.server.listen.to_string(), "[::1]:0");
    assert_eq!(s.server.allowed_origins, ["https://cams.example.org"]);
    assert_eq!(s.recording.segment_duration, Duration::from_secs(90));
    assert_eq!((s.storage.retention_max_age_days, s.storage.retention_max_size_gb), (Some(0.5), None));
    assert_eq!(s.recording.sync_interval, Duration::ZERO);
    assert_eq!(s.cameras.synthetic, Synthetic::Count(0));
}

#[test]
fn a_port_is_given_once_and_the_written_key_is_blamed() {
    one_mistake(
        "[server]\nlisten = \"127.0.0.1:8003\"",
        &["fieldcam.toml:2: server.listen", "health.listen does (default)"],
    );
    one_mistake("[mediamtx]\nhls_listen = \":9997\"", &[":2: mediamtx.hls_listen", "mediamtx.api_listen"]);
    one_mistake("[mediamtx]\nwebrtc_udp = \":8554\"", &[":2: mediamtx.webrtc_udp", "mediamtx.rtsp_listen"]);
    for fine in [
        "server.listen = \"127.0.0.1:0\"\nhealth.listen = \"127.0.0.1:0\"",
        "server.listen = \"127.0.0.1:81\"\nhealth.listen = \"127.0.0.2:81\"",
    ] {
        Loaded::from_text(fine).unwrap();
    }
}

#[test]
fn viewers_hosts_are_names_or_addresses() {
    let hosts = |list: &str| Loaded::from_text(&format!("mediamtx.webrtc_hosts = {list}"));
    let s = hosts("[\"203.0.113.7\", \"fe80::1\", \"box.example\"]").unwrap().settings;
    assert_eq!(s.mediamtx.webrtc_hosts, ["203.0.113.7", "fe80::1", "box.example"]);
    for bad in ["[\"box.example:8189\"]", "[\"http://box\"]", "[\"\"]", "[\"a b\"]", "[\"-x\"]"] {
        assert!(hosts(bad).is_err(), "{bad}");
    }
}

#[test]
fn two_cameras_are_two_cameras() {
    one_mistake(
        "[[camera]]\nid=\"camera1\"\nsource=\"test:testsrc\"\n[[camera]]\nid=\"camera1\"\nsource=\"test:testsrc2\"",
        &["fieldcam.toml:5: camera[1].id", "as that of camera[0] (fieldcam.toml:2)"],
    );
    let b = Folder::new(&[
        ("fieldcam.toml", "[[camera]]\nsource=\"rtsp://a:b@Host/x\""),
        ("conf.d/a.toml", "\n[[camera]]\nsource=\"rtsp://host:554/x\""),
    ]);
    let found = b.load(&[]).unwrap_err().to_string();
    assert!(found.contains("a.toml:3: camera[0].source: is the same as that of camera[0]"), "{found}");
    assert!(found.contains("/fieldcam.toml:2)"), "{found}");
}

#[test]
fn keys_that_would_do_nothing_for_a_camera_are_refused() {
    let network = "[[camera]]\nsource = \"rtsp://h/x\"\n";
    one_mistake(&format!("{network}fps = 5"), &[":3: camera[0].fps", "does nothing"]);
    one_mistake(&format!("{network}encoder = \"libx264\""), &["camera[0].encoder", "does nothing"]);
    one_mistake(&format!("{network}format = \"H264\""), &["camera[0].format", "does nothing"]);
    one_mistake(&format!("{network}keep_warm = true"), &["camera[0].keep_warm", "does nothing"]);
    one_mistake("[[camera]]\nsource = \"test:testsrc\"\naudio = true", &["camera[0].audio", "does nothing"]);
    let shown = report_effective(&Loaded::from_text(network).unwrap());
    let camera = shown.split("[[camera]]").nth(1).unwrap();
    assert!(camera.contains("audio = false") && !camera.contains("fps"), "{camera}");
}

#[test]
fn a_camera_may_be_asked_for_a_format() {
    let format = |text: &str| {
        let camera = format!("[[camera]]\nsource = \"v4l2:usb-1209:0001-A\"\nformat = \"{text}\"");
        Loaded::from_text(&camera).map(|loaded| loaded.settings.camera[0].format)
    };
    assert_eq!(format("auto").unwrap(), CameraFormat::Auto);
    for name in ["H264", "h264"] {
        assert_eq!(format(name).unwrap(), CameraFormat::Named(*b"H264"));
    }
    let wrong = format("MJPEG").unwrap_err().to_string();
    assert!(wrong.contains("did you mean \"MJPG\"?"), "{wrong}");
}

#[test]
fn sources_follow_their_grammar() {
    for good in
        ["test:testsrc2", "test:pal75bars?lose=3", "rtsp://10.0.0.2/x", "rtsps://u:p%40@[::1]:322/a?b=c"]
    {
        let spec: SourceSpec = good.parse().unwrap();
        assert!(!spec.identity().contains('@'), "{good}");
    }
    for bad in [
        "",
        "test",
        "test:",
        "test:nothing",
        "test:testsrc?lose=1",
        "test:testsrc?speed=1",
        "test:testsrc?lose",
        "rtsp:",
        "rtsp://",
        "rtsp:///x",
        "rtsp:host/x",
        "rtsp://h:0/x",
        "rtsp://h/x#y",
        "rtsp://h/a b",
        "http://h/x",
        "v4l2:",
        "v4l2:usb 1",
        "file:",
        "file:/",
        "file:a/",
        "file:.",
        "file:../x.mp4",
        "file:/data/../etc/passwd",
        "file:a\nb",
        "/dev/video0",
        "rtsp://u:pa/ss@h/x",
    ] {
        assert!(bad.parse::<SourceSpec>().is_err(), "{bad}");
    }
    let one: SourceSpec = "rtsp://admin:one@Cam.local/live/".parse().unwrap();
    let other: SourceSpec = "rtsp://admin:two@cam.local:554/live".parse().unwrap();
    assert_eq!(one.identity(), other.identity());
    for (text, path) in [
        ("file:clip.mp4", "/data/media/clip.mp4"),
        ("file:./a//b c.mkv", "/data/media/a/b c.mkv"),
        ("file:///srv/x.mp4", "/srv/x.mp4"),
    ] {
        let SourceSpec::File(file) = text.parse().unwrap() else { panic!("{text}") };
        assert_eq!(file.within(Path::new("/data/media")), Path::new(path));
    }
}

#[test]
fn certificate_files_go_with_their_mode_and_its_port_counts_only_then() {
    let mistakes = |text: &str| Loaded::from_text(text).map(drop).unwrap_err().to_string();
    let pair = "tls_cert = \"/c.pem\"\ntls_key = \"/k.pem\"\n";
    let loaded = Loaded::from_text(&format!("[server]\ntls = \"files\"\n{pair}")).unwrap();
    assert_eq!(loaded.settings.server.tls_cert.unwrap().to_str(), Some("/c.pem"));
    for mode in ["off", "auto"] {
        let text = mistakes(&format!("[server]\ntls = \"{mode}\"\n{pair}"));
        assert!(text.contains("server.tls_cert") && text.contains("server.tls_key"), "{text}");
        assert!(text.contains("set server.tls = \"files\""), "{text}");
    }
    let text = mistakes("[server]\ntls = \"files\"\ntls_cert = \"/c.pem\"\n");
    assert!(text.contains("server.tls_key is not set") && !text.contains("tls_cert is not set"), "{text}");
    assert!(mistakes("[server]\ntls = \"file\"\n").contains("did you mean \"files\""));
    assert!(mistakes("[server]\ntls_cert = \"c.pem\"\n").contains("relative path"));
    let port = "[mediamtx]\nrtsps_listen = \":8002\"\n";
    assert!(Loaded::from_text(port).is_ok());
    assert!(mistakes(&format!("[server]\ntls = \"auto\"\n{port}")).contains("port 8002"));
}
