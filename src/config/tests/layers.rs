//! Where values come from: defaults, files, drop-ins, environment, and back out as text.

use super::*;

#[test]
fn defaults_alone_are_valid_and_are_those_of_the_product() {
    let Loaded { settings: s, entries, files, ignored } = Loaded::from_text("").unwrap();
    assert!(ignored.is_empty());
    assert_eq!(s.server.listen.to_string(), "0.0.0.0:8002");
    assert_eq!(s.health.listen.port(), 8003);
    assert_eq!((s.server.max_connections, s.auth.rate_limit_per_minute), (1000, 1200));
    assert_eq!(s.server.idle_timeout, Duration::from_secs(300));
    assert_eq!((s.storage.warn_percent, s.storage.refuse_percent), (70.0, 85.0));
    assert_eq!(s.cameras.synthetic, Synthetic::Auto);
    assert_eq!(s.cameras.resolution, Resolution { width: 1280, height: 720 });
    assert_eq!(s.recording.segment_duration, Duration::from_secs(900));
    assert_eq!(s.recording.sync_interval, Duration::from_millis(500));
    assert!(s.mediamtx.rtsp_listen.ip().is_unspecified() && s.mediamtx.rtsp_listen.port() == 8554);
    assert!(s.camera.is_empty() && s.auth.jwt_secret.is_none());
    assert!(entries.iter().all(|e| e.origin == Origin::Default));
    assert_eq!(files, [Path::new("fieldcam.toml")]);
}

#[test]
fn later_layers_win_and_each_value_knows_its_origin() {
    let b = Folder::new(&[
        ("fieldcam.toml", "[server]\nlisten = \":1001\"\nmax_connections = 1\n\n[cameras]\nfps = 10\n"),
        ("conf.d/20-b.toml", "[server]\nmax_connections = 3\n"),
        ("conf.d/10-a.toml", "server.max_connections = 2\nserver.idle_timeout = \"20s\"\n"),
        ("conf.d/.hidden.toml", "nonsense"),
        ("conf.d/note.txt", "nonsense"),
    ]);
    let loaded = b.load(&[("FIELDCAM_CAMERAS__FPS", "25"), ("FIELDCAM_TOKEN", "x")]).unwrap();
    let s = &loaded.settings;
    assert_eq!((s.server.max_connections, s.cameras.fps), (3, 25));
    assert_eq!(s.server.idle_timeout, Duration::from_secs(20));
    assert!(origin_of(&loaded, "server", "listen").ends_with("/fieldcam.toml:2"));
    assert!(origin_of(&loaded, "server", "max_connections").ends_with("/conf.d/20-b.toml:2"));
    assert!(origin_of(&loaded, "server", "idle_timeout").ends_with("/conf.d/10-a.toml:2"));
    assert_eq!(origin_of(&loaded, "cameras", "fps"), "FIELDCAM_CAMERAS__FPS");
    assert_eq!(origin_of(&loaded, "cameras", "resolution"), "default");
    assert_eq!(loaded.files.len(), 3);
}

#[test]
fn cameras_of_all_files_add_up_and_take_what_they_do_not_say_from_cameras() {
    let b = Folder::new(&[
        (
            "fieldcam.toml",
            "[cameras]\nfps = 15\nkeep_warm = true\n[[camera]]\nsource = \"test:testsrc2\"\nfps = 5\n",
        ),
        (
            "conf.d/door.toml",
            "[[camera]]\nid = \"camera7\"\nname = \"Door\"\nsource = \"rtsp://u:p@10.0.0.9/main\"\naudio = true\n",
        ),
        (
            "conf.d/yard.toml",
            "camera = [{ source = \"test:smptebars?deliver=12&lose=3\", resolution = \"640x360\" }]",
        ),
    ]);
    let loaded = b.load(&[]).unwrap();
    let c = &loaded.settings.camera;
    assert_eq!(c.iter().map(|c| c.fps).collect::<Vec<_>>(), [5, 15, 15]);
    assert_eq!(c[1].id, Some(CameraId(7)));
    assert!(c[1].audio && c[0].keep_warm);
    assert_eq!(c[1].name.as_deref(), Some("Door"));
    assert_eq!(c[2].resolution.to_string(), "640x360");
    assert_eq!(
        c[2].source,
        SourceSpec::Test(TestPattern { pattern: "smptebars".into(), deliver: Some(12), lose: Some(3) })
    );
    assert!(origin_of(&loaded, "camera[1]", "name").ends_with("door.toml:3"));
    assert!(origin_of(&loaded, "camera[2]", "fps").ends_with("fieldcam.toml:2"));

    let only = [("FIELDCAM_CAMERA", "[{source = \"test:pal75bars\"}]")];
    let replaced = b.load(&only).unwrap();
    assert_eq!(replaced.settings.camera.len(), 1);
    assert_eq!(origin_of(&replaced, "camera[0]", "source"), "FIELDCAM_CAMERA");
}

