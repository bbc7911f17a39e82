//! The state of a v1 `devices` group: a default, and exceptions from it, as the kernel's
//! device_cgroup.c keeps them.

use std::collections::BTreeMap;

use taru_stdx::{Error, Kind, Result};

use super::{Access, DeviceKind, Rule};

/// A device, or all with that major or minor number.
type Key = (DeviceKind, Option<u32>, Option<u32>);

/// What a group allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    default_allow: bool,
    exceptions: BTreeMap<Key, u8>,
}

impl Table {
    /// What the rules come to, beginning with nothing allowed.
    ///
    /// # Errors
    /// When v1 has no words for it: a rule that takes away a part of what a wider one gave.
    pub(crate) fn of_rules(rules: &[Rule]) -> Result<Table> {
        let mut table = Table { default_allow: false, exceptions: BTreeMap::new() };
        for rule in rules {
            table.add(rule)?;
        }
        Ok(table)
    }

    /// Whether what no exception speaks of is allowed.
    pub(crate) fn allows_by_default(&self) -> bool {
        self.default_allow
    }

    /// The exceptions: type, numbers, and access as letters.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (DeviceKind, Option<u32>, Option<u32>, String)> {
        self.exceptions
            .iter()
            .map(|((kind, major, minor), access)| (*kind, *major, *minor, Access(*access).to_string()))
    }

    fn add(&mut self, rule: &Rule) -> Result<()> {
        let everything = rule.kind == DeviceKind::All && rule.major.is_none() && rule.minor.is_none();
        if everything && rule.access == Access::ALL {
            *self = Table { default_allow: rule.allow, exceptions: BTreeMap::new() };
            return Ok(());
        }
        let kinds: &[DeviceKind] = match rule.kind {
            DeviceKind::All => &[DeviceKind::Char, DeviceKind::Block],
            DeviceKind::Char => &[DeviceKind::Char],
            DeviceKind::Block => &[DeviceKind::Block],
        };
        for kind in kinds {
            let key = (*kind, rule.major, rule.minor);
            if rule.allow != self.default_allow {
                let access = self.exceptions.entry(key).or_default();
                *access |= rule.access.bits();
            } else {
                self.take_away(key, rule)?;
            }
        }
        Ok(())
    }

    /// Removes from the exceptions what `rule`, of the default's own direction, covers.
    fn take_away(&mut self, key: Key, rule: &Rule) -> Result<()> {
        for (other, access) in &mut self.exceptions {
            if *access & rule.access.bits() == 0 || !overlap(*other, key) {
                continue;
            }
            if !covers(key, *other) {
                return Err(Error::new(
                    Kind::Unsupported,
                    format!("take {} out of {} in the device rules", name(key), name(*other)),
                )
                .hint("cgroup v1 cannot make an exception from an exception"));
            }
            *access &= !rule.access.bits();
        }
        self.exceptions.retain(|_, access| *access != 0);
        Ok(())
    }

    /// Parses `devices.list`. A group that allows by default shows one line, `a *:* rwm`, whatever its exceptions.
    pub(super) fn parse_list(text: &str) -> Result<Table> {
        let mut table = Table { default_allow: false, exceptions: BTreeMap::new() };
        for line in text.lines() {
            let bad = || Error::invalid(format!("parse `{line}` of `devices.list`"));
            let number = |text: &str| match text {
                "*" => Ok(None),
                n => n.parse().map(Some).map_err(|_| bad()),
            };
            let mut words = line.split_whitespace();
            let (Some(kind), Some(numbers), Some(access)) = (words.next(), words.next(), words.next()) else {
                return Err(bad());
            };
            let (major, minor) = numbers.split_once(':').ok_or_else(bad)?;
            let kind = match kind {
                "a" => DeviceKind::All,
                "c" => DeviceKind::Char,
                "b" => DeviceKind::Block,
                _ => return Err(bad()),
            };
            let rule = Rule {
                allow: true,
                kind,
                major: number(major)?,
                minor: number(minor)?,
                access: Access::parse(access)?,
            };
            table.add(&rule)?;
        }
        Ok(table)
    }

    /// The writes (file and line) that turn a group of this state into `wanted`.
    pub(super) fn steps_to(&self, wanted: &Table) -> Vec<(&'static str, String)> {
        let mut steps = Vec::new();
        let mut from = &self.exceptions;
        let nothing = BTreeMap::new();
        // A default-allow group does not tell its exceptions, so it is never a base for a difference.
        if self.default_allow || wanted.default_allow {
            steps.push((if wanted.default_allow { "devices.allow" } else { "devices.deny" }, "a".to_owned()));
            from = &nothing;
        }
        let (more, less) = match wanted.default_allow {
            true => ("devices.deny", "devices.allow"),
            false => ("devices.allow", "devices.deny"),
        };
        for (key, access) in from {
            let gone = access & !wanted.exceptions.get(key).copied().unwrap_or(0);
            if gone != 0 {
                steps.push((less, line(*key, gone)));
            }
        }
        for (key, access) in &wanted.exceptions {
            let new = access & !from.get(key).copied().unwrap_or(0);
            if new != 0 {
                steps.push((more, line(*key, new)));
            }
        }
        steps
    }
}

