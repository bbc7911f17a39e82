//! Properties of a unit as annotations have them: `org.systemd.property.NAME` with a value in GVariant's text form.

use taru_stdx::{Error, Result};

use super::wire::Value;

/// Parses the property `name` with the value `text`: `true`, `'text'`, `uint64 5`, `5` (a 32-bit number), `['a', 'b']`.
///
/// A name that ends in `Sec` is in seconds, and becomes the `USec` that systemd has on D-Bus.
///
/// # Errors
/// Any other form.
pub fn property(name: &str, text: &str) -> Result<(String, Value)> {
    let bad = || {
        Error::invalid(format!("parse `{}` as the value of systemd's property `{name}`", text.escape_debug()))
            .hint("values are as true, 'text', uint64 5, 5, ['a', 'b']")
    };
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(Error::invalid(format!(
            "set systemd's property `{}`: no such name",
            name.escape_debug()
        )));
    }
    let value = parse(text.trim()).ok_or_else(bad)?;
    match name.strip_suffix("Sec").filter(|stem| stem.ends_with(|c: char| c.is_ascii_lowercase())) {
        None => Ok((name.to_owned(), value)),
        Some(stem) => {
            let seconds = match value {
                Value::I32(n) => u64::try_from(n).ok(),
                Value::U32(n) => Some(n.into()),
                Value::I64(n) => u64::try_from(n).ok(),
                Value::U64(n) => Some(n),
                _ => None,
            };
            let microseconds = seconds.and_then(|n| n.checked_mul(1_000_000)).ok_or_else(bad)?;
            Ok((format!("{stem}USec"), Value::U64(microseconds)))
        }
    }
}

fn parse(text: &str) -> Option<Value> {
    match text {
        "true" => return Some(Value::Bool(true)),
        "false" => return Some(Value::Bool(false)),
        _ => {}
    }
    if let Some((kind, number)) = text.split_once(' ') {
        let number = number.trim();
        match kind {
            "int32" => return number.parse().ok().map(Value::I32),
            "uint32" => return number.parse().ok().map(Value::U32),
            "int64" => return number.parse().ok().map(Value::I64),
            "uint64" => return number.parse().ok().map(Value::U64),
            _ => {}
        }
    }
    if let Some(list) = text.strip_prefix('[') {
        return list_of_strings(list);
    }
    if text.starts_with(['\'', '"']) {
        let (string, rest) = quoted(text)?;
        return rest.is_empty().then_some(Value::Str(string));
    }
    text.parse().ok().map(Value::I32)
}

/// What follows `[`.
fn list_of_strings(mut text: &str) -> Option<Value> {
    let mut strings = Vec::new();
    loop {
        text = text.trim_start();
        if text == "]" {
            return Some(Value::Strs(strings));
        }
        let (string, rest) = quoted(text)?;
        strings.push(string);
        text = rest.trim_start();
        text = match text.strip_prefix(',') {
            Some(rest) => rest,
            None if text == "]" => text,
            None => return None,
        };
    }
}

/// A string in quotes of either kind at the beginning of `text`, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| "'\"".contains(*c))?;
    let mut string = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => string.push(chars.next()?.1),
            c if c == quote => return Some((string, &text[at + 1..])),
            c => string.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_seconds() {
        let s = |text: &str| text.to_owned();
        let table = [
            (
                "CollectMode",
                "'inactive-or-failed'",
                Some(("CollectMode", Value::Str(s("inactive-or-failed")))),
            ),
            ("Description", "\"a \\\"b\\\"\"", Some(("Description", Value::Str(s("a \"b\""))))),
            ("MemoryLow", "uint64 55", Some(("MemoryLow", Value::U64(55)))),
            ("Delegate", "true", Some(("Delegate", Value::Bool(true)))),
            (
                "After",
                "['a.service', 'b.service']",
                Some(("After", Value::Strs(vec![s("a.service"), s("b.service")]))),
            ),
            ("After", "[]", Some(("After", Value::Strs(vec![])))),
            ("Nice", "-5", Some(("Nice", Value::I32(-5)))),
            ("TimeoutStopSec", "uint64 5", Some(("TimeoutStopUSec", Value::U64(5_000_000)))),
            ("TimeoutStopUSec", "uint64 5", Some(("TimeoutStopUSec", Value::U64(5)))),
            ("TimeoutStopSec", "'5'", None),
            ("TimeoutStopSec", "-1", None),
            ("After", "['a' 'b']", None),
            ("After", "['a", None),
            ("X", "'a' b", None),
            ("X", "uint64 -1", None),
            ("X", "", None),
            ("x y", "1", None),
        ];
        for (name, text, expected) in table {
            let parsed = property(name, text).ok();
            assert_eq!(parsed, expected.map(|(n, v)| (n.to_owned(), v)), "{name} {text}");
        }
    }
}