#[test]
fn files_written_on_other_systems_are_read() {
    let s = Loaded::from_text("\u{feff}[cameras]\r\nfps = 5\r\n").unwrap().settings;
    assert_eq!(s.cameras.fps, 5);
    one_mistake("\u{feff}[cameras]\r\n# é\r\nfps = 'é'\r\n", &["fieldcam.toml:3: cameras.fps"]);
}

#[test]
fn files_that_cannot_be_read_are_mistakes_but_the_usual_one_may_be_missing() {
    let b = Folder::new(&[]);
    let missing = b.load(&[]).unwrap_err().to_string();
    assert!(missing.contains("fieldcam.toml: cannot be read: No such file"), "{missing}");
    assert!(load(&Sources { usual_file: Some(b.main()), ..Sources::default() }).unwrap().files.is_empty());

    let b = Folder::new(&[("fieldcam.toml", ""), ("conf.d/a.toml/x", ""), ("conf.d/b.toml", "x")]);
    fs::write(b.dir.path().join("conf.d/c.toml"), b"[server]\n# caf\xe9\n").unwrap();
    fs::write(b.dir.path().join("conf.d/d.toml"), vec![b'\n'; 2 << 20]).unwrap();
    let found = b.load(&[]).unwrap_err();
    let all = found.to_string();
    assert_eq!(found.count(), 4, "{all}");
    for part in
        ["a.toml: cannot be read: Is a directory", "b.toml:1:", "c.toml:2: is not UTF-8", "d.toml: is larger"]
    {
        assert!(all.contains(part), "{part}: {all}");
    }
}

#[test]
fn the_drop_ins_of_a_missing_usual_file_count() {
    let b = Folder::new(&[("conf.d/a.toml", "[cameras]\nfps = 7")]);
    let loaded = load(&Sources { usual_file: Some(b.main()), ..Sources::default() }).unwrap();
    assert_eq!(loaded.settings.cameras.fps, 7);
}

#[test]
fn the_environment_sets_keys_by_their_type_and_refuses_names_that_are_none() {
    let s = with_env(&[
        ("FIELDCAM_AUTH__JWT_SECRET", "01234567890123456789012345678901"),
        ("FIELDCAM_STORAGE__WARN_PERCENT", "12.5"),
        ("FIELDCAM_STORAGE__DATA_DIR", "var"),
        ("FIELDCAM_MEDIAMTX__BINARY", "target/mediamtx"),
        ("FIELDCAM_FFMPEG__BINARY", "ffmpeg7"),
        ("FIELDCAM_CAMERAS__KEEP_WARM", "true"),
        ("FIELDCAM_CAMERAS__SYNTHETIC", "3"),
        ("FIELDCAM_SERVER__ALLOWED_ORIGINS", "http://a:1, http://b"),
        ("FIELDCAM_TEST_MEDIAMTX", "/x"),
        ("FIELDCAM_TEST_A__B", "/x"),
        ("FIELDCAM_TOKEN", "x"),
        ("FIELDCAM_SOMETHING", "x"),
        ("PATH", "/bin"),
    ])
    .unwrap()
    .settings;
    assert_eq!(s.auth.jwt_secret.unwrap().expose(), "01234567890123456789012345678901");
    assert_eq!(s.storage.warn_percent, 12.5);
    assert_eq!(s.storage.data_dir, Path::new("/home/me/var"));
    assert_eq!(s.mediamtx.binary, Path::new("/home/me/target/mediamtx"));
    assert_eq!(s.ffmpeg.binary, Path::new("ffmpeg7"));
    assert_eq!((s.cameras.synthetic, s.cameras.keep_warm), (Synthetic::Count(3), true));
    assert_eq!(s.server.allowed_origins, ["http://a:1", "http://b"]);

    for (name, value, part) in [
        ("FIELDCAM_SERVER__LISTEN", "8002", "FIELDCAM_SERVER__LISTEN: server.listen: is \"8002\""),
        ("FIELDCAM_SERVER__LISEN", ":1", "did you mean FIELDCAM_SERVER__LISTEN?"),
        ("FIELDCAM_SERVER_LISTEN", ":1", "did you mean FIELDCAM_SERVER__LISTEN?"),
        ("FIELDCAM_LOG_LEVEL", "debug", "did you mean FIELDCAM_LOG__LEVEL?"),
        ("FIELDCAM_server__listen", ":1", "did you mean FIELDCAM_SERVER__LISTEN?"),
        ("FIELDCAM_A__B__C", "1", "names no key"),
        ("FIELDCAM_CAMERA__0__SOURCE", "test:testsrc", "FIELDCAM_CAMERA='[{source"),
        ("FIELDCAM_CAMERA", "test:testsrc", "FIELDCAM_CAMERA: camera: is not a list in TOML"),
        ("FIELDCAM_CAMERA", "[{source='test:testsrc', fps='x'}]", "FIELDCAM_CAMERA: camera[0].fps: is text"),
        ("FIELDCAM_STORAGE__DATA_DIR", "", "is empty"),
        ("FIELDCAM_CAMERAS__FPS", "many", "is text"),
    ] {
        let found = with_env(&[(name, value)]).unwrap_err();
        assert_eq!(found.count(), 1, "{found}");
        assert!(found.to_string().contains(part), "{found}");
    }
    let broken = vec![("FIELDCAM_LOG__LEVEL".into(), OsString::from_vec(vec![0xff]))];
    let found = load(&Sources { environment: broken, ..Sources::default() }).unwrap_err();
    assert!(found.to_string().contains("is not UTF-8"), "{found}");
}

