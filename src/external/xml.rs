//! The few words that we need of ONVIF's XML, as pure code over untrusted text.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

/// Texts and attributes that are kept of one document.
const MOST: usize = 64;
const TEXT_MAX: usize = 2048;

/// One element that was looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Its text, that of its children included, trimmed.
    pub text: String,
    /// Its attribute `token`.
    pub token: String,
    /// The names of the elements around it, the outermost first, then its own.
    pub path: Vec<String>,
}

/// Every element of the local name `name`. What is no XML is read as far as it is.
pub(super) fn elements(text: &str, name: &str) -> Vec<Found> {
    let mut reader = Reader::from_str(text);
    let (mut all, mut open): (Vec<Found>, Vec<(usize, usize)>) = (Vec::new(), Vec::new());
    let mut path: Vec<String> = Vec::new();
    loop {
        let mut more = String::new();
        match reader.read_event() {
            Err(_) | Ok(Event::Eof) => break,
            // Nobody nests like this.
            Ok(Event::Start(_)) if path.len() >= MOST => break,
            Ok(Event::Start(start)) => {
                path.push(local(&start));
                if path.last().is_some_and(|n| n == name) && all.len() < MOST {
                    open.push((path.len(), all.len()));
                    all.push(Found { token: token(&start), path: path.clone(), text: String::new() });
                }
            }
            Ok(Event::Empty(start)) if local(&start) == name && all.len() < MOST => {
                let mut path = path.clone();
                path.push(name.to_owned());
                all.push(Found { token: token(&start), path, text: String::new() });
            }
            Ok(Event::End(_)) => {
                open.retain(|(depth, _)| *depth < path.len());
                path.pop();
            }
            Ok(Event::Text(part)) => more.push_str(&part.xml10_content()),
            Ok(Event::CData(part)) => more.push_str(&part.xml10_content()),
            Ok(Event::GeneralRef(part)) => match part.resolve_char_ref() {
                Ok(Some(c)) => more.push(c),
                // Entities of the document's own are not followed.
                _ => more.push_str(resolve_predefined_entity(&part).unwrap_or_default()),
            },
            Ok(_) => {}
        }
        for (_, i) in &open {
            let left = TEXT_MAX.saturating_sub(all[*i].text.len());
            all[*i].text.extend(more.chars().take(left));
        }
    }
    for found in &mut all {
        found.text = found.text.trim().to_owned();
    }
    all
}

fn local(start: &BytesStart<'_>) -> String {
    start.local_name().as_ref().chars().take(64).collect()
}

/// A profile's token goes back to the camera: only what needs no escaping is taken.
fn token(start: &BytesStart<'_>) -> String {
    let found = start.try_get_attribute("token").ok().flatten();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
    found.map(|a| a.value.to_string()).filter(|t| t.len() <= 64 && t.chars().all(plain)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str, name: &str) -> Vec<String> {
        elements(text, name).into_iter().map(|f| f.text).collect()
    }

    #[test]
    fn texts_are_found_whatever_the_prefix() {
        let text = "<?xml version=\"1.0\"?><s:A xmlns:s=\"x\"><d:Uri> rtsp://h/a?b=1&amp;c=2 </d:Uri>\
                    <Uri><![CDATA[<x>]]></Uri><Uri/><P token=\"Profile_1\"/><P token=\"a&quot;b\"><Uri>&#65;&own;</Uri></P></s:A>";
        assert_eq!(texts(text, "Uri"), ["rtsp://h/a?b=1&c=2", "<x>", "", "A"]);
        let tokens: Vec<_> = elements(text, "P").into_iter().map(|f| f.token).collect();
        assert_eq!(tokens, ["Profile_1", ""]);
        assert_eq!(elements(text, "Uri")[3].path, ["A", "P", "Uri"]);
    }

    #[test]
    fn bombs_go_nowhere() {
        let bomb = "<!DOCTYPE a [<!ENTITY x \"yyyyyyyyyy\"><!ENTITY z \"&x;&x;\">]><a><Uri>&z;&z;</Uri></a>";
        assert_eq!(texts(bomb, "Uri"), [""]);
        let deep = "<a>".repeat(100_000);
        assert_eq!(texts(&deep, "a").len(), MOST);
        let wide = "<Uri>x</Uri>".repeat(10_000);
        assert_eq!(texts(&format!("<a>{wide}</a>"), "Uri").len(), MOST);
        let long = format!("<Uri>{}</Uri>", "é".repeat(100_000));
        assert!(texts(&long, "Uri")[0].len() <= 2 * TEXT_MAX);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,300}", tags in "(<[/!?]?[a-cU:]{0,3}( token=\"[a-z&]{0,4}\")?/?>|&[a-z#0-9]{0,5};|[a-z]{0,4}){0,40}") {
            for text in [text, tags] {
                for name in ["a", "U", ""] {
                    prop_assert!(elements(&text, name).len() <= MOST);
                }
            }
        }
    }
}
