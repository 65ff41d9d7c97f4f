//! The API document and what is served, held against each other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::TEXT;
use crate::base::ErrorKind;
use crate::config::Loaded;
use crate::rpc::events::Topic;
use crate::rpc::params::{self, Fields};
use crate::rpc::table::Method;
use crate::rpc::{budget, frame, methods};

fn document() -> Value {
    serde_json::from_str(TEXT).unwrap()
}

fn is_planned(part: &Value) -> bool {
    part["x-status"] == "planned"
}

fn resolve<'a>(document: &'a Value, part: &'a Value) -> &'a Value {
    part["$ref"].as_str().map_or(part, |at| document.pointer(&at[1..]).unwrap())
}

/// The methods that both know.
fn both(document: &Value) -> Vec<(&Value, Method)> {
    let mut served: BTreeMap<_, _> = methods::all().into_iter().map(|m| (m.name, m)).collect();
    let written = document["methods"].as_array().unwrap().iter();
    written.filter_map(|m| Some((m, served.remove(m["name"].as_str()?)?))).collect()
}

/// The parameters of a method that are there already.
fn params<'a>(document: &'a Value, method: &'a Value) -> Vec<&'a Value> {
    let all = method["params"].as_array().unwrap().iter().map(|p| resolve(document, p));
    all.filter(|p| !is_planned(p)).collect()
}

/// A good value for each parameter: from an example, else the simplest that its schema allows.
fn good(document: &Value, method: &Value) -> Map<String, Value> {
    let examples: BTreeMap<_, _> = method["examples"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|e| e["params"].as_array().unwrap())
        .map(|p| (p["name"].as_str().unwrap(), &p["value"]))
        .collect();
    let value = |param: &Value| {
        let schema = resolve(document, &param["schema"]);
        let name = param["name"].as_str().unwrap();
        let simple = ["default", "minimum"].iter().find_map(|k| schema.get(*k)).or(schema["enum"].get(0));
        (name.to_owned(), (*examples.get(name).or(simple.as_ref()).expect("an example")).clone())
    };
    params(document, method).into_iter().map(value).collect()
}

fn read(method: &Method, params: &Map<String, Value>) -> crate::base::Result<BTreeSet<String>> {
    let text = Value::from(params.clone()).to_string();
    let fields = Fields::parse(Some(&text))?;
    (method.reads)(&fields)?;
    Ok(fields.asked())
}

#[test]
fn what_is_served_is_written_and_what_is_written_is_served() {
    let document = document();
    let written = document["methods"].as_array().unwrap().iter().filter(|m| !is_planned(m));
    let written: BTreeMap<_, _> =
        written.map(|m| (m["name"].as_str().unwrap(), m["x-role"].as_str().unwrap())).collect();
    let served: BTreeMap<_, _> =
        methods::all().iter().map(|m| (m.name, m.role.map_or("none", |r| r.word()))).collect();
    assert_eq!(written, served, "docs/api/openrpc.json beside src/rpc/methods");
}

#[test]
fn readers_ask_for_the_parameters_that_are_written() {
    let document = document();
    for (written, served) in both(&document) {
        let good = good(&document, written);
        let names: BTreeSet<_> = good.keys().cloned().collect();
        let asked = read(&served, &good).unwrap_or_else(|e| panic!("{} {good:?}: {e}", served.name));
        assert_eq!(asked, names, "{}", served.name);
    }
}

#[test]
fn readers_need_what_is_required_and_nothing_else() {
    let document = document();
    for (written, served) in both(&document) {
        let all = good(&document, written);
        for param in params(&document, written) {
            let name = param["name"].as_str().unwrap();
            let mut fewer = all.clone();
            fewer.remove(name);
            let got = read(&served, &fewer);
            assert_eq!(got.is_err(), param["required"] == true, "{} without {name}: {got:?}", served.name);
        }
    }
}

