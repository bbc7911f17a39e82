//! Sizes, durations and ids as people type them.

use std::time::Duration;

use crate::{Error, Result};

/// Parses a size in bytes: `512`, `64k`, `128M`, `1.5G`, `2GiB`, `10kb`. All units are powers of 1024,
/// as the peers have them for memory.
///
/// # Errors
/// [`crate::Kind::Invalid`], with the text.
pub fn size(text: &str) -> Result<u64> {
    let bad = || {
        Error::invalid(format!("parse `{text}` as a size"))
            .hint("a size is a number and a unit: 512k, 64M, 1.5G")
    };
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "ki" | "kib" => 10,
        "m" | "mb" | "mi" | "mib" => 20,
        "g" | "gb" | "gi" | "gib" => 30,
        "t" | "tb" | "ti" | "tib" => 40,
        "p" | "pb" | "pi" | "pib" => 50,
        _ => return Err(bad()),
    };
    let large = || Error::invalid(format!("parse `{text}` as a size: it is 2^64 bytes or more"));
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift).ok_or_else(large);
    }
    let value: f64 = number.parse().map_err(|_| bad())?;
    let bytes = value * (1u64 << shift) as f64;
    if bytes < u64::MAX as f64 { Ok(bytes as u64) } else { Err(large()) }
}

/// Parses a duration: `10` (seconds), `500ms`, `10s`, `5m`, `2h`, `1m30s`.
///
/// # Errors
/// [`crate::Kind::Invalid`], with the text.
pub fn duration(text: &str) -> Result<Duration> {
    let bad = || {
        Error::invalid(format!("parse `{text}` as a duration"))
            .hint("a duration is a number and a unit: 500ms, 10s, 5m, 2h, or 1m30s")
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad());
    }
    if let Ok(seconds) = rest.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let value: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += value
            * match &rest[..letters] {
                "us" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86400.0,
                _ => return Err(bad()),
            };
        rest = &rest[letters..];
    }
    Duration::try_from_secs_f64(total).map_err(|_| bad())
}

/// Parses a user or group id: decimal digits only, and not 2³²−1, which the kernel reads as "no change".
///
/// # Errors
/// [`crate::Kind::Invalid`], with the text.
pub fn id(text: &str) -> Result<u32> {
    let ok = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u32>() {
        Ok(id) if ok && id != u32::MAX => Ok(id),
        _ => Err(Error::invalid(format!("parse `{text}` as an id: not a number from 0 to 4294967294"))),
    }
}

/// The values of `a,b,"c,d"`, where quotes keep a comma; empty ones are left out. `None` if a quote is not closed.
pub fn comma_separated(text: &str) -> Option<Vec<String>> {
    let (mut values, mut value, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => values.push(std::mem::take(&mut value)),
            c => value.push(c),
        }
    }
    values.push(value);
    values.retain(|value| !value.is_empty());
    (!quoted).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("0", 0), ("512", 512), ("64k", 65536), ("1.5G", 1610612736), ("2GiB", 1 << 31), ("10kb", 10240)]
        {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "k", "-1", "1x", "1e3", "99999999999P", "1..2"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in
            [("10", 10_000), ("500ms", 500), ("1m30s", 90_000), ("2h", 7_200_000), ("0.5s", 500)]
        {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(ms), "{text}");
        }
        for text in ["", "s", "10x", "-1s", "1s2"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ids() {
        assert_eq!(id("0").unwrap(), 0);
        assert_eq!(id("4294967294").unwrap(), u32::MAX - 1);
        for text in ["", " 0", "0x0", "-1", "4294967295", "4294967296", "+1", "root"] {
            assert!(id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quotes_keep_commas() {
        assert_eq!(comma_separated("a,\"b,c\",,d=\"e\"").unwrap(), ["a", "b,c", "d=e"]);
        assert_eq!(comma_separated("").unwrap(), [""; 0]);
        assert_eq!(comma_separated("a,\"b"), None);
    }
}
