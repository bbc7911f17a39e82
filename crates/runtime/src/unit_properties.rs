//! Properties of a systemd unit in annotations, `org.systemd.property.NAME`, as runc and crun have them.
//!
//! Values are in GVariant's text form: `true`, `'text'`, `uint64 90000000`, `['a', 'b']`. A name that
//! ends in `Sec` is in seconds and becomes the `USec` that systemd's bus interface has.

use std::collections::BTreeMap;

use taru_cgroup::systemd::Value;
use taru_stdx::{Error, Result};

const PREFIX: &str = "org.systemd.property.";

/// The properties that the annotations ask for.
///
/// # Errors
/// A name or a value that is none.
pub(crate) fn from_annotations(annotations: &BTreeMap<String, String>) -> Result<Vec<(String, Value)>> {
    annotations
        .iter()
        .filter_map(|(key, text)| Some((key.strip_prefix(PREFIX)?, text)))
        .map(|(name, text)| {
            property(name, text).ok_or_else(|| {
                Error::invalid(format!(
                    "check annotation `{PREFIX}{name}`: `{text}` is not a value that systemd takes"
                ))
                .hint("write it as true, 'text', uint64 5, or ['a', 'b']")
            })
        })
        .collect()
}

fn property(name: &str, text: &str) -> Option<(String, Value)> {
    let plain = name.len() >= 3 && name.chars().all(|c| c.is_ascii_alphabetic());
    if !plain {
        return None;
    }
    let value = value(text.trim())?;
    match name.strip_suffix("Sec").filter(|stem| !stem.ends_with('U')) {
        Some(stem) => Some((format!("{stem}USec"), Value::U64(microseconds(&value)?))),
        None => Some((name.to_owned(), value)),
    }
}

fn microseconds(value: &Value) -> Option<u64> {
    let seconds = match value {
        Value::I32(n) => u64::try_from(*n).ok()?,
        Value::I64(n) => u64::try_from(*n).ok()?,
        Value::U32(n) => u64::from(*n),
        Value::U64(n) => *n,
        _ => return None,
    };
    seconds.checked_mul(1_000_000)
}

fn value(text: &str) -> Option<Value> {
    if let Some(list) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        return items
            .map(|item| quoted(item).map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .map(Value::Strs);
    }
    match text.split_once(' ') {
        Some(("uint32", number)) => return number.trim().parse().ok().map(Value::U32),
        Some(("int32", number)) => return number.trim().parse().ok().map(Value::I32),
        Some(("uint64", number)) => return number.trim().parse().ok().map(Value::U64),
        Some(("int64", number)) => return number.trim().parse().ok().map(Value::I64),
        _ => {}
    }
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => quoted(text).map(|s| Value::Str(s.to_owned())).or_else(|| text.parse().ok().map(Value::I32)),
    }
}

/// The text between two quotes of one kind; one with a backslash is left to be refused.
fn quoted(text: &str) -> Option<&str> {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('\'').or_else(|| inner('"')).filter(|s| !s.contains(['\\', '\'', '"']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_refusals() {
        let one = |name: &str, text: &str| {
            let map =
                BTreeMap::from([(format!("{PREFIX}{name}"), text.to_owned()), ("other".into(), "x".into())]);
            from_annotations(&map).ok().and_then(|mut all| all.pop())
        };
        assert_eq!(
            one("CollectMode", "'inactive-or-failed'"),
            Some(("CollectMode".into(), Value::Str("inactive-or-failed".into())))
        );
        assert_eq!(
            one("TimeoutStopUSec", "uint64 90000000"),
            Some(("TimeoutStopUSec".into(), Value::U64(90_000_000)))
        );
        assert_eq!(one("TimeoutStopSec", "5"), Some(("TimeoutStopUSec".into(), Value::U64(5_000_000))));
        assert_eq!(
            one("After", "['a.service', \"b.service\"]"),
            Some(("After".into(), Value::Strs(vec!["a.service".into(), "b.service".into()])))
        );
        assert_eq!(one("Delegate", "true"), Some(("Delegate".into(), Value::Bool(true))));
        for (name, text) in [
            ("X1y", "true"),
            ("ab", "true"),
            ("Abc", "'a"),
            ("Abc", "nope"),
            ("Abc", "uint32 -1"),
            ("AbcSec", "'x'"),
        ] {
            assert_eq!(one(name, text), None, "{name} {text}");
        }
    }
}
