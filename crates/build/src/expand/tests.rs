//! Expansions against the reference.

use super::*;

fn lookup(name: &str) -> Option<String> {
    let value = match name {
        "X" => "foobarbaz",
        "E" => "",
        "P" => "/usr/local/lib",
        "W" => "a  b",
        "V" => "v1.2.3",
        _ => return None,
    };
    Some(value.to_owned())
}

#[test]
fn values_are_expanded_as_the_reference_says() {
    let e = Expander::new('\\');
    for (text, wanted) in [
        ("$X", "foobarbaz"),
        ("${X}y", "foobarbazy"),
        ("$Xy", ""),
        ("$", "$"),
        ("a$", "a$"),
        ("$.", "$."),
        (r"\$X", "$X"),
        (r"'$X'", "$X"),
        (r#""$X""#, "foobarbaz"),
        (r#""\$X""#, "$X"),
        (r#""a\nb""#, r"a\nb"),
        (r"a\nb", "anb"),
        (r"a\\b", r"a\b"),
        (r"a\", "a"),
        ("'a\\'", "a\\"),
        ("${U:-d}", "d"),
        ("${E:-d}", "d"),
        ("${E-d}", ""),
        ("${U-d}", "d"),
        ("${X:-d}", "foobarbaz"),
        ("${U:-$X}", "foobarbaz"),
        ("${U:-${E:-z}}", "z"),
        ("${U:-a}b}", "ab}"),
        ("${X:+w}", "w"),
        ("${E:+w}", ""),
        ("${E+w}", "w"),
        ("${U+w}", ""),
        ("${X:?no}", "foobarbaz"),
        ("${X#*b}", "arbaz"),
        ("${X##*b}", "az"),
        ("${X%b*}", "foobar"),
        ("${X%%b*}", "foo"),
        ("${X%nope}", "foobarbaz"),
        ("${P##*/}", "lib"),
        ("${P%/*}", "/usr/local"),
        ("${X/ba?/-}", "foo-baz"),
        ("${X//ba?/-}", "foo--"),
        ("${X//ba*/-}", "foo-"),
        (r"${P//\//_}", "_usr_local_lib"),
        ("${V#v}", "1.2.3"),
        ("${V%.*}", "v1.2"),
        ("${V%%.*}", "v1"),
        ("$1x", "x"),
        ("${X}$X", "foobarbazfoobarbaz"),
        (r#""it's $E""#, "it's "),
        ("", ""),
    ] {
        assert_eq!(e.word(text, &lookup).unwrap(), wanted, "{text}");
    }
}

#[test]
fn what_is_no_expansion_is_an_error() {
    let e = Expander::new('\\');
    for (text, why) in [
        ("${X", "`}` is missing"),
        ("${", "missing"),
        ("${}", "without a name"),
        ("${:x}", "without a name"),
        ("'x", "single quote"),
        ("\"x", "double quote"),
        ("${X!}", "no substitution"),
        ("${X:#a}", "no substitution `:#`"),
        ("${U?}", "U: is unset"),
        ("${E:?}", "E: is empty"),
        ("${U:?set it}", "U: set it"),
        ("${X/a}", "missing"),
    ] {
        let e = e.word(text, &lookup).unwrap_err();
        assert!(e.chain().to_string().contains(why), "{text}: {}", e.chain());
    }
    let deep = "${U:-".repeat(100) + &"}".repeat(100);
    assert_eq!(e.word(&deep, &lookup).unwrap_err().kind(), Kind::Limit);
}

#[test]
fn words_are_split_at_blanks_and_quotes_keep_them() {
    let e = Expander::new('\\');
    let all = |text: &str| e.words(text, &lookup).unwrap();
    assert_eq!(all("a b"), ["a", "b"]);
    assert_eq!(all("$W"), ["a", "b"]);
    assert_eq!(all(r#""$W" c"#), ["a  b", "c"]);
    assert_eq!(all(r"a\ b ''"), ["a b", ""]);
    let raw = Expander { raw_quotes: true, raw_escapes: true, skip_unset: true, ..e.clone() };
    assert_eq!(
        raw.words(r#"a "b c" $U ${U:-x} '"'"#, &lookup).unwrap(),
        ["a", "\"b c\"", "$U", "${U:-x}", "'\"'"]
    );
    let windows = Expander::new('`');
    assert_eq!(windows.word(r"C:\x`$X", &lookup).unwrap(), r"C:\x$X");
}