#[test]
fn readers_refuse_what_the_schemas_refuse() {
    let document = document();
    let mut refused = 0;
    for (written, served) in both(&document) {
        let all = good(&document, written);
        for param in params(&document, written) {
            let name = param["name"].as_str().unwrap();
            let schema = resolve(&document, &param["schema"]);
            for bad in bad_values(schema) {
                let mut params = all.clone();
                params.insert(name.to_owned(), bad.clone());
                let error = read(&served, &params).expect_err(&format!("{} {name} {bad}", served.name));
                // A log-in without a token is no log-in (contract.md, "Authentication and roles").
                let want = if served.name == "authenticate" {
                    ErrorKind::AuthFailed
                } else {
                    ErrorKind::InvalidParams
                };
                assert_eq!(error.kind(), want, "{} {name} {bad}: {error}", served.name);
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

/// Values that break a schema, each in another way.
fn bad_values(schema: &Value) -> Vec<Value> {
    // Anything fits a schema without a type.
    let Some(kind) = schema["type"].as_str() else { return Vec::new() };
    let samples = [
        ("string", Value::from("x y")),
        ("integer", Value::from(7)),
        ("number", Value::from(1.5)),
        ("boolean", Value::from(true)),
        ("array", serde_json::json!([{}])),
        ("object", serde_json::json!({ "device": 7 })),
    ];
    let fits = |name: &str| name == kind || (kind == "number" && name == "integer");
    let mut bad: Vec<_> = samples.iter().filter(|(name, _)| !fits(name)).map(|(_, v)| v.clone()).collect();
    if let Some(least) = schema["minimum"].as_i64() {
        bad.push((least - 1).into());
    }
    if let Some(most) = schema["maximum"].as_i64() {
        bad.push((most + 1).into());
    }
    if schema["enum"].is_array() {
        bad.push("nonsense".into());
    }
    if schema["pattern"].is_string() {
        bad.extend(["", "../x", "a/b", "x\u{0}"].map(Value::from));
    }
    if let Some(most) = schema["maxLength"].as_u64() {
        bad.push("9".repeat(most as usize + 1).into());
    }
    if schema["minItems"] == 1 {
        bad.push(serde_json::json!([]));
    }
    if kind == "array" {
        bad.push(serde_json::json!(["nonsense"]));
    }
    bad
}

#[test]
fn every_topic_is_written_and_belongs_to_a_notification() {
    let document = document();
    let names = |list: &Value| -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_owned()).collect()
    };
    let served: BTreeSet<_> = Topic::list().split(", ").map(str::to_owned).collect();
    assert_eq!(names(&document["components"]["schemas"]["Topic"]["enum"]), served);
    let notes = document["x-notifications"].as_array().unwrap();
    let of_notes: BTreeSet<_> = notes.iter().flat_map(|n| names(&n["topics"])).collect();
    assert_eq!(of_notes, served);
}

#[test]
fn every_error_code_is_written() {
    let document = document();
    let written = document["components"]["errors"].as_object().unwrap().values();
    let written: BTreeSet<_> = written.map(|e| e["code"].as_i64().unwrap()).collect();
    let known: BTreeSet<_> = ErrorKind::ALL.iter().map(|kind| i64::from(kind.rpc_code())).collect();
    assert_eq!(written, known);
}

#[test]
fn the_limits_are_the_ones_that_hold() {
    let document = document();
    let settings = Loaded::from_text("").unwrap().settings;
    let held = [
        ("message_bytes", frame::MESSAGE_MAX as u64),
        ("unfinished_bytes", (budget::ALL * budget::CHUNK) as u64),
        ("unfinished_bytes_not_logged_in", (budget::NOT_LOGGED_IN * budget::CHUNK) as u64),
        ("calls_per_minute", settings.auth.rate_limit_per_minute.into()),
        ("members_of_params", params::MEMBERS_MAX as u64),
        ("string_bytes", params::STRING_MAX as u64),
        ("idle_seconds", settings.server.idle_timeout.as_secs()),
    ];
    let written = document["x-limits"].as_object().unwrap();
    assert_eq!(written.len(), held.len());
    for (name, value) in held {
        assert_eq!(written[name]["value"], value, "{name}");
    }
}
