//! YAML as JSON: what `metadata.yaml` needs of it, and no more.
//!
//! Anchors and aliases are refused: with them a page becomes a terabyte. Keys are texts and stand once.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};
use taru_stdx::{Error, Kind, Result};

/// How deep a document may be.
const DEPTH: usize = 32;
/// How many values it may have.
const VALUES: usize = 50_000;

/// Reads the one document of `text`.
///
/// # Errors
/// [`Kind::Invalid`] if it is none; [`Kind::Limit`] above a bound.
pub(crate) fn parse(text: &str) -> Result<Value> {
    let mut stack: Vec<Open> = Vec::new();
    let mut root = None;
    let mut values = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event
            .map_err(|e| Error::invalid("read the YAML").because(std::io::Error::other(e.to_string())))?;
        let bad = |why: &str| Error::invalid(format!("read the YAML: line {}: {why}", span.start.line()));
        let done = match event {
            Event::Alias(_) => return Err(bad("an alias")),
            Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
            | Event::Scalar(_, _, anchor, _)
                if anchor != 0 =>
            {
                return Err(bad("an anchor"));
            }
            Event::SequenceStart(..) => {
                stack.push(Open::List(Vec::new()));
                None
            }
            Event::MappingStart(..) => {
                stack.push(Open::Map(Map::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => match stack.pop() {
                Some(Open::List(list)) => Some(Value::Array(list)),
                Some(Open::Map(map, None)) => Some(Value::Object(map)),
                _ => return Err(bad("a key without a value")),
            },
            Event::Scalar(text, style, ..) => Some(match stack.last() {
                // A key is a text whatever it looks like.
                Some(Open::Map(_, None)) => Value::String(text.into_owned()),
                _ => scalar(&text, style),
            }),
            Event::DocumentStart(_) if root.is_some() => return Err(bad("a second document")),
            _ => None,
        };
        values += usize::from(done.is_some());
        if stack.len() > DEPTH || values > VALUES {
            return Err(Error::new(Kind::Limit, "read the YAML: too deep, or too many values"));
        }
        let Some(done) = done else { continue };
        match (stack.last_mut(), done) {
            (None, done) => root = Some(done),
            (Some(Open::List(list)), done) => list.push(done),
            (Some(Open::Map(_, key @ None)), Value::String(text)) => *key = Some(text),
            (Some(Open::Map(map, key)), done) => {
                let name = key.take().ok_or_else(|| bad("a key that is no text"))?;
                if map.insert(name.clone(), done).is_some() {
                    return Err(bad(&format!("`{}` stands twice", name.escape_debug())));
                }
            }
        }
    }
    root.ok_or_else(|| Error::invalid("read the YAML: it is empty"))
}

/// What is open at some point of a document.
enum Open {
    List(Vec<Value>),
    /// With the key whose value comes next.
    Map(Map<String, Value>, Option<String>),
}

/// A scalar of the core schema (YAML 1.2.2, 10.3); what is quoted is a text.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => Value::from(number),
            _ => Value::String(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_image_servers_write() {
        let text = "architecture: x86_64\ncreation_date: 1424284563\nproperties:\n  description: 'Debian: 12'\n  \
                    release: \"12\"\n  serial: 20240101_07:42\n  empty:\ntemplates:\n  /etc/hosts:\n    when: [create, rename]\n    \
                    create_only: true\n    template: hosts.tpl\n    properties: {}\n";
        assert_eq!(
            parse(text).unwrap(),
            json!({
                "architecture": "x86_64", "creation_date": 1424284563,
                "properties": {"description": "Debian: 12", "release": "12", "serial": "20240101_07:42", "empty": null},
                "templates": {"/etc/hosts": {"when": ["create", "rename"], "create_only": true, "template": "hosts.tpl", "properties": {}}},
            })
        );
        // LXD writes JSON.
        assert_eq!(parse(r#"{"a": {"b": [1, "2"]}}"#).unwrap(), json!({"a": {"b": [1, "2"]}}));
        assert_eq!(parse("1: 2\n").unwrap(), json!({"1": 2}));
    }

    #[test]
    fn bombs_and_doubts_are_refused() {
        let deep = "[".repeat(100_000);
        let flat = "- 1\n".repeat(60_000);
        for bad in [
            "a: &x [1]\nb: *x\n",
            "a: 1\na: 2\n",
            "",
            "a: [1\n",
            "- 1\n---\n- 2\n",
            "? [1]\n: 2\n",
            &deep,
            &flat,
        ] {
            assert!(parse(bad).is_err(), "{bad:.20}");
        }
    }
}
