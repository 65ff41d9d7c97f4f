//! The API document as a judge of what a box says.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::{Value, json};

/// `docs/api/openrpc.json`.
pub struct Document {
    root: Value,
    validators: OnceLock<BTreeMap<String, Validator>>,
}

/// The one document.
pub fn document() -> &'static Document {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api/openrpc.json");
        let root = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        Document { root, validators: OnceLock::new() }
    })
}

/// Whether a part is written down but not served yet.
pub fn is_planned(part: &Value) -> bool {
    part["x-status"] == "planned"
}

impl Document {
    /// The whole of it.
    pub fn root(&self) -> &Value {
        &self.root
    }

    /// What a part refers to, or the part itself.
    #[track_caller]
    pub fn resolve<'a>(&'a self, part: &'a Value) -> &'a Value {
        let Some(at) = part["$ref"].as_str() else { return part };
        self.root.pointer(at.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("{at} leads nowhere"))
    }

    /// Every method, planned ones too.
    pub fn methods(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.root["methods"].as_array().unwrap().iter().map(|m| (m["name"].as_str().unwrap(), m))
    }

    /// A method's parameters, references followed.
    pub fn params<'a>(&'a self, method: &'a Value) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let all = method["params"].as_array().unwrap().iter().map(|p| self.resolve(p));
        all.map(|p| (p["name"].as_str().unwrap(), p))
    }

    /// The code of each error that a method may answer, with its name.
    pub fn errors<'a>(&'a self, method: &'a Value) -> BTreeMap<i64, &'a str> {
        let all = method["errors"].as_array().unwrap().iter();
        all.map(|e| {
            let name = e["$ref"].as_str().and_then(|at| at.rsplit('/').next()).unwrap();
            (self.resolve(e)["code"].as_i64().unwrap(), name)
        })
        .collect()
    }

    /// A schema of the document as a judge of values.
    pub fn validator(&self, schema: &Value) -> Validator {
        let whole = json!({ "components": self.root["components"], "allOf": [schema] });
        jsonschema::options()
            .with_draft(jsonschema::Draft::Draft7)
            .should_validate_formats(true)
            .build(&whole)
            .unwrap_or_else(|e| panic!("{schema} is no schema: {e}"))
    }

    /// What is wrong with a whole answer to `method`; `None`: one that no method is known of.
    pub fn fault_in_reply(&self, method: Option<&str>, reply: &Value) -> Option<String> {
        self.fault("Reply", reply).or_else(|| match (&reply["error"], method) {
            (Value::Null, Some(method)) => self.fault(&format!("result of {method}"), &reply["result"]),
            (Value::Null, None) => Some("a result for no method".into()),
            (error, _) => self.fault_in_error(method, error),
        })
    }

    fn fault_in_error(&self, method: Option<&str>, error: &Value) -> Option<String> {
        let code = error["code"].as_i64()?;
        let mut errors = self.root["components"]["errors"].as_object().unwrap().iter();
        let Some((name, _)) = errors.find(|(_, e)| e["code"] == code) else {
            return Some(format!("no error has the code {code}"));
        };
        if let Some((method, written)) = method.and_then(|m| self.methods().find(|(name, _)| *name == m))
            && !self.errors(written).contains_key(&code)
            && !(code == -32601 && is_planned(written))
        {
            return Some(format!("{name} is not among the errors of {method}"));
        }
        let message = self.fault(&format!("message of {name}"), &error["message"]);
        message.or_else(|| self.fault(&format!("data of {name}"), &error["data"]))
    }

    /// What is wrong with a notification.
    pub fn fault_in_notification(&self, note: &Value) -> Option<String> {
        let method = note["method"].as_str().unwrap_or_default();
        self.fault("Notification", note)
            .or_else(|| self.fault(&format!("params of {method}"), &note["params"]))
    }

    /// What `name` finds wrong with a value.
    fn fault(&self, name: &str, value: &Value) -> Option<String> {
        let validators = self.validators.get_or_init(|| self.all_validators());
        let Some(validator) = validators.get(name) else {
            return Some(format!("the document has no {name}"));
        };
        let faults: Vec<_> =
            validator.iter_errors(value).map(|e| format!("{} at {:?}", e, e.instance_path())).collect();
        (!faults.is_empty()).then(|| format!("{name}: {}", faults.join("; ")))
    }

    fn all_validators(&self) -> BTreeMap<String, Validator> {
        let mut all = BTreeMap::new();
        let mut add = |name: String, schema: &Value| drop(all.insert(name, self.validator(schema)));
        for (name, method) in self.methods() {
            add(format!("result of {name}"), &method["result"]["schema"]);
        }
        for (name, error) in self.root["x-errors"].as_object().unwrap() {
            add(format!("message of {name}"), &error["message"]);
            add(format!("data of {name}"), &error["data"]);
        }
        for note in self.root["x-notifications"].as_array().unwrap() {
            add(format!("params of {}", note["name"].as_str().unwrap()), &note["params"]);
        }
        for name in ["Reply", "Notification"] {
            add(name.to_owned(), &self.root["components"]["schemas"][name]);
        }
        all
    }
}
