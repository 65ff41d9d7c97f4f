//! Whatever is written, nothing panics, and no secret and no control character comes out.

use proptest::prelude::*;

use super::*;

#[test]
fn broken_toml_is_told_with_line_and_column_and_without_quoting_it() {
    one_mistake("[server]\nmax_connections = = 5\n", &["fieldcam.toml:2:19: ", "is not TOML"]);
    one_mistake("[server]\n[server]\n", &["fieldcam.toml:2", "is not TOML"]);
    for line in [
        "jwt_secret = \"hunter2hunter2",
        "jwt_secret = hunter2",
        "jwt_secret = \"hunter2\" x",
        "jwt_secret = 'hunter2\n'",
    ] {
        for m in mistakes(&format!("[auth]\n{line}\n")) {
            assert!(!m.contains("hunter2"), "{m}");
        }
    }
}

/// The document parser goes on behind such mistakes (`config::grammar`).
#[test]
fn mistakes_of_the_grammar_are_told_however_they_nest() {
    for text in
        ["a=[\n\n= = [x]\n[a.b]\n", "a=[1\na.b=1", "[a\n[a.b]\na=[", "storage=[:5\n=1\n[storage.x]\nx=1\n"]
    {
        assert!(!mistakes(text).is_empty(), "{text:?}");
    }
    let deep = format!("a={}", "[".repeat(100_000));
    assert!(!mistakes(&deep).is_empty());
}

#[test]
fn names_cannot_forge_lines_or_talk_to_the_terminal() {
    let found = mistakes("\"a\\nb: c\\u001b[2J\" = 1\n[server]\n\"x\\ry\" = 2");
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|m| !m.chars().any(char::is_control)), "{found:?}");
}

#[test]
fn credentials_are_hidden_wherever_an_address_holds_them() {
    for address in [
        "rtsp://admin:hunter2@10.0.0.2/x",
        "rtsp://admin:hun/hunter2@10.0.0.2/x",
        "rtsp://hunter2@10.0.0.2/x",
        "rtsp://a:b@hunter2@10.0.0.2/x",
        "rtsp://10.0.0.2/user=admin&password=hunter2&channel=1",
        "rtsp://10.0.0.2/user=admin_password=hunter2_channel=1",
        "rtsp://10.0.0.2/x?pwd=hunter2",
        "rtsp://10.0.0.2/x?a=1&token=hunter2",
        "admin:hunter2@10.0.0.2/x",
    ] {
        assert!(!hide_credentials(address).contains("hunter2"), "{}", hide_credentials(address));
        if let Ok(spec) = address.parse::<SourceSpec>() {
            let all = format!("{spec} {spec:?} {}", spec.identity());
            assert!(!all.contains("hunter2"), "{all}");
        }
    }
    assert_eq!(hide_credentials("rtsp://admin:x@10.0.0.2/a?b=c"), "rtsp://admin:***@10.0.0.2/a?b=c");
    assert_eq!(hide_credentials("rtsp://10.0.0.2/a?b=c"), "rtsp://10.0.0.2/a?b=c");
}

#[test]
fn no_secret_is_ever_printed() {
    let text = format!(
        "[auth]\njwt_secret = \"{SECRET}\"\n[[camera]]\nsource = \"rtsp://admin:hunter2@10.0.0.2/x?pwd=hunter2\"\n"
    );
    let loaded = Loaded::from_text(&text).unwrap();
    let mut printed = vec![report_effective(&loaded), format!("{loaded:?}")];
    // The same values where they are mistakes.
    for wrong in [
        "[auth]\njwt_secret = \"hunter2\"",
        "[auth]\njwt_secret = [\"hunter2\"]",
        "[auth]\njwt_secrt = \"hunter2\"",
        "[auth.jwt_secret]\nx = \"hunter2\"",
        "[[camera]]\nsource = \"rtsp://admin:hunter2 x@h/\"",
        "[[camera]]\nsource = \"rtsp://admin:hunter2/x@h/\"",
        "[[camera]]\nsource = \"rtsp://admin:hunter2@/\"",
        "[[camera]]\nsource = \"http://admin:hunter2@h/\"",
        "[[camera]]\nsource = \"rtsp://a:hunter2@h/\"\n[[camera]]\nsource = \"rtsp://b:hunter2@h/\"",
        "[[camera]]\nname = \"rtsp://a:hunter2@h/\"\nid = \"camera1\"",
        "[server]\nallowed_origins = [\"http://a:hunter2@h\"]",
    ] {
        let found = Loaded::from_text(wrong).unwrap_err();
        printed.push(format!("{found} {found:?} {:?}", Error::from(found.clone())));
    }
    let found = with_env(&[("FIELDCAM_AUTH__JWT_SECRET", "hunter2"), ("FIELDCAM_AUTH__SECRET", "hunter2")]);
    printed.push(found.unwrap_err().to_string());
    for text in printed {
        assert!(!text.contains("hunter2") && !text.contains(SECRET), "{text}");
    }
    one_mistake(
        "[auth]\njwt_secret = \"hunter2\"",
        &["auth.jwt_secret: is too short: 7 of at least 32 bytes"],
    );
}

