//! What somebody may have meant who mistyped a tag.

/// Tags that are named.
const NAMED: usize = 5;

/// Those of `tags` that `typed` may have been meant as, the likeliest first.
pub(crate) fn near<'a>(typed: &str, tags: &'a [String]) -> Vec<&'a str> {
    let most = (typed.chars().count() / 2).clamp(2, 6);
    let mut scored: Vec<(usize, &str)> = tags
        .iter()
        .filter(|tag| tag.len() <= 128)
        .map(|tag| (distance(typed, tag), tag.as_str()))
        .filter(|(far, tag)| *far <= most || tag.starts_with(typed) || typed.starts_with(tag))
        .collect();
    scored.sort();
    scored.into_iter().take(NAMED).map(|(_, tag)| tag).collect()
}

/// How many characters must be put in, taken out or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, cb) in row.iter_mut().skip(1).zip(&b) {
            let best = (diagonal + usize::from(ca != *cb)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = best;
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_come_first() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!((distance("", "abc"), distance("abc", "")), (3, 3));
        let tags: Vec<String> =
            ["latest", "bookworm", "bookworm-slim", "12", "12.5"].map(Into::into).to_vec();
        assert_eq!(near("bokworm", &tags), ["bookworm"]);
        assert_eq!(near("bookworm-slin", &tags)[0], "bookworm-slim");
        assert_eq!(near("12.6", &tags), ["12.5", "12"]);
        assert!(near("xyz-nothing", &tags).is_empty());
    }
}
