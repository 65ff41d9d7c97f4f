//! Calls made from the document's schemas: good ones, and each way to break one.

use serde_json::{Map, Value, json};

use crate::common::document::{document, is_planned};

/// What has to come of a call by somebody who may make it.
#[derive(Clone, Debug, PartialEq)]
pub enum Want {
    /// A result, or an error of the method that is not about its parameters.
    Taken,
    /// -32602 that names this parameter.
    Refused(String),
    /// -32010 that names this resource; the id is the parameter's value.
    Absent(&'static str, String),
}

/// One call.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is special about it.
    pub what: String,
    /// `params` as they are sent; `None`: none at all.
    pub params: Option<Value>,
    pub want: Want,
}

/// Every call to a method that its schemas suggest; `good` are parameters that it takes.
pub fn cases(method: &Value, good: &Map<String, Value>) -> Vec<Case> {
    let mut all = Vec::new();
    let mut add =
        |what: String, params: Value, want: Want| all.push(Case { what, params: Some(params), want });
    let params: Vec<_> = document().params(method).filter(|(_, p)| !is_planned(p)).collect();
    let with = |name: &str, value: &Value| {
        let mut params = good.clone();
        params.insert(name.to_owned(), value.clone());
        Value::from(params)
    };
    add("good".into(), good.clone().into(), Want::Taken);
    for (name, param) in &params {
        let schema = document().resolve(&param["schema"]);
        let required = param["required"] == true;
        let refused = || Want::Refused((*name).to_owned());
        let mut without = good.clone();
        without.remove(*name);
        let want = if required { refused() } else { Want::Taken };
        add(format!("without {name}"), without.into(), want.clone());
        let takes_null = !required || schema.get("type").is_none();
        let want = if takes_null { Want::Taken } else { want };
        add(format!("{name} null"), with(name, &Value::Null), want);
        for value in edges(schema) {
            add(format!("{name} at the edge"), with(name, &value), Want::Taken);
        }
        for (what, value) in broken(schema) {
            add(format!("{name} {what}"), with(name, &value), refused());
        }
        for (resource, id) in absent(method, name) {
            add(format!("{name} {id}"), with(name, &json!(id)), Want::Absent(resource, id.into()));
        }
        for (member, schema) in schema["properties"].as_object().into_iter().flatten() {
            for (what, value) in broken(document().resolve(schema)) {
                let want = Want::Refused(format!("{name}.{member}"));
                add(format!("{name}.{member} {what}"), with(name, &json!({ member.as_str(): value })), want);
            }
            add(
                format!("more in {name}"),
                with(name, &json!({ "zz_unknown": [1, { "a": null }] })),
                Want::Taken,
            );
        }
    }
    add("more members".into(), with("zz_unknown", &json!({ "deep": [[[{}]]] })), Want::Taken);
    for (what, params) in [
        ("a list", json!([good])),
        ("an empty list", json!([])),
        ("a string", json!("device")),
        ("a number", json!(0)),
        ("true", json!(true)),
        ("null", Value::Null),
        ("a crowd", (0..100).map(|n| (format!("member{n}"), n.into())).collect::<Map<_, _>>().into()),
    ] {
        add(format!("params {what}"), params, Want::Refused("params".into()));
    }
    let required = params.iter().find(|(_, p)| p["required"] == true);
    let want = required.map_or(Want::Taken, |(name, _)| Want::Refused((*name).to_owned()));
    all.push(Case { what: "no params".into(), params: None, want });
    all
}

/// Values at the end of what a schema allows.
fn edges(schema: &Value) -> Vec<Value> {
    let mut all: Vec<Value> = ["minimum", "maximum"].iter().filter_map(|k| schema.get(*k)).cloned().collect();
    if schema["type"] == "integer" {
        // Some clients have one kind of number only.
        all.extend(schema["minimum"].as_u64().map(|n| json!(n as f64)));
        if schema.get("maximum").is_none() {
            all.push(json!(9_007_199_254_740_991u64));
        }
    }
    all.extend(schema["enum"].as_array().into_iter().flatten().cloned());
    if schema["type"] == "boolean" {
        all.extend([json!(true), json!(false)]);
    }
    if let Some(words) = document().resolve(&schema["items"])["enum"].as_array() {
        all.push(json!(words));
        all.extend(words.iter().map(|word| json!([word])));
    }
    all
}

