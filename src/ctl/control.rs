//! `ctl control`: a camera's controls as a table, one of them, or one set.

use serde::Deserialize;
use serde_json::{Value, json};

use super::link::{Link, read};
use super::screen;
use super::table::render;
use crate::base::{Error, ErrorKind, Result};

#[derive(Deserialize)]
struct List {
    controls: Vec<Control>,
    signal: Option<String>,
}

#[derive(Deserialize)]
struct Done {
    control: Control,
}

#[derive(Deserialize)]
struct Control {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    value: Option<Value>,
    default: Option<Value>,
    minimum: Option<i64>,
    maximum: Option<i64>,
    #[serde(default)]
    menu: Vec<Item>,
    flags: Vec<String>,
    kept: bool,
}

#[derive(Deserialize)]
struct Item {
    value: i64,
    name: String,
}

/// Lists the controls of a camera, shows one, or sets one.
pub async fn control(
    link: &mut Link,
    device: &str,
    name: Option<&str>,
    value: Option<&str>,
    json: bool,
) -> Result<()> {
    if let (Some(name), Some(value)) = (name, value) {
        let params = json!({ "device": device, "control": name, "value": typed(value) });
        let raw = link.call("set_camera_control", Some(params)).await?;
        if json {
            screen::line(raw.get());
            return Ok(());
        }
        let done: Done = read(&raw)?;
        screen::line(&format!("{} = {}", done.control.name, show(&done.control)));
        return Ok(());
    }
    let raw = link.call("get_camera_controls", Some(json!({ "device": device }))).await?;
    let list: List = read(&raw)?;
    let Some(name) = name else {
        if json {
            screen::line(raw.get());
        } else {
            table(&list);
        }
        return Ok(());
    };
    let Some(control) = list.controls.iter().find(|control| control.name == name) else {
        return Err(Error::new(ErrorKind::NotFound, format!("{device} has no control {name:?}"))
            .with("suggestion", format!("`fieldcam ctl control {device}` lists them")));
    };
    if json {
        let all: Value = read(&raw)?;
        let one = all["controls"].as_array().into_iter().flatten().find(|c| c["name"] == name);
        screen::line(&one.unwrap_or(&Value::Null).to_string());
    } else {
        screen::line(&format!("{name} = {}", show(control)));
        screen::line(&format!("  {}", takes(control)));
        control.menu.iter().for_each(|item| screen::line(&format!("  {}  {}", item.value, item.name)));
    }
    Ok(())
}

/// A value as it is typed: JSON where it is some, `default` for what nobody has set, else text.
fn typed(text: &str) -> Value {
    match text {
        "default" => Value::Null,
        "on" => Value::Bool(true),
        "off" => Value::Bool(false),
        text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}

fn table(list: &List) {
    if let Some(signal) = &list.signal {
        screen::remark(signal);
    }
    if list.controls.is_empty() {
        screen::line("this camera has no controls");
        return;
    }
    let row = |c: &Control| {
        let kept = if c.kept { "set" } else { "" };
        vec![c.name.clone(), show(c), takes(c), kept.to_owned(), c.flags.join(", ")]
    };
    let rows: Vec<_> = list.controls.iter().map(row).collect();
    screen::line(&render(&["CONTROL", "VALUE", "TAKES", "KEPT", "FLAGS"], &rows));
}

/// The value in words, as long as a column is wide.
fn show(control: &Control) -> String {
    const WIDE: usize = 32;
    let Some(value) = &control.value else { return "-".into() };
    let item = control.menu.iter().find(|item| value.as_i64() == Some(item.value));
    let text = match (item, value) {
        (Some(item), _) => format!("{} ({})", item.value, item.name),
        (None, Value::String(text)) => format!("{text:?}"),
        (None, value) => value.to_string(),
    };
    if text.chars().count() <= WIDE {
        return text;
    }
    text.chars().take(WIDE - 1).chain(['…']).collect()
}

fn takes(control: &Control) -> String {
    let default = match &control.default {
        Some(default) => format!(", default {default}"),
        None => String::new(),
    };
    match (control.minimum, control.maximum) {
        (Some(least), Some(most)) => format!("{} {least} to {most}{default}", control.kind),
        _ => format!("{}{default}", control.kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_as_they_are_typed() {
        for (text, value) in [
            ("7", json!(7)),
            ("true", json!(true)),
            ("on", json!(true)),
            ("default", Value::Null),
            ("[1,2]", json!([1, 2])),
            ("50 Hz", json!("50 Hz")),
            ("\"7\"", json!("7")),
        ] {
            assert_eq!(typed(text), value, "{text}");
        }
    }

    #[test]
    fn a_menu_shows_the_word_and_a_long_list_is_cut() {
        let control = |value: Value| -> Control {
            let menu = json!([{ "value": 1, "name": "50 Hz" }]);
            let all = json!({ "name": "a", "type": "menu", "value": value, "menu": menu, "flags": [],
                "kept": false, "minimum": 0, "maximum": 2, "default": 1 });
            serde_json::from_value(all).unwrap()
        };
        assert_eq!(show(&control(json!(1))), "1 (50 Hz)");
        assert_eq!(takes(&control(json!(1))), "menu 0 to 2, default 1");
        assert_eq!(show(&control(json!(vec![0; 99]))).chars().count(), 32);
    }
}