/// Text near enough to a configuration to get behind the parser.
fn near_toml() -> impl Strategy<Value = String> {
    let sections: Vec<_> = settings::SECTIONS.iter().copied().chain(["camera", "oops", ""]).collect();
    let names: Vec<_> = keys().iter().map(|k| k.name).chain(["oops"]).collect();
    let values = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| format!("{n:?}")),
        Just("true".to_owned()),
        Just("[]".to_owned()),
        Just("[[1], {a = 2}]".to_owned()),
        Just("2020-01-01T00:00:00Z".to_owned()),
        Just("{ source = \"test:testsrc\", fps = 1 }".to_owned()),
        Just("[{ source = \"rtsp://a:b@c\", id = 4 }]".to_owned()),
        "[a-z0-9:/@?&=.%é \\[\\]-]{0,24}".prop_map(|s| toml_edit::Value::from(s).to_string()),
        "(rtsp|rtsps|test):(//)?[a-z0-9:/@?&=.%-]{0,24}".prop_map(|s| format!("\"{s}\"")),
        "[^\n]{0,12}",
    ];
    let line = prop_oneof![
        prop::sample::select(sections.clone()).prop_map(|s| format!("[{s}]")),
        Just("[[camera]]".to_owned()),
        (prop::sample::select(names), values.clone()).prop_map(|(n, v)| format!("{n} = {v}")),
        (prop::sample::select(sections), values).prop_map(|(n, v)| format!("{n} = {v}")),
        ".{0,20}",
    ];
    prop::collection::vec(line, 0..8).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_text_makes_loading_panic(text in prop_oneof![near_toml(), any::<String>()]) {
        match Loaded::from_text(&text) {
            Ok(loaded) => drop(report_effective(&loaded)),
            Err(found) => {
                prop_assert!(found.count() > 0);
                for m in found.iter() {
                    prop_assert!(!m.hint.is_empty() && !m.what.is_empty());
                    prop_assert_eq!(m.to_string().lines().count(), 1, "{}", m);
                }
            }
        }
    }

    #[test]
    fn no_bytes_in_a_file_make_loading_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let b = Folder::new(&[]);
        fs::write(b.main(), bytes).unwrap();
        let _ = b.load(&[]);
    }

    #[test]
    fn no_environment_makes_loading_panic(
        key in prop::sample::select(keys().iter().map(Key::variable).chain(["FIELDCAM_CAMERA".into()]).collect::<Vec<_>>()),
        value in prop_oneof![any::<String>(), near_toml()],
        other in "FIELDCAM_[A-Z_]{0,20}",
    ) {
        let _ = with_env(&[(&key, &value), (&other, &value)]);
    }

    #[test]
    fn a_password_is_hidden_whatever_it_is(password in "[!-~]{6,20}", host in "[a-z]{3,8}") {
        prop_assume!(!password.contains("***"));
        let hidden = hide_credentials(&format!("rtsp://admin:{password}@{host}/x"));
        prop_assert!(!hidden.contains(&password), "{}", hidden);
    }

    #[test]
    fn secrets_stay_out_of_mistakes(secret in "[a-zA-Z0-9]{12,31}", shape in 0..6) {
        let text = match shape {
            0 => format!("[auth]\njwt_secret = \"{secret}\""),
            1 => format!("[auth]\njwt_secret = {secret}"),
            2 => format!("[auth]\njwt_secret = \"{secret}"),
            3 => format!("[auth]\njwt_secret = '{secret}' {secret}"),
            4 => format!("[auth]\njwt_secret = [\"{secret}\"]"),
            _ => format!("[auth]\njwt_secret: \"{secret}\""),
        };
        let found = Loaded::from_text(&text).unwrap_err();
        prop_assert!(!format!("{found} {found:?}").contains(&secret), "{}", found);
    }
}
