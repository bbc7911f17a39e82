//! `WWW-Authenticate`: how a server wants to be shown who asks (RFC 9110, 11.6.1).

/// One way that a server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token, which another server gives (distribution specification, "Token authentication").
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// Reads one header, which may hold several challenges; unknown ones are passed over.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = header.trim_start_matches([' ', ',']);
    while !rest.is_empty() {
        let end = rest.find([' ', ',']).unwrap_or(rest.len());
        let (scheme, mut after) = rest.split_at(end);
        let mut parameters: Vec<(String, String)> = Vec::new();
        while let Some((name, value, left)) = parameter(after) {
            parameters.push((name, value));
            after = left;
        }
        let find = |name: &str| parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => found.push(Challenge::Basic),
            "bearer" => {
                if let Some(realm) = find("realm") {
                    found.push(Challenge::Bearer { realm, service: find("service"), scope: find("scope") });
                }
            }
            _ => {}
        }
        rest = after.trim_start_matches([' ', ',']);
        // A scheme without parameters ends at its own end; whatever cannot be read is skipped, so that this ends.
        if rest.len() >= header.len() {
            break;
        }
    }
    found
}

/// `NAME=VALUE` or `NAME="VALUE"` at the start of `text`, and what follows; `None` where another scheme begins.
fn parameter(text: &str) -> Option<(String, String, &str)> {
    let text = text.trim_start_matches([' ', ',']);
    let (name, after) = text.split_once('=')?;
    let name = name.trim();
    if name.is_empty() || name.contains([' ', ',', '"']) {
        return None;
    }
    let after = after.trim_start();
    let Some(quoted) = after.strip_prefix('"') else {
        let end = after.find([',', ' ']).unwrap_or(after.len());
        return Some((name.to_ascii_lowercase(), after[..end].to_owned(), &after[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((name.to_ascii_lowercase(), value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_of_registries_are_read() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
            scope: scope.map(Into::into),
        };
        for (header, challenges) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                vec![bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:a/b:pull,push"),
                )],
            ),
            (r#"Basic realm="x, y""#, vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (
                r#"Negotiate, Bearer realm=https://t/ , Basic realm="a \" b""#,
                vec![bearer("https://t/", None, None), Challenge::Basic],
            ),
            (r#"Bearer service="no realm""#, vec![]),
            (r#"Bearer realm="unterminated"#, vec![]),
            ("", vec![]),
            (",,, =, \"", vec![]),
        ] {
            assert_eq!(parse(header), challenges, "{header}");
        }
    }
}