/// Values that break a schema, each with how.
fn broken(schema: &Value) -> Vec<(String, Value)> {
    // Anything fits a schema without a type.
    let Some(kind) = schema["type"].as_str() else { return Vec::new() };
    let mut all = Vec::new();
    let mut add = |what: &str, value: Value| all.push((what.to_owned(), value));
    for (name, value) in [
        ("string", json!("x y")),
        ("integer", json!(7)),
        ("number", json!(1.5)),
        ("boolean", json!(true)),
        ("array", json!([{ "a": 1 }])),
        ("object", json!({ "a": [] })),
    ] {
        if name != kind && !(kind == "number" && name == "integer") {
            add(&format!("as {name}"), value);
        }
    }
    if let Some(least) = schema["minimum"].as_i64() {
        add("below the least", json!(least - 1));
        add("far below", json!(-1e300));
    }
    if let Some(most) = schema["maximum"].as_i64() {
        add("above the most", json!(most + 1));
        add("far above", json!(1e300));
        add("64 bits", json!(u64::MAX));
    }
    if let Some(bound) = schema["exclusiveMinimum"].as_i64() {
        add("at what it must exceed", json!(bound));
        add("negative", json!(-0.5));
    }
    if kind == "integer" || kind == "number" {
        add("a number in quotes", json!("5"));
    }
    if let Some(words) = schema["enum"].as_array() {
        add("another word", json!("nonsense"));
        add("a word in other letters", json!(words[0].as_str().unwrap().to_uppercase()));
        add("a word with a space", json!(format!("{} ", words[0].as_str().unwrap())));
    }
    if schema["pattern"].is_string() {
        for text in [
            "",
            " ",
            ".",
            "..",
            "../../etc/passwd",
            "..\\..\\x",
            "/etc/passwd",
            "/dev/video0",
            "a/b.jpg",
            "gate.png",
            "GATE.JPG",
            "..jpg",
            ".jpg",
            "camera0/../camera1",
            "camera0\0",
            "cämera0",
            "camera 0",
            "%2e%2e%2f",
            "a;rm -rf",
            "$(id)",
            "-rf",
            "\r\n",
        ] {
            if !document().validator(schema).is_valid(&json!(text)) {
                add(&format!("as {text:?}"), json!(text));
            }
        }
    }
    if let Some(most) = schema["maxLength"].as_u64() {
        add("too long", json!("a".repeat(most as usize + 1)));
    }
    if kind == "string" {
        add("endless", json!("9".repeat(1 << 16)));
    }
    if kind == "array" {
        add("of an unknown word", json!(["nonsense"]));
        add("of numbers", json!([7]));
        add("of lists", json!([["camera.connected"]]));
        if schema["minItems"] == 1 {
            add("empty", json!([]));
        }
        if let Some(most) = schema["maxItems"].as_u64() {
            let word = document().resolve(&schema["items"])["enum"][0].clone();
            add("too many", json!(vec![word; most as usize + 1]));
        }
    }
    all
}

/// Names of the right form that nothing has.
fn absent(method: &Value, param: &str) -> Vec<(&'static str, &'static str)> {
    let method = method["name"].as_str().unwrap();
    match (param, method) {
        ("device", _) => {
            // camera2 is the stream that the operator's calls add.
            ["camera7", "camera00", "camera4294967295", "camera4294967296", "camera99999999999999999999"]
                .map(|id| ("camera", id))
                .into()
        }
        ("filename", "take_snapshot") => Vec::new(),
        ("filename", _) if method.contains("snapshot") => {
            vec![("snapshot", "nobody.jpg")]
        }
        ("filename", _) => vec![("recording", "camera0_2001-01-01_00-00-00"), ("recording", "x")],
        _ => Vec::new(),
    }
}

/// A good value for each parameter of a method, as its examples have them.
pub fn example(method: &Value) -> Map<String, Value> {
    let mut params = Map::new();
    for example in method["examples"].as_array().unwrap() {
        for param in example["params"].as_array().unwrap() {
            params.insert(param["name"].as_str().unwrap().to_owned(), param["value"].clone());
        }
    }
    let planned: Vec<_> =
        document().params(method).filter(|(_, p)| is_planned(p)).map(|(name, _)| name).collect();
    params.retain(|name, _| !planned.contains(&name.as_str()));
    params
}
