//! What somebody may have meant who mistyped a tag.

/// Tags that are named.
const NAMED: usize = 5;

/// Those of `tags` that `typed` may have been meant as, the likeliest first.
pub(crate) fn near<'a>(typed: &str, tags: &'a [String]) -> Vec<&'a str> {
    let most = (typed.chars().count() / 2).clamp(2, 6);
    let mut scored: Vec<(usize, &str)> = tags
        .iter()
        .filter(|tag| tag.len() <= 128)
        .map(|tag| (strsim::osa_distance(typed, tag), tag.as_str()))
        .filter(|(far, tag)| *far <= most || tag.starts_with(typed) || typed.starts_with(tag))
        .collect();
    scored.sort();
    scored.into_iter().take(NAMED).map(|(_, tag)| tag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_come_first() {
        let tags: Vec<String> =
            ["latest", "bookworm", "bookworm-slim", "12", "12.5"].map(Into::into).to_vec();
        assert_eq!(near("bokworm", &tags), ["bookworm"]);
        assert_eq!(near("bookworm-slin", &tags)[0], "bookworm-slim");
        assert_eq!(near("12.6", &tags), ["12.5", "12"]);
        assert!(near("xyz-nothing", &tags).is_empty());
    }
}
