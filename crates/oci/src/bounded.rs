//! Lists, maps and strings as strangers write them: `null` is an empty one, as Go has it, and there is a bound to each.
//!
//! For `#[serde(deserialize_with = ...)]`, always with `default`: absent is empty, too. A bound that is passed ends the
//! reading there and then, before what lies behind it takes memory.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::limits;

/// A value that may be `null`: then it is the default.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A list of at most `N` entries, or `null`.
pub(crate) fn list<'de, const N: usize, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(deserializer.deserialize_option(List::<T, N>(PhantomData))?.unwrap_or_default())
}

/// The same where `null` and absent are told apart from empty.
pub(crate) fn some_list<'de, const N: usize, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    deserializer.deserialize_option(List::<T, N>(PhantomData))
}

/// A map of at most `N` entries with no key twice, or `null`; a value of `null` is the default.
pub(crate) fn map<'de, const N: usize, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    Ok(deserializer.deserialize_option(Map::<T, N>(PhantomData))?.unwrap_or_default())
}

/// The same where `null` and absent are told apart from empty.
pub(crate) fn some_map<'de, const N: usize, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, T>>, D::Error> {
    deserializer.deserialize_option(Map::<T, N>(PhantomData))
}

/// The number of bytes of a blob.
pub(crate) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let size = u64::deserialize(deserializer)?;
    if size > limits::BLOB {
        return Err(D::Error::custom(format!("a size of {size} bytes")));
    }
    Ok(size)
}

struct List<T, const N: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for List<T, N> {
    type Value = Option<Vec<T>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {N} entries")
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            if list.len() == N {
                return Err(A::Error::custom(format!("a list of more than {N} entries")));
            }
            list.push(entry);
        }
        Ok(Some(list))
    }
}

struct Map<T, const N: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default, const N: usize> Visitor<'de> for Map<T, N> {
    type Value = Option<BTreeMap<String, T>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a map of at most {N} entries")
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry::<String, Option<T>>()? {
            if map.len() == N {
                return Err(A::Error::custom(format!("a map of more than {N} entries")));
            }
            if let Some(twice) = map.insert(key, value.unwrap_or_default()).map(|_| "a key that stands twice")
            {
                return Err(A::Error::custom(twice));
            }
        }
        Ok(Some(map))
    }
}
