//! A token that does not hold logs nobody in.

use std::time::{Duration, Instant};

use crate::common::bystander::{Bystander, SECRET, check_error, start};
use crate::common::{http, token, wait_for};
use serde_json::{Value, json};

const MIB: usize = 1 << 20;

#[test]
fn tokens_that_do_not_hold_are_refused() {
    let testbox = start();
    let mut bystander = Bystander::new(&testbox);
    let mut client = testbox.connect();
    let good = |change: &dyn Fn(&mut Value)| {
        let mut claims = token::claims("admin");
        change(&mut claims);
        token::sign(&token::hs256(), &claims, SECRET.as_bytes())
    };
    let valid = good(&|_| ());
    let mut bad: Vec<(String, Value)> = vec![
        ("nothing".into(), Value::Null),
        ("a number".into(), json!(7)),
        ("an object".into(), json!({})),
        ("empty".into(), json!("")),
        ("no token at all".into(), json!("hello")),
        ("dots".into(), json!("a.b.c")),
        ("a prefix".into(), json!(format!("Bearer {valid}"))),
        ("cut".into(), json!(valid[..valid.len() - 2])),
        (
            "other secret".into(),
            json!(token::sign(
                &token::hs256(),
                &token::claims("admin"),
                b"another secret of 32 bytes or more"
            )),
        ),
        ("empty secret".into(), json!(token::sign(&token::hs256(), &token::claims("admin"), b""))),
        ("long".into(), json!("x".repeat(MIB))),
    ];
    for alg in ["none", "None", "HS384", "HS512", "RS256", ""] {
        let header = json!({ "alg": alg, "typ": "JWT" });
        let text = token::unsigned(&header, &token::claims("admin"));
        bad.push((format!("alg {alg}, no signature"), json!(format!("{text}."))));
        bad.push((
            format!("alg {alg}, signed HS256"),
            json!(token::sign(&header, &token::claims("admin"), SECRET.as_bytes())),
        ));
    }
    for claim in ["user_id", "role", "iat", "exp"] {
        bad.push((
            format!("without {claim}"),
            json!(good(&|c| drop(c.as_object_mut().unwrap().remove(claim)))),
        ));
        bad.push((format!("{claim} of a wrong type"), json!(good(&|c| c[claim] = json!([])))));
    }
    for (claim, value) in
        [("role", json!("root")), ("role", json!("Admin")), ("exp", json!(1)), ("exp", json!(-5))]
    {
        bad.push((format!("{claim} {value}"), json!(good(&|c| c[claim] = value.clone()))));
    }
    for (case, given) in bad {
        let error = client.refused("authenticate", json!({ "auth_token": given }));
        assert_eq!(error.code, -32001, "{case}: {error}");
        assert!(error.message.contains("Authentication failed or token expired"), "{case}: {error}");
        check_error(&testbox, &case, -32001, &error.data, &error.to_string());
        let error = client.refused("get_camera_list", Value::Null);
        assert_eq!(error.code, -32001, "{case} must not have logged in: {error}");
    }
    assert_eq!(client.refused("authenticate", Value::Null).code, -32001);
    assert_eq!(client.authenticate(&valid)["role"], "admin");
    client.ok("get_status", Value::Null);
    bystander.noticed_nothing();

    // A token that runs out while its socket is open opens nothing more, but ping still answers.
    let soon = good(&|c| c["exp"] = json!(c["iat"].as_u64().unwrap() + 2));
    client.authenticate(&soon);
    wait_for("the login expires", || {
        client.call("get_camera_list", Value::Null).err().map(|e| assert_eq!(e.code, -32001))
    });
    client.assert_alive();
}

#[test]
fn whoever_keeps_failing_waits_longer_and_longer_and_a_good_token_never() {
    let testbox = start();
    let mut bad = testbox.connect();
    let slow = Duration::from_millis(300);
    let failures = (1..200).find(|_| {
        let begun = Instant::now();
        assert_eq!(bad.refused("authenticate", json!({ "auth_token": "guess" })).code, -32001);
        begun.elapsed() >= slow
    });
    assert!(failures.is_some_and(|n| n > 50), "{failures:?} failures before an answer took {slow:?}");
    // The same over HTTP, from the same address.
    let link = testbox.http("/files/snapshots/x.jpg");
    let begun = Instant::now();
    assert_eq!(http::get(&link, &[("Authorization", "Bearer guess")]).status, 401);
    assert!(begun.elapsed() >= slow);
    // And with keys: what looks like one, and one that was revoked.
    let mut admin = testbox.login("admin");
    let key = admin.ok("create_api_key", json!({ "name": "hall", "role": "viewer" }));
    admin.ok("revoke_api_key", json!({ "id": key["id"] }));
    for key in ["fk_guess", key["key"].as_str().unwrap()] {
        let begun = Instant::now();
        assert_eq!(http::get(&link, &[("X-API-Key", key)]).status, 401);
        assert!(begun.elapsed() >= slow);
        let begun = Instant::now();
        assert_eq!(bad.refused("authenticate", json!({ "auth_token": key })).code, -32001);
        assert!(begun.elapsed() >= slow);
    }
    // Its other answers do not wait for a failed one, and neither does a good token from there.
    bad.send(
        &json!({ "jsonrpc": "2.0", "id": 1, "method": "authenticate", "params": { "auth_token": "x" } })
            .to_string(),
    );
    bad.send(&json!({ "jsonrpc": "2.0", "id": 2, "method": "ping" }).to_string());
    assert_eq!(bad.reply()["id"], 2);
    assert_eq!(bad.reply()["id"], 1);
    testbox.login("viewer").ok("get_camera_list", Value::Null);
}
