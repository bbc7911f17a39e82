//! Rust source as a flat list of words and signs: enough to follow paths, without comments, strings or tests.

/// One token and the line it stands on, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// Splits source text into identifiers, `::`, and single signs; comments and literals are left out.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let bytes: Vec<char> = source.chars().collect();
    let mut out = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(&c) = bytes.get(at) {
        let next = bytes.get(at + 1).copied();
        let end = match c {
            '/' if next == Some('/') => find(&bytes, at, |c| c == '\n'),
            '/' if next == Some('*') => block_comment(&bytes, at),
            '"' => string(&bytes, at),
            '\'' => quote(&bytes, at),
            c if is_word(c) => {
                let end = find(&bytes, at, |c| !is_word(c));
                let word: String = bytes[at..end].iter().collect();
                match literal_after(&word, &bytes, end) {
                    Some(end) => end,
                    None => {
                        out.push(Token { text: word, line });
                        end
                    }
                }
            }
            ':' if next == Some(':') => {
                out.push(Token { text: "::".to_owned(), line });
                at + 2
            }
            c => {
                if !c.is_whitespace() {
                    out.push(Token { text: c.to_string(), line });
                }
                at + 1
            }
        };
        line += bytes[at..end].iter().filter(|&&c| c == '\n').count();
        at = end;
    }
    out
}

/// The tokens without the items that are compiled for tests only: `#[cfg(test)]` up to the end of its item.
pub(crate) fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut out = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_mark =
            tokens.len() - at >= MARK.len() && MARK.iter().zip(&tokens[at..]).all(|(m, t)| *m == t.text);
        if is_mark {
            at = end_of_item(tokens, at + MARK.len());
        } else {
            out.push(tokens[at].clone());
            at += 1;
        }
    }
    out
}

/// The index after an item that starts at `at`: after its `;`, or after the brace that closes its body.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
            ";" if depth == 0 => return at,
            _ => {}
        }
    }
    at
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn find(chars: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|&c| stop(c)).map_or(chars.len(), |n| from + n)
}

/// Block comments nest.
fn block_comment(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    break;
                }
            }
            _ => at += 1,
        }
    }
    at.min(chars.len())
}

/// The end of a string whose opening quote stands at `from`.
fn string(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// A character literal, or the mark of a lifetime (whose name is then left out too).
fn quote(chars: &[char], from: usize) -> usize {
    match (chars.get(from + 1), chars.get(from + 2)) {
        (Some('\\'), _) => (find(chars, from + 3, |c| c == '\'') + 1).min(chars.len()),
        (Some(_), Some('\'')) => from + 3,
        _ => find(chars, from + 1, |c| !is_word(c)),
    }
}

/// Where a prefixed literal (`r"…"`, `br#"…"#`, `b'…'`, `c"…"`) ends whose prefix was just read.
fn literal_after(word: &str, chars: &[char], at: usize) -> Option<usize> {
    match word {
        "r" | "br" | "cr" => {
            let quote = find(chars, at, |c| c != '#');
            let hashes = quote - at;
            if chars.get(quote) != Some(&'"') {
                return None;
            }
            let mut end = quote + 1;
            while end < chars.len() {
                let closes =
                    chars[end] == '"' && chars[end + 1..].iter().take_while(|&&c| c == '#').count() >= hashes;
                end += 1;
                if closes {
                    return Some(end + hashes);
                }
            }
            Some(chars.len())
        }
        "b" | "c" if chars.get(at) == Some(&'"') => Some(string(chars, at)),
        "b" if chars.get(at) == Some(&'\'') => Some(quote(chars, at)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> String {
        tokens(source).into_iter().map(|t| t.text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn leaves_out_comments_and_literals() {
        assert_eq!(words("a // b\n/* c /* d */ e */ f"), "a f");
        assert_eq!(words(r####"let s = "x \" unsafe"; r#"un"safe"# b'\'' c"x" 'a' z"####), "let s = ; z");
        assert_eq!(words("fn f<'a>(x: &'a str) -> char { 'x' }"), "fn f < > ( x : & str ) - > char { }");
        assert_eq!(words("crate::a::b"), "crate :: a :: b");
    }

    #[test]
    fn counts_lines() {
        let all = tokens("a\n\"x\ny\"\n/*\n*/ b");
        assert_eq!(all.last().map(|t| (t.text.as_str(), t.line)), Some(("b", 5)));
    }

    #[test]
    fn leaves_out_tests() {
        let all = tokens("a #[cfg(test)] mod tests { use crate::b; { } } c #[cfg(test)] mod x; d");
        let kept: Vec<_> = without_tests(&all).into_iter().map(|t| t.text).collect();
        assert_eq!(kept, ["a", "c", "d"]);
    }
}