#[test]
fn the_effective_settings_print_as_toml_that_loads_the_same() {
    let text = "[server]\nallowed_origins = [\"http://a\"]\n[storage]\nwarn_percent = 12.5\n[[camera]]\nname = \"a \\\"b\\\" ä\"\nsource = \"test:testsrc\"\n";
    let loaded = Loaded::from_text(text).unwrap();
    let shown = report_effective(&loaded);
    let again = Loaded::from_text(&shown).unwrap_or_else(|m| panic!("{m}\n{shown}"));
    assert_eq!(again.settings, loaded.settings);
    assert_eq!(shown, report_effective(&Loaded::from_text(text).unwrap()));
    for key in keys().iter().filter(|k| k.section != "camera") {
        assert!(shown.contains(key.about), "{}", key.path());
    }
    assert!(shown.contains("warn_percent = 12.5  # fieldcam.toml:4\n"), "{shown}");
}

#[test]
fn mistakes_become_an_error_of_kind_config() {
    let e = Error::from(Loaded::from_text("x = 1").unwrap_err());
    assert_eq!(e.kind(), ErrorKind::Config);
    assert!(e.to_string().ends_with("1 mistake in the configuration"), "{e}");
}

#[test]
fn settings_made_over_the_api_stand_between_the_files_and_the_environment() {
    let api = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    let mut sources = Sources {
        environment: vec![("FIELDCAM_LOG__LEVEL".into(), "warn".into())],
        api: api(&[
            ("log.level", "\"debug\""),
            ("storage.warn_percent", "50"),
            ("server.max_connections", "7"),
        ]),
        ..Sources::default()
    };
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.settings.log.level, "warn");
    assert_eq!(loaded.settings.storage.warn_percent, 50.0);
    let entry = loaded.entries.iter().find(|e| e.name == "max_connections").unwrap();
    assert_eq!((entry.value.as_deref(), entry.origin.to_string()), (Some("7"), "set over the API".into()));
    assert!(loaded.ignored.is_empty());

    // What no file could correct must not keep a box from starting.
    let bad = [
        ("storage.warn_percent", "\"much\""),
        ("no.such_key", "1"),
        ("server.max_connections", "not TOML"),
        ("storage.data_dir", "\"/elsewhere\""),
        ("auth.jwt_secret", "\"0123456789012345678901234567890123456789\""),
        ("camera.source", "\"file:/etc/passwd\""),
        ("camera", "[{source = \"file:/etc/passwd\"}]"),
    ];
    sources.api = api(&bad);
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.ignored.len(), bad.len());
    assert_eq!(loaded.settings.camera.len(), 0);
    assert_eq!(loaded.settings.storage.data_dir, std::path::Path::new("/data/fieldcam"));
}