/// Whether some device belongs to both.
fn overlap(a: Key, b: Key) -> bool {
    let meet = |x: Option<u32>, y: Option<u32>| x.is_none() || y.is_none() || x == y;
    a.0 == b.0 && meet(a.1, b.1) && meet(a.2, b.2)
}

/// Whether every device of `narrow` belongs to `wide`.
fn covers(wide: Key, narrow: Key) -> bool {
    let within = |w: Option<u32>, n: Option<u32>| w.is_none() || w == n;
    wide.0 == narrow.0 && within(wide.1, narrow.1) && within(wide.2, narrow.2)
}

fn name((kind, major, minor): Key) -> String {
    let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
    let kind = if kind == DeviceKind::Block { 'b' } else { 'c' };
    format!("`{kind} {}:{}`", number(major), number(minor))
}

fn line(key: Key, access: u8) -> String {
    format!("{} {}", name(key).trim_matches('`'), Access(access))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(allow: bool, kind: DeviceKind, major: Option<u32>, minor: Option<u32>, access: &str) -> Rule {
        Rule { allow, kind, major, minor, access: Access::parse(access).unwrap() }
    }

    use DeviceKind::{All, Block, Char};

    #[test]
    fn from_a_new_group_and_back_again() {
        let new = Table::parse_list("a *:* rwm\n").unwrap();
        let strict = Table::of_rules(&[
            rule(false, All, None, None, "rwm"),
            rule(true, Char, Some(1), Some(3), "r"),
            rule(true, Char, Some(1), Some(3), "w"),
            rule(true, Char, None, None, "m"),
        ])
        .unwrap();
        assert_eq!(
            new.steps_to(&strict),
            [
                ("devices.deny", "a".to_owned()),
                ("devices.allow", "c *:* m".to_owned()),
                ("devices.allow", "c 1:3 rw".to_owned())
            ]
        );
        assert_eq!(strict.steps_to(&new), [("devices.allow", "a".to_owned())]);
        assert!(strict.steps_to(&strict).is_empty());
        let listed = Table::parse_list("c *:* m\nc 1:3 rw\n").unwrap();
        assert_eq!(listed, strict);
        let less = Table::of_rules(&[
            rule(true, Char, Some(1), Some(3), "r"),
            rule(true, Block, Some(8), None, "r"),
        ])
        .unwrap();
        assert_eq!(
            strict.steps_to(&less),
            [
                ("devices.deny", "c *:* m".to_owned()),
                ("devices.deny", "c 1:3 w".to_owned()),
                ("devices.allow", "b 8:* r".to_owned())
            ]
        );
    }

    #[test]
    fn later_rules_take_away_whole_exceptions_but_no_parts() {
        let t = Table::of_rules(&[
            rule(true, Char, Some(1), Some(3), "rwm"),
            rule(true, Char, Some(1), Some(5), "rwm"),
            rule(false, Char, Some(1), None, "w"),
        ])
        .unwrap();
        assert_eq!(t.exceptions.values().copied().collect::<Vec<_>>(), [3, 3]);
        let e = Table::of_rules(&[
            rule(true, Char, Some(1), None, "rwm"),
            rule(false, Char, Some(1), Some(3), "w"),
        ]);
        assert_eq!(e.unwrap_err().kind(), Kind::Unsupported);
        // An allowing default takes denying exceptions the same way.
        let t = Table::of_rules(&[rule(true, All, None, None, "rwm"), rule(false, All, Some(7), None, "rw")])
            .unwrap();
        assert!(t.default_allow);
        assert_eq!(t.exceptions.len(), 2);
    }

    #[test]
    fn nonsense_lists() {
        for text in ["c", "c 1", "c 1:x rw", "q 1:1 r", "c 1:1 z"] {
            assert!(Table::parse_list(text).is_err(), "{text}");
        }
    }
}
