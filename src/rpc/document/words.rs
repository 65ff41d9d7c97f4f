//! JSON Schemas in words that people read.

use serde_json::Value;

use super::reference::Document;

/// What a value must be, in a few words of Markdown.
pub(super) fn kind(document: &Document, schema: &Value) -> String {
    if let Some(name) = named(schema) {
        let meant = document.resolve(schema);
        return if is_form(meant) {
            format!("[{name}](#{})", name.to_lowercase())
        } else {
            kind(document, meant)
        };
    }
    if let Some(only) = schema.get("const") {
        return format!("`{only}`");
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words.iter().map(|w| format!("`{}`", plain(w))).collect();
        return words.join(", ");
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return choices.iter().map(|c| kind(document, c)).collect::<Vec<_>>().join(" or ");
    }
    if let Some(types) = schema["type"].as_array() {
        let types: Vec<_> =
            types.iter().filter_map(Value::as_str).map(|t| of_type(document, t, schema)).collect();
        return types.join(" or ");
    }
    schema["type"].as_str().map_or_else(|| "anything".into(), |name| of_type(document, name, schema))
}

/// Whether a named schema is long enough to be described in a place of its own.
pub(super) fn is_form(schema: &Value) -> bool {
    schema["properties"].is_object()
}

/// The name behind a reference to a schema.
pub(super) fn named(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/components/schemas/")
}

/// A value as it is written in text: strings without quotes.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn of_type(document: &Document, name: &str, schema: &Value) -> String {
    match name {
        "string" => text(schema),
        "integer" => range("whole number", schema),
        "number" => range("number", schema),
        "boolean" => "true or false".into(),
        "null" => "null".into(),
        "array" => {
            let items = kind(document, &schema["items"]);
            let most = schema["maxItems"].as_u64().map(|n| format!(", at most {n}")).unwrap_or_default();
            if document.resolve(&schema["items"])["enum"].is_array() {
                format!("list{most}, of {items}")
            } else {
                format!("list of {items}{most}")
            }
        }
        _ => "object".into(),
    }
}

fn text(schema: &Value) -> String {
    match schema["format"].as_str() {
        Some("date-time") => return "time".into(),
        Some("uri") => return "URL".into(),
        Some("uuid") => return "UUID".into(),
        _ => {}
    }
    let mut words = "text".to_owned();
    if let Some(pattern) = schema["pattern"].as_str() {
        words.push_str(&format!(" like `{}`", pattern.trim_start_matches('^').trim_end_matches('$')));
    }
    if let Some(most) = schema["maxLength"].as_u64() {
        words.push_str(&format!(", at most {most} characters"));
    }
    words
}

fn range(what: &str, schema: &Value) -> String {
    let bound = |key: &str| schema.get(key).filter(|v| v.is_number()).map(Value::to_string);
    // The largest 64-bit number says what fits, not what is sensible.
    let most = bound("maximum").filter(|most| *most != i64::MAX.to_string());
    match (bound("minimum"), most, bound("exclusiveMinimum")) {
        (Some(least), Some(most), _) => format!("{what} {least} to {most}"),
        (Some(least), None, _) => format!("{what}, {least} or more"),
        (_, _, Some(more)) => format!("{what} above {more}"),
        _ => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_read_like_sentences() {
        let document = Document::of(json!({ "components": { "schemas": {
            "Row": { "type": "object", "properties": {} }, "Word": { "enum": ["a", "b"] },
        } } }));
        for (schema, words) in [
            (json!({ "type": "integer", "minimum": 1, "maximum": 9 }), "whole number 1 to 9"),
            (json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX }), "whole number, 0 or more"),
            (json!({ "type": "number", "exclusiveMinimum": 0 }), "number above 0"),
            (json!({ "const": true }), "`true`"),
            (json!({ "type": "string", "pattern": "^x[0-9]+$" }), "text like `x[0-9]+`"),
            (json!({ "oneOf": [{ "type": "string", "format": "uri" }, { "type": "null" }] }), "URL or null"),
            (
                json!({ "type": "array", "items": { "$ref": "#/components/schemas/Row" } }),
                "list of [Row](#row)",
            ),
            (
                json!({ "type": "array", "items": { "$ref": "#/components/schemas/Word" } }),
                "list, of `a`, `b`",
            ),
            (json!({}), "anything"),
        ] {
            assert_eq!(kind(&document, &schema), words);
        }
    }
}
