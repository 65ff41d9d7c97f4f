use super::*;
use crate::config::Loaded;

/// What `level` lets through of the events in `act`, as lines.
fn lines(level: &str, act: impl FnOnce()) -> Vec<(Level, String)> {
    let sink = Arc::new(Sink::Memory(Default::default()));
    let (subscriber, _) = subscriber(level, sink.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, act);
    let Sink::Memory(lines) = &*sink else { unreachable!() };
    let lines = lines.lock().unwrap();
    lines.clone()
}

#[test]
fn a_line_has_level_module_message_and_fields() {
    let lines = lines("info", || {
        tracing::info!(camera = "camera0", "streaming");
        tracing::debug!("not this");
        tracing::error!("broken");
    });
    let levels: Vec<_> = lines.iter().map(|(level, _)| *level).collect();
    assert_eq!(levels, [Level::INFO, Level::ERROR]);
    assert!(lines[0].1.contains("INFO") && lines[0].1.contains("fieldcam::log::tests"), "{lines:?}");
    assert!(lines[0].1.ends_with("streaming camera=\"camera0\""), "{lines:?}");
}

#[test]
fn directives_choose_the_level_by_module() {
    let lines = lines("error,fieldcam::log=debug", || {
        tracing::debug!("ours");
        tracing::warn!(target: "other", "not this");
    });
    assert_eq!(lines.len(), 1);
}

#[test]
fn a_question_whether_a_level_is_written_loses_no_line() {
    // As journald's: another subscriber in the process, that wants everything.
    let other = tracing::Dispatch::new(Registry::default());
    let lines = lines("info", || {
        assert!(!tracing::enabled!(Level::DEBUG));
        tracing::error!("after the question");
    });
    drop(other);
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn no_line_holds_a_secret_wherever_it_was_put() {
    let secret = Secret::new("correct-horse-battery");
    hide(&secret);
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYWRtaW4ifQ.c2lnbmF0dXJl";
    let lines = lines("trace", || {
        tracing::info!("the secret is {}", secret.expose());
        tracing::info!(value = secret.expose(), ?secret, "field");
        tracing::info!(text = ?format!("x{}y", secret.expose()), "debugged");
        let span = tracing::info_span!("call", who = secret.expose());
        span.in_scope(|| tracing::info!("in a span"));
        tracing::warn!("mediamtx: source rtsp://admin:hunter2@10.0.0.2/x ready");
        tracing::warn!(url = %"rtsp://admin:hunter2@10.0.0.2/x", "x");
        tracing::warn!(url = ?"rtsp://admin:hunter2@10.0.0.2/x", "x");
        tracing::info!(token = "hunter2", password = %"hunter2", "x");
        tracing::info!("header Authorization: Bearer {token}");
        tracing::info!("said {}", format!("{{\"auth_token\":\"{token}\"}}"));
        tracing::info!(body = ?format!("{{\"auth_token\":\"hunter2\"}}"), "x");
        tracing::info!("GET /files/a.mp4?exp=1&sig=hunter2");
    });
    assert_eq!(lines.len(), 12);
    for (_, line) in lines {
        for secret in ["correct-horse", "hunter2", "c2lnbmF0dXJl"] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

#[test]
fn the_secrets_of_the_settings_are_hidden() {
    let text = "[auth]\njwt_secret = \"settings-settings-settings-settings\"\n\
                [[camera]]\nsource = \"rtsp://admin:p%40ss+w&rd@10.0.0.2/x\"\n";
    hide_settings(&Loaded::from_text(text).unwrap().settings);
    let lines = lines("info", || tracing::info!("settings-settings-settings-settings p%40ss+w&rd p@ss+w&rd"));
    assert!(lines[0].1.ends_with("*** *** ***"), "{lines:?}");
}

#[test]
fn one_event_is_one_line_and_cannot_talk_to_the_terminal() {
    let lines = lines("info", || {
        tracing::info!("a\nERROR forged\r\x1b[2J\u{9b}");
        tracing::info!(words = "b\nc", "x");
    });
    assert_eq!(lines.len(), 2);
    for (_, line) in lines {
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

#[test]
fn the_journal_is_used_only_when_it_is_our_standard_error() {
    assert!(is_stream("8:1234", 8, 1234));
    for other in ["8:1235", "9:1234", "", ":", "8", "8:1234:5", "x:y"] {
        assert!(!is_stream(other, 8, 1234), "{other}");
    }
}

#[test]
fn a_journal_that_is_asked_for_but_not_there_is_a_clear_error() {
    let log = |target| Loaded::from_text(&format!("log.target = \"{target}\"")).unwrap().settings.log;
    // This machine may have a journald; whether it answers is asked for real.
    let here = std::path::Path::new("/run/systemd/journal/socket").exists();
    if here {
        return;
    }
    let e = open(&log("journald")).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Config);
    assert!(e.message().contains("log.target"), "{e}");
    assert!(matches!(open(&log("console")).unwrap(), Sink::Console { .. }));
}

#[test]
fn the_level_changes_while_running() {
    let sink = Arc::new(Sink::Memory(Default::default()));
    let (subscriber, handle) = subscriber("info", sink.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        tracing::debug!("before");
        handle.reload(filter("debug").unwrap()).unwrap();
        tracing::debug!("after");
    });
    let Sink::Memory(lines) = &*sink else { unreachable!() };
    let lines = lines.lock().unwrap();
    assert!(lines.len() == 1 && lines[0].1.contains("after"), "{lines:?}");
}

#[test]
fn recent_lines_and_scrubbed_text_hold_no_secret() {
    let secret = Secret::new("tidal-wave-at-noon");
    hide(&secret);
    lines("info", || tracing::warn!("kept for later: {}", secret.expose()));
    for kept in [recent_lines(), recent_faults()] {
        assert!(kept.contains("kept for later: ***"), "{kept}");
    }
    let text = format!("a\nsource = \"rtsp://u:{}@h/x\"\n{}\nend", secret.expose(), secret.expose());
    let scrubbed = scrub(&text);
    assert!(!scrubbed.contains("tidal") && scrubbed.ends_with("\nend"), "{scrubbed}");
}
