//! The look over a document before it is read: what two readers could understand in two ways is refused.
//!
//! JSON leaves open what a key means that stands twice: some readers take the first, some the last. Go's, which nearly
//! all tools for images use, also takes `Layers` for `layers`. So a signature could be checked on one image and another be
//! run. Nothing is kept but the keys of the objects that are open: memory is bounded by the table of limits.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::limits;

/// What is known of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// An object with these fields, or a list of such: a key that is one of them but for its case is ambiguous.
    Fields(&'static [(&'static str, Shape)]),
    /// Anything else: a map whose keys are data, a field nobody here reads.
    Any,
}

/// Looks over a document of this shape.
pub(crate) fn scan(bytes: &[u8], shape: Shape) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    (&mut deserializer).deserialize_any(Scan { shape, depth: limits::DEPTH, open: &Cell::new(0) })?;
    deserializer.end()
}

struct Scan<'a> {
    shape: Shape,
    /// How much deeper it may go.
    depth: usize,
    /// How many keys are kept now.
    open: &'a Cell<usize>,
}

impl<'a> Scan<'a> {
    fn within<E: Error>(&self, shape: Shape) -> Result<Scan<'a>, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Scan { shape, depth, open: self.open }),
            None => Err(E::custom(format!("arrays and objects in each other, more than {}", limits::DEPTH))),
        }
    }

    /// The shape of the value under `key`; refuses a key that somebody would take for another.
    fn field<E: Error>(&self, key: &str) -> Result<Shape, E> {
        let Shape::Fields(fields) = self.shape else { return Ok(Shape::Any) };
        if let Some((_, shape)) = fields.iter().find(|(name, _)| *name == key) {
            return Ok(*shape);
        }
        match fields.iter().find(|(name, _)| fold(name) == fold(key)) {
            Some((name, _)) => Err(E::custom(format!(
                "the key `{}`, which some take for `{name}` and some do not",
                key.escape_debug()
            ))),
            None => Ok(Shape::Any),
        }
    }
}

/// As Go compares keys: two letters beyond ASCII are equal to letters of it (long s and the Kelvin sign).
fn fold(text: &str) -> String {
    let plain = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    text.chars().map(plain).collect()
}

impl<'de> DeserializeSeed<'de> for Scan<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scan<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while entries.next_element_seed(self.within(self.shape)?)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            let shape = self.field(&key)?;
            if self.open.get() == limits::KEYS {
                return Err(A::Error::custom(format!("objects of more than {} keys", limits::KEYS)));
            }
            self.open.set(self.open.get() + 1);
            if seen.contains(&key) {
                return Err(A::Error::custom(format!("the key `{}` stands twice", key.escape_debug())));
            }
            seen.insert(key);
            entries.next_value_seed(self.within(shape)?)?;
        }
        self.open.set(self.open.get() - seen.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape =
        Shape::Fields(&[("layers", Shape::Fields(&[("size", Shape::Any)])), ("map", Shape::Any)]);

    #[test]
    fn only_what_can_be_understood_in_one_way_passes() {
        for good in [
            r#"{"layers":[{"size":1},{"size":2}],"map":{"a":1,"A":2},"other":{"Layers":1,"layers":2}}"#,
            r#"{"layers":null}"#,
            "[]",
            "-1.5e3",
        ] {
            assert!(scan(good.as_bytes(), SHAPE).is_ok(), "{good}");
        }
        for bad in [
            r#"{"layers":[],"layers":[]}"#,
            r#"{"layers":[],"lay\u0065rs":[]}"#,
            r#"{"Layers":[]}"#,
            r#"{"layer\u017f":[]}"#,
            r#"{"layers":[{"Size":1}]}"#,
            r#"{"map":{"a":1,"a":2}}"#,
            r#"{"other":[{"a":{"b":1,"b":1}}]}"#,
            r#"{} {}"#,
            r#"{"a":}"#,
            "",
        ] {
            assert!(scan(bad.as_bytes(), SHAPE).is_err(), "{bad}");
        }
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(scan(deep(limits::DEPTH).as_bytes(), SHAPE).is_ok());
        assert!(scan(deep(limits::DEPTH + 1).as_bytes(), SHAPE).is_err());
    }
}
