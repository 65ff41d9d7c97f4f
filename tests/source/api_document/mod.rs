//! The API document itself: that it is OpenRPC, holds together, and what is generated from it is fresh.
//! That the code agrees with it is tested in src/rpc/document and, with a real box, in the conformance
//! tests.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::document::document;

#[test]
fn the_reference_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md");
    let wanted = fieldcam::rpc::reference();
    if std::env::var_os("FIELDCAM_WRITE_DOCS").is_some() {
        std::fs::write(&file, &wanted).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    let at = written.lines().zip(wanted.lines()).position(|(a, b)| a != b);
    assert!(
        written == wanted,
        "docs/api.md is stale (first at line {:?}); run FIELDCAM_WRITE_DOCS=1 cargo test --test source",
        at.map(|line| line + 1)
    );
}

#[test]
fn the_document_is_openrpc() {
    let rules: Value = serde_json::from_str(include_str!("rules.json")).unwrap();
    jsonschema::draft7::meta::validate(&rules).unwrap();
    let rules = jsonschema::draft7::new(&rules).unwrap();
    let faults: Vec<_> =
        rules.iter_errors(document().root()).map(|e| format!("{e} at {}", e.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Every schema in the document with where it stands.
fn schemas() -> Vec<(String, &'static Value)> {
    let root = document().root();
    let mut all = Vec::new();
    for (name, schema) in root["components"]["schemas"].as_object().unwrap() {
        all.push((name.clone(), schema));
    }
    for (name, descriptor) in root["components"]["contentDescriptors"].as_object().unwrap() {
        all.push((name.clone(), &descriptor["schema"]));
    }
    for (name, method) in document().methods() {
        all.push((format!("{name} result"), &method["result"]["schema"]));
        for (param, descriptor) in document().params(method) {
            all.push((format!("{name} {param}"), &descriptor["schema"]));
        }
    }
    for note in root["x-notifications"].as_array().unwrap() {
        all.push((note["name"].to_string(), &note["params"]));
    }
    for (name, error) in root["x-errors"].as_object().unwrap() {
        all.push((format!("message of {name}"), &error["message"]));
        all.push((format!("data of {name}"), &error["data"]));
    }
    all
}

#[test]
fn every_schema_is_json_schema() {
    for (name, schema) in schemas() {
        if let Err(e) = jsonschema::draft7::meta::validate(schema) {
            panic!("{name}: {e}");
        }
        document().validator(schema);
    }
}

/// Calls `look` with every value within `value` and where it stands.
fn walk(at: &str, value: &Value, look: &mut impl FnMut(&str, &Value)) {
    look(at, value);
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| walk(&format!("{at}/{name}"), value, look));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, value)| walk(&format!("{at}/{n}"), value, look));
        }
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_everything_named_is_used() {
    let mut used = BTreeSet::new();
    walk("", document().root(), &mut |_, value| {
        if value["$ref"].is_string() {
            document().resolve(value);
            used.insert(value["$ref"].as_str().unwrap().to_owned());
        }
    });
    for group in ["schemas", "contentDescriptors", "errors"] {
        for name in document().root()["components"][group].as_object().unwrap().keys() {
            let at = format!("#/components/{group}/{name}");
            // The envelope belongs to every message, and what only envelopes do to no method.
            let of_envelope =
                ["Reply", "Notification", "InvalidRequest", "MethodNotFound"].contains(&name.as_str());
            assert!(used.contains(&at) || of_envelope, "{at} is used nowhere");
        }
    }
}

