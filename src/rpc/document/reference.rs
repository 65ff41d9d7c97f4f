//! `docs/api.md`, written from the API document so that both say the same.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::TEXT;
use super::words::{is_form, kind, named, plain};

const HEAD: &str = "\
<!-- Generated from docs/api/openrpc.json; don't edit. `FIELDCAM_WRITE_DOCS=1 cargo test --test source`
     writes it anew. -->
";

/// The document, and what its references mean.
pub(super) struct Document(Value);

impl Document {
    pub(super) fn of(value: Value) -> Self {
        Self(value)
    }

    /// What `value` refers to, or itself.
    pub(super) fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        value["$ref"].as_str().and_then(|at| self.0.pointer(at.strip_prefix('#')?)).unwrap_or(value)
    }

    fn list(&self, name: &str) -> &[Value] {
        self.0[name].as_array().map_or(&[], Vec::as_slice)
    }

    fn code(&self, error: &Value) -> String {
        self.resolve(error)["code"].to_string()
    }
}

/// The whole text.
pub fn reference() -> String {
    let document = Document::of(serde_json::from_str(TEXT).expect("a test reads the document"));
    let mut out = String::new();
    head(&document, &mut out);
    document.list("methods").iter().for_each(|method| self::method(&document, method, &mut out));
    notifications(&document, &mut out);
    forms(&document, &mut out);
    errors(&document, &mut out);
    out
}

fn head(document: &Document, out: &mut String) {
    let info = &document.0["info"];
    let _ = writeln!(out, "# {} API, version {}\n\n{HEAD}", plain(&info["title"]), plain(&info["version"]));
    let _ = writeln!(out, "{}\n", plain(&info["description"]));
    out.push_str(
        "The same for programs is [openrpc.json](api/openrpc.json); a box answers it to `rpc.discover`.\n",
    );
    out.push_str("\n## Conventions\n\n");
    for convention in document.list("x-conventions") {
        let _ = writeln!(out, "- {}", plain(convention));
    }
    out.push_str("\n## Limits\n\n| limit | value | |\n|---|---|---|\n");
    for (name, limit) in members(&document.0["x-limits"]) {
        let _ = writeln!(
            out,
            "| {} | {} | {} |",
            name.replace('_', " "),
            limit["value"],
            plain(&limit["description"])
        );
    }
    out.push_str("\n## Methods\n\n| method | role | what it does |\n|---|---|---|\n");
    for method in document.list("methods") {
        let name = plain(&method["name"]);
        let _ = writeln!(
            out,
            "| [`{name}`](#{}) | {} | {}{} |",
            name.replace('.', ""),
            plain(&method["x-role"]),
            plain(&method["summary"]),
            marks(method)
        );
    }
}

fn method(document: &Document, method: &Value, out: &mut String) {
    let name = plain(&method["name"]);
    let role = match plain(&method["x-role"]) {
        none if none == "none" => "no log-in".into(),
        role => format!("role {role}"),
    };
    let _ = writeln!(out, "\n### `{name}`\n\n{} ({role}){}", plain(&method["summary"]), marks(method));
    if let Some(text) = method["description"].as_str() {
        let _ = writeln!(out, "\n{text}");
    }
    let params: Vec<_> =
        method["params"].as_array().into_iter().flatten().map(|p| document.resolve(p)).collect();
    if !params.is_empty() {
        out.push_str("\n| parameter | | |\n|---|---|---|\n");
    }
    for param in params {
        let need = if param["required"] == true { "" } else { "?" };
        let default =
            param["schema"].get("default").map(|d| format!("Default `{}`. ", plain(d))).unwrap_or_default();
        let notes = format!("{default}{}{}", notes(document, param), marks(param));
        row(out, &format!("`{}{need}`", plain(&param["name"])), &kind(document, &param["schema"]), &notes);
    }
    result(document, &method["result"]["schema"], out);
    let codes: Vec<_> = method["errors"].as_array().into_iter().flatten().map(|e| document.code(e)).collect();
    let _ = writeln!(out, "\nErrors: {}", codes.join(", "));
    for example in method["examples"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "\n{}:\n\n```json\n{}\n```", plain(&example["name"]), call(&name, example));
    }
}

fn result(document: &Document, schema: &Value, out: &mut String) {
    let shape = document.resolve(schema);
    if let Some(name) = named(schema).filter(|_| is_form(shape)) {
        let _ = writeln!(out, "\nResult: [{name}](#{})", name.to_lowercase());
    } else if !is_form(shape) && !is_form(&shape["items"]) {
        let _ = writeln!(out, "\nResult: {}", kind(document, schema));
    } else {
        table(document, "result", schema, out);
    }
}

fn table(document: &Document, title: &str, schema: &Value, out: &mut String) {
    let _ = writeln!(out, "\n| {title} | | |\n|---|---|---|");
    let shape = document.resolve(schema);
    if is_form(&shape["items"]) {
        walk(document, "[].", &shape["items"], out);
    } else {
        walk(document, "", shape, out);
    }
}

/// One row a member, those within members behind a dot.
fn walk(document: &Document, before: &str, schema: &Value, out: &mut String) {
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    // Required members in the contract's order, then the others.
    let others =
        members(&schema["properties"]).filter(|(name, _)| !required.contains(name)).map(|(name, _)| name);
    for name in required.iter().copied().chain(others) {
        let member = &schema["properties"][name];
        let need = if required.contains(&name) { "" } else { "?" };
        let notes = format!("{}{}", notes(document, member), marks(member));
        row(out, &format!("`{before}{name}{need}`"), &kind(document, member), &notes);
        if named(member).is_some() {
            continue;
        }
        let (more, within) = match member {
            list if is_form(&list["items"]) => ("[].", &list["items"]),
            map if is_form(&map["additionalProperties"]) => (".*.", &map["additionalProperties"]),
            object => (".", object),
        };
        walk(document, &format!("{before}{name}{more}"), within, out);
    }
}

fn notifications(document: &Document, out: &mut String) {
    out.push_str("\n## Notifications\n\nSent to those who called `subscribe_events`.\n");
    for note in document.list("x-notifications") {
        let name = plain(&note["name"]);
        let role = plain(&note["x-role"]);
        let _ = writeln!(out, "\n### Notification `{name}`\n\n{} (role {role})\n", plain(&note["summary"]));
        let topics: Vec<_> =
            note["topics"].as_array().into_iter().flatten().map(|t| format!("`{}`", plain(t))).collect();
        let _ = writeln!(out, "Topics: {}", topics.join(", "));
        match named(&note["params"]) {
            Some(form) => {
                let _ = writeln!(out, "\nParams: [{form}](#{})", form.to_lowercase());
            }
            None => table(document, "params", &note["params"], out),
        }
        if let Some(example) = note["examples"].get(0) {
            let message = json!({ "jsonrpc": "2.0", "method": name, "params": example });
            let _ = writeln!(out, "\n```json\n{message:#}\n```");
        }
    }
}

/// What several results have in common.
fn forms(document: &Document, out: &mut String) {
    out.push_str("\n## Forms\n");
    for (name, schema) in members(&document.0["components"]["schemas"]) {
        // Those of errors stand with the errors; the envelope is JSON-RPC's.
        if !is_form(schema) || name.ends_with("Data") || ["Reply", "Notification", "Metadata"].contains(&name)
        {
            continue;
        }
        let _ = writeln!(out, "\n### {name}");
        if let Some(text) = schema["description"].as_str() {
            let _ = writeln!(out, "\n{text}");
        }
        table(document, "member", schema, out);
    }
}

fn errors(document: &Document, out: &mut String) {
    out.push_str("\n## Errors\n\n| code | message | when | `error.data` |\n|---|---|---|---|\n");
    let mut all: Vec<_> = members(&document.0["components"]["errors"]).collect();
    all.sort_by_key(|(_, error)| std::cmp::Reverse(error["code"].as_i64()));
    for (name, error) in all {
        let about = &document.0["x-errors"][name];
        let own = document.resolve(&about["data"])["required"].as_array().into_iter().flatten();
        let own: Vec<_> = own.map(|member| format!("`{}`", plain(member))).collect();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            error["code"],
            plain(&error["message"]),
            plain(&about["when"]),
            own.join(", ")
        );
    }
}

fn row(out: &mut String, name: &str, kind: &str, notes: &str) {
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let _ = writeln!(out, "| {} | {} | {} |", cell(name), cell(kind), cell(notes.trim_end()));
}

/// What a parameter or member says of itself, else what the form that it is of says.
fn notes(document: &Document, of: &Value) -> String {
    let text = of["description"].as_str().or_else(|| {
        let meant = document.resolve(of);
        meant["description"].as_str().filter(|_| !is_form(meant))
    });
    text.map(|text| format!("{text} ")).unwrap_or_default()
}

fn marks(of: &Value) -> String {
    let addition = if of["x-addition"] == true { " *addition*" } else { "" };
    let status = of["x-status"].as_str().map(|s| format!(" *{s}*")).unwrap_or_default();
    format!("{addition}{status}")
}

fn members(of: &Value) -> impl Iterator<Item = (&str, &Value)> {
    of.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// A request and its answer.
fn call(method: &str, example: &Value) -> String {
    let params: Map<String, Value> = example["params"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|p| (plain(&p["name"]), p["value"].clone()))
        .collect();
    let mut request = json!({ "jsonrpc": "2.0", "id": 1, "method": method });
    if !params.is_empty() {
        request["params"] = params.into();
    }
    let reply = json!({ "jsonrpc": "2.0", "id": 1, "result": example["result"]["value"] });
    format!("{request}\n{reply:#}")
}