/// A result that may hold more than is written would let anything through; a required member that is
/// not described would be a slip of the pen.
#[test]
fn forms_are_closed_and_describe_what_they_require() {
    for (name, schema) in schemas() {
        walk(&name, schema, &mut |at, part| {
            let Some(properties) = part["properties"].as_object() else { return };
            if at.ends_with("/properties") {
                return;
            }
            for member in part["required"].as_array().into_iter().flatten() {
                assert!(properties.contains_key(member.as_str().unwrap()), "{at}: {member} is not described");
            }
            // What clients send may hold more; error data has members of their own causes; the document
            // is not described within itself.
            let open = at.contains("filters") && !at.contains("result")
                || name.ends_with("Data")
                || name == "Metadata"
                || name == "rpc.discover result";
            assert!(open || part["additionalProperties"] == false, "{at} is open");
        });
    }
}

#[test]
fn parameters_are_named_once_and_required_ones_come_first() {
    let mut methods = BTreeSet::new();
    for (name, method) in document().methods() {
        assert!(methods.insert(name), "{name} stands there twice");
        let mut params = BTreeSet::new();
        let mut optional = false;
        for (param, descriptor) in document().params(method) {
            assert!(params.insert(param), "{name}: {param} stands there twice");
            let required = descriptor["required"] == true;
            assert!(!(required && optional), "{name}: {param} is required and stands behind an optional one");
            optional |= !required;
            let schema = document().resolve(&descriptor["schema"]);
            if let Some(default) = schema.get("default") {
                assert!(!required, "{name}: {param} is required and has a default");
                assert!(document().validator(schema).is_valid(default), "{name}: {param}");
            }
        }
    }
}

#[test]
fn every_example_is_as_its_schemas_say() {
    let mut checked = 0;
    for (name, method) in document().methods() {
        for example in method["examples"].as_array().unwrap() {
            let given: Vec<_> = example["params"].as_array().unwrap().iter().collect();
            for (param, descriptor) in document().params(method) {
                let value = given.iter().find(|p| p["name"] == param);
                assert!(
                    value.is_some() || descriptor["required"] != true,
                    "{name}: an example without {param}"
                );
                if let Some(value) = value {
                    judge(&format!("{name} {param}"), &descriptor["schema"], &value["value"]);
                }
            }
            for p in given {
                assert!(document().params(method).any(|(param, _)| p["name"] == param), "{name}: {p}");
            }
            judge(name, &method["result"]["schema"], &example["result"]["value"]);
            checked += 1;
        }
    }
    let root = document().root();
    for note in root["x-notifications"].as_array().unwrap() {
        for example in note["examples"].as_array().unwrap() {
            judge(&note["name"].to_string(), &note["params"], example);
            checked += 1;
        }
    }
    for (name, error) in root["components"]["errors"].as_object().unwrap() {
        let about = &root["x-errors"][name];
        judge(name, &about["message"], &error["message"]);
        judge(name, &about["data"], &error["data"]);
        checked += 1;
    }
    assert!(checked > 50, "{checked}");
}

#[track_caller]
fn judge(what: &str, schema: &Value, value: &Value) {
    let validator = document().validator(schema);
    let faults: Vec<_> =
        validator.iter_errors(value).map(|e| format!("{e} at {}", e.instance_path())).collect();
    assert!(faults.is_empty(), "{what}: {faults:?}\n{value:#}");
}

#[test]
fn errors_have_codes_of_their_own_and_are_explained() {
    let root = document().root();
    let errors = root["components"]["errors"].as_object().unwrap();
    let codes: BTreeSet<_> = errors.values().map(|e| e["code"].as_i64().unwrap()).collect();
    assert_eq!(codes.len(), errors.len());
    let explained: BTreeSet<_> = root["x-errors"].as_object().unwrap().keys().collect();
    assert_eq!(explained, errors.keys().collect());
    for (name, method) in document().methods() {
        let codes = document().errors(method);
        let can = |code| codes.contains_key(&code);
        assert!(can(-32602) && can(-32603) && can(-32040), "{name}: {codes:?}");
        let role = method["x-role"].as_str().unwrap();
        assert_eq!(can(-32001), role != "none" || name != "ping", "{name}");
        assert_eq!(can(-32002), ["operator", "admin"].contains(&role), "{name}");
    }
}
